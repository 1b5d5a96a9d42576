"""Sheets, rows and cells: the common form of files of every format, and the refusal of a file.

Numbers become text here, as the spreadsheet program shows them.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import polars as pl

from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.settings import Settings


class Refusal(Exception):
    """Raised if a file cannot be read.

    Args:
        code: the fault.
        detail: completes the code's message; no personal data.
    """

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


def too_many_rows(max_rows: int) -> Refusal:
    """Return the refusal of a file with too many rows."""
    detail = f"more than {max_rows:,} rows, including blank ones (max_rows)"
    return Refusal(Code.FILE_TOO_LARGE, detail)


def missing_reader(kind: str) -> Refusal:
    """Return the refusal of a workbook whose reader is not installed.

    Args:
        kind: such as `XLSX`.
    """
    detail = f"reading {kind} needs an extra; run `pip install '.[xlsx]'` in the importer's folder"
    return Refusal(Code.FILE_UNREADABLE, detail)


@dataclass(frozen=True, slots=True)
class Record:
    """One spreadsheet row.

    Attributes:
        row: the row number in the spreadsheet program.
        cells: the cells as text; an empty cell is an empty text.
        first_line: how many lines of a text file come before it.
        end_line: how many lines of a text file there are up to its end.
    """

    row: int
    cells: Sequence[str] = field(repr=False)
    first_line: int = 0
    end_line: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells below a header.

    Attributes:
        frame: `#row` (UInt32), then `0`, `1`, ... (text, empty is null) for the columns.
        problems: a problem frame, with problems of rows and of the file.
        ignored: headers of columns that were left out.
        notes: sentences about the file for reports.
        links: row and position of a cell -> the address that it links to.
        hidden: `#row` and the hidden columns, named as in `frame`.
        hidden_headers: the hidden headers of these columns; blank if a column has none.
    """

    frame: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    links: Mapping[tuple[int, int], str] = field(default_factory=dict, repr=False)
    hidden: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    hidden_headers: tuple[str, ...] = ()


class Sheet(Protocol):
    """An open sheet: its first rows, in which the header is found, and the cells below it."""

    def head(self) -> Sequence[Record]:
        """Return the first rows, in which the header may be, without blank ones."""

    def below(self, header: Record) -> Cells:
        """Return the cells below the header."""


def schema(width: int) -> dict[str, type[pl.DataType]]:
    """Return names and types of a frame with `width` columns of cells."""
    return {ROW: pl.UInt32, **{str(position): pl.String for position in range(width)}}


def named_width(cells: Sequence[str]) -> int:
    """Return the position after the last cell that is not blank."""
    return next((place for place in range(len(cells), 0, -1) if cells[place - 1].strip()), 0)


def without_blanks(frame: pl.DataFrame) -> pl.DataFrame:
    """Remove rows in which every cell is blank; make empty cells null."""
    texts = [name for name in frame.columns if name != ROW]
    if not texts:
        return frame.clear()
    empties = frame.select((pl.col(texts) == "").any()).row(0)
    frame = frame.with_columns(
        pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)
        for name, some in zip(texts, empties, strict=True)
        if some
    )
    cell = pl.col(texts[0])
    blank = frame.filter(cell.is_null() | (cell.str.strip_chars() == "")).select(ROW)
    if not blank.height:
        return frame
    for name in texts[1:]:  # few rows are blank in their first cell, fewer in the next
        here = frame.lazy().select(ROW, name).join(blank.lazy(), on=ROW, how="semi")
        cell = pl.col(name)
        blank = here.filter(cell.is_null() | (cell.str.strip_chars() == "")).select(ROW).collect()
        if not blank.height:
            return frame
    return frame.join(blank, on=ROW, how="anti", maintain_order="left")


def as_frame(rows: Sequence[int], cells: Sequence[Sequence[str | None]]) -> pl.DataFrame:
    """Return a frame of rows that all have the same number of cells."""
    columns = zip(*cells, strict=True)
    return pl.DataFrame(
        [
            pl.Series(ROW, rows, dtype=pl.UInt32),
            *(pl.Series(str(n), column, dtype=pl.String) for n, column in enumerate(columns)),
        ]
    )


_FORMATS: Final = 256  # number formats that are understood once, not at each cell
_FIRST_PLACE: Final = 0x100000  # for private use: no format shows these signs
_SIGNIFICANT: Final = 15  # digits that spreadsheet programs keep
_EXACT: Final = 10**_SIGNIFICANT
_LITERAL: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATE: Final = re.compile(r"[dmyhs]", re.IGNORECASE)
_ELAPSED: Final = re.compile(r"\[[hms]+\]", re.IGNORECASE)
_BUILT_IN_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_BUILT_IN_ELAPSED: Final = 46
_DAY_S: Final = 86_400
_LEAP_BUG: Final = 60  # Excel counts 29 February 1900, a day that did not exist
_LAST_DAY: Final = 2_958_466

_TOKEN: Final = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[\$(?P<money>[^\]-]*)[^\]]*\]'
    r"|\[(?P<bracket>[^\]]*)\]|(?P<general>General)|(?P<digit>[0#?])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_SECTION: Final = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[]|["\\\[])+')
_CONDITION: Final = re.compile(r"\[(?P<sign><=|>=|<>|<|>|=)(?P<bound>-?\d+(?:\.\d+)?)\]")
_PLAIN_SIGNS: Final = frozenset("+-() /:123456789")  # a format shows them without quotation marks
_COMPARE: Final = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}


def plain(value: float) -> str:
    """Return a number as a person writes it: `442079460018`, `0.3`, `-5`."""
    if math.isinf(value) or math.isnan(value):
        return str(value)
    if abs(value) < _EXACT and value == int(value):
        return str(int(value))
    return f"{Decimal(f'{value:.{_SIGNIFICANT}g}').normalize() + 0:f}"


def shown_number(value: float, number: int, code: str | None, *, since_1904: bool = False) -> str:
    """Return a number as its format shows it: a date, or digits with those that the format adds.

    Separators, currencies and rounding are left out: `1,234.50` is `1234.5`.

    Args:
        value: the cell's number.
        number: the format's number; built-in formats may have no code.
        code: such as `dd/mm/yyyy`, `00000000000` or `"+1 "000-000-0000`.
        since_1904: whether days are counted from 1904.
    """
    if is_date(number, code):
        return moment(value, since_1904=since_1904, elapsed=is_elapsed(number, code))
    digits = plain(value)
    if not code or not digits.isdigit():
        return digits
    shown = _place_digits(_section(code, value), len(digits))
    return shown.translate({_FIRST_PLACE + place: digit for place, digit in enumerate(digits)})


def shown_digits(
    digits: pl.Series, number: int, code: str | None, *, since_1904: bool = False
) -> pl.Series:
    """Return many whole numbers as `shown_number` shows them.

    Args:
        digits: numbers of at most 15 digits as text, without zeros before them.
        number: the format's number.
        code: the format's code.
        since_1904: whether days are counted from 1904.
    """
    if is_date(number, code) or any(map(_CONDITION.search, _sections(code or ""))):
        distinct = digits.unique()
        texts = [
            shown_number(float(each), number, code, since_1904=since_1904) for each in distinct
        ]
        return digits.replace_strict(distinct, texts, return_dtype=pl.String)
    if not code:
        return digits
    digit, shown, section = pl.col("digits"), pl.col("digits"), _section(code, 0)
    lengths = digits.str.len_bytes()
    for count in lengths.unique():
        runs = groupby(_place_digits(section, count), lambda sign: ord(sign) < _FIRST_PLACE)
        parts = [
            pl.lit("".join(signs))
            if is_fixed
            else digit.str.slice(ord(next(signs)) - _FIRST_PLACE, 1 + sum(1 for _ in signs))
            for is_fixed, signs in runs
        ]
        shown = pl.when(pl.col("count") == count).then(pl.concat_str(parts)).otherwise(shown)
    frame = pl.DataFrame([digits.alias("digits"), lengths.alias("count")])
    return frame.select(shown.alias(digits.name)).to_series()


def adds_digits(number: int, code: str | None) -> bool:
    """Whether a format shows more than the cell's value: a duration, more digits, a `+`."""
    if is_date(number, code):
        return is_elapsed(number, code)
    return any(_decorated("7", section) != "7" for section in _sections(code or ""))


@lru_cache(maxsize=_FORMATS)
def _sections(code: str) -> list[str]:
    """Return the parts of a format: for positive and negative numbers, or for ranges."""
    sections = _SECTION.findall(code)
    signed = len(sections) > 1 and sections[0].startswith("+") and sections[1].startswith("-")
    return [] if signed else sections  # `+0;-0` shows a change, not a phone


def _section(code: str, value: float) -> str:
    """Return the part of a format that applies to a number that is not negative."""
    sections = _sections(code)
    for section in sections:
        condition = _CONDITION.search(section)
        if condition is None or _COMPARE[condition["sign"]](value, float(condition["bound"])):
            return section
    return ""


@lru_cache(maxsize=_FORMATS)
def _place_digits(section: str, count: int) -> str:
    """Return how a format shows this many digits, with a sign of its own for each of them."""
    return _decorated("".join(chr(_FIRST_PLACE + place) for place in range(count)), section)


def _decorated(digits: str, section: str) -> str:
    """Add the zeros of a format to digits, and its fixed text if that has digits or a `+`.

    A format that has anything but digits and fixed text changes nothing.
    """
    tokens = list(_TOKEN.finditer(section))
    places = sum(token["digit"] is not None for token in tokens)
    general = any(token["general"] for token in tokens)
    foreign = any(token["other"] and token["other"] not in _PLAIN_SIGNS for token in tokens)
    if foreign or bool(places) == general:
        return digits
    holders = [token["digit"] for token in tokens if token["digit"] is not None]
    zeros = places - holders.index("0") if "0" in holders else 0
    padded = digits.zfill(zeros)
    texts = [
        token["quoted"] or token["escaped"] or token["money"] or token["other"] or ""
        for token in tokens
    ]
    if not any(char.isdigit() or char == "+" for text in texts for char in text):
        return padded
    left = list(padded)
    parts: list[str] = []
    for token, text in zip(reversed(tokens), reversed(texts), strict=True):
        if token["general"]:
            parts.append(digits)
        elif token["digit"] is None:
            parts.append(text)
        else:
            places -= 1
            taken = left if not places else left[-1:]
            parts.append("".join(taken))
            del left[len(left) - len(taken) :]
    return "".join(reversed(parts)).strip()


@lru_cache(maxsize=_FORMATS)
def is_date(number: int, code: str | None) -> bool:
    """Whether a number format shows dates or times.

    Args:
        number: the number of the format; the built-in ones have no code of their own.
        code: such as `dd/mm/yyyy`.
    """
    if code is None:
        return number in _BUILT_IN_DATES
    if code.lower().startswith("general"):
        return False
    return _DATE.search(_LITERAL.sub("", code.partition(";")[0])) is not None


def is_elapsed(number: int, code: str | None) -> bool:
    """Whether a number format shows how long something took, such as `[h]:mm`."""
    return number == _BUILT_IN_ELAPSED if code is None else _ELAPSED.search(code) is not None


def moment(serial: float, *, since_1904: bool = False, elapsed: bool = False) -> str:
    """Write a serial date as `2026-03-01`, `2026-03-01T09:30:00` or `09:30:00`, if it is one."""
    if not 0 <= serial < _LAST_DAY:
        return plain(serial)
    days, seconds = divmod(round(serial * _DAY_S), _DAY_S)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if elapsed:
        return f"{days * 24 + seconds // 3600:02}{clock[2:]}"
    if not days and not since_1904:
        return clock
    first = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)  # noqa: DTZ001
    if not since_1904 and days < _LEAP_BUG:
        days += 1
    day = (first + timedelta(days=days)).date().isoformat()
    return day if not seconds else f"{day}T{clock}"


NOT_SAVED: Final = "#NOT-SAVED!"
"""The text of a cell whose formula has no value in the file."""

ERROR_CELL: Final = (
    r"^(?:#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!"
    r"|CONNECT!|BUSY!|UNKNOWN!|ERROR!|NOT-SAVED!"
    r"|NV|WERT!|BEZUG!|ZAHL!|ÜBERLAUF!|VALEUR!|NOM\?|NOMBRE!|¡VALOR!|¡REF!|¿NOMBRE\?|¡DIV/0!"
    r"|¡NUM!|N/D!?|VALORE!|RIF!|NOME\?|WAARDE!|VERW!|NAAM\?|GETAL!|DEEL/0!|N/B|ARG!|ADR!|NAZWA\?"
    r"|LICZBA!|DZIEL/0!|VALOR!|NÚM!|#{3,})|Err:\d{3})$"
)
"""Pattern of the errors that spreadsheet programs show in a cell."""

_SHOWN: Final = 10
BYTES_OF_CELL: Final = 32


class Merged(NamedTuple):
    """Cells that are shown as one: rows from 1, columns from 0, both ends included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class Parts:
    """The parts of a sheet besides its values; rows count from 1, columns from 0.

    Attributes:
        hidden_rows: rows that the spreadsheet program does not show.
        hidden_columns: columns that the spreadsheet program does not show.
        shown: column -> row -> the cell's text, if that differs from its value: `#DIV/0!`, `0042`,
            `255:10:10`.
        merged: blocks of cells with one value, taken from the upper left cell.
        links: cell -> the address that it links to.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    shown: dict[int, dict[int, str]] = field(default_factory=dict)
    merged: list[Merged] = field(default_factory=list)
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def show(self, row: int, column: int, text: str) -> None:
        """Note the text of a cell."""
        self.shown.setdefault(column, {})[row] = text


def check_extent(rows: int, columns: int, settings: Settings) -> None:
    """Refuse a sheet over the limits before memory is taken for it.

    Raises:
        Refusal: too many rows, columns, or cells between the first and the last.
    """
    if rows > settings.max_rows:
        detail = f"{rows:,} rows, and {settings.max_rows:,} are allowed (max_rows)"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
    if columns > settings.max_columns:
        detail = f"{columns:,} columns, and {settings.max_columns:,} are allowed (max_columns)"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
    if rows * columns * BYTES_OF_CELL > settings.max_expanded_bytes:
        detail = (
            f"{rows:,} rows by {columns:,} columns need more than "
            f"{settings.max_expanded_bytes:,} bytes (max_expanded_bytes)"
        )
        raise Refusal(Code.FILE_TOO_LARGE, detail)


def column_letters(place: int) -> str:
    """Return the letters of a column: A for 0, AA for 26."""
    text = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def column_place(letters: str) -> int:
    """Return the position of a column from its letters: 0 for A, 26 for AA."""
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers for people: `2, 4-6, 9`; after ten ranges only how many more there are."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{first}-{last}" if last > first else str(first) for first, last in runs[:_SHOWN]]
    left = sum(last - first + 1 for first, last in runs[_SHOWN:])
    return ", ".join(shown) + (f" and {left} more" if left else "")
