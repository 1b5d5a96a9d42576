"""Outcomes: the result of every row of a run, as a frame with one line per row read."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.languages import translate
from importer.model import MeetingState, RowStatus, State
from importer.report.tasks import instruction
from schemas.codes import WORDS, Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.ledger.records import RowOutcome, SubmissionRecord

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
"""How far a conversation is -> what it means; a status that is not known here stands for itself."""

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

OUTCOMES: Final = pl.Schema(
    {
        SOURCE: pl.UInt16(),
        ROW: pl.UInt32(),
        "source": pl.String(),
        "status": pl.String(),
        "conversation_id": pl.String(),
        "code": pl.String(),
        "message": pl.String(),
        "attempted_at": pl.Datetime("us", "UTC"),
        "contact": pl.String(),
        "progress": pl.String(),
        "progress_at": pl.Datetime("us", "UTC"),
        "meeting_at": pl.Datetime("us", "UTC"),
    }
)

MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"
"""Format of the time of an attempt: ISO 8601, UTC."""

_CHUNK: Final = 50_000
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
"""Why a row was not sent, if its codes do not say it."""


def outcome_frame(rows: Iterable[RowOutcome], files: Sequence[str]) -> pl.DataFrame:
    """Return the frame of `OUTCOMES`, in the order given.

    Args:
        rows: from the ledger.
        files: names of the run's files; `RowOutcome.source` is a position in it.
    """
    rest = iter(rows)
    parts = [OUTCOMES.to_frame()]
    while chunk := list(islice(rest, _CHUNK)):
        lines = [_line(row, files[row.source]) for row in chunk]
        parts.append(pl.DataFrame(lines, schema=OUTCOMES, orient="row"))
    return pl.concat(parts)


def _line(row: RowOutcome, file: str) -> tuple[object, ...]:
    """Return one row in the columns of `OUTCOMES`."""
    place, known = (row.source, row.row, file), row.submission
    conversation, sent_at = (known.conversation_id, known.sent_at) if known else (None, None)
    progress = _progress(known) if known else (None, None, None, None)
    if row.status is not RowStatus.READY:
        code, reason = _why(row)
        return (*place, _LEFT_OUT[row.status], conversation, code, reason, sent_at, *progress)
    if known is None:
        return (*place, State.PLANNED.value, None, "", "", None, *progress)
    ended = (known.state.value, conversation, known.code, known.message, sent_at)
    return (*place, *ended, *progress)


def _progress(known: SubmissionRecord) -> tuple[object, ...]:
    """Return the masked contact, how far the conversation is, since when, and its meeting."""
    status = (known.remote_status or "").upper()
    word = _PROGRESS.get(status, status.lower().replace("_", "-")) or None
    if known.meeting_state and word not in {"opted-out", "failed"}:
        word = _MEETINGS[MeetingState(known.meeting_state)]
    scheduled = known.meeting_state == MeetingState.SCHEDULED
    meeting_at = known.meeting_at if scheduled else None
    return known.masked or None, word, known.remote_at, meeting_at


def _why(row: RowOutcome) -> tuple[str, str]:
    """Return the first code of a row that was not sent, and what to do about all its codes."""
    known = [Code(code) for code in row.codes.split() if code in _KNOWN]
    faults = [code for code in known if WORDS[code].severity is Severity.ERROR]
    codes = faults if row.status is RowStatus.REJECTED and faults else known
    first = codes[0].value if codes else ""
    if row.status is RowStatus.REJECTED and codes:
        return first, "; ".join(instruction(code) for code in codes) + "."
    return first, translate(REASONS[row.status])


def progress_totals(frame: pl.DataFrame) -> dict[str, int]:
    """Count the conversations of each progress, in the order of `PROGRESS_MEANING`, then others."""
    known = frame.filter(pl.col("progress").is_not_null())
    found = dict(known.group_by("progress").len().sort("progress").iter_rows())
    named = [word for word in PROGRESS_MEANING if word in found]
    return {word: found[word] for word in dict.fromkeys([*named, *found])}


def totals(frame: pl.DataFrame) -> dict[str, int]:
    """Count the rows of each status, in the order of `OUTCOME_MEANING`, zeros included."""
    found = dict(frame.group_by("status").len().iter_rows())
    return {status: found.get(status, 0) for status in OUTCOME_MEANING}
