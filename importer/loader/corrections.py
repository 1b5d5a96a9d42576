"""Corrections of a list: cells that a person corrected, and rows that they left out.

They are in a file beside the list, `FILE.corrections.jsonl`, one line for each; the list itself is
never changed. Every reader of the list applies its corrections, so a run that started with them is
resumed with them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from importer.loader.sheet import Refusal
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from importer.model import Json, Table


ENDING: Final = ".corrections.jsonl"


@dataclass(frozen=True, slots=True)
class Correction:
    """One line of a file of corrections.

    Attributes:
        seq: the number of the correction, from 1.
        row: spreadsheet row.
        header: the header of the cell; empty if the whole row is left out or taken back in.
        value: the value of the cell; None takes the correction back.
        out: whether the row is left out.
        by: who did it.
        at: ISO 8601, UTC.
    """

    seq: int
    row: int
    header: str
    value: str | None = field(repr=False)
    out: bool
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections of a list.

    Attributes:
        lines: the lines in the order in which they were made.
        cells: row and header -> value, as it counts now.
        out: rows that are left out.
        seqs: row -> number of its newest line; a change names the line that it follows.
    """

    lines: tuple[Correction, ...] = ()
    cells: Mapping[tuple[int, str], str] = field(default_factory=dict, repr=False)
    out: frozenset[int] = frozenset()
    seqs: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is corrected now."""
        return bool(self.cells or self.out)

    @property
    def rows(self) -> frozenset[int]:
        """The rows with a corrected cell."""
        return frozenset(row for row, _ in self.cells)

    @property
    def digest(self) -> str:
        """A hash of the present corrections; it is the hash of none if all were taken back."""
        cells = sorted([row, header, value] for (row, header), value in self.cells.items())
        said = json.dumps([cells, sorted(self.out)], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def corrections_file(path: Path) -> Path:
    """Return the file that holds the corrections of a list."""
    return path.with_name(path.name + ENDING)


def read_corrections(path: Path) -> Corrections:
    """Read the corrections of a list; there may be none.

    Raises:
        Refusal: the file is there, but cannot be read.
    """
    try:
        data = corrections_file(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Corrections()
    except OSError as error:
        detail = f"its corrections cannot be opened ({error.strerror})"
        raise Refusal(Code.FILE_UNREADABLE, detail) from error
    return _collect(list(_lines(data)))


def _lines(data: bytes) -> Iterator[Correction]:
    whole = data[: data.rfind(b"\n") + 1]  # a crash may have cut the last line short
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            said: dict[str, Any] = json.loads(line)
            yield Correction(
                int(said["seq"]),
                int(said["row"]),
                str(said.get("header", "")),
                None if said.get("value") is None else str(said["value"]),
                bool(said.get("out")),
                str(said.get("by", "")),
                str(said.get("at", "")),
            )
        except (ValueError, KeyError, TypeError) as error:
            detail = f"line {number} of its corrections is damaged"
            raise Refusal(Code.FILE_UNREADABLE, detail) from error


def _collect(lines: list[Correction]) -> Corrections:
    cells: dict[tuple[int, str], str] = {}
    out: set[int] = set()
    seqs: dict[int, int] = {}
    for line in lines:
        seqs[line.row] = line.seq
        if not line.header:
            (out.add if line.out else out.discard)(line.row)
        elif line.value is None:
            cells.pop((line.row, line.header), None)
        else:
            cells[line.row, line.header] = line.value
    return Corrections(tuple(lines), cells, frozenset(out), seqs)


def append_corrections(path: Path, new: Iterable[Correction]) -> None:
    """Add corrections to a list; they are on disk when this returns.

    Only one caller at a time may add to a list.

    Raises:
        OSError: they cannot be written.
    """
    lines = "".join(json.dumps(_line(each), ensure_ascii=False) + "\n" for each in new)
    opened = os.open(corrections_file(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "r+b") as file:
        data = file.read()
        file.seek(data.rfind(b"\n") + 1)
        file.truncate()
        file.write(lines.encode("utf-8", "surrogatepass"))
        file.flush()
        os.fsync(file.fileno())


def _line(each: Correction) -> dict[str, Json]:
    said = {"header": each.header, "value": each.value} if each.header else {"out": each.out}
    return {"seq": each.seq, "row": each.row, **said, "by": each.by, "at": each.at}


def correct(table: Table) -> Table:
    """Return a table with the corrections of its file, and a hash of both as its content's hash.

    Raises:
        Refusal: there are corrections, but they cannot be read.
    """
    path = table.source.path
    known = Corrections() if path is None else read_corrections(path)
    if not known:
        return table
    frame = table.frame.filter(~pl.col(ROW).is_in(sorted(known.out)))
    by_header: dict[str, dict[int, str | None]] = {}
    for (row, header), value in known.cells.items():
        if header in frame.columns and header != ROW:
            by_header.setdefault(header, {})[row] = value or None
    for header, values in by_header.items():
        corrected = pl.DataFrame(
            {ROW: list(values), "#value": list(values.values())},
            schema={ROW: frame.schema[ROW], "#value": pl.String},
        ).with_columns(pl.lit(value=True).alias("#corrected"))
        frame = (
            frame.join(corrected, on=ROW, how="left", maintain_order="left")
            .with_columns(
                pl.when(pl.col("#corrected").is_not_null())
                .then("#value")
                .otherwise(pl.col(header))
                .alias(header)
            )
            .drop("#value", "#corrected")
        )
    said = f"{table.source.sha256} {known.digest}"
    return replace(
        table,
        source=replace(table.source, sha256=hashlib.sha256(said.encode()).hexdigest()),
        frame=frame,
        original=table.frame.filter(pl.col(ROW).is_in(sorted({*known.out, *known.rows}))),
        problems=_outdated_left_out(table, known),
        notes=(*table.notes, _note(known)),
    )


def _outdated_left_out(table: Table, known: Corrections) -> pl.DataFrame:
    """Return the problems, except of rows left out and of cells that were corrected."""
    columns = {**table.mapping, **table.extra}
    places = {f"{row} {columns.get(header, header)}" for row, header in known.cells}
    place = pl.concat_str(
        pl.col(ROW).cast(pl.String), pl.lit(" "), pl.col("column").cast(pl.String)
    )
    gone = pl.col(ROW).is_in(sorted(known.out)) | place.is_in(sorted(places))
    return table.problems.filter(~gone.fill_null(value=False))


def _note(known: Corrections) -> str:
    cells, rows = len(known.cells), len(known.out)
    said = []
    if cells:
        said.append(f"{cells:,} {'cell was' if cells == 1 else 'cells were'} corrected")
    if rows:
        said.append(f"{rows:,} {'row was' if rows == 1 else 'rows were'} left out")
    return f"{' and '.join(said)} by hand."
