"""Make a plan from spreadsheets. This needs no ledger and no network.

Files are read in pieces. Threads read, tidy and check several pieces at once. Then each piece is
handled in order: duplicates, groups, and what earlier runs did. What the plan does not need is
dropped at once, so that a check can read files larger than the memory.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.loader import PIECE, NotInChunks, expand, open_pieces
from importer.model import RowStatus
from importer.normalise import normalise
from importer.planning.grouping import Grouping
from importer.planning.plan import PlanBuilder
from importer.planning.template_files import Templates
from importer.problems import empty
from importer.validate import DuplicateFinder, check_rows, exclude_repeats
from schemas.columns import BY_NAME, ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from importer.loader import Pieces
    from importer.model import Plan, Source, Table
    from importer.planning.history import History, OpenRows
    from importer.settings import Settings


_THREADS: Final = min(4, os.cpu_count() or 1)


def prepare(
    files: Sequence[str],
    settings: Settings,
    history: History | OpenRows | None = None,
    *,
    whole: bool = True,
    cells: bool = True,
    piece: int = PIECE,
    on_rows: Callable[[int], None] | None = None,
) -> Plan:
    """Make a plan from spreadsheets, without network and without writing.

    Args:
        files: paths, folders, patterns, or `-`; a file that cannot be read becomes a problem.
        settings: those that shape rows and bodies.
        history: what earlier runs did; without it every good row is ready.
        whole: keep every row, so that the plan can be sent; else only what a report shows.
        cells: keep the cells of every row as they were read, to show them; needs `whole`.
        piece: bytes of a long file that are handled at once.
        on_rows: called with the number of checked rows, after each piece.

    Raises:
        InputError: a template cannot be used.
        UsageError: there is no such file.
    """
    names = expand(files)
    uneven: set[str] = set()
    while True:
        try:
            opened = [open_pieces(name, settings, piece, whole=name in uneven) for name in names]
            return _Preparation(opened, settings, history, whole=whole, cells=cells).plan(on_rows)
        except NotInChunks as found:
            uneven.add(str(found))


class _Preparation:
    """Takes the rows of all files through every stage.

    Args:
        files: open, in the order of the run.
        settings: those that shape rows and bodies.
        history: what earlier runs did.
        whole: keep every row.
        cells: keep its cells as they were read.
    """

    def __init__(
        self,
        files: Sequence[Pieces],
        settings: Settings,
        history: History | OpenRows | None,
        *,
        whole: bool,
        cells: bool,
    ) -> None:
        self._files = files
        self._settings = settings
        self._extra = list(
            dict.fromkeys(name for file in files for name in sorted(file.extra.values()))
        )
        self._kept = [_KeptRows(whole=whole and cells) for _ in files]
        self._builder = PlanBuilder(
            Grouping(Templates(settings.templates), settings),
            settings,
            whole=whole,
            exclude_known=None
            if history is None
            else partial(history.exclude_known, settings=settings),
        )

    def plan(self, on_rows: Callable[[int], None] | None) -> Plan:
        """Handle every piece in order, and return the plan."""
        done = 0
        names = [file.source().name for file in self._files]
        finder = DuplicateFinder(names, self._settings)
        for position, table in self._tables():
            checked = exclude_repeats(table, finder, self._settings)
            self._kept[position].add(table, self._builder.add(checked))
            done += table.frame.height
            if on_rows is not None:
                on_rows(done)
        return self._builder.plan(
            [kept.table(file.source()) for kept, file in zip(self._kept, self._files, strict=True)]
        )

    def _tables(self) -> Iterator[tuple[int, Table]]:
        """Yield all checked pieces in order, each with the position of its file.

        Threads work on the next pieces meanwhile.
        """
        pending: deque[tuple[int, Future[Table]]] = deque()
        with ThreadPoolExecutor(_THREADS) as workers:
            for position, file in enumerate(self._files):
                for number, read in enumerate(file.tables()):
                    check = partial(self._check, read, position, is_first=not number)
                    pending.append((position, workers.submit(check)))
                    if len(pending) > _THREADS:
                        first, done = pending.popleft()
                        yield first, done.result()
            for position, done in pending:
                yield position, done.result()

    def _check(self, read: Callable[[], Table], position: int, *, is_first: bool) -> Table:
        """Read, clean and check one piece; only the first one keeps problems of the whole file."""
        table = normalise(read(), position, self._settings)
        missing = [name for name in self._extra if name not in table.clean.columns]
        clean = table.clean.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
        clean = clean.select(*clean.columns[: len(BY_NAME) + 2], *self._extra)
        table = check_rows(replace(table, clean=clean), self._settings)
        if is_first:
            return table
        return replace(table, problems=_row_problems(table.problems, table))


class _KeptRows:
    """The rows of a file that the plan keeps as they were read: all, or the rejected ones."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._tables: list[Table] = []

    def add(self, table: Table, rows: pl.DataFrame) -> None:
        """Add the next piece.

        Args:
            table: the table as it was read.
            rows: the status of each of its rows: `#row` and `status`.
        """
        if not self._whole:
            rejected = rows.filter(pl.col("status") == RowStatus.REJECTED.value).select(ROW)
            kept = table.frame.join(rejected, on=ROW, how="semi", maintain_order="left")
            table = replace(table, frame=kept)
        self._tables.append(replace(table, clean=pl.DataFrame(), problems=empty()))

    def table(self, source: Source) -> Table:
        """Return the kept rows as one table."""
        first, *others = self._tables
        if not others:
            return replace(first, source=source)
        return replace(
            first,
            source=source,
            frame=pl.concat([table.frame for table in self._tables]),
        )


def _row_problems(problems: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the problems at rows of a table, not at its file or header."""
    return problems.filter(pl.col(ROW) > table.source.header_row)
