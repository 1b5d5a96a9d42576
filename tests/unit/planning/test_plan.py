"""Checked and grouped rows become a plan whose counts add up and whose hash says what it is."""

from __future__ import annotations

import polars as pl
import pytest

from importer import problems
from importer.model import Counts
from importer.planning.plan import count_rows, exclude_rows
from importer.problems import one
from schemas.codes import Code
from schemas.columns import ROW, SOURCE
from tests.support.project import GOOD, Project, make_project

OTHER = {**GOOD, "phone_number": "+1 202 555 0198", "meeting_template": "video"}


def statuses(*rows: tuple[int, int, str]) -> pl.DataFrame:
    """Return rows with a status, as a plan keeps them."""
    schema = {SOURCE: pl.UInt16, ROW: pl.UInt32, "status": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_rows_and_warnings_are_counted() -> None:
    """Each status by itself; of the problems only the warnings."""
    rows = statuses((0, 2, "ready"), (0, 3, "rejected"), (0, 4, "duplicate"), (0, 5, "ready"))
    found = problems.concat([one(Code.EMAIL_SHARED, row=2), one(Code.PHONE_INVALID, row=3)])
    assert count_rows(rows, found) == Counts(read=4, ready=2, rejected=1, duplicates=1, warnings=1)
    assert count_rows(statuses(), problems.empty()) == Counts()


def test_a_row_that_no_group_took_is_rejected() -> None:
    """Good cells are not enough: the template must be there."""
    with make_project() as project:
        plan = project.plan([GOOD, {**OTHER, "meeting_template": "none"}])
    assert plan.rows["status"].to_list() == ["ready", "rejected"]
    assert plan.counts == Counts(read=2, ready=1, rejected=1)
    assert plan.problems["code"].to_list() == ["template-unknown"]


def test_rows_are_taken_out_again() -> None:
    """Status, frame, groups, counts and problems say so; the hash stays."""
    with make_project() as project:
        plan = project.plan([GOOD, OTHER])
    assert [group.rows for group in plan.groups] == [1, 1]
    taken = statuses((0, 2, "already-imported")).with_columns(key=pl.lit("k1"))
    less = exclude_rows(plan, taken, one(Code.ALREADY_IMPORTED, row=2))
    assert less.hash == plan.hash
    assert less.rows["status"].to_list() == ["already-imported", "ready"]
    assert less.counts == Counts(read=2, ready=1, already_imported=1)
    assert [group.rows for group in less.groups] == [0, 1]
    assert less.frame[ROW].to_list() == [3]
    assert less.problems["code"].to_list() == ["already-imported"]
    assert less.known.rows() == [(0, 2, "k1")]


def test_nothing_taken_out_is_the_same_plan() -> None:
    """The very object."""
    with make_project() as project:
        plan = project.plan([GOOD])
    assert exclude_rows(plan, statuses().with_columns(key=pl.lit("k1")), problems.empty()) is plan


def test_where_a_file_lies_does_not_enter_the_hash() -> None:
    """Nor do settings that shape no body, such as the rate."""
    with make_project() as here, make_project(rate_per_s=1, concurrency=1) as there:
        assert here.plan([GOOD]).hash == there.plan([GOOD]).hash


@pytest.mark.parametrize(
    "change",
    [{"round": "second"}, {"default_country": "GB"}, {"send_during_business_hours": True}],
)
def test_settings_that_shape_bodies_enter_the_hash(change: dict[str, object]) -> None:
    """Each by itself."""
    with make_project() as project:
        changed = Project(project.folder, project.settings.model_copy(update=change))
        assert changed.plan([GOOD]).hash != project.plan([GOOD]).hash


def test_files_rows_and_their_order_enter_the_hash() -> None:
    """Two files are not one file twice as long, and who is left out matters."""
    with make_project() as project:
        hashes = [
            project.plan([GOOD, OTHER]).hash,
            project.plan([OTHER, GOOD]).hash,
            project.plan([GOOD], [OTHER]).hash,
            project.plan([GOOD]).hash,
            project.plan([GOOD, {**OTHER, "country": "Atlantis"}]).hash,
        ]
    assert len(set(hashes)) == len(hashes)
