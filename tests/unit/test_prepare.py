"""From spreadsheets to a plan: it only looks, and stops for nothing that one row has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import TemplateError, UsageError
from importer.model import Counts
from importer.planning.history import OpenRows
from importer.planning.payload import identify, planned_rows, submissions
from importer.prepare import prepare
from importer.report.view import PREVIEW, examples
from schemas.columns import KEY
from tests.support.project import GOOD, PIECE, Project, assert_same_plan, make_project, mixed_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


@pytest.fixture
def project() -> Iterator[Project]:
    """Yield a folder to plan in."""
    with make_project() as project:
        yield project


def test_preparing_changes_nothing(project: Project) -> None:
    """The folder is what it was."""
    names = project.files(ROWS)
    before = {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")}
    plan = prepare(names, project.settings)
    assert plan.counts == Counts(read=6, ready=6)
    assert {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")} == before


def test_what_cannot_be_prepared(project: Project) -> None:
    """No file at all, or a template that breaks a rule, is an error; a bad file is a problem."""
    with pytest.raises(UsageError):
        prepare([], project.settings)
    assert prepare([str(project.folder / "none.csv")], project.settings).counts == Counts()
    (project.folder / "templates" / "participants" / "manager.yaml").write_text("- {}\n")
    with pytest.raises(TemplateError, match=r"manager\.yaml"):
        project.plan([GOOD])


@pytest.mark.parametrize("lists", [(400,), (150, 1, 260)])
def test_a_list_in_pieces_is_the_same_list(project: Project, lists: Sequence[int]) -> None:
    """The whole plan, whatever is wrong where, and over several files."""
    names = project.files(*map(mixed_rows, lists))
    whole = prepare(names, project.settings)
    assert whole.counts.duplicates
    assert whole.counts.rejected
    pieces = prepare(names, project.settings, piece=PIECE)
    assert_same_plan(whole, pieces)
    assert pieces.frame.equals(whole.frame)
    for one, other in zip(whole.tables, pieces.tables, strict=True):
        assert other.frame.equals(one.frame)
        assert other.problems.equals(one.problems)


def test_the_rows_of_each_piece_are_told(project: Project) -> None:
    """A person who waits sees how far it is; the last number counts all rows."""
    [name] = project.files(mixed_rows(400))
    messages: list[int] = []
    plan = prepare([name], project.settings, piece=PIECE, on_rows=messages.append)
    assert len(messages) > 1
    assert messages == sorted(messages)
    assert messages[-1] == plan.counts.read == 400


def test_an_uneven_list_is_read_whole(project: Project) -> None:
    """One quotation mark gone astray near its end, and nothing else changes."""
    (name,) = project.files(mixed_rows(400))
    text = Path(name).read_text("utf-8")
    Path(name).write_text(f'{text}+1 202 555 0198,,Cy,US,a,onsite-45,5" pipes\n', "utf-8")
    assert_same_plan(
        prepare([name], project.settings), prepare([name], project.settings, piece=PIECE)
    )


def test_a_plan_to_look_at_keeps_what_is_shown(project: Project) -> None:
    """The same numbers and examples, the rejected rows, and nothing else; it is never sent."""
    names = project.files(mixed_rows(400))
    whole = prepare(names, project.settings)
    seen = prepare(names, project.settings, whole=False, piece=PIECE)
    assert_same_plan(whole, seen)
    assert examples(seen, project.settings) == examples(whole, project.settings)
    assert seen.frame.height == len(whole.groups) < whole.frame.height
    assert seen.tables[0].frame.height == whole.counts.rejected
    for send in (submissions, planned_rows):
        with pytest.raises(ValueError, match="only be shown"):
            list(send(seen, PREVIEW, project.settings))


def test_a_plan_to_resume_keeps_the_rows_that_are_open(project: Project) -> None:
    """It is the plan that was approved, but needs memory only for the rows that may be sent."""
    names = project.files(mixed_rows(400))
    whole = identify(prepare(names, project.settings), PREVIEW)
    some = whole.frame[::7]
    rows = OpenRows(PREVIEW, some[KEY])
    left = prepare(names, project.settings, rows, cells=False, piece=PIECE)
    assert left.hash == whole.hash
    assert left.counts == whole.counts
    assert left.frame.select(some.columns).equals(some)
    assert left.tables[0].frame.height == whole.counts.rejected
    assert len(list(submissions(left, PREVIEW, project.settings))) == some.height
