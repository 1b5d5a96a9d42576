"""Anomalies: how a file differs from the last files of its folder, one sentence for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

import phonenumbers
import polars as pl

from importer.report.night_report import FileEnding
from schemas.columns import find_result_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.ledger import Ledger
    from importer.ledger.nights import NightFile
    from importer.ledger.records import Run
    from importer.model import Plan
    from importer.settings import Settings


class FileFacts(TypedDict, total=False):
    """What the ledger keeps of a file, as JSON: numbers and column names, no personal data.

    Attributes:
        rows: how many rows it has.
        rejected: share of the rows that were rejected.
        known: share of the rows that contact nobody new.
        countries: country -> share of the good rows.
        columns: sorted names, as templates know them.
        released: whether a person released it; only for files that wait.
        pages: suffix of a page beside the file -> its sha256 as the night wrote it.
    """

    rows: int
    rejected: float
    known: float
    countries: dict[str, float]
    columns: list[str]
    released: bool
    pages: dict[str, str]


_CALLING: Final = r"^\+(" + "|".join(
    sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE), key=len, reverse=True)
) + ")"  # fmt: skip
_MAIN: Final = {
    str(code): regions[0] for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
}
_NAMED: Final = 5
_Number = Literal["rows", "rejected", "known"]


def describe_file(plan: Plan, known: Plan) -> FileFacts:
    """Return the facts by which files of a folder are compared.

    Args:
        plan: everything in the file.
        known: the plan without people whom earlier runs contacted.
    """
    read = plan.counts.read
    nobody_new = plan.counts.duplicates + known.counts.already_imported
    return {
        "rows": read,
        "rejected": _share(plan.counts.rejected, read),
        "known": _share(nobody_new, read),
        "countries": _countries(plan),
        "columns": sorted(_columns(plan)),
    }


def check_rejected_share(facts: FileFacts, settings: Settings) -> list[str]:
    """A sentence if a larger share of rows is rejected than the settings allow."""
    share = float(_number(facts, "rejected"))
    if share <= settings.max_rejected_share:
        return []
    allowed = settings.max_rejected_share
    return [f"{share:.0%} of its rows are rejected, and max_rejected_share allows {allowed:.0%}."]


def find_anomalies(facts: FileFacts, last: Sequence[FileFacts], settings: Settings) -> list[str]:
    """Return how a file differs from the last ones of its folder, in sentences.

    Args:
        facts: of the file.
        last: facts of the folder's last imported files, newest first.
        settings: the thresholds.
    """
    if len(last) < settings.guard_after or not settings.guard_files:
        return []
    return [
        *_row_count(facts, last, settings.guard_rows),
        *_larger_share(facts, last, "rejected", settings.guard_rejected),
        *_larger_share(facts, last, "known", settings.guard_known),
        *_new_countries(facts, last, settings.guard_countries),
        *(_changed_columns(facts, last[0]) if settings.guard_columns else ()),
    ]


def _row_count(facts: FileFacts, last: Sequence[FileFacts], allowed: float | None) -> Iterator[str]:
    now, usual = _number(facts, "rows"), median(_number(each, "rows") for each in last)
    if allowed is not None and abs(now - usual) > allowed * usual:
        yield (
            f"It has {now:,.0f} rows, {usual:,.0f} are usual, and guard_rows allows a change "
            f"of {allowed:.0%}."
        )


def _larger_share(
    facts: FileFacts,
    last: Sequence[FileFacts],
    name: _Number,
    allowed: float | None,
) -> Iterator[str]:
    now, usual = _number(facts, name), median(_number(each, name) for each in last)
    if allowed is None or now - usual <= allowed:
        return
    if name == "rejected":
        yield (
            f"{now:.0%} of its rows are rejected, {usual:.0%} are usual, and guard_rejected allows "
            f"{allowed:.0%} more."
        )
    else:
        yield (
            f"{now:.0%} of its rows contain nobody new, {usual:.0%} are usual, and guard_known "
            f"allows {allowed:.0%} more."
        )


def _new_countries(
    facts: FileFacts, last: Sequence[FileFacts], allowed: float | None
) -> Iterator[str]:
    usual = {country for each in last for country in each.get("countries", {})}
    strange = {c: s for c, s in facts.get("countries", {}).items() if c and c not in usual}
    share = sum(strange.values())
    if allowed is not None and share > allowed:
        names = ", ".join(sorted(strange, key=lambda country: -strange[country])[:_NAMED])
        yield (
            f"{share:.0%} of its rows are from countries that were not in the last files "
            f"({names}), and guard_countries allows {allowed:.0%}."
        )


def _changed_columns(facts: FileFacts, before: FileFacts) -> Iterator[str]:
    now, then = set(facts.get("columns", ())), set(before.get("columns", ()))
    if lost := _listed(then - now):
        yield f"It lacks columns ({lost}); guard_columns expects those of the last file."
    if new := _listed(now - then):
        yield f"It has new columns ({new}); guard_columns expects those of the last file."


def _listed(names: set[str]) -> str:
    """Return the first names, in order."""
    return ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _columns(plan: Plan) -> Iterator[str]:
    """Return the columns of a file as templates name them, without those of our results files."""
    for table in plan.tables:
        ours = set(find_result_headers(table.frame.columns))
        for header, name in (*table.mapping.items(), *table.extra.items()):
            if header not in ours:
                yield name


def _countries(plan: Plan) -> dict[str, float]:
    """Return country -> share of the good rows, by their phone or else their country column."""
    if not plan.frame.height:
        return {}
    code = pl.col("phone_number").str.extract(_CALLING)
    region = code.replace_strict(_MAIN, default=None, return_dtype=pl.String)
    country = pl.coalesce("country", region, pl.lit(""))
    counted = plan.frame.select(country.alias("country")).group_by("country").len()
    return {
        name: round(count / plan.frame.height, 4) for name, count in sorted(counted.iter_rows())
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _number(facts: FileFacts, name: _Number) -> float:
    return float(facts.get(name, 0))


_CONTACT_SETTINGS: Final = ("campaign", "external_campaign", "round", "conversation")
"""Settings that make the same list another import, which contacts people again."""


@dataclass(frozen=True, slots=True)
class FileHistory:
    """What the ledger knows of a file's content before it is read.

    Attributes:
        imported: when and under which name it was imported, in a sentence; empty if it was not.
        only_move: this very file was imported, but the night was cut off before it moved the file.
        run: the run to resume, or to report on if `only_move`; None if there is none.
        held: why a guard stopped its run; empty if none did, or if it was released.
        released: whether a person released it.
        last: facts of the folder's last imported files, newest first.
    """

    imported: str = ""
    only_move: bool = False
    run: str | None = None
    held: str = ""
    released: bool = False
    last: tuple[FileFacts, ...] = field(default=())


def find_history(ledger: Ledger, sha256: str, folder: str, settings: Settings) -> FileHistory:
    """Return what the ledger knows of a file's content.

    Args:
        ledger: of the folder.
        sha256: of the file's bytes.
        folder: subfolder of the inbox.
        settings: of the folder; the same list for another campaign or round is another import.
    """
    newest = ledger.nights.last(sha256)
    waiting = newest is not None and newest.ending == FileEnding.WAITING
    released = newest is not None and (
        newest.ending == FileEnding.RELEASED or (waiting and bool(newest.facts.get("released")))
    )
    last = tuple(
        cast("FileFacts", each.facts)
        for each in ledger.nights.of_folder(folder, [FileEnding.DONE], settings.guard_files)
        if each.facts
    )
    names = dict.fromkeys([*ledger.nights.runs_of(sha256), *_noted_run(newest)])
    runs = [run for run in map(ledger.runs.find, names) if _contacts_same_people(run, settings)]
    for run in runs:
        if not _is_complete(ledger, run) or (waiting and ledger.doubts.list(run.id)):
            held = newest.reason if newest is not None and newest.ending == FileEnding.HELD else ""
            return FileHistory(run=run.id, held=held, released=released, last=last)
    if runs:
        run = runs[0]
        only_move = newest is not None and (waiting or released) and newest.run == run.id
        done = ledger.nights.last(sha256, [FileEnding.DONE], run.id)
        sentence = f"The same content was imported {_when(done, run)}."
        return FileHistory(sentence, only_move, run.id, released=released, last=last)
    return FileHistory(released=released, last=last)


def _noted_run(newest: NightFile | None) -> list[str]:
    """Return the run that a night noted; a run has only the hashes of an archive's members."""
    return [newest.run] if newest is not None and newest.run is not None else []


def _contacts_same_people(run: Run, settings: Settings) -> bool:
    shaping = settings.shaping()
    return all(run.settings.get(name) == shaping.get(name) for name in _CONTACT_SETTINGS)


def _is_complete(ledger: Ledger, run: Run) -> bool:
    return (
        run.finished is not None
        and not run.stopped
        and not ledger.submissions.count_sendable(run.id)
    )


def _when(done: NightFile | None, run: Run) -> str:
    """Say when a content was imported, by the night's record or else by the run's."""
    if done is not None:
        return f"on {done.at:%Y-%m-%d %H:%M} UTC as {done.name}"
    names = ", ".join(source.name for source in run.sources)
    return f"on {run.started:%Y-%m-%d %H:%M} UTC as {names}"
