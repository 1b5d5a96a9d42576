"""What Pandera finds becomes problems; what it cannot check is a fault of ours."""

from __future__ import annotations

import polars as pl
import pytest

from importer.normalise import normalise
from importer.validate.checks import check_structure, find_failures
from schemas.candidates import CANDIDATE, EXCUSED
from schemas.codes import Code
from schemas.columns import ROW
from tests.support.tables import SETTINGS, Row, table

SECRET = "Ada-Personal-Name"


def frame() -> pl.DataFrame:
    """Two rows in the form of STRUCTURE, with EXCUSED."""
    rows: list[Row] = [
        {"first_name": SECRET, "email": "ada@example.com", "campaign": "c"},
        {"first_name": None, "email": None, "campaign": "c"},
    ]
    tidy = normalise(table(rows), 0, SETTINGS).clean
    return tidy.with_columns(pl.lit(value=False).alias(EXCUSED))


def test_our_own_table_passes() -> None:
    """Also without rows."""
    check_structure(frame())
    check_structure(frame().clear())


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (frame().drop("email"), "email"),
        (frame().with_columns(pl.col(ROW).cast(pl.Int64)), ROW),
        (frame().with_columns(pl.lit(2, dtype=pl.UInt32).alias(ROW)), "once"),
        (frame().with_columns(pl.lit(1).alias("campaign")), "campaign"),
    ],
)
def test_a_foreign_table_is_a_fault_of_the_program(broken: pl.DataFrame, named: str) -> None:
    """It is named by column and check, and no cell is in the text."""
    with pytest.raises(AssertionError, match=named) as raised:
        check_structure(broken)
    assert SECRET not in str(raised.value)
    assert raised.value.__context__ is None


def test_failures_are_problems_at_their_rows() -> None:
    """One for each cell, in order of the checks; allowed codes are left out."""
    found = find_failures(frame(), allowed=())
    assert found.select(ROW, "column", "code", "severity").rows() == [
        (3, "phone_number", "contact-missing", "error"),
        (3, "first_name", "first-name-missing", "error"),
    ]
    assert (
        find_failures(frame(), allowed={Code.CONTACT_MISSING, Code.FIRST_NAME_MISSING}).height == 0
    )
    assert find_failures(frame().head(1), allowed=()).height == 0


def test_a_check_that_cannot_run_is_a_fault_of_the_program() -> None:
    """It must not look like a fault of the data, or like none."""
    broken = frame().with_columns(pl.lit(1).alias("campaign"))
    with pytest.raises(AssertionError) as raised:
        find_failures(broken, allowed=())
    assert SECRET not in str(raised.value)


def test_every_check_of_a_candidate_is_named_by_a_code() -> None:
    """Name and error are the same value of Code, which is what the failure cases carry."""
    checks = [check for column in CANDIDATE.columns.values() for check in column.checks]
    assert len(checks) >= 9
    for check in checks:
        assert check.name == check.error
        assert check.name in set(Code)
