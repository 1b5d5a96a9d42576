"""Every row of a run ends with one word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer.ledger.records import ArrangedMeeting
from importer.model import MeetingState, RowStatus, State
from importer.report.outcomes import (
    OUTCOME_MEANING,
    OUTCOMES,
    count_progress,
    outcome_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.ledger.records import RowOutcome
    from importer.model import RunReport
    from tests.unit.report.conftest import MakeView

MEETING_AT = datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_each_row_has_one_word(row_outcome: Callable[..., RowOutcome]) -> None:
    """Whatever was decided before sending, and wherever the submission stands."""
    seen = [
        state for state in State if state is not State.SENDING
    ]  # the ledger shows it as doubtful
    rows = [row_outcome(row, state) for row, state in enumerate(seen)]
    rows += [
        row_outcome(90 + row, status=status)
        for row, status in enumerate(RowStatus)
        if status is not RowStatus.READY
    ]
    frame = outcome_frame(rows, ["a.csv"])
    assert frame.schema == OUTCOMES
    assert frame["status"].to_list() == [
        "planned", "created", "duplicate", "rejected", "doubtful", "unsent",
        "rejected", "duplicate-in-file", "already-imported",
    ]  # fmt: skip
    assert set(frame["status"]) <= set(OUTCOME_MEANING)


def test_a_row_that_was_never_noted_is_planned(row_outcome: Callable[..., RowOutcome]) -> None:
    """Nothing was sent for it."""
    assert outcome_frame([row_outcome(2, None)], ["a.csv"])["status"].item() == "planned"


@pytest.mark.parametrize(
    ("codes", "code", "reason"),
    [
        (
            "value-changed phone-too-short first-name-missing",
            "phone-too-short",
            "Complete the phone number; Fill in the first name.",
        ),
        ("placeholder-missing", "placeholder-missing", "Fill in the value."),
        ("", "", "The row has an error; check the file to see it."),
        ("a-code-of-tomorrow", "", "The row has an error; check the file to see it."),
    ],
)
def test_a_rejected_row_says_what_to_do(
    row_outcome: Callable[..., RowOutcome], codes: str, code: str, reason: str
) -> None:
    """Only its errors count; a code that this version does not know is no crash."""
    row = row_outcome(2, status=RowStatus.REJECTED, codes=codes)
    frame = outcome_frame([row], ["a.csv"])
    assert frame.select("code", "message").row(0) == (code, reason)


def test_a_run_without_rows_is_empty(make_view: MakeView, run_report: RunReport) -> None:
    """And has every total, at zero."""
    view = make_view(run_report, [])
    assert view.outcomes.height == 0
    assert view.outcomes.schema == OUTCOMES
    assert set(view.totals.values()) == {0}
    assert list(view.totals) == list(OUTCOME_MEANING)


@pytest.mark.parametrize(
    ("remote", "meeting", "progress"),
    [
        (None, None, None),
        ("QUEUED", None, "waiting"),
        ("ONGOING", None, "started"),
        ("opted_out", None, "opted-out"),
        ("DELIVERY_FAILED", None, "failed"),
        ("COMPLETED_SCREENING_PASSED", None, "completed"),
        ("A_STATUS_OF_TOMORROW", None, "a-status-of-tomorrow"),
        (
            "COMPLETED_SCREENING_PASSED",
            ArrangedMeeting(MeetingState.SCHEDULED, MEETING_AT),
            "meeting",
        ),
        (None, ArrangedMeeting(MeetingState.SCHEDULED, MEETING_AT), "meeting"),
        ("ONGOING", ArrangedMeeting(MeetingState.CANCELLED, MEETING_AT), "meeting-cancelled"),
        ("OPTED_OUT", ArrangedMeeting(MeetingState.SCHEDULED, MEETING_AT), "opted-out"),
    ],
)
def test_progress_is_one_word(
    row_outcome: Callable[..., RowOutcome],
    remote: str | None,
    meeting: ArrangedMeeting | None,
    progress: str | None,
) -> None:
    """From the conversation's status and its meeting; the meeting's time only if it takes place."""
    frame = outcome_frame(
        [row_outcome(2, State.CREATED, remote=remote, meeting=meeting)], ["a.csv"]
    )
    assert frame["progress"].item() == progress
    scheduled = meeting is not None and meeting.state is MeetingState.SCHEDULED
    assert frame["meeting_at"].item() == (MEETING_AT if scheduled else None)
    assert frame["contact"].item() == "+44 •••• 0018"


def test_progress_is_counted_in_the_order_of_its_words() -> None:
    """Unknown words come last; rows without any news do not count."""
    found = [("OPTED_OUT", None, 1), ("ONGOING", None, 1), (None, None, 4), ("NEW_WORD", None, 1)]
    assert list(count_progress([*found, ("ongoing", None, 1)]).items()) == [
        ("started", 2),
        ("opted-out", 1),
        ("new-word", 1),
    ]
