"""The results of a run as a file: the user's own columns, and what became of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

import polars as pl
import polars.selectors as cs

from importer.report.files import replacing
from importer.report.json import write_results as write_json
from importer.report.outcomes import MOMENT
from importer.report.spreadsheets import delimiter_of, file_names, originals, write_csv
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from importer.ledger.records import SourceFile
    from importer.model import Table
    from importer.report.view import RunView

Form = Literal["csv", "json", "parquet"]
OURS: Final = ("import_status", "conversation_id", "reason", "attempted_at")


@dataclass(frozen=True, slots=True, eq=False)
class Originals:
    """The files of a run as they lie there today.

    Attributes:
        tables: one for each file of the run, None for one that is gone or has changed.
        missing: a sentence for each of those.
    """

    tables: tuple[Table | None, ...]
    missing: tuple[str, ...] = ()


def reread(files: Sequence[SourceFile], load: Callable[[str], Table]) -> Originals:
    """Reads the files of a run again; only one with the same bytes as then counts.

    Args:
        files: of the run, from the ledger.
        load: reads a file of this name, and never raises.
    """
    tables: list[Table | None] = []
    missing = []
    for file in files:
        table = load(file.path) if file.path is not None else None
        if table is not None and table.source.sha256 == file.sha256:
            tables.append(table)
            continue
        tables.append(None)
        why = "came from standard input" if file.path is None else "is gone or has changed"
        missing.append(f"{file.name} {why}: its own columns are left out.")
    return Originals(tuple(tables), tuple(missing))


def save_results(view: RunView, files: Originals, path: Path, form: Form = "csv") -> None:
    """Writes the results into a file, whole or not at all.

    Raises:
        ImporterError: the file cannot be written.
    """
    with replacing(path) as out:
        write_results(view, files, out, form)


def write_results(view: RunView, files: Originals, out: TextIO, form: Form) -> None:
    """Writes the results of a run.

    Args:
        view: of the run.
        files: its files; where one is missing, `_file` and `_row` stand in for its columns.
        out: UTF-8 text, or its `buffer` for CSV and Parquet.
        form: CSV like the original file (delimiter, byte-order mark, no formulas), the JSON of
            `importer.report.json`, or Parquet with the columns of the CSV.
    """
    if form == "json":
        write_json(view, out)
        return
    frame = results(view, files)
    if form == "parquet":
        frame.write_parquet(out.buffer)
    else:
        moments = cs.datetime().dt.strftime(MOMENT)
        write_csv(frame.with_columns(moments), out.buffer, delimiter_of(files.tables))


def results(view: RunView, files: Originals) -> pl.DataFrame:
    """The rows of a run as text, and `attempted_at` as UTC.

    First their own columns in their order, then `_file` and `_row` where it takes them to tell a
    row, then `OURS`; one of these is called `import_...` where the user has a column of its name.
    """
    theirs = [originals(table) if table is not None else None for table in files.tables]
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
