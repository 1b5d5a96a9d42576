"""The values that travel between the stages: frozen, with personal fields hidden from repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from schemas.codes import Code, Severity

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""Any JSON value."""


# ---- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """An input file, and how it was read.

    Attributes:
        name: the name of the file, as the user gave it.
        sha256: hex digest of its bytes.
        path: absolute; None for standard input.
        size: bytes.
        encoding: codec of a text file; empty for a workbook.
        delimiter: the delimiter of a text file; empty for a workbook.
        sheet: the sheet of a workbook; None for a text file.
        header_row: spreadsheet row of the header.
    """

    name: str
    sha256: str
    path: Path | None
    size: int
    encoding: str = ""
    delimiter: str = ""
    sheet: str | None = None
    header_row: int = 1


def _no_rows() -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 (takes long; `importer --help` needs none)

    return pl.DataFrame()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One file: every cell as it was read and, after normalising, the clean cells beside it.

    Attributes:
        source: the file.
        frame: `#row` (UInt32, the spreadsheet row) and then a text column for every header, named
            as in the file; a repeated header gets ` (2)`, ` (3)`. An empty cell is null. Nothing
            is tidied or left out.
        mapping: header -> canonical column, in file order.
        extra: header -> placeholder name, for the headers that map to no canonical column.
        ignored: headers of columns that were left out, such as hidden or empty ones.
        problems: a problem frame (`importer.problems`); `#source` is 0 until it is normalised.
        notes: sentences about the file for the report.
        fallbacks: canonical column -> headers to take a value from if its own header has none.
        prefixes: header of phones -> header of their area codes.
        hidden: `#row` and the columns that the workbook hides, as read.
        places: header -> position of its column in the file, from 0; hidden ones too.
        returned: `#row` and the columns that one of our output files added; `frame` lacks them.
        original: the rows that a person corrected or left out, as the file has them.
        clean: empty until the table is normalised; then the same rows as `#source` (UInt16),
            `#row` (UInt32), every canonical column (text: E.164, ISO alpha-2, `true`/`false`; null
            if the cell is empty or cannot be read), then the extra columns under their placeholder
            names, in order of name.
    """

    source: Source
    frame: pl.DataFrame = field(repr=False)
    mapping: Mapping[str, str]
    extra: Mapping[str, str]
    ignored: tuple[str, ...]
    problems: pl.DataFrame = field(repr=False)
    notes: tuple[str, ...] = ()
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)
    hidden: pl.DataFrame = field(default_factory=_no_rows, repr=False)
    places: Mapping[str, int] = field(default_factory=dict)
    returned: pl.DataFrame = field(default_factory=_no_rows, repr=False)
    original: pl.DataFrame = field(default_factory=_no_rows, repr=False)
    clean: pl.DataFrame = field(default_factory=_no_rows, repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the input, in words.

    Attributes:
        source: name of the file.
        row: spreadsheet row, or None for a fault of the whole file.
        column: canonical column or placeholder name, or None for the whole row.
        header: what the file calls the column, or None if it has no such column.
        value: the text of the cell; mask it before it is shown if `personal`.
        personal: whether the value is personal data.
    """

    source: str
    row: int | None
    column: str | None
    header: str | None
    code: Code
    severity: Severity
    value: str = field(repr=False)
    message: str
    fix: str
    personal: bool = True


# ---- checking --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRows:
    """The rows of all files after normalising and validating.

    Attributes:
        frame: the good rows in file order: `#source` (UInt16), `#row` (UInt32), every canonical
            column (text, tidy; booleans are `true`/`false`), then the extra columns under their
            placeholder names. Empty is null.
        problems: a problem frame.
        rows: every row that was read: `#source`, `#row`, `status` (text, a `RowStatus`).
        rejected: the rejected rows, with the columns of `frame`; they are only checked further.
    """

    frame: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)
    rows: pl.DataFrame = field(repr=False)
    rejected: pl.DataFrame = field(default_factory=_no_rows, repr=False)


class RowStatus(StrEnum):
    """The decision about a row before anything is sent; every row has exactly one."""

    READY = "ready"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    ALREADY_IMPORTED = "already-imported"


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows: read = ready + rejected + duplicates + already_imported."""

    read: int = 0
    ready: int = 0
    rejected: int = 0
    duplicates: int = 0
    already_imported: int = 0
    warnings: int = 0


# ---- planning --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that share campaign, templates and all template values but the candidate's own.

    Attributes:
        campaign: campaignId, or empty.
        external_campaign: externalCampaignId, or empty.
        meeting: name of the meeting template.
        participants: name of the participant template.
        bindings: placeholder -> the value that the rows share.
        meeting_configuration: the meeting template with the bindings filled in; placeholders for
            the candidate's own columns are left.
        meeting_participants: the participant template, in the same way.
        rows: how many rows are ready in it.
        conversation_fields: the setting of that name, filled in like the templates.
    """

    campaign: str
    external_campaign: str
    meeting: str
    participants: str
    bindings: Mapping[str, str] = field(repr=False)
    meeting_configuration: Mapping[str, Json] = field(repr=False)
    meeting_participants: tuple[Mapping[str, Json], ...] = field(repr=False)
    rows: int
    conversation_fields: Mapping[str, Json] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a run would send, what it would not send, and why.

    Attributes:
        tables: the files as read; an unreadable file has an empty frame and a problem.
        groups: the groups in order of their first row.
        frame: the ready rows, as `CheckedRows.frame` plus `#group` (UInt32, position in `groups`).
        rows: every row that was read: `#source`, `#row`, `status`.
        problems: a problem frame, in order of source and row.
        counts: sums of `rows`, and the number of warnings.
        hash: hex sha256 over files, mapping, templates, the settings that shape bodies, and rows,
            but not over the ledger.
        known: rows that an earlier run imported: `#source`, `#row` and the `key` of their
            submission.
        whole: it can be sent. If it can only be shown, `frame` has one row of each of the first
            groups, and the frames of `tables` have only the rejected rows.
    """

    tables: tuple[Table, ...]
    groups: tuple[Group, ...]
    frame: pl.DataFrame = field(repr=False)
    rows: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)
    counts: Counts
    hash: str
    known: pl.DataFrame = field(repr=False)
    whole: bool = True


# ---- submitting ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submission:
    """One row on its way to one conversation.

    Attributes:
        key: hex; organization, campaign, person and round under the ledger's HMAC key.
        external_id: the id that reconciliation looks for.
        source: position of the file in the run.
        row: spreadsheet row.
        campaign: campaignId, or externalCampaignId if there is none.
        person: hex; the person alone under the HMAC key.
        masked: the person for people to read, such as `+44 •••• 0018`.
        body: the request body.
        body_hash: hex; the body under the HMAC key.
        email: hex; the normalised e-mail under the HMAC key, or None.
        candidate: hex; the candidate id under the HMAC key, or None.
    """

    key: str
    external_id: str
    source: int
    row: int
    campaign: str
    person: str
    masked: str
    body: Mapping[str, Json] = field(repr=False)
    body_hash: str
    email: str | None = None
    candidate: str | None = None


class PlannedRow(NamedTuple):
    """One row of a run: the decision about it and, if it is ready, what would be sent.

    A named tuple, not a dataclass: a million of them are made and stored in seconds.

    Attributes:
        source: position of the file in the run.
        row: spreadsheet row.
        status: a `RowStatus`.
        codes: the codes of its problems, with spaces between them.
        key: the key of its submission; None if it has none. A ready row has this and the rest.
        campaign: campaignId, or externalCampaignId.
        external_id: the id that reconciliation looks for.
        person: keyed hash of the person.
        masked: the person for people to read.
        body_hash: keyed hash of the body.
        email: keyed hash of the normalised e-mail, or None.
        candidate: keyed hash of the candidate id, or None.
        name: keyed signs of the person's name, or None.
    """

    source: int
    row: int
    status: str
    codes: str = ""
    key: str | None = None
    campaign: str = ""
    external_id: str = ""
    person: str = ""
    masked: str = ""
    body_hash: str = ""
    email: str | None = None
    candidate: str | None = None
    name: str | None = None


class State(StrEnum):
    """The state of a submission in the ledger."""

    PLANNED = "planned"
    SENDING = "sending"
    CREATED = "created"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    DOUBTFUL = "doubtful"
    UNSENT = "unsent"


class OutcomeRow(NamedTuple):
    """A row of a run with what a report shows of it; a million of them are read in seconds.

    Attributes:
        source: position of the file in the run.
        row: spreadsheet row.
        status: a `RowStatus`: what was decided before anything was sent.
        codes: the codes of its problems, with spaces between them.
        state: a `State`; None if the row has no submission. So is all that follows, which is as in
            `SubmissionRecord`.
    """

    source: int
    row: int
    status: str
    codes: str
    state: str | None = None
    conversation_id: str | None = None
    code: str | None = None
    message: str | None = None
    sent_at: datetime | None = None
    masked: str | None = None
    remote_status: str | None = None
    remote_at: datetime | None = None
    meeting_state: str | None = None
    meeting_at: datetime | None = None


class MeetingState(StrEnum):
    """Whether the meeting of a conversation takes place."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


STATE_MEANING: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.PLANNED: "will be sent; nothing has been sent yet",
        State.SENDING: "is being sent; after a crash this counts as doubtful",
        State.CREATED: "accepted by the API: there is a conversation; never sent again",
        State.DUPLICATE: "the API has this conversation already; never sent again",
        State.REJECTED: "refused, nobody was contacted; sent again only if changed or asked for",
        State.DOUBTFUL: "perhaps accepted; sent again only after proof that it did not arrive",
        State.UNSENT: "given up, and certainly not sent; a later run sends it",
    }
)

STATE_ADVICE: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.PLANNED: "Run `importer resume` to send it.",
        State.SENDING: "Wait for the run to end. If it crashed, run `importer resume`.",
        State.CREATED: "Nothing to do. To contact the person again, set `round`.",
        State.DUPLICATE: "Nothing to do. To contact the person again, set `round`.",
        State.REJECTED: "Correct the row and import it again, or send it unchanged with "
        "--retry-rejected.",
        State.DOUBTFUL: "Run `importer reconcile`. If it stays doubtful, look the person up in "
        "Popp, then run `importer resolve RUN ROW --sent CONVERSATION_ID` or `--not-sent`.",
        State.UNSENT: "Run `importer resume`, or import the file again.",
    }
)
"""What a person can do about a submission in each state."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response that was read to its end.

    Attributes:
        status: HTTP status.
        conversation_id: the id; None if the response has none.
        error: the API's own words, cut and masked; empty if there are none.
        retry_after_s: seconds, from `Retry-After` (seconds or date), or None.
        readable: whether the body is JSON as promised (an empty body of a 2xx counts as readable).
        remaining: requests left in the server's window, if it says so.
        reset_s: seconds until that window ends, if it says so.
        request_id: the id of the response, for the API's support; empty if there is none.
        words: the error in lower case without quoted text and without any value of the request:
            the API's own words.
        refusal: the part of a 2xx that says no, such as `success: false`; empty if there is none.
        contradiction: the fields that show another conversation than the one asked for.
        existing: whether the conversation is this person's and older than the request.
        skew_s: seconds that the API's clock is ahead of ours; None if it shows no time.
    """

    status: int
    conversation_id: str | None = None
    error: str = ""
    retry_after_s: float | None = None
    readable: bool = True
    remaining: int | None = None
    reset_s: float | None = None
    request_id: str = ""
    words: str = field(default="", repr=False)
    refusal: str = ""
    contradiction: str = ""
    existing: bool = False
    skew_s: float | None = None


class NotSent(Exception):
    """No request reached the server: no connection was made.

    Args:
        cause: name of the cause's class; the text of the exception.
        detail: a sentence for a person, if more is known.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(cause)
        self.detail = detail


class MaybeSent(Exception):
    """The request may have been accepted: no clear response came. Its text is the cause's class."""


class Action(StrEnum):
    """The kind of step after an attempt."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    DOUBTFUL = "doubtful"
    UNSENT = "unsent"
    AGAIN = "again"
    STOP = "stop"
    STOP_CAMPAIGN = "stop-campaign"


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step after an attempt, and the wait before it.

    Attributes:
        action: what to do.
        wait_s: seconds; with AGAIN, and for everybody with `hold`.
        hold: whether everybody waits, not only this submission, and the rate halves (429, 503).
        code: a short machine word for the ledger, such as `http-429` or `ConnectError`.
        message: a sentence for a person, without personal data.
        fix: what a person can do about it; with STOP.
    """

    action: Action
    wait_s: float = 0.0
    hold: bool = False
    code: str = ""
    message: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a submission after its attempts.

    Attributes:
        key: the key of the submission.
        state: the state that it has now.
        attempts: HTTP requests made for it in this run.
        status: last HTTP status, or None if no response was read.
        conversation_id: the id; None if the API gave none.
        code: machine word of the reason; empty if created.
        message: the reason for a person; no personal data.
    """

    key: str
    state: State
    attempts: int
    status: int | None = None
    conversation_id: str | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run.

    Attributes:
        run: the id of the run in the ledger.
        counts: the counts of its plan.
        states: how many of its ready rows are in each state now.
        started: UTC.
        finished: UTC.
        stopped: why it ended before its work was done; empty if it did not.
        exit_code: the exit code of the process.
        plan_hash: the hash of its plan.
        open_elsewhere: rows that another run holds and left doubtful, unsent or planned.
        took_s: seconds that the command which sent or resumed it took; None if none did just now.
    """

    run: str
    counts: Counts
    states: Mapping[State, int]
    started: datetime
    finished: datetime
    stopped: str = ""
    exit_code: int = 0
    plan_hash: str = ""
    open_elsewhere: int = 0
    took_s: float | None = field(default=None, compare=False)
