"""Canonical columns and their aliases: each header means one column at most."""

from __future__ import annotations

import pytest

from importer.loader.headers import fold
from importer.planning.placeholders import compile_value
from schemas.columns import (
    BY_NAME,
    COLUMNS,
    OWN,
    PERSONAL,
    RETURNED_COLUMNS,
    Column,
    find_result_headers,
    unused,
)


def test_no_alias_means_two_columns() -> None:
    """Compared as headers are."""
    meant: dict[str, str] = {}
    for column in COLUMNS:
        for alias in {fold(each) for each in (column.name, *column.aliases)}:
            assert meant.setdefault(alias, column.name) == column.name, alias


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_explains_itself(column: Column) -> None:
    """Name, sentence and example; its name is a placeholder."""
    assert BY_NAME[column.name] is column
    assert column.about.endswith(".")
    assert column.example
    assert compile_value(f"{{{column.name}}}")


def test_what_is_personal_is_the_candidates_own() -> None:
    """So that it never forms a group."""
    assert PERSONAL <= OWN


def test_our_own_headers_come_back() -> None:
    """Those of our files are ours; a recruiter's `reason` stays theirs, beside ours."""
    assert find_result_headers(["phone", "_row", "reason"]) == {"_row"}
    headers = ["phone", *RETURNED_COLUMNS]
    assert find_result_headers(headers) == set(RETURNED_COLUMNS)
    theirs = ["import_status", "progress"]  # results of an earlier version, and a column of theirs
    assert find_result_headers(theirs) == {"import_status"}
    both = ["reason", "import_status", "import_reason"]
    assert find_result_headers(both) == {"import_status", "import_reason"}
    assert unused("reason", ["phone"]) == "reason"
