"""Files for other programs: results as spreadsheets, payloads as JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

import polars as pl
import polars.selectors as cs

from importer.atomic_file import replace_file
from importer.errors import UsageError
from importer.masking import find_file
from importer.report.json_report import write_run_json
from importer.report.outcomes import MOMENT
from schemas.columns import FORMULA, ROW, SOURCE, find_result_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from importer.ledger.records import SourceFile
    from importer.model import Submission, Table
    from importer.report.view import RunView


_E164: Final = r"^\+[1-9][0-9]{1,14}$"


def delimiter_of(tables: Sequence[Table | None]) -> str:
    """Return the delimiter of the first text file; a comma if there is none."""
    known = (table.source.delimiter for table in tables if table is not None)
    return next((delimiter for delimiter in known if delimiter), ",")


def original_cells(table: Table) -> pl.DataFrame:
    """Return `#row` and the cells as read, without the columns of an earlier results file."""
    return table.frame.drop(find_result_headers(table.frame.columns))


def file_names(names: Sequence[str]) -> pl.Expr:
    """Return the column `_file`, made from `#source`."""
    position = pl.col(SOURCE).cast(pl.UInt32)
    return position.replace_strict(
        list(range(len(names))), list(names), return_dtype=pl.String
    ).alias("_file")


def write_csv(
    frame: pl.DataFrame, out: BinaryIO, delimiter: str = ",", *, begins: bool = True
) -> None:
    """Write text columns as a CSV that Excel opens correctly and without formulas.

    Args:
        frame: text; a null is an empty cell.
        out: the file.
        delimiter: between cells.
        begins: write the byte-order mark and the headers first.
    """
    safe = frame.select(_without_formula(name) for name in frame.columns)
    names = pl.DataFrame({"header": pl.Series(frame.columns, dtype=pl.String)})
    headers = names.select(_without_formula("header")).to_series().to_list()
    safe.rename(dict(zip(frame.columns, headers, strict=True))).write_csv(
        out,
        include_bom=begins,
        include_header=begins,
        separator=delimiter,
        line_terminator="\r\n",
    )


def _without_formula(name: str) -> pl.Expr:
    """Return the column with an apostrophe before possible formulas; E.164 phones stay."""
    cell = pl.col(name)
    risky = cell.str.contains(FORMULA) & ~cell.str.contains(_E164)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def write_workbook(frame: pl.DataFrame, out: BinaryIO) -> None:
    """Write text columns as a workbook of text cells, which holds no formulas.

    Args:
        frame: text; a null is an empty cell.
        out: the file.

    Raises:
        UsageError: a workbook cannot hold this many rows or columns.
    """
    import xlsxwriter  # noqa: PLC0415 (optional; a CSV does not need it)

    if frame.height > MOST_ROWS or frame.width > MOST_COLUMNS:
        raise UsageError(
            f"A workbook has at most {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns.",
            "Take the CSV file instead.",
        )
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    sheet = book.add_worksheet()
    text = book.add_format({"num_format": "@"})
    head = book.add_format({"num_format": "@", "bold": True})
    sheet.set_column(0, max(frame.width - 1, 0), 18, text)
    sheet.freeze_panes(1, 0)
    for number, line in enumerate([frame.columns, *frame.iter_rows()]):
        for column, value in enumerate(line):
            if value is not None:
                style = text if number else head
                sheet.write_string(number, column, str(value)[:LONGEST_CELL], style)
    book.close()


MOST_ROWS: Final = 1_048_575
MOST_COLUMNS: Final = 16_384
LONGEST_CELL: Final = 32_767
"""What a workbook can hold: rows below the header, columns, characters of a cell."""


def write_payloads(submissions: Iterable[Submission], files: Sequence[str], path: Path) -> None:
    """Write a line `{"source", "row", "key", "body"}` for each submission, in row order.

    As long as there is no ledger, the keys and the external ids made from them are previews.

    Args:
        submissions: an iterable; none is kept in memory.
        files: names; `Submission.source` is a position in it.
        path: UTF-8 file, written atomically.
    """
    with replace_file(path) as out:
        for each in submissions:
            line = {
                "source": files[each.source],
                "row": each.row,
                "key": each.key,
                "body": each.body,
            }
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


Form = Literal["csv", "json", "parquet"]
OURS: Final = (
    *("import_status", "conversation_id", "reason", "attempted_at"),
    *("progress", "progress_at", "meeting_at"),
)


@dataclass(frozen=True, slots=True, eq=False)
class OriginalFiles:
    """The files of a run as they are now.

    Attributes:
        tables: one for each file of the run; None if the file is gone or has changed.
        missing: a sentence for each of those.
    """

    tables: tuple[Table | None, ...]
    missing: tuple[str, ...] = ()


def reread_files(files: Sequence[SourceFile], load: Callable[[str], Table]) -> OriginalFiles:
    """Read the files of a run again; a file whose content has changed counts as missing.

    Args:
        files: of the run, from the ledger.
        load: reads the file of a name, and never raises.
    """
    tables: list[Table | None] = []
    missing = []
    for file in files:
        path = file.path and find_file(file.path, file.sha256)
        table = load(path) if path is not None else None
        if table is not None and table.source.sha256 == file.sha256:
            tables.append(table)
            continue
        tables.append(None)
        if not file.name:
            missing.append(
                "The names of this run's files were purged, so the results do not have their "
                "columns."
            )
            continue
        why = "came from standard input" if file.path is None else "is gone or has changed"
        missing.append(f"{file.name} {why}, so the results do not have its columns.")
    return OriginalFiles(tuple(tables), tuple(dict.fromkeys(missing)))


def save_results(view: RunView, files: OriginalFiles, path: Path, form: Form = "csv") -> None:
    """Writes the results into a file, whole or not at all.

    Raises:
        ImporterError: the file cannot be written.
    """
    with replace_file(path) as out:
        write_results(view, files, out, form)


def write_results(view: RunView, files: OriginalFiles, out: TextIO, form: Form) -> None:
    """Write the results of a run.

    Args:
        view: of the run.
        files: its files; if one is missing, `_file` and `_row` replace its columns.
        out: UTF-8 text, or its `buffer` for CSV and Parquet.
        form: CSV like the original file (delimiter, byte-order mark, no formulas), the JSON of
            `importer.report.json_report`, or Parquet with the columns of the CSV.
    """
    if form == "json":
        write_run_json(view, out)
        return
    frame = results_frame(view, files)
    if form == "parquet":
        frame.write_parquet(out.buffer)
    else:
        moments = cs.datetime().dt.strftime(MOMENT)
        write_csv(frame.with_columns(moments), out.buffer, delimiter_of(files.tables))


def results_frame(view: RunView, files: OriginalFiles) -> pl.DataFrame:
    """Return the rows of a run as text, and times as UTC.

    Their own columns come first, then `_file` and `_row` if they are needed to identify a row,
    then `OURS`; one of these is called `import_...` if the file has a column of that name.
    """
    theirs = [original_cells(table) if table is not None else None for table in files.tables]
    taken = {name for frame in theirs if frame is not None for name in frame.columns}
    named = {name: f"import_{name}" if name in taken else name for name in OURS}
    reason = pl.when(pl.col("message") != "").then("message")
    known = view.outcomes.with_columns(reason.alias("reason"))
    lines = known.rename({"status": "import_status"}).select(
        SOURCE, ROW, *(pl.col(name).alias(alias) for name, alias in named.items())
    )
    parts = []
    for position, frame in enumerate(theirs):
        here = lines.filter(pl.col(SOURCE) == position)
        parts.append(
            here if frame is None else here.join(frame, on=ROW, how="left", maintain_order="left")
        )
    whole = pl.concat([lines.clear(), *parts], how="diagonal")
    ours = list(named.values())
    if None in files.tables:
        ours = ["_row", *ours]
        whole = whole.with_columns(pl.col(ROW).cast(pl.String).alias("_row"))
    if len(files.tables) > 1 or None in files.tables:
        ours = ["_file", *ours]
        whole = whole.with_columns(file_names(view.files))
    aside = {SOURCE, ROW, *ours}
    return whole.select([name for name in whole.columns if name not in aside] + ours)
