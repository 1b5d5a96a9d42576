"""The values that the ledger takes and gives: frozen, without readable personal data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from importer.model import Json, RowStatus, State


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a run.

    Attributes:
        name: as the user named it, with phones and e-mails masked.
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
        plan_hash: of its plan.
        sources: in the order of the run; `source` of a planned row is a position in it.
        settings: the ones that shape bodies and rows.
        retry_rejected: take over what the API rejected before, even with the same body.
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
        plan_hash: of its plan.
        sources: its files.
        settings: the ones that shaped bodies and rows.
        stopped: why it ended before its work was done; empty if it did not.
        host: where it ran.
        pid: of its process.
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


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a submission, for a later run that has the same key.

    Attributes:
        key: of the submission.
        state: an attempt without an end reads as doubtful.
        run: that last planned it.
        at: UTC; when it was last settled, else sent, else planned.
        source: name of the file.
        row: spreadsheet row.
        body_hash: keyed hash of the body it had then.
        conversation_id: None if the API gave none.
        code: machine word of the reason.
        message: the reason for a person.
        remote_status: the last status of the conversation; None if it was never read.
    """

    key: str
    state: State
    run: str
    at: datetime
    source: str
    row: int
    body_hash: str
    conversation_id: str | None
    code: str
    message: str
    remote_status: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """When a person was last contacted, or may have been.

    Attributes:
        at: UTC.
        run: that did it.
        campaign: that it was for.
    """

    at: datetime
    run: str
    campaign: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended.

    Attributes:
        key: of the submission.
        state: where it stands now; `planned` again after an attempt that was surely not processed.
        status: HTTP status, or None if no answer was read.
        conversation_id: None if the API gave none.
        code: machine word of the reason, such as `http-429`.
        message: the reason for a person, without personal data.
        duration_s: of the attempt, seconds.
        request_id: that the answer carries, for the API's support; empty if there is none.
    """

    key: str
    state: State
    status: int | None = None
    conversation_id: str | None = None
    code: str = ""
    message: str = ""
    duration_s: float | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """A row of a run, with its submission as it stands now.

    Attributes:
        source: position of the file in the run.
        row: spreadsheet row.
        status: what was decided before anything was sent.
        codes: the codes of its problems, with spaces between them.
        key: of its submission, or None.
        state: of its submission, or None if there is none.
        conversation_id: None if the API gave none.
        http_status: last HTTP status.
        code: machine word of the reason.
        message: the reason for a person.
        attempted_at: UTC; when the last request left, or None.
        attempts: requests made for it by the run that last planned it.
        remote_status: the last status of the conversation; None if it was never read.
        remote_at: UTC; when it said so.
        decided_by: who settled a doubt, a person or `reconciliation`; None if there was none.
    """

    source: int
    row: int
    status: RowStatus
    codes: str
    key: str | None
    state: State | None
    conversation_id: str | None
    http_status: int | None
    code: str
    message: str
    attempted_at: datetime | None
    attempts: int
    remote_status: str | None = None
    remote_at: datetime | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A submission that may have been accepted, as reconciliation and a person need it.

    Attributes:
        key: of the submission.
        run: that sent it.
        source: position of the file in that run.
        source_name: name of the file.
        row: spreadsheet row.
        external_id: that the request carried.
        campaign: that it was for.
        person: keyed hash of the person.
        masked: the person for people to read, such as `+44 •••• 0018`.
        sent_at: UTC; when the last request left.
        ended_at: UTC; when it was given up, or found open after a crash; None until then.
        attempts: requests made by that run.
        code: machine word of the reason.
        message: the reason for a person.
        email: keyed hash of the normalised e-mail; None if the row has none.
        candidate: keyed hash of the candidate id; None if the row has none.
        resends: how often it was sent again in its life, after proof that it was absent.
        request_id: that the last answer carried; empty if there was none.
    """

    key: str
    run: str
    source: int
    source_name: str
    row: int
    external_id: str
    campaign: str
    person: str
    masked: str
    sent_at: datetime
    ended_at: datetime | None
    attempts: int
    code: str
    message: str
    email: str | None = None
    candidate: str | None = None
    resends: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Related:
    """A submission with an e-mail or a candidate id that a later row has too.

    Attributes:
        key: of the submission.
        person: keyed hash of the person (phone, else e-mail).
        email: keyed hash of the normalised e-mail, or None.
        candidate: keyed hash of the candidate id, or None.
        campaign: that it was for.
        state: an attempt without an end reads as doubtful.
        run: that last planned it.
        source: name of the file.
        row: spreadsheet row.
    """

    key: str
    person: str
    email: str | None
    candidate: str | None
    campaign: str
    state: State
    run: str
    source: str
    row: int


@dataclass(frozen=True, slots=True)
class Witness:
    """A conversation that the API created for us.

    Attributes:
        external_id: that its request carried.
        conversation_id: None if the API gave none.
        sent_at: UTC; when its request left.
    """

    external_id: str
    conversation_id: str | None
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class ListLag:
    """How late the API's list showed our conversations.

    Attributes:
        count: conversations measured.
        longest_s: the longest time from a request until it was first seen in the list, seconds.
    """

    count: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Purged:
    """What `Ledger.purge` removed.

    Attributes:
        submissions: how many lost what is readable in them.
        backups: names of the backups that were deleted.
    """

    submissions: int
    backups: tuple[str, ...]
