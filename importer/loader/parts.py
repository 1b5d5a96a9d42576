"""What a sheet has beside values: hidden rows and columns, errors, merged and padded cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from importer.settings import Settings

NOT_SAVED: Final = "#NOT-SAVED!"
"""Stands in a cell whose formula has no value in the file."""

ERROR_CELL: Final = (
    r"^(?:#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!"
    r"|CONNECT!|BUSY!|UNKNOWN!|ERROR!|NOT-SAVED!"
    r"|NV|WERT!|BEZUG!|ZAHL!|ÜBERLAUF!|VALEUR!|NOM\?|NOMBRE!|¡VALOR!|¡REF!|¿NOMBRE\?|¡DIV/0!"
    r"|¡NUM!|N/D!?|VALORE!|RIF!|NOME\?|WAARDE!|VERW!|NAAM\?|GETAL!|DEEL/0!|N/B|ARG!|ADR!|NAZWA\?"
    r"|LICZBA!|DZIEL/0!|VALOR!|NÚM!|#{3,})|Err:\d{3})$"
)
"""What spreadsheet programs show in a cell that they cannot compute or show, as a pattern."""

_SHOWN: Final = 10
_BYTES_OF_CELL: Final = 32


class Merged(NamedTuple):
    """Cells that are shown as one: rows from 1, columns from 0, both ends included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class Parts:
    """What is collected of a sheet; rows count from 1, columns from 0.

    Attributes:
        hidden_rows: rows that the spreadsheet program does not show.
        hidden_columns: columns that it does not show.
        errors: cell -> what stands in it, such as `#DIV/0!`.
        merged: blocks of cells with one value, which is that of the upper left cell.
        padded: cell -> how many digits its number is shown with.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[Merged] = field(default_factory=list)
    padded: dict[tuple[int, int], int] = field(default_factory=dict)


def check_extent(rows: int, columns: int, settings: Settings) -> None:
    """Refuses a sheet that is larger than the limits before anybody makes room for it.

    Raises:
        Refusal: too many rows, columns, or cells between the first and the last.
    """
    if rows > settings.max_rows:
        detail = f"{rows:,} rows, and {settings.max_rows:,} are allowed (max_rows)"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
    if columns > settings.max_columns:
        detail = f"{columns:,} columns, and {settings.max_columns:,} are allowed (max_columns)"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
    if rows * columns * _BYTES_OF_CELL > settings.max_expanded_bytes:
        detail = (
            f"{rows:,} rows by {columns:,} columns need more than "
            f"{settings.max_expanded_bytes:,} bytes (max_expanded_bytes)"
        )
        raise Refusal(Code.FILE_TOO_LARGE, detail)


def column_letters(place: int) -> str:
    """What the spreadsheet program calls a column: A for 0, AA for 26."""
    text = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def column_place(letters: str) -> int:
    """The opposite of `column_letters`: 0 for A, 26 for AA."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def ranges(numbers: Iterable[int]) -> str:
    """Numbers for people: `2, 4-6, 9`, and how many more there are after ten of them."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{first}-{last}" if last > first else str(first) for first, last in runs[:_SHOWN]]
    left = sum(last - first + 1 for first, last in runs[_SHOWN:])
    return ", ".join(shown) + (f" and {left} more" if left else "")
