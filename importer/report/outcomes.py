"""The result of each row of a run, in the words of reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.languages import translate
from importer.model import MeetingState, OutcomeRow, RowStatus, State
from importer.report.tasks import instruction
from schemas.codes import WORDS, Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.ledger.records import RowOutcome


OUTCOME_MEANING: Final = {
    "created": "a conversation was started",
    "duplicate": "the API already has this conversation",
    "rejected": "not accepted; nobody was contacted",
    "doubtful": "may have been sent; not sent again until that is known",
    "unsent": "could not be sent; nobody was contacted",
    "planned": "not sent yet",
    "duplicate-in-file": "the same person as an earlier row",
    "already-imported": "imported by an earlier run",
}
"""Status of a row of a run -> what it means, in the order of reports."""

PROGRESS_MEANING: Final = {
    "waiting": "the first message has not left yet",
    "started": "the conversation is going on",
    "meeting": "the meeting is arranged",
    "meeting-cancelled": "the meeting was cancelled",
    "completed": "the conversation is complete",
    "closed": "the conversation was closed",
    "opted-out": "the person wants no messages, and later runs leave them out",
    "failed": "the message could not be delivered",
}
"""How far a conversation is -> what it means; an unknown status is shown as it is."""

_PROGRESS: Final = {
    "CREATED": "waiting",
    "QUEUED": "waiting",
    "ONGOING": "started",
    "COMPLETED_SCREENING_PASSED": "completed",
    "COMPLETED_SCREENING_FAILED": "completed",
    "CLOSED": "closed",
    "OPTED_OUT": "opted-out",
    "DELIVERY_FAILED": "failed",
}
_MEETINGS: Final = {
    MeetingState.SCHEDULED: "meeting",
    MeetingState.CANCELLED: "meeting-cancelled",
}

_TIME: Final = pl.Datetime("us", "UTC")

OUTCOMES: Final = pl.Schema(
    {
        SOURCE: pl.UInt16(),
        ROW: pl.UInt32(),
        "source": pl.String(),
        "status": pl.String(),
        "conversation_id": pl.String(),
        "code": pl.String(),
        "message": pl.String(),
        "attempted_at": _TIME,
        "contact": pl.String(),
        "progress": pl.String(),
        "progress_at": _TIME,
        "meeting_at": _TIME,
    }
)

MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"
"""Format of the time of an attempt: ISO 8601, UTC."""

_KNOWN: Final = frozenset(code.value for code in Code)
_LEFT_OUT: Final = {
    RowStatus.REJECTED: "rejected",
    RowStatus.DUPLICATE: "duplicate-in-file",
    RowStatus.ALREADY_IMPORTED: "already-imported",
}
REASONS: Final = {
    RowStatus.REJECTED: "The row has an error; check the file to see it.",
    RowStatus.DUPLICATE: "The person is in an earlier row.",
    RowStatus.ALREADY_IMPORTED: "The person was imported by an earlier run.",
}
"""Why a row was not sent, if its codes do not say so."""


def outcome_frame(rows: Iterable[RowOutcome], files: Sequence[str]) -> pl.DataFrame:
    """Return rows as lines of `OUTCOMES`; `files` are the names of the run's files."""
    from importer.ledger.run_outcomes import frame_outcomes  # noqa: PLC0415 - not for a check

    return show_outcomes(frame_outcomes([_shorten(row) for row in rows]), files)


def _shorten(row: RowOutcome) -> OutcomeRow:
    """Return the fields of a row that reports show."""
    place, known = (row.source, row.row, row.status.value, row.codes), row.submission
    if known is None:
        return OutcomeRow(*place)
    rest = (getattr(known, name) for name in OutcomeRow._fields[len(place) + 1 :])
    return OutcomeRow(*place, known.state.value, *rest)


def show_outcomes(rows: pl.DataFrame, files: Sequence[str]) -> pl.DataFrame:
    """Return rows as lines of `OUTCOMES`, in their order.

    Args:
        rows: as `Runs.outcomes` gives them.
        files: the names of the run's files.
    """
    if not rows.height:
        return OUTCOMES.to_frame()
    ready = pl.col("status") == RowStatus.READY.value
    left_out = rows.filter(~ready).select("status", "codes").unique()
    reasons = pl.DataFrame(
        [(status, codes, *_why(status, codes)) for status, codes in left_out.iter_rows()],
        schema=dict.fromkeys(("status", "codes", "first_code", "reason"), pl.String),
        orient="row",
    )

    def choose(column: str, otherwise: str) -> pl.Expr:
        known = pl.when(ready).then(pl.col(column).fill_null(""))
        return known.otherwise(otherwise).alias(column)

    state = pl.col("state").replace(State.SENDING.value, State.DOUBTFUL.value)
    state = state.fill_null(State.PLANNED.value)
    scheduled = pl.col("meeting_state") == MeetingState.SCHEDULED.value
    name = pl.col("source").cast(pl.UInt32)
    return rows.join(reasons, on=["status", "codes"], how="left", maintain_order="left").select(
        pl.col("source").alias(SOURCE),
        pl.col("row").alias(ROW),
        name.replace_strict(dict(enumerate(files)), return_dtype=pl.String),
        pl.when(ready).then(state).otherwise(pl.col("status").replace(_LEFT_OUT)).alias("status"),
        "conversation_id",
        choose("code", "first_code"),
        choose("message", "reason"),
        pl.col("sent_at").alias("attempted_at"),
        pl.col("masked").replace("", None).alias("contact"),
        _progress().alias("progress"),
        pl.col("remote_at").alias("progress_at"),
        pl.when(scheduled).then("meeting_at").alias("meeting_at"),
    )


def _progress() -> pl.Expr:
    """Return how far a conversation is, in one word; null if nothing is known."""
    status = pl.col("remote_status").str.to_uppercase()
    spelled = status.str.to_lowercase().str.replace_all("_", "-", literal=True).replace("", None)
    word = status.replace_strict(_PROGRESS, default=spelled)
    ended = word.is_in(["opted-out", "failed"]).fill_null(value=False)
    meeting = pl.col("meeting_state").replace_strict(_MEETINGS, default=None)
    return pl.when(~ended).then(pl.coalesce(meeting, word)).otherwise(word)


def _why(status: str, codes_of_row: str) -> tuple[str, str]:
    """Return the first code of a row that was not sent, and what to do about all its codes."""
    known = [Code(code) for code in codes_of_row.split() if code in _KNOWN]
    faults = [code for code in known if WORDS[code].severity is Severity.ERROR]
    codes = faults if status == RowStatus.REJECTED and faults else known
    first = codes[0].value if codes else ""
    if status == RowStatus.REJECTED and codes:
        return first, "; ".join(instruction(code) for code in codes) + "."
    return first, translate(REASONS[RowStatus(status)])


def count_progress(found: Iterable[tuple[str | None, str | None, int]]) -> dict[str, int]:
    """Count conversations by progress: the words of `PROGRESS_MEANING` in order, then others.

    Args:
        found: remote status, state of the meeting, and how many conversations have both.
    """
    schema = {"remote_status": pl.String, "meeting_state": pl.String, "count": pl.Int64}
    rows = pl.DataFrame(list(found), schema=schema, orient="row")
    words = rows.select(_progress().alias("word"), "count").drop_nulls("word")
    counts = dict(words.group_by("word").agg(pl.col("count").sum()).sort("word").iter_rows())
    named = [word for word in PROGRESS_MEANING if word in counts]
    return {word: counts[word] for word in dict.fromkeys([*named, *counts])}
