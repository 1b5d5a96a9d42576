"""What the ledger already knows of a plan's people: done, doubtful, refused, lately written to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from importer import problems
from importer.model import RowStatus, State
from importer.payload import submissions
from importer.planning import without
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.identity import Identity
    from importer.ledger import Ledger
    from importer.ledger.records import Standing
    from importer.model import Plan
    from importer.settings import Settings

_KEY, _PERSON = "#key", "#person"
_DONE = frozenset({State.CREATED, State.DUPLICATE})
_OPEN = frozenset({State.DOUBTFUL, State.SENDING})


def skip_known(
    plan: Plan, ledger: Ledger, identity: Identity, settings: Settings, *, now: datetime
) -> Plan:
    """Takes out of a plan whom an earlier run dealt with, and says of each why.

    Args:
        plan: straight from the files.
        ledger: what is known; only read.
        identity: makes the keys that the ledger knows people by.
        settings: `contact_window_days`, `allow_recent` and `retry_rejected`.
        now: UTC, the end of the contact window.
    """
    if not plan.frame.height or ledger.is_empty():
        return plan
    frame = plan.frame.with_columns(
        identity.keys(plan.frame).alias(_KEY), identity.persons(plan.frame).alias(_PERSON)
    )
    standing = ledger.standing(frame[_KEY])
    refused = _refused_again(plan, frame, standing, identity, settings)
    verdicts = [
        *_by_standing(frame, standing, refused),
        *_by_person(frame, standing, ledger, settings, now),
    ]
    taken = pl.concat([verdict[0] for verdict in verdicts]) if verdicts else None
    if taken is None:
        return plan
    return without(
        plan,
        taken.unique([SOURCE, ROW], keep="first", maintain_order=True),
        problems.joined(verdict[1] for verdict in verdicts),
    )


_Verdict = tuple[pl.DataFrame, pl.DataFrame]


def _verdict(
    frame: pl.DataFrame, column: str, details: Mapping[str, str], code: Code, status: RowStatus
) -> _Verdict:
    """The rows whose `column` is among the keys of `details`, with the reason for each."""
    done = column == _KEY and status is RowStatus.ALREADY_IMPORTED
    key = pl.col(_KEY) if done else pl.lit(None, pl.String)
    hit = frame.filter(pl.col(column).is_in(list(details)))
    detail = pl.col(column).replace_strict(
        list(details), list(details.values()), default="", return_dtype=pl.String
    )
    return (
        hit.select(SOURCE, ROW, pl.lit(status.value).alias("status"), key.alias("key")),
        problems.at(hit, code, detail=detail),
    )


def _by_standing(
    frame: pl.DataFrame, standing: Mapping[str, Standing], refused: frozenset[str]
) -> list[_Verdict]:
    done = {key: _where(s) for key, s in standing.items() if s.state in _DONE}
    doubtful = {key: _where(s) for key, s in standing.items() if s.state in _OPEN}
    again = {key: _refusal(standing[key]) for key in refused}
    found = (
        (done, Code.ALREADY_IMPORTED, RowStatus.ALREADY_IMPORTED),
        (doubtful, Code.POSSIBLY_SENT, RowStatus.ALREADY_IMPORTED),
        (again, Code.REJECTED_BEFORE, RowStatus.REJECTED),
    )
    return [
        _verdict(frame, _KEY, details, code, status) for details, code, status in found if details
    ]


def _refused_again(
    plan: Plan,
    frame: pl.DataFrame,
    standing: Mapping[str, Standing],
    identity: Identity,
    settings: Settings,
) -> frozenset[str]:
    """Keys that the API refused with the very body that they have now, and that must not go again.

    Nobody was contacted; only the same answer is to be expected, unless the settings know better.
    """
    if settings.retry_rejected:
        return frozenset()
    rejected = [key for key, s in standing.items() if s.state is State.REJECTED]
    if not rejected:
        return frozenset()
    rows = frame.filter(pl.col(_KEY).is_in(rejected)).drop(_KEY, _PERSON)
    return frozenset(
        submission.key
        for submission in submissions(plan, identity, settings, rows)
        if submission.body_hash == standing[submission.key].body_hash
    )


def _by_person(
    frame: pl.DataFrame,
    standing: Mapping[str, Standing],
    ledger: Ledger,
    settings: Settings,
    now: datetime,
) -> list[_Verdict]:
    """People who opted out, or whom any run or campaign wrote to within the contact window."""
    known = frozenset(key for key, s in standing.items() if s.state in _DONE | _OPEN)
    others = frame.filter(~pl.col(_KEY).is_in(list(known))) if known else frame
    persons = others[_PERSON].unique(maintain_order=True)
    found: list[_Verdict] = []
    out = {
        person: f"seen on {contact.at:%Y-%m-%d}"
        for person, contact in ledger.opted_out(persons).items()
    }
    if out:
        found.append(_verdict(others, _PERSON, out, Code.OPTED_OUT, RowStatus.REJECTED))
    if settings.contact_window_days and not settings.allow_recent:
        since = now - timedelta(days=settings.contact_window_days)
        recent = {
            person: f"on {contact.at:%Y-%m-%d} by run {contact.run}"
            for person, contact in ledger.contacted(persons, since).items()
            if person not in out
        }
        if recent:
            found.append(
                _verdict(others, _PERSON, recent, Code.CONTACTED_RECENTLY, RowStatus.REJECTED)
            )
    return found


def to_leave_alone(
    ledger: Ledger, run: str, settings: Settings, *, now: datetime
) -> dict[str, Code]:
    """What a run once meant to send and must not any more: key -> the reason.

    Args:
        ledger: what is known now.
        run: its id.
        settings: `contact_window_days` and `allow_recent`.
        now: UTC, the end of the contact window.
    """
    found = {}
    if settings.contact_window_days and not settings.allow_recent:
        since = now - timedelta(days=settings.contact_window_days)
        found = dict.fromkeys(ledger.contacted_by_others(run, since), Code.CONTACTED_RECENTLY)
    return found | dict.fromkeys(ledger.opted_out_since(run), Code.OPTED_OUT)


def _refusal(standing: Standing) -> str:
    """Where it was refused, and why."""
    return f"{_where(standing)} ({standing.message})" if standing.message else _where(standing)


def _where(standing: Standing) -> str:
    return f"run {standing.run}, row {standing.row}"
