"""Every file of the corpus is read as the JSON beside it says.

A file dropped into `files/` needs a `NAME.json` in `expected/`, with the keys of `reading`, and
`settings` if it needs other ones than the defaults. With `people`, it is checked, too: who is
ready, and what is wrong with the others. The failing test shows what was read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from importer.loader import load
from importer.settings import Settings
from schemas.columns import ROW
from tests.support.tables import check_tables

if TYPE_CHECKING:
    from importer.model import Table

HERE = Path(__file__).parent
FILES = sorted((HERE / "files").iterdir())


def reading(table: Table) -> dict[str, Any]:
    """Return what a file was read as, as JSON says it."""
    return {
        "encoding": table.source.encoding,
        "delimiter": table.source.delimiter,
        "sheet": table.source.sheet,
        "header_row": table.source.header_row,
        "mapping": dict(table.mapping),
        "extra": dict(table.extra),
        "ignored": list(table.ignored),
        "notes": list(table.notes),
        "rows": [list(row) for row in table.frame.rows()],
        "problems": [
            list(row) for row in table.problems.select(ROW, "column", "code", "detail").rows()
        ],
    }


SENT = ("first_name", "last_name", "phone_number", "email", "country", "candidate_id", "campaign")


def people(table: Table) -> list[str]:
    """Return a line for each row: status, what is sent if it is ready, codes of its problems."""
    found = check_tables(table)
    sent = {row: cells for row, *cells in found.frame.select(ROW, *SENT).rows()}
    lines = []
    for row, status in found.rows.select(ROW, "status").sort(ROW).rows():
        codes = sorted(set(found.problems.filter(found.problems[ROW] == row)["code"]))
        cells = " | ".join(cell or "" for cell in sent.get(row, ()))
        lines.append(": ".join(filter(None, (f"{row} {status}", cells, ", ".join(codes)))))
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_read_as_expected(path: Path) -> None:
    """Encoding, delimiter, sheet, header, columns, cells on their rows, and problems."""
    expected = HERE / "expected" / f"{path.name}.json"
    wanted = json.loads(expected.read_text("utf-8")) if expected.exists() else {}
    settings = Settings(**wanted.pop("settings", {}))
    table = load(str(path), settings)
    found = reading(table) | ({"people": people(table)} if "people" in wanted else {})
    assert found == wanted, json.dumps(found, ensure_ascii=False, indent=1)


def test_nothing_is_expected_of_files_that_are_gone() -> None:
    """Every expectation belongs to a file."""
    names = {path.stem for path in (HERE / "expected").iterdir()}
    assert names == {path.name for path in FILES}
