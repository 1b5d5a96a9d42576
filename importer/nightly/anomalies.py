"""What makes a file unlike the last ones of its folder; one sentence for each reason to hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

import phonenumbers
import polars as pl

from importer.deliver import report_of
from importer.ledger import Ledger
from importer.report.night_report import FileEnding
from schemas.columns import returned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.ledger.nights import NightFile
    from importer.ledger.records import Run
    from importer.model import Plan, RunReport
    from importer.settings import Settings


class Facts(TypedDict, total=False):
    """What the ledger keeps of a file, as JSON: numbers and names of columns, nothing of a person.

    Attributes:
        rows: that it has.
        rejected: share of them.
        known: share of them that brings nobody new.
        countries: country -> share of the good rows.
        columns: sorted names, as templates know them.
        released: a person let go of it; of files that wait.
    """

    rows: int
    rejected: float
    known: float
    countries: dict[str, float]
    columns: list[str]
    released: bool


_CALLING: Final = r"^\+(" + "|".join(
    sorted(map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE), key=len, reverse=True)
) + ")"  # fmt: skip
_MAIN: Final = {
    str(code): regions[0] for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
}
_NAMED: Final = 5
_Number = Literal["rows", "rejected", "known"]


def facts_of(plan: Plan, known: Plan) -> Facts:
    """What files of a folder are compared by.

    Args:
        plan: straight from the file.
        known: the same without those whom earlier runs dealt with.
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


def too_many_rejected(facts: Facts, settings: Settings) -> list[str]:
    """A sentence where more rows are rejected than the policy bears."""
    share = float(_number(facts, "rejected"))
    if share <= settings.max_rejected_share:
        return []
    allowed = f"max_rejected_share allows {settings.max_rejected_share:.0%}"
    return [f"{share:.0%} of its rows are rejected, and {allowed}."]


def unlike(facts: Facts, last: Sequence[Facts], settings: Settings) -> list[str]:
    """Why a file is unlike the last ones of its folder, in sentences; empty where it is not.

    Args:
        facts: of the file.
        last: of the folder's last imported files, newest first.
        settings: the thresholds.
    """
    if len(last) < settings.guard_after or not settings.guard_files:
        return []
    return [
        *_rows(facts, last, settings.guard_rows),
        *_more(facts, last, "rejected", settings.guard_rejected, "of its rows are rejected"),
        *_more(facts, last, "known", settings.guard_known, "of its rows bring nobody new"),
        *_strange_countries(facts, last, settings.guard_countries),
        *(_other_columns(facts, last[0]) if settings.guard_columns else ()),
    ]


def _rows(facts: Facts, last: Sequence[Facts], allowed: float | None) -> Iterator[str]:
    now, usual = _number(facts, "rows"), median(_number(each, "rows") for each in last)
    if allowed is not None and abs(now - usual) > allowed * usual:
        yield (
            f"It has {now:,.0f} rows where {usual:,.0f} are usual, and guard_rows allows a change "
            f"of {allowed:.0%}."
        )


def _more(
    facts: Facts,
    last: Sequence[Facts],
    name: _Number,
    allowed: float | None,
    what: str,
) -> Iterator[str]:
    now, usual = _number(facts, name), median(_number(each, name) for each in last)
    if allowed is not None and now - usual > allowed:
        yield (
            f"{now:.0%} {what} where {usual:.0%} are usual, and guard_{name} allows "
            f"{allowed:.0%} more."
        )


def _strange_countries(facts: Facts, last: Sequence[Facts], allowed: float | None) -> Iterator[str]:
    usual = {country for each in last for country in each.get("countries", {})}
    strange = {c: s for c, s in facts.get("countries", {}).items() if c and c not in usual}
    share = sum(strange.values())
    if allowed is not None and share > allowed:
        names = ", ".join(sorted(strange, key=lambda country: -strange[country])[:_NAMED])
        yield (
            f"{share:.0%} of its rows are from countries that the last files did not have "
            f"({names}), and guard_countries allows {allowed:.0%}."
        )


def _other_columns(facts: Facts, before: Facts) -> Iterator[str]:
    now, then = set(facts.get("columns", ())), set(before.get("columns", ()))
    for verb, names in (("lacks", then - now), ("has new", now - then)):
        if names:
            listed = ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            yield f"It {verb} columns ({listed}); guard_columns wants those of the last file."


def _columns(plan: Plan) -> Iterator[str]:
    """The columns of a file as templates name them; what an earlier file of ours added is none."""
    for table in plan.tables:
        ours = set(returned(table.frame.columns))
        for header, name in (*table.mapping.items(), *table.extra.items()):
            if header not in ours:
                yield name


def _countries(plan: Plan) -> dict[str, float]:
    """Share of the good rows from each country: by their phone, else as the row says."""
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


def _number(facts: Facts, name: _Number) -> float:
    return float(facts.get(name, 0))


_WHOM: Final = ("campaign", "external_campaign", "round", "conversation")
"""The settings that make the same list another import."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a content before it is looked at.

    Attributes:
        imported: when and as what it was imported, in a sentence; empty where it was not.
        ours: that import is this very file's: a night was cut off before it could move it.
        run: to go on with, or to report on where `ours`; None for none.
        held: why its run was stopped by a guard; empty where it was not, or was released.
        released: a person looked at it and let it go.
        last: facts of the folder's last imported files, newest first.
    """

    imported: str = ""
    ours: bool = False
    run: str | None = None
    held: str = ""
    released: bool = False
    last: tuple[Facts, ...] = field(default=())

    def report(self, settings: Settings) -> RunReport:
        """What its run did."""
        with Ledger.open(settings.ledger, create=False) as ledger:
            return report_of(ledger, ledger.runs.find(self.run))


def past_of(ledger: Ledger, sha256: str, folder: str, settings: Settings) -> Past:
    """What the ledger knows of a content.

    Args:
        ledger: of the folder.
        sha256: of the file.
        folder: subfolder of the inbox.
        settings: of the folder; the same list for another campaign or round is not the same.
    """
    newest = ledger.nights.last(sha256)
    waiting = newest is not None and newest.ending == FileEnding.WAITING
    released = newest is not None and (
        newest.ending == FileEnding.RELEASED or (waiting and bool(newest.facts.get("released")))
    )
    last = tuple(
        cast("Facts", each.facts)
        for each in ledger.nights.of_folder(folder, [FileEnding.DONE], settings.guard_files)
        if each.facts
    )
    names = dict.fromkeys([*ledger.nights.runs_of(sha256), *_own(newest)])
    runs = [run for run in map(ledger.runs.find, names) if _same_people(run, settings)]
    for run in runs:
        if not _through(ledger, run) or (waiting and ledger.doubts.list(run.id)):
            held = newest.reason if newest is not None and newest.ending == FileEnding.HELD else ""
            return Past(run=run.id, held=held, released=released, last=last)
    if runs:
        run = runs[0]
        ours = newest is not None and (waiting or released) and newest.run == run.id
        done = ledger.nights.last(sha256, [FileEnding.DONE], run.id)
        said = f"The same content was imported {_when(done, run)}."
        return Past(said, ours, run.id, released=released, last=last)
    return Past(released=released, last=last)


def _own(newest: NightFile | None) -> list[str]:
    """The run that a night noted for a content: an archive's members have other hashes."""
    return [newest.run] if newest is not None and newest.run is not None else []


def _same_people(run: Run, settings: Settings) -> bool:
    shaping = settings.shaping()
    return all(run.settings.get(name) == shaping.get(name) for name in _WHOM)


def _through(ledger: Ledger, run: Run) -> bool:
    return run.finished is not None and not run.stopped and not ledger.submissions.sendable(run.id)


def _when(done: NightFile | None, run: Run) -> str:
    """When a content was imported: as the night wrote it down, else as its run did."""
    if done is not None:
        return f"on {done.at:%Y-%m-%d %H:%M} UTC as {done.name}"
    names = ", ".join(source.name for source in run.sources)
    return f"on {run.started:%Y-%m-%d %H:%M} UTC as {names}"
