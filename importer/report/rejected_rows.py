"""Rejected rows with their messages: for a page, and as files to be fixed and given back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

import polars as pl

from importer.atomic_file import replace_file
from importer.errors import UsageError
from importer.languages import translate
from importer.model import RowStatus
from importer.problems import with_words
from importer.report.export import (
    LONGEST_CELL,
    MOST_COLUMNS,
    MOST_ROWS,
    original_cells,
    write_csv,
)
from importer.report.formatting import WORKBOOK, html_size, plain
from schemas.codes import Code, Severity
from schemas.columns import FORMULA, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from importer.model import Plan, Table


InWords: TypeAlias = Callable[[pl.DataFrame, "Sequence[Table]"], pl.DataFrame]
"""Adds `header`, `message` and `fix` to problems, in the words of its reader."""

ROWS: Final = 500
"""Most rejected rows that a page shows."""

CHANGES: Final = 500
"""Most automatic changes that a page shows."""

_COLUMNS: Final = 60
_CELL: Final = 120
_BUDGET: Final = 1_300_000  # bytes of all tables, because huge cells must not make a huge page
_CHANGES_BUDGET: Final = 400_000
_MARKUP: Final = 100  # bytes of an empty cell and the name of its column
_CHANGE: Final = re.compile(r"`(.*)` -> `(.*)`", re.DOTALL)
_CHANGED: Final = (Code.VALUE_CHANGED.value, Code.NAME_SPLIT.value)


@dataclass(frozen=True, slots=True)
class Note:
    """A message at a cell: an error, which rejects the row, or a warning."""

    message: str
    error: bool
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it was read, cut to a limit, with its messages."""

    value: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row: messages about the whole row, and its cells."""

    row: int
    notes: tuple[Note, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RejectedTable:
    """The first rejected rows of a file.

    Attributes:
        position: the position of the file in the run.
        headers: the headers of the cells.
        hidden: number of columns without a problem that are not shown.
        total: number of rejected rows of the file.
    """

    file: str
    position: int
    headers: tuple[str, ...]
    hidden: int
    rows: tuple[RejectedRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Change:
    """A value that the importer changed."""

    file: str
    row: int
    header: str
    before: str
    after: str


def rejected_tables(plan: Plan) -> tuple[RejectedTable, ...]:
    """Return a table for each file with rejected rows: at most `ROWS` rows and `_BUDGET` bytes."""
    rejected = plan.rows.filter(pl.col("status") == RowStatus.REJECTED.value)
    shown = rejected.head(ROWS)
    notes = _notes(plan, shown)
    budget = _BUDGET
    tables = []
    for position, table in enumerate(plan.tables):
        total = rejected.filter(pl.col(SOURCE) == position).height
        if not total:
            continue
        here = shown.filter(pl.col(SOURCE) == position).select(ROW)
        noted = {name for key, found in notes.items() if key[0] == position for name in found}
        names = _columns(table, noted)
        cells = original_cells(table).join(here, on=ROW, how="semi", maintain_order="left")
        rows = []
        for row, *values in cells.select(ROW, *names).iter_rows():
            line = _row(row, values, names, notes.get((position, row), {}))
            budget -= _cost(line)
            if budget < 0:
                break
            rows.append(line)
        hidden = len(cells.columns) - 1 - len(names)
        tables.append(
            RejectedTable(table.source.name, position, tuple(names), hidden, tuple(rows), total)
        )
    return tuple(tables)


_Notes = dict[tuple[int, int], dict[str | None, list[Note]]]


def _notes(plan: Plan, rows: pl.DataFrame, words: InWords = with_words) -> _Notes:
    """Return errors and warnings by file and row, then by header; None is the whole row."""
    wanted = plan.problems.filter(pl.col("severity") != Severity.INFO.value).join(
        rows, on=[SOURCE, ROW], how="semi", maintain_order="left"
    )
    found: _Notes = {}
    for source, row, header, message, fix, severity in (
        words(wanted, plan.tables)
        .sort("severity", maintain_order=True)  # "error" comes before "warning"
        .select(SOURCE, ROW, "header", "message", "fix", "severity")
        .iter_rows()
    ):
        note = Note(plain(message, 300), severity == Severity.ERROR.value, plain(fix, 300))
        found.setdefault((source, row), {}).setdefault(header, []).append(note)
    return found


def _columns(table: Table, noted: set[str | None]) -> list[str]:
    """Return the headers to show: all if they fit, else those with notes and the known ones."""
    every = original_cells(table).columns[1:]
    if len(every) <= _COLUMNS:
        return every
    first = [name for name in every if name in noted]
    known = [name for name in every if name in table.mapping and name not in noted]
    chosen = set([*first, *known][:_COLUMNS])
    return [name for name in every if name in chosen]


def _row(
    row: int,
    values: Sequence[str | None],
    names: Sequence[str],
    notes: Mapping[str | None, list[Note]],
) -> RejectedRow:
    """Return one row; messages of columns that are not shown go to the whole row."""
    cells = tuple(
        Cell(plain(value or "", _CELL), tuple(notes.get(name, ())))
        for name, value in zip(names, values, strict=True)
    )
    elsewhere = [note for header, some in notes.items() if header not in names for note in some]
    return RejectedRow(row, tuple(elsewhere), cells)


def _cost(line: RejectedRow) -> int:
    """Estimate the bytes of a row in the page."""
    cells = (Cell("", line.notes), *line.cells)
    return sum(
        _MARKUP * (1 + len(cell.notes))
        + html_size(cell.value, *(note.message for note in cell.notes))
        for cell in cells
    )


def changes(plan: Plan) -> tuple[tuple[Change, ...], int]:
    """Return the first automatic changes, as many as fit, and the number of all changes."""
    changed = plan.problems.filter(pl.col("code").is_in(_CHANGED) & pl.col(ROW).is_not_null())
    first = with_words(changed.head(CHANGES), plan.tables)
    budget = _CHANGES_BUDGET
    found = []
    for line in first.select("source", ROW, "header", "column", "value", "detail").iter_rows():
        change = _change(line)
        budget -= _MARKUP * 5 + html_size(change.file, change.header, change.before, change.after)
        if budget < 0:
            break
        found.append(change)
    return tuple(found), changed.height


def _change(line: tuple[str, int, str | None, str | None, str, str]) -> Change:
    """Return one change; the detail of the problem holds the new value."""
    file, row, header, column, value, detail = line
    spelled = _CHANGE.fullmatch(detail)
    before, after = spelled.groups() if spelled else (value, detail)
    named = plain(header or column or "", 60)
    return Change(file, row, named, plain(before, _CELL), plain(after, _CELL))


_ADDED_COLUMNS: Final = ["_row", "_problems"]
_ROWS_AT_ONCE: Final = 100_000
_COMMENTS: Final = 20_000  # a spreadsheet program takes long to open more
_NO_SHEET_NAME: Final = re.compile(r"[\[\]:*?/\\\\]|^'|'$")
_LONGEST_SHEET_NAME: Final = 31


def write_rejected(
    plan: Plan, paths: Sequence[Path], words: InWords = with_words
) -> tuple[Path, ...]:
    """Write the rejected rows of each file as they were read, then `_row` and `_problems`.

    A path that ends in `.xlsx` becomes a workbook of text cells. What is wrong and what to do are
    comments at the cells, and the hidden columns are hidden again. Every other becomes a CSV with
    the delimiter of its input (a comma for workbooks). It is UTF-8 with a byte-order mark whatever
    the input was: nobody has to guess, and Excel opens it correctly. A cell that a spreadsheet
    program would take for a formula gets an apostrophe in front, which reading takes away again.

    Args:
        plan: with the rows.
        paths: one for each file of the plan.
        words: puts the problems into words.

    Returns:
        The files that were written. If there are several, a file without rejected rows is written
        only over an existing one, which would hold the rows of an earlier check.

    Raises:
        ImporterError: a file cannot be written.
    """
    written = []
    for position, (table, path) in enumerate(zip(plan.tables, paths, strict=True)):
        here = pl.col(SOURCE) == position
        rows = plan.rows.filter(here & (pl.col("status") == RowStatus.REJECTED.value))
        if not rows.height and len(paths) > 1 and not path.exists():
            continue
        with replace_file(path) as out:
            if path.suffix.lower() == WORKBOOK:
                _write_workbook(plan, position, rows, path, out.buffer, words=words)
            else:
                headers = [name for name in original_cells(table).columns if name != ROW]
                delimiter = table.source.delimiter or ","
                empty = pl.DataFrame(schema=dict.fromkeys([*headers, *_ADDED_COLUMNS], pl.String))
                write_csv(empty, out.buffer, delimiter)
                for frame in _with_problems(plan, position, rows, original_cells(table), words):
                    write_csv(frame, out.buffer, delimiter, begins=False)
        written.append(path)
    return tuple(written)


def _with_problems(
    plan: Plan, position: int, rejected: pl.DataFrame, cells: pl.DataFrame, words: InWords
) -> Iterator[pl.DataFrame]:
    """Yield the rejected rows of a file in batches: their cells, `_row` and `_problems`."""
    wanted = (pl.col(SOURCE) == position) & (pl.col("severity") != Severity.INFO.value)
    problems = plan.problems.filter(wanted)
    for rows in rejected.select(SOURCE, ROW).iter_slices(_ROWS_AT_ONCE):
        near = pl.col(ROW).is_between(rows[ROW].min(), rows[ROW].max())
        reasons = _reasons(problems.filter(near), plan.tables, words)
        yield (
            rows.join(cells.filter(near), on=ROW, how="left", maintain_order="left")
            .join(reasons, on=[SOURCE, ROW], how="left", maintain_order="left")
            .with_columns(pl.col(ROW).cast(pl.String).alias("_row"))
            .select(*cells.drop(ROW).columns, *_ADDED_COLUMNS)
        )


def _reasons(wrong: pl.DataFrame, tables: Sequence[Table], words: InWords) -> pl.DataFrame:
    """Return `#source`, `#row` and `_problems`: what is wrong with a row and how to fix it."""
    place = pl.concat_str(pl.col("header"), pl.lit(": ")).fill_null("")
    text = pl.concat_str(place, "message", pl.lit(" "), "fix").alias("_problems")
    return (
        words(wrong, tables)
        .sort(SOURCE, ROW, "severity", maintain_order=True)  # "error" comes before "warning"
        .select(SOURCE, ROW, text)
        .group_by(SOURCE, ROW, maintain_order=True)
        .agg("_problems")
        .with_columns(pl.col("_problems").list.join(" | "))
    )


def require_writer(path: Path) -> None:
    """Raise UsageError if a workbook is asked for and its writer is not installed."""
    if path.suffix.lower() != WORKBOOK:
        return
    try:
        import xlsxwriter  # noqa: F401, PLC0415 (optional; a CSV does not need it)
    except ImportError:
        raise UsageError(
            "Writing XLSX needs an extra; `pip install '.[xlsx]'` in the importer's folder adds "
            "it.",
            "Install it, or give the name of a CSV file.",
        ) from None


def _write_workbook(
    plan: Plan,
    position: int,
    rejected: pl.DataFrame,
    path: Path,
    out: BinaryIO,
    *,
    words: InWords,
) -> None:
    """Write the rejected rows of a file as a workbook with a sheet of the same name."""
    import xlsxwriter  # noqa: PLC0415 (optional; a CSV does not need it)

    table = plan.tables[position]
    cells = original_cells(table)
    if table.hidden.width > 1:
        cells = cells.join(table.hidden, on=ROW, how="left", maintain_order="left")
    every = cells.drop(ROW).columns
    names = sorted(every, key=lambda each: table.places.get(each, len(every)))
    longest = cells.select(pl.max_horizontal(pl.all().cast(pl.String).str.len_chars().max()))
    _refuse_too_large(path, rejected.height, len(names), longest.item() if names else None)
    notes = _notes(plan, rejected.head(_COMMENTS), words)
    book = xlsxwriter.Workbook(out, {"constant_memory": True, "tmpdir": str(path.parent.resolve())})
    try:
        sheet = book.add_worksheet(_sheet_name(table.source.sheet))
    except xlsxwriter.exceptions.XlsxWriterException:  # such as a name that Excel keeps for itself
        sheet = book.add_worksheet(translate("to fix"))
    text = book.add_format({"num_format": "@"})  # what is typed into the cells stays text, too
    head = book.add_format({"num_format": "@", "bold": True})
    for_style = {
        True: book.add_format({"num_format": "@", "bg_color": "#F8CBAD"}),
        False: book.add_format({"num_format": "@", "bg_color": "#FFE699"}),
    }
    headers = [*names, *_ADDED_COLUMNS]
    for column, name in enumerate(headers):
        hidden = name in table.hidden.columns
        sheet.set_column(
            column, column, 60 if name == "_problems" else 18, text, {"hidden": hidden}
        )
        sheet.write_string(0, column, _guarded(name), head)
    sheet.freeze_panes(1, 0)
    line, comments = 0, 0
    for frame in _with_problems(plan, position, rejected, cells.select(ROW, *names), words):
        for values in frame.iter_rows():
            line += 1
            noted = notes.get((position, int(values[-2])), {})
            at_cells: dict[str, list[Note]] = {}
            for header, some in noted.items():
                at = header if header is not None and header in every else "_row"
                at_cells.setdefault(at, []).extend(some)
            for column, (name, value) in enumerate(zip(headers, values, strict=True)):
                found = at_cells.get(name, [])
                style = for_style[any(note.error for note in found)] if found else text
                sheet.write_string(line, column, _guarded(value or "")[:LONGEST_CELL], style)
                if found and comments < _COMMENTS:
                    comments += 1
                    texts = (f"{note.message} {note.fix}".rstrip() for note in found)
                    sheet.write_comment(line, column, "\n".join(texts))
    book.close()


def _guarded(cell: str) -> str:
    """Return a cell from which reading takes no apostrophe; text cells are no formulas."""
    return f"'{cell}" if cell.startswith("'") and re.match(FORMULA, cell) else cell


def _sheet_name(name: str | None) -> str:
    """Return a name that every spreadsheet program allows."""
    return _NO_SHEET_NAME.sub("_", name or "")[:_LONGEST_SHEET_NAME] or translate("to fix")


def _refuse_too_large(path: Path, rows: int, columns: int, longest: int | None) -> None:
    """Raise UsageError for what no workbook can hold."""
    for found, most, what in (
        (rows, MOST_ROWS, "rows"),
        (columns + len(_ADDED_COLUMNS), MOST_COLUMNS, "columns"),
        ((longest or 0) + 1, LONGEST_CELL, "characters in one cell"),
    ):
        if found > most:
            raise UsageError(
                f"{path} cannot hold the rejected rows: a workbook has at most {most:,} {what}.",
                "Give --rejected the name of a CSV file.",
            )
