"""The values that the ledger takes and returns: frozen, without readable personal data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from importer.model import Json, MeetingState, RowStatus


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a run.

    Attributes:
        name: the name as the user named it, with phones and e-mails masked.
        path: where it was, or None for standard input.
        sha256: hex digest of its bytes.
        size: bytes.
    """

    name: str
    path: str | None
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is about to start.

    Attributes:
        plan_hash: the hash of its plan.
        sources: the sources in the order of the run; `source` of a planned row is a position in it.
        settings: those that shape bodies and rows.
        retry_rejected: send again what the API rejected before, even with the same body.
    """

    plan_hash: str
    sources: tuple[SourceFile, ...]
    settings: Mapping[str, Json] = field(default_factory=dict)
    retry_rejected: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the ledger knows it.

    Attributes:
        id: such as `20261122-153000-3f2a`.
        started: UTC.
        finished: UTC; None while it runs, or if it was interrupted.
        plan_hash: the hash of its plan.
        sources: the files of the run.
        settings: those that shaped bodies and rows.
        stopped: why it ended before its work was done; empty if it did not.
        host: where it ran.
        pid: the id of its process.
    """

    id: str
    started: datetime
    finished: datetime | None
    plan_hash: str
    sources: tuple[SourceFile, ...]
    settings: Mapping[str, Json]
    stopped: str
    host: str
    pid: int


class SubmissionRecord(NamedTuple):
    """Everything that the ledger knows about one submission.

    A named tuple, not a dataclass: a million of them are read in half the time.

    Attributes:
        key: the key of the submission.
        state: an attempt without an end reads as doubtful.
        run: the run that last planned it.
        source_name: name of its file in that run.
        row: the spreadsheet row that it has in that run.
        campaign: the campaign that it is for.
        external_id: the external id that its request carries.
        person: keyed hash of the person (phone, else e-mail).
        email: keyed hash of the normalised e-mail; None if the row has none.
        candidate: keyed hash of the candidate id; None if the row has none.
        name: keyed signs of the person's name; None in rows from before the ledger kept them.
        masked: the person for people to read, such as `+44 •••• 0018`.
        body_hash: keyed hash of the request body.
        conversation_id: the id; None if the API gave none.
        http_status: the last one; None if no response was read.
        code: machine word of the reason.
        message: the reason for a person.
        attempts: requests made by that run.
        resends: how often it was sent again in its life, after proof that it was absent.
        sent_at: UTC; when the last request left; None if none did.
        settled_at: UTC; when it was settled or given up, or found open after a crash; None until
            then.
        remote_status: the last status of the conversation; None if it was never read.
        remote_at: UTC; when the conversation had that status.
        decided_by: who settled a doubt, a person or `reconciliation`; None if nobody had to.
        meeting_state: a `MeetingState`; None if no meeting is known.
        meeting_at: UTC; when the meeting begins; None if that is not known.
        request_id: the id of the response that left it doubtful, for the API's support; else empty.
    """

    key: str
    state: State
    run: str
    source_name: str
    row: int
    campaign: str
    external_id: str
    person: str
    email: str | None
    candidate: str | None
    name: str | None
    masked: str
    body_hash: str
    conversation_id: str | None
    http_status: int | None
    code: str
    message: str
    attempts: int
    resends: int
    sent_at: datetime | None
    settled_at: datetime | None
    remote_status: str | None
    remote_at: datetime | None
    decided_by: str | None
    meeting_state: str | None = None
    meeting_at: datetime | None = None
    request_id: str = ""

    def __repr__(self) -> str:
        """Return key, state and place: nothing about the person."""
        place = f"run={self.run!r}, source_name={self.source_name!r}, row={self.row}"
        return f"SubmissionRecord(key={self.key!r}, state={self.state.value!r}, {place})"

    @property
    def requested_at(self) -> datetime:
        """The time at which the last request left.

        Raises:
            ValueError: none did.
        """
        if self.sent_at is None:
            raise ValueError(f"no request for submission {self.key} has left")
        return self.sent_at


class KnownSubmission(NamedTuple):
    """An earlier run's work on a key, in short: a million of them are looked up in seconds.

    Attributes:
        key: the key of the submission.
        state: an attempt without an end reads as doubtful.
        run: the run that last planned it.
        row: the spreadsheet row that it has in that run.
        name: keyed signs of the person's name; None in rows from before the ledger kept them.
    """

    key: str
    state: State
    run: str
    row: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of an attempt.

    Attributes:
        key: the key of the submission.
        state: its state now; `planned` again after an attempt that was certainly not processed.
        status: HTTP status, or None if no response was read.
        conversation_id: the id; None if the API gave none.
        code: machine word of the reason, such as `http-429`.
        message: the reason for a person, without personal data.
        duration_s: how long the attempt took, seconds.
        request_id: the id of the response, for the API's support; empty if there is none.
        counts: whether it counts for the guards of the run.
    """

    key: str
    state: State
    status: int | None = None
    conversation_id: str | None = None
    code: str = ""
    message: str = ""
    duration_s: float | None = None
    request_id: str = ""
    counts: bool = False


FAILURES: Final = frozenset({State.REJECTED, State.DOUBTFUL, State.UNSENT})
"""The states that count as failures."""


@dataclass(frozen=True, slots=True)
class FailureCounts:
    """Failures so far, for the guards of a run.

    Attributes:
        failed: rejected, doubtful or unsent.
        in_a_row: failures since the last success.
        unreached_in_a_row: submissions since the API was reached last.
        doubtful: submissions.
        reached: whether the API was reached at all.
        last: the last failure, for a person.
    """

    failed: int = 0
    in_a_row: int = 0
    unreached_in_a_row: int = 0
    doubtful: int = 0
    reached: bool = False
    last: str = ""

    def after(self, state: State, status: int | None, message: str) -> FailureCounts:
        """Return the counts after one more submission has ended.

        Args:
            state: the state that it has now.
            status: last HTTP status, or None if no response was read.
            message: the reason for a person.
        """
        unreached = state is State.UNSENT and status is None
        counts = replace(
            self,
            unreached_in_a_row=self.unreached_in_a_row + 1 if unreached else 0,
            reached=self.reached or not unreached,
        )
        if state not in FAILURES:
            return replace(counts, in_a_row=0)
        return replace(
            counts,
            failed=self.failed + 1,
            in_a_row=self.in_a_row + 1,
            doubtful=self.doubtful + (state is State.DOUBTFUL),
            last=f"The last: {message or state}",
        )


class RowOutcome(NamedTuple):
    """A row of a run, with the present state of its submission.

    Attributes:
        source: position of the file in the run.
        row: spreadsheet row.
        status: what was decided before anything was sent.
        codes: the codes of its problems, with spaces between them.
        submission: the submission; None if the row has none.
    """

    source: int
    row: int
    status: RowStatus
    codes: str
    submission: SubmissionRecord | None


@dataclass(frozen=True, slots=True)
class ArrangedMeeting:
    """The meeting that a conversation arranged.

    Attributes:
        state: whether it takes place.
        at: the time when it begins, with a time zone; None if that is not known.
    """

    state: MeetingState
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A conversation that the API created for us.

    Attributes:
        external_id: the external id that its request carried.
        conversation_id: the id; None if the API gave none.
        sent_at: UTC; when its request left.
    """

    external_id: str
    conversation_id: str | None
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class ListLag:
    """The delay with which the API's list showed our conversations.

    Attributes:
        count: conversations measured.
        longest_s: the longest time from a request until it was first seen in the list, seconds.
    """

    count: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Purged:
    """The counts of texts and names that `Ledger.purge` removed.

    Attributes:
        submissions: how many lost their readable texts.
        runs: how many lost the names of their files.
        backups: names of the backups that were deleted.
    """

    submissions: int
    runs: int
    backups: tuple[str, ...]


class ListState(StrEnum):
    """The state of a list that a person uploaded on the recruiter's page."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    CHECKING = "checking"
    OPEN = "open"
    WAITING = "waiting"
    QUEUED = "queued"
    SENDING = "sending"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class UploadedList:
    """A list that a person uploaded on the recruiter's page.

    Attributes:
        id: 32 random hex characters.
        owner: who uploaded it.
        name: the name of the file, masked; empty as soon as the list is deleted.
        sha256: hex digest of its bytes.
        size: bytes.
        uploaded_at: UTC.
        changed_at: UTC; when its state changed.
        state: where it is on its way.
        version: grows with every change; a change names the version that it is made on.
        choices: campaign, meeting, participants and columns that the person chose.
        counts: the counts of its last check, with `facts`, by which lists are compared.
        plan_hash: the hash of the plan of its last check; empty before.
        run: the newest run that sends it.
        wish: `pause` or `stop`, as long as a run has not obeyed it.
        start_at: UTC; not before this time; None for now.
        message: why it waits or failed, without personal data.
    """

    id: str
    owner: str
    name: str
    sha256: str
    size: int
    uploaded_at: datetime
    changed_at: datetime
    state: ListState
    version: int
    choices: Mapping[str, Json]
    counts: Mapping[str, Any]
    plan_hash: str
    run: str | None
    wish: str
    start_at: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class Approval:
    """A second person's approval of a list: requested, given or refused.

    Attributes:
        id: 32 random hex characters.
        list: id of the list.
        plan_hash: the hash of the plan that was shown; a change of the list voids the approval.
        asked_by: who wants to send it.
        asked_at: UTC.
        decided_by: the person; None until somebody has decided.
        decided_at: UTC; None until then.
        agreed: the decision; None until then.
        reason: the reason of the decision; may be empty.
    """

    id: str
    list: str
    plan_hash: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    agreed: bool | None
    reason: str
