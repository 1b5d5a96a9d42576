"""Errors stop a run with one message and one exit code."""

from __future__ import annotations

import pytest

from importer import errors
from importer.errors import EXIT_MEANING, Exit, ImporterError

EVERY = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, ImporterError)
]


@pytest.mark.parametrize("error", EVERY)
def test_an_error_says_what_and_how_to_fix_it(error: type[ImporterError]) -> None:
    """Apart for those who print it, together as text."""
    raised = error("It is wrong.", "Mend it.")
    assert (raised.message, raised.fix) == ("It is wrong.", "Mend it.")
    assert str(raised) == "It is wrong. Mend it."
    assert str(error("It is wrong.")) == "It is wrong."


@pytest.mark.parametrize("error", EVERY)
def test_the_tree_that_is_drawn_is_the_one_that_is(error: type[ImporterError]) -> None:
    """Name and exit code are in the drawing, an error below the one it is a kind of."""
    drawn = (errors.__doc__ or "").splitlines()
    places = [(line.find(error.__name__), number) for number, line in enumerate(drawn)]
    at, number = next(place for place in places if place[0] >= 0)
    base = error.__mro__[1]
    if issubclass(base, ImporterError):
        above = [line for line in drawn[:number] if base.__name__ in line]
        assert above
        assert above[-1].find(base.__name__) < at
        code = str(int(error.exit_code))
        assert code in drawn[number] or error.exit_code == base.exit_code


def test_every_exit_code_has_a_meaning() -> None:
    """And those that an error can end in are among them."""
    assert set(EXIT_MEANING) == set(Exit)
    assert {error.exit_code for error in EVERY} <= set(Exit)
