"""CSV for other programs, which opens rightly in Excel."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer.report.export import (
    write_csv,
)
from schemas.columns import find_result_headers

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a CSV, by another reader than the one we write with."""
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+44 20 7946 0018",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "＝1",
        "+1-1",
        "+44;x",
        "+0123",
        "'=1",
        "'+442079460018",
    ],
)
def test_no_cell_is_a_formula(cell: str) -> None:
    """Whatever a spreadsheet program could calculate gets an apostrophe."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"a": [cell]}), out)
    text = out.getvalue().decode("utf-8-sig")
    ((written,),) = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert written == f"'{cell}"


@pytest.mark.parametrize("cell", ["+442079460018", "Ada", "a=b", "'a", " =1", "07 -1"])
def test_harmless_cells_stay_as_they_are(cell: str) -> None:
    """Strict E.164 is exempt: it is what phones should look like."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"a": [cell]}), out)
    text = out.getvalue().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [[cell]]


def test_headers_are_no_formulas_either() -> None:
    """A header is a cell like the others."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"=cmd()": ["x"]}), out)
    assert out.getvalue().decode("utf-8-sig").startswith("'=cmd()\r\n")


def test_our_columns_are_recognised_and_a_user_s_are_not() -> None:
    """`reason` is ours only beside `import_status`, and not where ours is `import_reason`."""
    assert find_result_headers(["Name", "_row", "reason"]) == {"_row"}
    assert find_result_headers(["import_status", "reason"]) == {"import_status", "reason"}
    assert find_result_headers(["import_status", "reason", "import_reason"]) == {
        "import_status",
        "import_reason",
    }
