"""Every file of the corpus is read as the JSON beside it says.

A file dropped into `files/` needs a `NAME.json` in `expected/`, with the keys of `reading`, and
`settings` where it needs other ones than the defaults. The failing test shows what was read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from importer.loader import load
from importer.settings import Settings
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.model import Table

HERE = Path(__file__).parent
FILES = sorted((HERE / "files").iterdir())


def reading(table: Table) -> dict[str, Any]:
    """What a file was read as, as JSON says it."""
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_read_as_expected(path: Path) -> None:
    """Encoding, delimiter, sheet, header, columns, cells on their rows, and problems."""
    expected = HERE / "expected" / f"{path.name}.json"
    wanted = json.loads(expected.read_text("utf-8")) if expected.exists() else {}
    found = reading(load(str(path), Settings(**wanted.pop("settings", {}))))
    assert found == wanted, json.dumps(found, ensure_ascii=False, indent=1)


def test_nothing_is_expected_of_files_that_are_gone() -> None:
    """Every expectation belongs to a file."""
    names = {path.stem for path in (HERE / "expected").iterdir()}
    assert names == {path.name for path in FILES}
