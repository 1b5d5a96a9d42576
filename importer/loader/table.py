"""Read a file into a `Table`: find its header row, name and map its columns, drop totals."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from importer import problems
from importer.loader import files, xls
from importer.loader.corrections import correct
from importer.loader.delimited import open_text
from importer.loader.files import readable_name
from importer.loader.headers import (
    columns_named,
    count_near_misses,
    is_of_others,
    make_unique,
    understand,
)
from importer.loader.sheet import ERROR_CELL, NOT_SAVED, Refusal, column_letters, without_blanks
from importer.loader.workbook import Workbook, open_workbook
from importer.model import Source, Table
from schemas.codes import Code
from schemas.columns import FORMULA, ROW, SOURCE, find_result_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.loader.headers import Headers
    from importer.loader.sheet import Cells, Record


_CANDIDATE: Final = re.compile(r"\S@\S+\.\S|\d[\d ()/.-]{6,}\d")


def find_header(head: Sequence[Record], overrides: Mapping[str, str]) -> Record:
    """Return the row that names the most columns; of two equal rows, the upper one.

    Raises:
        Refusal: none of them names a column.
    """
    if not head:
        raise Refusal(Code.FILE_EMPTY, "no rows")
    known = [len(columns_named(record.cells, overrides)) for record in head]
    if not max(known):
        known = [count_near_misses(record.cells) for record in head]
    if max(known):
        return head[known.index(max(known))]
    first = head[0]
    if any(_CANDIDATE.search(cell) for cell in first.cells):
        detail = f"row {first.row} looks like candidate data already"
    else:
        detail = f"none of the rows {first.row} to {head[-1].row} names a known column"
        if len(first.cells) == 1:
            detail += f"; row {first.row} is one cell, “{first.cells[0].strip()[:60]}”"
    raise Refusal(Code.HEADER_NOT_FOUND, detail)


TAIL: Final = 12
"""How many rows at the end are searched for totals and notes."""

_TOTAL: Final = re.compile(
    r"(?:(?:grand |sub)?totals?|sum|summe|gesamt(?:summe|zahl)?|insgesamt|count|record count"
    r"|anzahl|somme|total général|nombre|suma|recuento|totale|somma|totaal|som|aantal|razem"
    r"|łącznie|ogółem|soma|contagem)(?!\w)",
    re.IGNORECASE,
)
_NOTE: Final = re.compile(
    r"(?:exported|generated|created|printed|report|end of|page \d|\*+ ?end|exportiert|erstellt"
    r"|copyright|confidential"
    r"|seite \d|exporté|généré|exportado|generado|esportato|generato|geëxporteerd|wygenerowano"
    r"|gerado)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_AFTER: Final = re.compile(r"[\s:=()]*(?P<number>[\d.,\s\u00a0\u202f']*)(?:rows?|records?|\))?")
_NUMBER: Final = re.compile(r"[-+]?[\d.,\s\u00a0\u202f'%€$£]+")
_FEWER_THAN_A_PHONE: Final = 7
_IMPORT_ID: Final = '{"ImportId"'


def drop_footers(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Remove totals and notes below the data, and return a problem (info) for each such row.

    A row that could be a candidate, with an e-mail or as many digits as a phone, always stays.
    Single cells below a blank row are a footer if one of them is a note of a program.

    Args:
        frame: `#row` and text columns, without blank rows.
    """
    rows: list[tuple[int, str]] = []
    below: list[tuple[int, str]] = []  # of a blank row, perhaps
    last = 0
    for row, *cells in reversed(frame.tail(TAIL).rows()):
        filled = [cell.strip() for cell in cells if cell is not None and cell.strip()]
        if below and last - row > 1 and any(_NOTE.match(text) for _, text in below):
            rows, below = below, []
        alone = len(cells) > len(filled) == 1
        if (_is_footer(filled) or (alone and _is_remark(filled[0]))) and not below:
            rows.append((row, filled[0]))
        elif (
            len(cells) > 1 and filled and filled == [(cells[0] or "").strip()] and _is_text(*filled)
        ):
            below = [*(below or rows), (row, filled[0])]
        else:
            break
        last = row
    if not rows:
        return frame, problems.empty()
    found = [
        problems.one(Code.TOTALS_SKIPPED, row=row, value=text, detail=text[:40])
        for row, text in rows
    ]
    return frame.head(-len(rows)), problems.concat(found)


def _is_remark(cell: str) -> bool:
    """Whether the only cell of a row is a remark of a program: `Filter: open`, `2 records`.

    A name has no digits, colons or brackets, and an id is one word.
    """
    digits = sum(map(str.isdigit, _WRITTEN_DATE.sub("", cell)))
    words = len(cell.split()) > 1 and any(map(str.isalpha, cell))
    signs = bool(_REMARK_SIGNS.search(cell)) or any(map(str.isdigit, cell))
    return words and signs and "@" not in cell and digits < _FEWER_THAN_A_PHONE


_WRITTEN_DATE: Final = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[ T]\d\d?:\d\d(?::\d\d)?)?")
_REMARK_SIGNS: Final = re.compile(r"^[-*=#_(\[{]{1,}|[:=]|\*\*|--")


def _is_text(cell: str) -> bool:
    """Whether a cell has several words, and is neither a phone nor an e-mail."""
    digits = sum(map(str.isdigit, cell))
    return "@" not in cell and digits < sum(map(str.isalpha, cell)) and len(cell.split()) > 1


def drop_non_candidates(
    frame: pl.DataFrame, mapping: Mapping[str, str], header_row: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Remove repeated headers, descriptions of columns and import ids, with a problem for each.

    Args:
        frame: `#row` and a text column for each header.
        mapping: header -> canonical column.
        header_row: where the header is; descriptions are directly below it.
    """
    known = {name: column for name, column in mapping.items() if name in frame.columns}
    if len(known) < _FEW or not frame.height:  # one cell may be anything
        return frame, problems.empty()
    found: list[pl.DataFrame] = []
    for row, *texts in _without_contact(frame, known).head(_LOOKED_AT).rows():
        some = [
            (text.strip(), name.strip(), column)
            for text, (name, column) in zip(texts, known.items(), strict=True)
            if text is not None and text.strip()
        ]
        detail = ""
        if len(some) < _FEW:
            continue
        if all(
            text == name.strip() or columns_named([text], {}) == {it} for text, name, it in some
        ):
            detail = "the header again"
        elif all(text.startswith(_IMPORT_ID) for text, *_ in some):
            detail = "ids of questions"
        elif row <= header_row + _FEW and all(_DESCRIPTION.fullmatch(text) for text, *_ in some):
            detail = "a description of the columns"
        if detail:
            found.append(problems.one(Code.NOT_A_CANDIDATE, row=row, detail=detail))
    if not found:
        return frame, problems.empty()
    left_out = pl.concat(found)
    return frame.filter(~pl.col(ROW).is_in(left_out[ROW].implode())), left_out


def _without_contact(frame: pl.DataFrame, known: Mapping[str, str]) -> pl.DataFrame:
    """Return the rows without a phone or e-mail: `#row` and the known columns."""
    contacts = [name for name, column in known.items() if column in _LOOKS_LIKE] or list(known)
    nobody = frame.select(ROW, *known)
    for name in sorted(contacts, key=lambda name: known[name]):  # an e-mail is found sooner
        for pattern in _CONTACT:
            nobody = nobody.filter(~pl.col(name).fill_null("").str.contains(pattern))
    return nobody


_FEW: Final = 2
_CONTACT: Final = (r"\S@\S", r"(?:\d[^\d@]{0,3}){7}")
_DESCRIPTION: Final = re.compile(
    r".*\?|(?:string|text|varchar|char|number|integer|int|phone|e-?mail)(?: ?\(\d+\))?"
    r"|required|mandatory|optional|pflichtfeld|pflicht|obligatoire|facultatif|obligatorio|opcional"
    r"|obbligatorio|facoltativo|verplicht|optioneel|wymagane|opcjonalne|obrigatório"
    r"|(?:e\.? ?g\.|z\. ?b\.|p\. ?ex\.|ex\.|example|for example|beispiel|exemple|bijv\.|np\.)\W.*",
    re.IGNORECASE | re.DOTALL,
)


def _is_footer(cells: Sequence[str]) -> bool:
    if not cells:
        return False
    if any("@" in cell or sum(map(str.isdigit, cell)) >= _FEWER_THAN_A_PHONE for cell in cells[1:]):
        return False
    if len(cells) == 1 and "@" not in cells[0] and _NOTE.fullmatch(cells[0]):
        return True
    word = _TOTAL.match(cells[0])
    after = _AFTER.fullmatch(cells[0], word.end()) if word is not None else None
    if after is None or sum(map(str.isdigit, after.group())) >= _FEWER_THAN_A_PHONE:
        return False
    return all(_NUMBER.fullmatch(cell) or _TOTAL.fullmatch(cell) for cell in cells[1:])


def assemble(
    source: Source,
    header: Record,
    cells: Cells,
    overrides: Mapping[str, str],
    found: Sequence[pl.DataFrame] = (),
    *,
    last: bool = True,
) -> Table:
    """Build a table: name and map the columns, and drop rows that are no data.

    Args:
        source: the file, with `header_row` set.
        header: the header row.
        cells: the cells below it.
        overrides: header -> column, from the settings.
        found: problems of the file that are known already.
        last: whether these cells are the end of the file, so that totals may follow them.
    """
    frame = without_blanks(cells.frame)
    if find_result_headers(header.cells):
        header, frame = _without_guards(header, frame)
    frame, totals = drop_footers(frame) if last else (frame, problems.empty())
    headers, frame, places = _named(header, frame, overrides)
    ignored = tuple(name for name in headers.names if name in find_result_headers(headers.names))
    mapping = {name: column for name, column in headers.mapping.items() if name not in ignored}
    extra = {name: column for name, column in headers.extra.items() if name not in ignored}
    frame, others = drop_non_candidates(frame, mapping, source.header_row)
    totals = pl.concat([totals, others])
    frame, followed = _follow_links(frame, mapping, places, cells.links)
    of_file = list(found)
    if source.header_row > 1:
        of_file.append(problems.one(Code.HEADER_MOVED, detail=str(source.header_row)))
    if last and not frame.height:
        where = f" in sheet “{source.sheet}”" if source.sheet else ""
        detail = f"a header and no rows below it{where}"
        of_file.append(problems.one(Code.FILE_EMPTY, detail=detail))
    here = pl.lit(source.header_row, dtype=pl.UInt32).alias(ROW)
    hints = _fitting_hints(headers, frame)
    hidden, hidden_places = _named_hidden(cells, headers.names)
    of_rows = cells.problems.filter(
        pl.col(ROW).is_null() | ~pl.col(ROW).is_in(totals[ROW].implode())
    )
    return Table(
        source=source,
        frame=frame.drop(ignored),
        mapping=mapping,
        extra=extra,
        ignored=(*cells.ignored, *ignored),
        problems=problems.concat(
            [
                *of_file,
                hints.with_columns(here),
                *(found.with_columns(here) for found in _unused(headers, frame, overrides, hints)),
                of_rows,
                totals,
                followed,
                *_cell_errors(frame, mapping | extra),
            ]
        ),
        notes=cells.notes,
        fallbacks=headers.fallbacks,
        prefixes=headers.prefixes,
        hidden=hidden,
        places=places | hidden_places,
        returned=frame.select(ROW, *ignored),
    )


def _without_guards(header: Record, frame: pl.DataFrame) -> tuple[Record, pl.DataFrame]:
    """Return our file's cells without the apostrophes we put before formulas."""
    names = pl.Series(header.cells, dtype=pl.String)
    guarded = pl.col(pl.String).str.contains(FORMULA)
    marked = guarded & pl.col(pl.String).str.starts_with("'")
    cell = pl.when(marked).then(pl.col(pl.String).str.slice(1)).otherwise(pl.col(pl.String))
    cells = names.to_frame().select(cell).to_series().to_list()
    return replace(header, cells=cells), frame.with_columns(cell)


def _named_hidden(cells: Cells, visible: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the hidden columns under their headers, and each one's position in the file."""
    places = [int(name) for name in cells.hidden.columns if name != ROW]
    headers = [
        name if name.strip() else f"column {column_letters(place)}"
        for name, place in zip(cells.hidden_headers, places, strict=True)
    ]
    names = make_unique([*visible, *headers])[len(visible) :]
    frame = cells.hidden.rename(dict(zip(map(str, places), names, strict=True)))
    return frame, dict(zip(names, places, strict=True))


def _named(
    header: Record, frame: pl.DataFrame, overrides: Mapping[str, str]
) -> tuple[Headers, pl.DataFrame, dict[str, int]]:
    """Return the headers, the frame with their names, and the position of each in the file.

    Columns with neither a header nor cells are left out.
    """
    kept, names = [], []
    for place, name in enumerate(frame.columns[1:]):
        cell = header.cells[place] if place < len(header.cells) else ""
        if cell.strip():
            kept.append(name)
            names.append(cell)
        elif frame[name].null_count() < frame.height:
            kept.append(name)
            names.append(f"column {column_letters(place)}")
    headers = understand(names, overrides)
    frame = frame.select(ROW, *kept)
    frame.columns = [ROW, *headers.names]
    return headers, frame, dict(zip(headers.names, map(int, kept), strict=True))


def _follow_links(
    frame: pl.DataFrame,
    mapping: Mapping[str, str],
    places: Mapping[str, int],
    links: Mapping[tuple[int, int], str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace texts such as `Email me` or `Call` by the address or number that they link to.

    Returns:
        The frame, and an info for each cell that was replaced.
    """
    found = []
    for name, column in mapping.items():
        if column not in _LINKED or not links:
            continue
        scheme, is_plain = _LINKED[column]
        cells = dict(zip(frame[ROW], frame[name], strict=True))
        now: dict[int, str] = {}
        before: list[str] = []
        for (row, place), link in links.items():
            if place != places[name] or row not in cells:
                continue
            text = cells[row] or ""
            target = link[len(scheme) :].partition("?")[0].strip()
            if target and link.lower().startswith(scheme) and not is_plain(text):
                now[row] = target
                before.append(text)
        if now:
            rows = pl.DataFrame({ROW: list(now), column: before, "now": list(now.values())})
            detail = pl.format("`{}` -> `{}`, the link behind it", column, "now")
            found.append(
                problems.at(
                    rows.with_columns(pl.lit(0).alias(SOURCE)),
                    Code.VALUE_CHANGED,
                    column=column,
                    detail=detail,
                )
            )
            cell = pl.col(ROW).replace_strict(now, default=pl.col(name), return_dtype=pl.String)
            frame = frame.with_columns(cell.alias(name))
    return frame, problems.concat(found)


_LINKED: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    "email": ("mailto:", lambda text: "@" in text),
    "phone_number": ("tel:", lambda text: sum(map(str.isdigit, text)) >= _FEWER_THAN_A_PHONE),
}
"""Column -> the scheme of links to its values, and a test whether the text is a value itself."""


def _fitting_hints(headers: Headers, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the headers' problems, without hints at a column that no cell fits."""
    unfit = []
    names = {placeholder: name for name, placeholder in headers.extra.items()}
    for column, code, detail in headers.problems.select("column", "code", "detail").rows():
        pattern = _HOLDS.get(detail.strip("`"))
        if code == Code.COLUMN_UNKNOWN.value and pattern and names.get(column) in frame.columns:
            cells = frame[names[column]].drop_nulls().head(_LOOKED_AT)
            if cells.len() and not cells.str.contains(pattern).any():
                unfit.append(column)
    hints = pl.col("code") == Code.COLUMN_UNKNOWN.value
    return headers.problems.filter(~(hints & pl.col("column").cast(pl.String).is_in(unfit)))


def _unused(
    headers: Headers, frame: pl.DataFrame, overrides: Mapping[str, str], hints: pl.DataFrame
) -> list[pl.DataFrame]:
    """Warn for each column that holds phones or e-mails while nothing else gives any.

    Columns of other people are left out, by their headers or because their cells repeat, and so
    are those that `hints` describe.
    """
    found: list[pl.DataFrame] = []
    hinted = set(hints["column"].drop_nulls())
    lacking = {"phone_number": "phones", "email": "e-mails"}.items()
    for column, what in lacking:
        if column in headers.mapping.values():
            continue
        for name, placeholder in headers.extra.items():
            known = name in overrides or placeholder in hinted
            if known or name not in frame.columns or is_of_others(name):
                continue
            cells = frame[name].drop_nulls().head(_LOOKED_AT).str.strip_chars()
            fit = cells.str.contains(_LOOKS_LIKE[column]) & ~cells.str.contains(_DATE)
            few = cells.n_unique() * 10 < cells.len() * 9
            if not cells.len() or few or fit.sum() < _MOST_FIT * cells.len():
                continue
            detail = f"{what}: `columns: {{{json.dumps(name, ensure_ascii=False)}: {column}}}`"
            found.append(problems.one(Code.COLUMN_UNUSED, column=placeholder, detail=detail))
    return found


_MOST_FIT: Final = 0.8
_LOOKS_LIKE: Final = {
    "phone_number": (
        r"^(?:p:|tel:)?(?:(?:\+|\(?0)\d[\d ()./-]{6,}\d"
        r"|\(?\d{2,5}\)?[ ./-]\(?\d[\d ()./-]{3,}\d|\d{10,13})$"
    ),
    "email": r"^[^\s@]+@[^\s@]+\.[^\s@]+$",
}
_DATE: Final = r"^(?:\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./]\d{2,4})"
_LOOKED_AT: Final = 1_000
_HOLDS: Final[Mapping[str, str]] = {
    "phone_number": r"\d",
    "email": "@",
    "country": r"^\s*\p{L}{2}\s*$|\p{L}{4}",
    "first_name": r"^[\p{L}'’ .-]+$",
    "last_name": r"^[\p{L}'’ .-]+$",
    "full_name": r"\p{L}[ ,]+\p{L}",
    "participant_template": r"^\S+$",
    "meeting_template": r"^\S+$",
    "campaign": r"^\S+$",
    "external_campaign": r"\d",
}
"""Column -> pattern that at least one of its cells must match."""


def _cell_errors(frame: pl.DataFrame, columns: Mapping[str, str]) -> list[pl.DataFrame]:
    """Return a problem for each cell that shows an error such as `#REF!` instead of a value."""
    found = []
    for name, column in columns.items():
        cell = pl.col(name)
        likely = frame.filter(cell.str.starts_with("#") | cell.str.starts_with("Err:"))
        wrong = likely.filter(cell.str.contains(ERROR_CELL))
        if wrong.height:
            detail = cell.replace({NOT_SAVED: "a formula whose value was never saved"})
            at = wrong.select(
                pl.lit(0).alias(SOURCE), ROW, cell.alias(column), detail.alias("#detail")
            )
            found.append(problems.at(at, Code.CELL_ERROR, column=column, detail=pl.col("#detail")))
    return found


if TYPE_CHECKING:
    from importer.loader.sheet import Sheet
    from importer.settings import Settings

    _Open: TypeAlias = tuple[Sheet, Source, list[pl.DataFrame]]

_WORKBOOKS: Final = (*files.ZIP, xls.MAGIC)


def load(name: str, settings: Settings) -> Table:
    """Read one file; a file that cannot be read becomes an empty table with a problem.

    Args:
        name: path of the file, `-` for standard input, or `lists.zip/march.csv` for one of the
            spreadsheets in an archive.
        settings: encoding, sheet, header overrides and limits.
    """
    source = Source(readable_name(name), "", None, 0)
    try:
        held = files.read(name, settings)
    except Refusal as refusal:
        return _refused(source, refusal)
    source = replace(source, path=held.path, size=len(held.data))
    table = _table(held.data, source, settings)
    table = replace(table, source=replace(table.source, sha256=held.sha256()))
    try:
        return correct(table)
    except Refusal as refusal:
        return _refused(table.source, refusal)


def _table(data: bytes, source: Source, settings: Settings) -> Table:
    try:
        unpacked = files.unpack(data, settings)
        sheet, source, found = _open(unpacked, source, settings)
        header = _find_header(sheet, settings)
        source = replace(source, header_row=header.row)
        return assemble(source, header, sheet.below(header), settings.columns, found)
    except Refusal as refusal:
        return _refused(source, refusal)


def _find_header(sheet: Sheet, settings: Settings) -> Record:
    """Return the header row of a sheet; if there is none, the refusal names the sheets.

    Raises:
        Refusal: there is none.
    """
    try:
        return find_header(sheet.head(), settings.columns)
    except Refusal as refusal:
        if not isinstance(sheet, Workbook):
            raise
        detail = f"{refusal.detail} in sheet “{sheet.sheet}”"
        if sheet.others:
            others = ", ".join(f"“{name}”" for name in sheet.others)
            detail += f"; --sheet can name another: {others}"
        raise Refusal(refusal.code, detail) from refusal


def _open(data: bytes, source: Source, settings: Settings) -> _Open:
    if not data:
        raise Refusal(Code.FILE_EMPTY, "no content")
    if data.startswith(_WORKBOOKS):
        book = open_workbook(data, settings)
        return book, replace(source, sheet=book.sheet), []
    text = open_text(data, settings)
    codec, sample = text.encoding.codec, text.encoding.sample
    found = []
    if sample is not None:
        found.append(problems.one(Code.ENCODING_GUESSED, detail=f"{codec}, as in {sample}"))
    return text, replace(source, encoding=codec, delimiter=text.dialect.delimiter), found


def _refused(source: Source, refusal: Refusal) -> Table:
    return Table(
        source=source,
        frame=pl.DataFrame(schema={ROW: pl.UInt32}),
        mapping={},
        extra={},
        ignored=(),
        problems=problems.one(refusal.code, detail=refusal.detail),
    )
