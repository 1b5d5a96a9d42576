"""Write the results of a run to files: the columns of its lists, then the importer's own.

The lists and the ledger's rows are processed in pieces, so a million rows need little memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TextIO

import polars as pl
import polars.selectors as cs
from polars.io.plugins import register_io_source

from importer.atomic_file import replace_file
from importer.errors import ImporterError
from importer.loader import NotInChunks
from importer.masking import find_file
from importer.report.export import (
    SCHEMA_VERSION,
    delimiter_of,
    file_names,
    original_cells,
    write_csv,
    write_listing,
)
from importer.report.outcomes import MOMENT, OUTCOMES, show_outcomes
from importer.report.view import run_view
from schemas.columns import ROW, SOURCE, find_result_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.ledger.records import Run, SourceFile
    from importer.loader import Pieces
    from importer.model import RunReport
    from importer.report.view import RunView


Form = Literal["csv", "json", "parquet"]
OURS: Final = (
    *("import_status", "conversation_id", "reason", "attempted_at"),
    *("progress", "progress_at", "meeting_at"),
)
_ROW_GROUP_SIZE: Final = 100_000  # rows in a row group of Parquet


@dataclass(frozen=True, slots=True, eq=False)
class OriginalFiles:
    """The original files of a run, opened again.

    Attributes:
        opened: the files in the order of the run; None if a file is gone or has changed.
        missing: a sentence about each missing file, without repetitions.
    """

    opened: tuple[Pieces | None, ...]
    missing: tuple[str, ...] = ()

    @property
    def delimiter(self) -> str:
        """The delimiter of the first text file; a comma if there is none."""
        return delimiter_of(file.source() for file in self.opened if file is not None)


def reread_files(files: Sequence[SourceFile], open_file: Callable[[str], Pieces]) -> OriginalFiles:
    """Open the files of a run again; a file whose content has changed counts as missing.

    Args:
        files: the files of the run, from the ledger.
        open_file: opens the file at a path and computes its hash; never raises an error.
    """
    opened: list[Pieces | None] = []
    missing = []
    for file in files:
        path = file.path and find_file(file.path, file.sha256)
        found = open_file(path) if path is not None else None
        if found is not None and found.source().sha256 == file.sha256:
            opened.append(found)
        else:
            opened.append(None)
            missing.append(_explain_missing(file))
    return OriginalFiles(tuple(opened), tuple(dict.fromkeys(missing)))


def _explain_missing(file: SourceFile) -> str:
    """Return a sentence about a file that cannot be read again."""
    if not file.name:
        return (
            "The names of this run's files were purged, so the results do not have their columns."
        )
    if file.path is None:
        return "A list came from standard input, so the results do not have its columns."
    return (
        f"{file.name} is gone or has changed, so the results do not have its columns. Put the "
        "original file back to get them."
    )


def view_results(ledger: Ledger, run: Run, report: RunReport, *, most: int = 0) -> RunView:
    """Return the view of a run, with the current state of its first rows.

    Args:
        ledger: the ledger of the run.
        run: the run.
        report: the report of the run.
        most: the maximum number of rows to show.
    """
    names = [source.name for source in run.sources]
    first = ledger.runs.first_outcomes(run.id, most)
    progress = ledger.runs.count_progress(run.id)
    return run_view(report, show_outcomes(first, names), names, progress=progress)


def read_result_rows(ledger: Ledger, run: Run) -> Iterator[pl.DataFrame]:
    """Yield all rows of a run with the columns of `importer.report.outcomes.OUTCOMES`."""
    names = [source.name for source in run.sources]
    for rows in ledger.runs.outcomes(run.id):
        yield show_outcomes(rows, names)


def save_results(
    view: RunView,
    rows: Iterable[pl.DataFrame],
    files: OriginalFiles,
    path: Path,
    form: Form = "csv",
) -> None:
    """Write the results to a file, atomically.

    Raises:
        ImporterError: the file cannot be written, or a file of the run changed in the meantime.
    """
    with replace_file(path) as out:
        write_results(view, rows, files, out, form)


def write_results(
    view: RunView, rows: Iterable[pl.DataFrame], files: OriginalFiles, out: TextIO, form: Form
) -> None:
    """Write the results of a run.

    Args:
        view: the view of the run; its outcomes are ignored.
        rows: all rows of the run, with the columns of `importer.report.outcomes.OUTCOMES`.
        files: the run's files; if one is missing, `_file` and `_row` replace its columns.
        out: a text file in UTF-8; CSV and Parquet go to its `buffer`.
        form: CSV (with the original file's delimiter, a byte-order mark and no formulas), JSON,
            or Parquet with the columns of the CSV.

    Raises:
        ImporterError: a file of the run changed in the meantime.
    """
    if form == "json":
        write_run_json(view, rows, out)
        return
    frames = results_frames(view.files, rows, files)
    if form == "parquet":
        _write_parquet(frames, out)
        return
    for number, frame in enumerate(frames):
        write_csv(as_text(frame), out.buffer, files.delimiter, begins=not number)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert the times in a frame of results to text."""
    return frame.with_columns(cs.datetime().dt.strftime(MOMENT))


def _write_parquet(frames: Iterator[pl.DataFrame], out: TextIO) -> None:
    """Write one or more frames, which all have the same schema."""
    first = next(frames)
    rows = register_io_source(lambda *_: chain([first], frames), schema=first.schema)
    rows.sink_parquet(out.buffer, row_group_size=_ROW_GROUP_SIZE)


def results_frames(
    names: Sequence[str], rows: Iterable[pl.DataFrame], files: OriginalFiles
) -> Iterator[pl.DataFrame]:
    """Yield the results of a run: an empty frame with all columns, then frames with rows.

    The columns of the files come first, then `_file` and `_row` if they are needed to identify a
    row, then `OURS`. If a file already has a column named like one of `OURS`, ours gets the prefix
    `import_`. Cells are text, times are UTC.

    Args:
        names: the names of the run's files.
        rows: all rows of the run, sorted by file and row.
        files: the run's files.

    Raises:
        ImporterError: a file changed in the meantime.
    """
    cells = [_FileCells(file, name) for file, name in zip(files.opened, names, strict=True)]
    theirs = list(dict.fromkeys(name for file in cells for name in file.headers))
    ours = {name: f"import_{name}" if name in theirs else name for name in OURS}
    places = [file_names(names)] if len(cells) > 1 or None in files.opened else []
    if None in files.opened:
        places.append(pl.col(ROW).cast(pl.String).alias("_row"))
    reason = pl.when(pl.col("message") != "").then("message")

    def arrange(rows: pl.DataFrame) -> pl.DataFrame:
        known = rows.with_columns(reason.alias("reason")).rename({"status": "import_status"})
        named = (pl.col(name).alias(alias) for name, alias in ours.items())
        known = known.select(SOURCE, ROW, *named)
        whole = cells[known[SOURCE][0]].join(known) if known.height else known
        lacking = [name for name in theirs if name not in whole.columns]
        whole = whole.with_columns(pl.lit(None, pl.String).alias(name) for name in lacking)
        return whole.select(*theirs, *places, *ours.values())

    yield arrange(OUTCOMES.to_frame())
    for frame in rows:
        for part in frame.partition_by(SOURCE, maintain_order=True):
            yield arrange(part)
    for file in cells:
        file.check()


class _FileCells:
    """The cells of a file, read in row order.

    Attributes:
        headers: its headers, without the columns that an earlier run added; empty if the file is
            gone.

    Args:
        file: the file; None if it is gone.
        name: its name.
    """

    def __init__(self, file: Pieces | None, name: str) -> None:
        columns = [] if file is None else file.columns
        earlier = find_result_headers(columns)
        self.headers = [each for each in columns if each != ROW and each not in earlier]
        self._file = file
        self._name = name
        self._hash = "" if file is None else file.source().sha256
        self._pieces = iter(()) if file is None else file.tables()
        self._read = pl.DataFrame(schema={ROW: pl.UInt32, **dict.fromkeys(self.headers, pl.String)})

    def join(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add the file's cells to rows; each call continues where the last one ended.

        Raises:
            ImporterError: the file changed in the meantime.
        """
        last = rows[ROW][-1]
        while (not self._read.height or self._read[ROW][-1] < last) and self._take_piece():
            pass
        here = self._read.filter(pl.col(ROW) <= last)
        self._read = self._read.filter(pl.col(ROW) > last)
        return rows.join(here, on=ROW, how="left", maintain_order="left")

    def check(self) -> None:
        """Read the rest of the file, and check that it has not changed since it was opened.

        Raises:
            ImporterError: the file changed in the meantime.
        """
        while self._take_piece():
            self._read = self._read.clear()
        if self._file is not None and self._file.source().sha256 != self._hash:
            self._raise_changed()

    def _take_piece(self) -> bool:
        """Read the next piece; return False if there is none."""
        try:
            read = next(self._pieces, None)
            if read is None:
                return False
            self._read = pl.concat([self._read, original_cells(read())])
        except NotInChunks:
            self._raise_changed()
        return True

    def _raise_changed(self) -> NoReturn:
        raise ImporterError(f"{self._name} was changed while it was read.", "Try again.") from None


def write_run_json(view: RunView, rows: Iterable[pl.DataFrame], out: TextIO) -> None:
    """Write the results of a run as JSON.

    The keys are `schema_version`, `run`, `totals` (rows by status), `progress` (rows by progress)
    and `outcomes`. An outcome has `source`, `row`, `status`, `conversation_id`, `code`, `message`,
    `attempted_at`, `progress`, `progress_at` and `meeting_at`. Times are ISO 8601 in UTC; a missing
    time is null.

    Args:
        view: the view of the run; its outcomes are ignored.
        rows: all rows of the run, with the columns of `importer.report.outcomes.OUTCOMES`.
        out: a text file in UTF-8.
    """
    outcomes = (
        frame.select(
            "source",
            pl.col(ROW).alias("row"),
            "status",
            "conversation_id",
            "code",
            "message",
            pl.col("attempted_at").dt.strftime(MOMENT),
            "progress",
            pl.col("progress_at", "meeting_at").dt.strftime(MOMENT),
        )
        for frame in rows
    )
    totals = {status.replace("-", "_"): count for status, count in view.totals.items()}
    write_listing(
        out,
        {
            "schema_version": SCHEMA_VERSION,
            "run": view.report.run,
            "totals": {"read": sum(totals.values()), **totals},
            "progress": dict(view.progress),
        },
        "outcomes",
        outcomes,
    )
