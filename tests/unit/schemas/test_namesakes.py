"""Names that may be one person's are told from names that are not, read or known by their signs."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from schemas.namesakes import SIGN, differs_from_signs, names_differ, sign_names, signer

Name: TypeAlias = tuple[str | None, str | None]
SECRET = b"2" * 32


def differs_from_the_ledgers(name: Name, kept: Name) -> bool:
    """Whether a name differs from one that is known only by its signs."""
    (signs,) = sign_names([(SECRET, *kept)])
    return differs_from_signs(*name, signs, signer(SECRET))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Ada", "Lovelace"), ("ADA", "LOVELACE")),
        (("José", "García"), ("Jose", "Garcia")),
        (("A.", "Lovelace"), ("Ada", "Lovelace")),
        (("Lovelace", "Ada"), ("Ada", "Lovelace")),
        (("Ada Maria", "Lovelace"), ("Ada", "Lovelace")),
        (("Maria Ada", "Lovelace"), ("Ada", "Lovelace")),
        (("Jo", "Smith"), ("John", "Smith")),
        (("Jon", "Smith"), ("John", "Smith")),
        (("Dr. Ada", "Lovelace"), ("Ada", "Lovelace")),
        (("Ada", "King-Lovelace"), ("Ada", "Lovelace")),
        (("Ada", None), ("Ada", "Lovelace")),
        (("Ada Lovelace", None), ("Ada", "Lovelace")),
        (("Mary", "O'Brien"), ("Mary", "O’Brien")),
        (("Иван", "Петров"), ("Ivan", "Petrov")),
        ((None, None), ("Ada", "Lovelace")),
        (("Łukasz", "Żak"), ("Lukasz", "Zak")),
    ],
)
def test_names_that_may_be_one_persons(one: Name, other: Name) -> None:
    """Nothing that people do to their names makes two of them."""
    assert not names_differ(one, other)
    assert not names_differ(other, one)
    assert not differs_from_the_ledgers(one, other)
    assert not differs_from_the_ledgers(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Ada", "Lovelace"), ("Ben", "Lovelace")),
        (("Ada Lovelace", None), ("Ben Lovelace", None)),
        (("Ada", "Lovelace"), ("Ada", "Nguyen")),
        (("B", "Smith"), ("Ada", "Brown")),
        (("小龙", "李"), ("小明", "王")),
        (("A", None), ("B", None)),
    ],
)
def test_names_that_are_clearly_different(one: Name, other: Name) -> None:
    """Another first name, or another last name, is another person."""
    assert names_differ(one, other)
    assert names_differ(other, one)


@pytest.mark.parametrize(
    ("kept", "given"),
    [
        (("Catherine", "Jones"), ("Katherine", "Jones")),
        (("Jhonathan", "Jones"), ("Jonathan", "Jones")),
        (("Ana", "Jones"), ("Anna", "Jones")),
        (("Alexander", "Jones"), ("Alex", "Jones")),
        (("Maria", "Jonson"), ("Maria", "Johnson")),
        (("Zoë", "Ångström"), ("Zoe", "Angstrom")),
        (("Анна", "Иванова"), ("А.", "Иванова")),
        (("Ada", "Lovelace"), (None, None)),
        ((None, None), ("Ada", "Lovelace")),
        (("Adam", "Lovelace"), ("Ada", "Lovelace")),
    ],
)
def test_signs_of_names_that_may_be_one_persons(kept: Name, given: Name) -> None:
    """Short forms and misspellings have a sign in common, wherever the letter is."""
    assert not differs_from_the_ledgers(given, kept)
    assert not differs_from_the_ledgers(kept, given)


@pytest.mark.parametrize(
    ("kept", "given"),
    [
        (("Ada", "Lovelace"), ("Ben", "Lovelace")),
        (("Ada Lovelace", None), ("Ben Lovelace", None)),
        (("Ada", "Lovelace"), ("Ada", "Nguyen")),
        (("Ada", "Brown"), ("Clara", "Smith")),
        (("小龙", "李"), ("小明", "王")),
        (("Анна", "Иванова"), ("Борис", "Петров")),
        (("Mia", "Berg"), ("Pia", "Berg")),
    ],
)
def test_signs_of_names_that_are_clearly_different(kept: Name, given: Name) -> None:
    """Another first name, or another last name, is another person."""
    assert differs_from_the_ledgers(given, kept)
    assert differs_from_the_ledgers(kept, given)


def test_the_signs_of_a_name_show_nothing() -> None:
    """Two people of one name have no sign in common, and no sign is as long as a word."""
    one, other, nothing = sign_names(
        [
            (b"2" * 32, "Ada Maria", "Lovelace"),
            (b"3" * 32, "Ada Maria", "Lovelace"),
            (SECRET, None, "Lovelace"),
        ]
    )
    assert len(one) == len(other) == 7 * SIGN + 1
    assert not _signs_in(one) & _signs_in(other)
    assert nothing == ""


def _signs_in(text: str) -> set[str]:
    joined = text.replace("/", "")
    return {joined[at : at + SIGN] for at in range(0, len(joined), SIGN)}
