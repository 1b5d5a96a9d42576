"""The first half of the road: from spreadsheets to a plan. It needs no ledger and no network.

Files come in pieces. Each is read, tidied and checked by itself, several of them side by side; then
they are settled in order: repeats, groups, and what earlier runs did. What a plan does not need is
let go at once, so that a list to be looked at may be far larger than the memory.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.loader import PIECE, Uneven, expand, open_pieces
from importer.model import RowStatus
from importer.normalise import normalise
from importer.planning.grouping import Grouping
from importer.planning.plan import Draft
from importer.planning.template_files import Templates
from importer.problems import empty
from importer.validate import Repeats, check_rows, exclude_repeats
from schemas.columns import BY_NAME, ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from importer.loader import Pieces
    from importer.model import Plan, Source, Table
    from importer.planning.history import Look
    from importer.settings import Settings


_SIDE_BY_SIDE: Final = min(4, os.cpu_count() or 1)


def prepare(
    files: Sequence[str],
    settings: Settings,
    look: Look | None = None,
    *,
    whole: bool = True,
    piece: int = PIECE,
) -> Plan:
    """From spreadsheets to a plan; touches no network and writes nothing.

    Args:
        files: paths, folders, patterns, or `-`; what cannot be read becomes a problem.
        settings: what shapes rows and bodies.
        look: what earlier runs did; without it every good row is ready.
        whole: keep every row, so that the plan can be sent; else only what a report shows.
        piece: bytes of a long file that are looked at together.

    Raises:
        InputError: a template cannot be used.
        UsageError: there is no such file.
    """
    names = expand(files)
    uneven: set[str] = set()
    while True:
        try:
            opened = [open_pieces(name, settings, piece, whole=name in uneven) for name in names]
            return _Road(opened, settings, look, whole=whole).plan()
        except Uneven as found:
            uneven.add(str(found))


class _Road:
    """The way that all rows of a run go.

    Args:
        files: open, in the order of the run.
        settings: what shapes rows and bodies.
        look: what earlier runs did.
        whole: keep every row.
    """

    def __init__(
        self, files: Sequence[Pieces], settings: Settings, look: Look | None, *, whole: bool
    ) -> None:
        self._files = files
        self._settings = settings
        self._extra = list(
            dict.fromkeys(name for file in files for name in sorted(file.extra.values()))
        )
        self._kept = [_Kept(whole=whole) for _ in files]
        self._draft = Draft(
            Grouping(Templates(settings.templates), settings),
            settings,
            whole=whole,
            known=None if look is None else partial(look.applied_to, settings=settings),
        )

    def plan(self) -> Plan:
        """Takes every piece, in order, and gives the plan of them all."""
        names = [file.source().name for file in self._files]
        repeats = Repeats(names, self._settings)
        for position, table in self._tables():
            checked = exclude_repeats(table, repeats, self._settings)
            self._kept[position].add(table, self._draft.add(checked))
        return self._draft.plan(
            [kept.table(file.source()) for kept, file in zip(self._kept, self._files, strict=True)]
        )

    def _tables(self) -> Iterator[tuple[int, Table]]:
        """All pieces in order, each with the position of its file; some are ahead at work."""
        at_work: deque[tuple[int, Future[Table]]] = deque()
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as workers:
            for position, file in enumerate(self._files):
                for number, read in enumerate(file.tables()):
                    check = partial(self._check, read, position, begins=not number)
                    at_work.append((position, workers.submit(check)))
                    if len(at_work) > _SIDE_BY_SIDE:
                        position_of_it, done = at_work.popleft()
                        yield position_of_it, done.result()
            for position, done in at_work:
                yield position, done.result()

    def _check(self, read: Callable[[], Table], position: int, *, begins: bool) -> Table:
        """Read, clean and check one piece; problems of the whole file are kept of its first."""
        table = normalise(read(), position, self._settings)
        lacking = [name for name in self._extra if name not in table.clean.columns]
        clean = table.clean.with_columns(pl.lit(None, pl.String).alias(name) for name in lacking)
        clean = clean.select(*clean.columns[: len(BY_NAME) + 2], *self._extra)
        table = check_rows(replace(table, clean=clean), self._settings)
        if begins:
            return table
        return replace(table, problems=_of_rows(table.problems, table))


class _Kept:
    """What is kept of a file as it was read: its rows, or the rejected ones."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._tables: list[Table] = []

    def add(self, table: Table, rows: pl.DataFrame) -> None:
        """Takes the next piece.

        Args:
            table: as it was read.
            rows: the result of each of its rows: `#row` and `status`.
        """
        if not self._whole:
            rejected = rows.filter(pl.col("status") == RowStatus.REJECTED.value).select(ROW)
            kept = table.frame.join(rejected, on=ROW, how="semi", maintain_order="left")
            table = replace(table, frame=kept)
        self._tables.append(replace(table, clean=pl.DataFrame(), problems=empty()))

    def table(self, source: Source) -> Table:
        """All that was kept, as one table."""
        first, *others = self._tables
        if not others:
            return replace(first, source=source)
        return replace(
            first,
            source=source,
            frame=pl.concat([table.frame for table in self._tables]),
        )


def _of_rows(problems: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The problems at the rows of a table, without those of the whole file and its header."""
    return problems.filter(pl.col(ROW) > table.source.header_row)
