"""Whatever a text holds, its pieces are the whole, or say that they cannot be."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from importer.loader import NotInChunks, load, open_pieces
from tests.support.tables import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

TEXTS: Final = 80
HEADERS: Final = ("First Name", "Phone", "Email", "Job Title", "Country", "Campaign")
CELLS: Final = (
    *("Zoë", '"Lee, Ann"', '"a ""b"" c"', '"two\nlines"', "", "  ", "#REF!", "Total", "x'y", "=1"),
    *('"é,é,"', "0", "NULL", '""', " lead", "tail ", "1.5e10", "\u200b"),
)
ASTRAY: Final = ('5" pipe', '"open', 'a"b"', "a\rb", "\x00", '""x""')
SIZES: Final = (500, 1_500, 5_000)


def text(chance: random.Random) -> bytes:
    """Return a list as somebody may export it; now and then something in it is astray."""

    def now_and_then(share: float) -> bool:
        return chance.random() < share

    separator, end = chance.choice(",,,;\t"), chance.choice(("\n", "\n", "\r\n"))
    headers = chance.sample(HEADERS, k=chance.randint(3, len(HEADERS)))
    headers += [""] * now_and_then(0.05) + headers[:1] * now_and_then(0.05)
    lines = [f"sep={separator}"] * now_and_then(0.1) + ["Exported"] * now_and_then(0.1)
    lines += [""] * now_and_then(0.1) + [separator.join(headers)]
    quoted = now_and_then(0.3)
    astray, ragged, blank = (0.002 * now_and_then(0.1) for _ in range(3))
    for number in range(chance.randint(120, 400)):
        cells = [f'"Cy{number}"' if quoted else f"Cy{number}", f"+1 202 555 01{number % 100:02}"]
        cells += [
            chance.choice(ASTRAY) if now_and_then(astray) else chance.choice(CELLS)
            for _ in range(len(headers) - 2)
        ]
        cells = cells[: -1 if now_and_then(ragged) else None] + ["more"] * now_and_then(ragged)
        lines += [separator.join(cells)] + [""] * now_and_then(10 * blank)
    lines += [f"Total{separator * (len(headers) - 1)}"] * now_and_then(0.3)
    lines += [""] * (chance.randint(1, 400) * now_and_then(0.05) + now_and_then(0.8))
    mark = b"\xef\xbb\xbf" * now_and_then(0.1)
    return mark + end.join(lines).encode()


def test_pieces_are_the_whole_or_nothing(tmp_path: Path) -> None:
    """The same rows, numbers, columns and problems; and most texts do come in pieces."""
    chance = random.Random(7)
    file, in_pieces, uneven = tmp_path / "list.csv", 0, 0
    for number in range(TEXTS):
        file.write_bytes(text(chance))
        pieces = open_pieces(str(file), SETTINGS, chance.choice(SIZES))
        try:
            tables = [each() for each in pieces.tables()]
        except NotInChunks:
            uneven += 1
            continue
        whole = load(str(file), SETTINGS)
        in_pieces += len(tables) > 1
        assert pieces.source() == whole.source, number
        assert [row for table in tables for row in table.frame.rows()] == whole.frame.rows()
        at_rows = [row for table in tables for row in table.problems.rows() if row[1] is not None]
        header = whole.source.header_row
        found = [row for row in at_rows if row[1] > header]
        assert found == [row for row in whole.problems.rows() if (row[1] or 0) > header]
        assert all(dict(table.mapping) == dict(whole.mapping) for table in tables)
    assert in_pieces > TEXTS / 4
    assert uneven > TEXTS / 30
