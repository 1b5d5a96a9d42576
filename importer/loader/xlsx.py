"""Read what fastexcel does not give of an XLSX: sheets, hidden cells, formats and links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import polars as pl

from importer.loader.files import member_chunks
from importer.loader.office_package import TRUE, Package, SheetName, link_targets
from importer.loader.safe_xml import LONGEST_TEXT, parse, small
from importer.loader.sheet import (
    BYTES_OF_CELL,
    NOT_SAVED,
    Merged,
    Parts,
    Refusal,
    adds_digits,
    check_extent,
    column_letters,
    column_place,
    shown_digits,
    shown_number,
)
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.settings import Settings

_CELL: Final = re.compile(
    rb"<(?:\w+:)?c\s[^>]{0,200}?\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"'][^>]*+(?<!/)>"
)
_WORD: Final = r"(?-u:\b)"  # Rust's patterns are slow with \b for all letters
_ERROR: Final = rf"{_WORD}t\s*=\s*[\"']e[\"']"
_SPECIAL: Final = (
    rf"{_WORD}(?:hidden|zeroHeight)\s*=\s*[\"'](?:1|t|on)"
    rf"|<(?:\w+:)?(?:mergeCell|f|hyperlink){_WORD}|{_ERROR}|{_WORD}(?:ht|width)\s*=\s*[\"']0[\"']"
)
_MAYBE_SPECIAL: Final = (
    r"hidden|zeroHeight|mergeCell|<f|:f|hyperlink|[\"']e[\"']|ht\s*=\s*[\"']0|width\s*=\s*[\"']0"
)
"""Literal words, which are found many times faster than `_SPECIAL`."""
_ANY_ROW: Final = r"[<:]row[ \t\r\n/>]"  # and perhaps some text
_ANY_CELL: Final = r"[<:]c[ \t\r\n/>]"
_NUMBERED_ROW: Final = r"<row (?:[^>]*\s)?r\s*=\s*[\"'][0-9]{1,7}[\"']"
_CELL_PLACE: Final = r"^(?:[^>]*\s)?r\s*=\s*[\"'][A-Z]{1,3}[0-9]{1,7}[\"']"
_NUMBERED_CELL: Final = r'<c r="[A-Z]{1,3}[0-9]{1,7}"'
_MAYBE_ERROR: Final = r"[\"']e[\"']"
_NOTHING: Final = r"[^\s\S]"
_MAYBE_HIDDEN: Final = rf"[^>]*(?:hidden|{_WORD}ht\s*=\s*[\"'][^1-9\"']*[\"'])"
_FORMULA_ALONE: Final = r"<f[\s/>](?:[^<]|<[^/v]|</[^c]|<v[^>]*/>|<v[^>]*></v>)*</c>"
_LINK: Final = r"(?i:HYPERLINK\()"
_NUMBER_CELL: Final = (
    r"<c r=\"([A-Z]{{1,3}})([0-9]{{1,7}})\" s=\"({})\"(?: t=\"n\")?><v>([0-9]{{1,15}})</v></c>"
)
_USUAL_LINK: Final = re.compile(
    r'<hyperlink ref="([A-Z]{1,3})([0-9]{1,7})(?::[A-Z]{1,3}[0-9]{1,7})?" r:id="([^"<>&]*)"'
    r'(?: (?:location|tooltip|display|xr:uid)="[^"<>&]*")*/>'
)
_WHOLE_CELL: Final = r"^(?:[^<>]*/>|(?s:.*?)</c>)"
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_LINK_FORMULA: Final = re.compile(r'\s*(?:_xlfn\.)?HYPERLINK\(\s*"([^"]+)"', re.IGNORECASE)


def check_strings(package: Package) -> None:
    """Refuse shared strings that are too long, before they take memory.

    Raises:
        Refusal: one is too long.
    """
    if package.strings is not None:
        for _ in _whole_tags(member_chunks(package.book, package.strings)):
            pass


def check_sheet(package: Package, sheet: SheetName, settings: Settings) -> bool:
    """Unpack a sheet chunk by chunk, and refuse it if it exceeds a limit.

    Returns:
        Whether it has anything for `read_parts`, such as hidden rows, formulas or links.

    Raises:
        Refusal: it is over a limit, or damaged.
    """
    special, columns, is_certain = _look_over(package, sheet, settings, 0)
    if not is_certain:
        _look_over(package, sheet, settings, columns)
    return special


def _look_over(
    package: Package, sheet: SheetName, settings: Settings, columns: int
) -> tuple[bool, int, bool]:
    """Measure a sheet; only chunks with a cell beyond the known columns are read cell by cell.

    Returns:
        Whether it has parts, how many columns, and whether no chunk before the last columns were
        found can have had too many rows for them.
    """
    last = tags = most_passed = 0
    special = False
    most = _most_rows(columns, settings)
    beyond = _beyond(columns, most)
    for part in _whole_tags(member_chunks(package.book, sheet.path)):
        tags += part.count(b"<row") + part.count(b":row ")
        text = pl.Series([part.decode("utf-8", "replace")])  # Rust's patterns are ten times faster
        if text.str.contains(beyond).any():
            cells = _CELL.findall(part)
            letters = {letter for letter, _ in cells}
            columns = max(columns, 0, *(column_place(letter.decode()) + 1 for letter in letters))
            last = max(last, 0, *(int(row) for _, row in cells))
            most = _most_rows(columns, settings)
            beyond = _beyond(columns, most)
        else:
            most_passed = max(most_passed, most)
        check_extent(max(last, tags if not last else 0), columns, settings)
        special = special or (
            text.str.contains(_MAYBE_SPECIAL).any() and text.str.contains(_SPECIAL).any()
        )
    return special, columns, most_passed <= most


def _most_rows(columns: int, settings: Settings) -> int:
    """Return how many rows a sheet of this many columns may have."""
    room = settings.max_expanded_bytes // (max(columns, 1) * BYTES_OF_CELL)
    return min(settings.max_rows, room)


def _beyond(columns: int, rows: int) -> str:
    """Return the pattern of a cell that is not empty, outside of this many columns and rows."""
    far = f"{_after(column_letters(columns - 1), 'A', 'Z', 3)}[0-9]{{1,7}}" if columns else "[A-Z]"
    low = f"[A-Z]{{1,3}}{_after(str(rows), '0', '9', 7)}[\"']"
    return rf"{_WORD}r\s*=\s*[\"'](?:{far}|{low})(?:[^>]*[^/>])?>"


def _after(text: str, first: str, last: str, longest: int) -> str:
    """Return the pattern of texts that are longer, or as long and later in the order of signs."""
    anything = f"[{first}-{last}]"
    later = [
        f"{text[:place]}[{chr(ord(sign) + 1)}-{last}]{anything}{{{len(text) - place - 1}}}"
        for place, sign in enumerate(text)
        if sign < last
    ]
    if len(text) < longest:
        later.append(f"{anything}{{{len(text) + 1},{longest}}}")
    return f"(?:{'|'.join(later)})" if later else r"[^\s\S]"


def _whole_tags(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut chunks again, so that each ends with a tag."""
    rest = b""
    for chunk in chunks:
        end = chunk.rfind(b">") + 1
        if not end:
            rest += chunk
            if len(rest) > LONGEST_TEXT + len(chunk):
                detail = f"a cell has more than {LONGEST_TEXT:,} bytes"
                raise Refusal(Code.FILE_TOO_LARGE, detail)
            continue
        yield rest + chunk[:end]
        rest = chunk[end:]
    yield rest


def special_formats(package: Package) -> dict[int, tuple[int, str | None]]:
    """Return style -> number and code of its format, for formats that show more than a value."""
    if package.styles is None:
        return {}
    codes: dict[str, str] = {}
    styles: list[str] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside = True
        elif name == "xf" and inside:
            styles.append(attributes.get("numFmtId", "0"))

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != "cellXfs"

    parse(small(member_chunks(package.book, package.styles)), start, end)
    formats = {key: (int(key or 0), codes.get(key)) for key in styles}
    special = {key for key, known in formats.items() if adds_digits(*known)}
    return {style: formats[key] for style, key in enumerate(styles) if key in special}


def read_parts(
    package: Package, sheet: SheetName, formats: Mapping[int, tuple[int, str | None]]
) -> Parts:
    """Read hidden rows and columns, shown texts, merged cells and links of a sheet.

    Args:
        package: the workbook.
        sheet: one of its sheets.
        formats: the formats from `special_formats`.

    Raises:
        Refusal: the sheet is damaged.
    """
    walk = _Walk(link_targets(package.book, sheet.path), formats, since_1904=package.since_1904)
    chunks = _special_cells(member_chunks(package.book, sheet.path), walk)
    parse(chunks, walk.start, walk.end, walk.text)
    return walk.found


def _special_cells(chunks: Iterator[bytes], walk: _Walk) -> Iterator[bytes]:
    """Leave out the rows and cells of a sheet that have only a value, before it is parsed.

    The walk gets plain numbers with a special format, and usual links, at once.

    Comments, unnumbered cells and rows hidden by default are rare; all of their sheet is parsed.
    """
    usual = True
    for part in _whole_tags(chunks):
        usual = usual and b"<!" not in part and b"zeroHeight" not in part
        try:
            text = part.decode()
        except UnicodeDecodeError:
            usual = False
        yield _without_plain_cells(*walk.take_usual(text)) if usual else part


def _without_plain_cells(text: str, style: str) -> bytes:
    """Leave out the rows and cells without anything special.

    The first and last row, and the last cell, may be cut, so they stay.

    Args:
        text: a part of a sheet.
        style: pattern of the styles whose cells are special.
    """
    whole = pl.Series([text])
    if whole.str.count_matches(_NUMBERED_ROW)[0] == whole.str.count_matches(_ANY_ROW)[0]:
        in_cell = f"{_FORMULA_ALONE}|{_LINK}|{_MAYBE_ERROR}|{style}"
        if not whole.str.contains(f"<row {_MAYBE_HIDDEN}|{in_cell}")[0]:
            before, row, _ = text.partition("<row ")
            return (before + row + text.rpartition("<row ")[2] if row else text).encode()
        rows = whole.str.split("<row ").explode()
        ends = pl.Series([0, rows.len() - 1], dtype=pl.UInt32)
        special = rows.str.contains(f"^{_MAYBE_HIDDEN}|{in_cell}").scatter(ends, values=True)
        text = "<row ".join(rows.filter(special))
    cells = pl.Series([text]).str.split("<c ").explode()
    numbered = cells[1:].str.contains(_CELL_PLACE).sum()
    if numbered != pl.Series([text]).str.count_matches(_ANY_CELL)[0]:
        return text.encode()
    around = cells.str.replace(_WHOLE_CELL, "").scatter([0], cells.head(1))
    special = cells.str.contains(rf"^[^>]*(?:{_ERROR}|{style})|{_FORMULA_ALONE}|{_LINK}")
    special = special.scatter([cells.len() - 1, 0], [True, False])
    return "".join(("<c " + cells).zip_with(special, around)).encode()


class _Walk:
    """Collects the parts of a sheet while its XML is parsed."""

    def __init__(
        self,
        targets: Mapping[str, str],
        formats: Mapping[int, tuple[int, str | None]],
        *,
        since_1904: bool,
    ) -> None:
        self.found = Parts()
        self.formats = formats
        self._targets = targets
        self._since_1904 = since_1904
        self._row = self._column = 0
        self._has_formula = self._is_error = self._is_text = False
        self._format: tuple[int, str | None] | None = None
        self._into: list[str] | None = None
        self._value: list[str] = []
        self._formula: list[str] = []
        self._zero_height = False

    def take_usual(self, text: str) -> tuple[str, str]:
        """Take numbers with a format, and links, of the usual form at once.

        Returns:
            The text, perhaps without what was taken, and a pattern of the styles that cells have
            which were not taken.
        """
        if "<hyperlink " in text:
            for letters, row, key in _USUAL_LINK.findall(text):
                self._link(letters, row, key)
            text = _USUAL_LINK.sub("", text)
        if not self.formats:
            return text, _NOTHING
        styles = "|".join(map(str, self.formats))
        style = rf"{_WORD}s\s*=\s*[\"'](?:{styles})[\"']"
        whole, pattern = pl.Series([text]), _NUMBER_CELL.format(styles)
        found = whole.str.extract_all(pattern).explode(empty_as_null=False)
        if not found.len():
            return text, style
        self._take_numbers(found.str.extract_groups(pattern).struct.unnest())
        styled, empty = (whole.str.count_matches(each)[0] for each in (style, f"{style}[^<>]*/>"))
        if styled == found.len() + empty:
            return text, _NOTHING
        if whole.str.count_matches(_ANY_CELL)[0] != whole.str.count_matches(_NUMBERED_CELL)[0]:
            return text, style  # a cell without number follows the one before
        return str(whole.str.replace_all(pattern, "")[0]), style

    def _take_numbers(self, cells: pl.DataFrame) -> None:
        """Take numbers: letters of the column, row, style, digits."""
        cells = cells.with_columns(pl.col("2", "3", "4").cast(pl.Int64))
        for (letters, style), some in cells.partition_by("1", "3", as_dict=True).items():
            number, code = self.formats[style]
            shown = shown_digits(
                some["4"].cast(pl.String), number, code, since_1904=self._since_1904
            )
            of_column = self.found.shown.setdefault(column_place(letters), {})
            of_column.update(zip(some["2"], shown, strict=True))

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if name == "c":
            self._start_cell(attributes)
        elif name == "f":
            self._has_formula = True
            self._into = self._formula
        elif name == "v":
            if self._is_error or self._has_formula or self._format:
                self._into = self._value
        elif name == "row":
            self._row = int(attributes.get("r") or self._row + 1)
            self._column = 0
            if _is_hidden(attributes, "ht", default=self._zero_height):
                self.found.hidden_rows.add(self._row)
        elif name in _OF_SHEET:
            self._note(name, attributes)

    def _note(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element outside of the rows: columns, merged cells, links."""
        if name == "col" and _is_hidden(attributes, "width", default=False):
            first, last = int(attributes["min"]), int(attributes["max"])
            self.found.hidden_columns.update(range(first - 1, min(last, 1 << 14)))
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "sheetFormatPr":
            self._zero_height = attributes.get("zeroHeight", "") in TRUE
        elif name == "hyperlink":
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            place = _REFERENCE.match(attributes.get("ref", ""))
            if place is not None:
                self._link(place[1], place[2], key)

    def _link(self, letters: str, row: str, key: str) -> None:
        if key in self._targets:
            self.found.links[int(row), column_place(letters)] = self._targets[key]

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name in {"v", "f"}:
            self._into = None
        elif name == "c":
            self._end_cell((self._row, self._column - 1), "".join(self._value))

    def text(self, data: str) -> None:
        """Collect text."""
        if self._into is not None:
            self._into.append(data)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = _REFERENCE.fullmatch(attributes.get("r", ""))
        if reference is not None:
            self._column = column_place(reference[1]) + 1
        else:
            self._column += 1
        kind = attributes.get("t", "n")
        self._has_formula = False
        self._is_error = kind == "e"
        self._is_text = kind in {"str", "inlineStr", "s"}
        self._value, self._formula, self._into = [], [], None
        self._format = None
        if kind == "n" and self.formats:
            self._format = self.formats.get(int(attributes.get("s") or 0))

    def _end_cell(self, place: tuple[int, int], value: str) -> None:
        if self._is_error:
            self.found.show(*place, value or "#ERROR!")
        elif self._has_formula and not value and not self._is_text:
            self.found.show(*place, NOT_SAVED)
        elif self._format is not None and value:
            number, code = self._format
            shown = shown_number(float(value), number, code, since_1904=self._since_1904)
            self.found.show(*place, shown)
        if self._has_formula and (link := _LINK_FORMULA.match("".join(self._formula))):
            self.found.links[place] = unquote(link[1])

    def _merge(self, reference: str) -> None:
        ends = [_REFERENCE.fullmatch(corner) for corner in reference.split(":")]
        if len(ends) == 2 and ends[0] and ends[1]:  # noqa: PLR2004
            (left, top), (right, bottom) = ends[0].groups(), ends[1].groups()
            self.found.merged.append(
                Merged(int(top), column_place(left), int(bottom), column_place(right))
            )


_OF_SHEET: Final = frozenset({"col", "mergeCell", "sheetFormatPr", "hyperlink"})


def _is_hidden(attributes: dict[str, str], size: str, *, default: bool) -> bool:
    if "hidden" in attributes:
        return attributes["hidden"] in TRUE
    return default or float(attributes.get(size, "1")) == 0
