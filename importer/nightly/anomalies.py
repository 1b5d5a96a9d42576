"""Anomalies: how a file differs from the last files of its folder, one sentence for each."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final, Literal, TypedDict

import phonenumbers
import polars as pl

from schemas.columns import find_result_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.model import Plan
    from importer.settings import Settings


class FileFacts(TypedDict, total=False):
    """The ledger's facts about a file, as JSON: numbers and column names, no personal data.

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
        known: the plan without people contacted by earlier runs.
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
    """Return a sentence if more rows are rejected than the settings allow."""
    share = float(_number(facts, "rejected"))
    if share <= settings.max_rejected_share:
        return []
    allowed = settings.max_rejected_share
    return [f"{share:.0%} of its rows are rejected, and max_rejected_share allows {allowed:.0%}."]


def find_anomalies(facts: FileFacts, last: Sequence[FileFacts], settings: Settings) -> list[str]:
    """Return how a file differs from the last ones of its folder, in sentences.

    Args:
        facts: the facts of the file.
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
        yield f"It lacks columns ({lost}); guard_columns expects the columns of the last file."
    if new := _listed(now - then):
        yield f"It has new columns ({new}); guard_columns expects the columns of the last file."


def _listed(names: set[str]) -> str:
    """Return the first names, in order."""
    return ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _columns(plan: Plan) -> Iterator[str]:
    """Return the columns of a file as templates name them, except what our results files add."""
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
