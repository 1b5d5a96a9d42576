"""From spreadsheets to a plan: it only looks, and stops for nothing that one row has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import TemplateError, UsageError
from importer.model import Counts
from importer.planning.payload import planned_rows, submissions
from importer.prepare import prepare
from importer.report.view import PREVIEW, examples
from tests.support.place import GOOD, PIECE, Place, many, place, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


@pytest.fixture
def desk() -> Iterator[Place]:
    """A folder to plan in."""
    with place() as desk:
        yield desk


def test_preparing_changes_nothing(desk: Place) -> None:
    """The folder is what it was."""
    names = desk.files(ROWS)
    before = {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")}
    plan = prepare(names, desk.settings)
    assert plan.counts == Counts(read=6, ready=6)
    assert {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")} == before


def test_what_cannot_be_prepared(desk: Place) -> None:
    """No file at all, or a template that breaks a rule, is an error; a bad file is a problem."""
    with pytest.raises(UsageError):
        prepare([], desk.settings)
    assert prepare([str(desk.folder / "none.csv")], desk.settings).counts == Counts()
    (desk.folder / "templates" / "participants" / "manager.yaml").write_text("- {}\n")
    with pytest.raises(TemplateError, match=r"manager\.yaml"):
        desk.plan([GOOD])


@pytest.mark.parametrize("lists", [(400,), (150, 1, 260)])
def test_a_list_in_pieces_is_the_same_list(desk: Place, lists: Sequence[int]) -> None:
    """The whole plan, whatever is wrong where, and over several files."""
    names = desk.files(*map(many, lists))
    whole = prepare(names, desk.settings)
    assert whole.counts.duplicates
    assert whole.counts.rejected
    pieces = prepare(names, desk.settings, piece=PIECE)
    same(whole, pieces)
    assert pieces.frame.equals(whole.frame)
    for one, other in zip(whole.tables, pieces.tables, strict=True):
        assert other.frame.equals(one.frame)
        assert other.problems.equals(one.problems)


def test_the_rows_of_each_piece_are_told(desk: Place) -> None:
    """Whoever waits sees how far it is; the last number is that of all rows."""
    [name] = desk.files(many(400))
    told: list[int] = []
    plan = prepare([name], desk.settings, piece=PIECE, on_rows=told.append)
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == plan.counts.read == 400


def test_an_uneven_list_is_read_whole(desk: Place) -> None:
    """One quotation mark gone astray near its end, and nothing else changes."""
    (name,) = desk.files(many(400))
    text = Path(name).read_text("utf-8")
    Path(name).write_text(f'{text}+1 202 555 0198,,Cy,US,a,onsite-45,5" pipes\n', "utf-8")
    same(prepare([name], desk.settings), prepare([name], desk.settings, piece=PIECE))


def test_a_plan_to_look_at_keeps_what_is_shown(desk: Place) -> None:
    """The same numbers and examples, the rejected rows, and nothing else; it is never sent."""
    names = desk.files(many(400))
    whole = prepare(names, desk.settings)
    seen = prepare(names, desk.settings, whole=False, piece=PIECE)
    same(whole, seen)
    assert examples(seen, desk.settings) == examples(whole, desk.settings)
    assert seen.frame.height == len(whole.groups) < whole.frame.height
    assert seen.tables[0].frame.height == whole.counts.rejected
    for send in (submissions, planned_rows):
        with pytest.raises(ValueError, match="only be shown"):
            list(send(seen, PREVIEW, desk.settings))
