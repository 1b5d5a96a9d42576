"""The tables of the ledger, and the rules for states that prevent a second contact.

    planned -> sending -> created | duplicate | rejected | doubtful | unsent | planned again
    doubtful -> created (found)  | planned (proved absent, or a person says so)
    created <-> planned, if a person corrects their own decision before anything else was sent
    planned | unsent | rejected (with another body, or told to retry) -> planned, by a later run
    doubtful | planned | unsent | rejected -> created, if an event of the API shows it

Created and duplicate are final, unless a person has decided so and corrects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    column,
    event,
    literal_column,
    text,
)

from importer.ledger.column_types import Hash, Instant, Masked, Moment, Packed, RunId, Word
from importer.model import RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection


SENDABLE: Final = frozenset({State.PLANNED, State.UNSENT})
"""A request may leave for these, after an intent."""

OPEN: Final = frozenset({State.SENDING, State.DOUBTFUL})
"""A request left, and how it ended is not known."""

REACHED: Final = frozenset({State.CREATED, State.DUPLICATE, State.SENDING, State.DOUBTFUL})
"""The person was contacted, or may have been."""

_AFTER_SENDING: Final = frozenset(State) - {State.SENDING}
_NEVER_LEFT: Final = frozenset({State.UNSENT, State.REJECTED})
_LATE: Final = frozenset({State.CREATED, State.DUPLICATE})


STATES: Final = Word(
    (
        State.PLANNED,  # 0 and 1 take no room in SQLite
        State.CREATED,
        State.DUPLICATE,
        State.REJECTED,
        State.UNSENT,
        State.SENDING,
        State.DOUBTFUL,
    )
)
"""States as the ledger stores them."""

STATUSES: Final = Word(
    (RowStatus.READY, RowStatus.ALREADY_IMPORTED, RowStatus.REJECTED, RowStatus.DUPLICATE)
)
"""Statuses of rows as the ledger stores them."""


def may_settle(now: State, then: State) -> bool:
    """Whether the end of an attempt may move a submission from one state to another.

    A clear response still counts if it comes late: it settles a doubt. What was never sent may be
    given up or rejected.
    """
    if now is State.SENDING:
        return then in _AFTER_SENDING
    if now is State.DOUBTFUL:
        return then in _LATE
    return now in SENDABLE and then in _NEVER_LEFT


def as_seen(state: State) -> State:
    """Return the state that readers see: an attempt without an end is doubtful."""
    return State.DOUBTFUL if state is State.SENDING else state


def among(column: ColumnElement[str], states: Iterable[State]) -> ColumnElement[bool]:
    """Return the condition that a column holds one of the states, spelled out in the SQL.

    A partial index is used only by queries that repeat its condition word for word.
    """
    numbers = sorted(STATES.number(state) for state in states)
    return column.in_([literal_column(str(number), SmallInteger) for number in numbers])


def reached(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a state is in `REACHED`; it makes those rows' indexes usable."""
    return among(column, REACHED) & (column != literal_column("0", SmallInteger))


metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

STATE: Final[ColumnElement[str]] = column("state", STATES)
NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
RUN_ID: Final = String(32)
HASH: Final = String(64)

_NOT_PLANNED: Final = text("state <> 0")
_OPTED_OUT: Final = text("remote_status IS NOT NULL AND upper(remote_status) = 'OPTED_OUT'")

runs: Final = Table(
    "runs",
    metadata,
    Column("id", RunId, primary_key=True, autoincrement=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("plan_hash", HASH, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("stopped", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Index("runs_by_start", "started_at"),
)

run_sources: Final = Table(
    "run_sources",
    metadata,
    Column("run", RunId, ForeignKey("runs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("path", Text),
    Column("sha256", HASH, nullable=False),
    Column("size", BigInteger, nullable=False),
)

run_rows: Final = Table(
    "run_rows",
    metadata,
    Column("run", RunId, ForeignKey("runs.id"), primary_key=True),
    Column("source", Integer, primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("status", STATUSES, nullable=False),
    Column("key", Hash),
    Column("codes", Text, nullable=False),
    sqlite_with_rowid=False,  # written and read in the order of the primary key
)

campaigns: Final = Table(
    "campaigns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Index("campaigns_by_name", "name", unique=True),
)

submissions: Final = Table(
    "submissions",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("key", Hash, nullable=False),
    Column("run", RunId, ForeignKey("runs.id"), nullable=False),
    Column("source", Integer, nullable=False),
    Column("row", Integer, nullable=False),
    Column("campaign", Integer, ForeignKey("campaigns.id"), nullable=False),
    Column("external_id", Packed, nullable=False),
    Column("person", Hash, nullable=False),
    Column("masked", Masked, nullable=False),
    Column("body_hash", Hash, nullable=False),
    Column("state", STATES, nullable=False),
    Column("conversation_id", Packed),
    Column("status", Integer),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("settled_at", Instant),
    Column("remote_status", Text),
    Column("remote_at", Instant),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("email", Hash),
    Column("candidate", Hash),
    Column("resends", Integer),  # null is 0
    Column("listed_s", Float),  # seconds from the request until the API's list showed it
    Column("meeting_state", String(20)),
    Column("meeting_at", Instant),
    Column("meeting_known_at", Instant),
    Column("meeting_id", Text),  # of the booking
    Column("name", Packed),  # keyed signs of words, see schemas.namesakes
    Column("sender", BigInteger),  # who has claimed it, or made its last attempt
    CheckConstraint(among(STATE, State), name="state"),
    CheckConstraint("state <> 5 OR sender IS NOT NULL", name="sending_has_sender").ddl_if(
        dialect="postgresql"  # an older version that still has the ledger open may send nothing
    ),
    Index("submissions_by_key", "key", unique=True),
    # Most indexes are partial: a planned row is in few, so a million rows are planned in seconds;
    # a sent row enters them at no cost beside its request. Their conditions are short: SQLite
    # takes each of them for each row, and a list of four states takes it a microsecond.
    Index(
        "submissions_open",
        "state",
        sqlite_where=among(STATE, OPEN),
        postgresql_where=among(STATE, OPEN),
    ),
    Index("submissions_by_run", "run", "state"),
    Index(
        "submissions_reached",
        "person",
        sqlite_where=_NOT_PLANNED,
        postgresql_where=_NOT_PLANNED,
    ),
    Index(
        "submissions_opted_out",
        "person",
        sqlite_where=_OPTED_OUT,
        postgresql_where=_OPTED_OUT,
    ),
    Index(
        "submissions_by_code",
        "code",
        sqlite_where=text("code <> ''"),
        postgresql_where=text("code <> ''"),
    ),
    Index(
        "submissions_by_conversation",
        "conversation_id",
        sqlite_where=text("conversation_id IS NOT NULL"),
        postgresql_where=text("conversation_id IS NOT NULL"),
    ),
    Index(
        "submissions_created",
        "campaign",
        "sent_at",
        sqlite_where=among(STATE, {State.CREATED}),
        postgresql_where=among(STATE, {State.CREATED}),
    ),
    Index(
        "submissions_by_external_id",
        "external_id",
        sqlite_where=_NOT_PLANNED,
        postgresql_where=_NOT_PLANNED,
    ),
    Index(
        "submissions_listed",
        "listed_s",
        sqlite_where=text("listed_s IS NOT NULL"),
        postgresql_where=text("listed_s IS NOT NULL"),
    ),
    *(
        Index(
            f"submissions_by_{name}",
            name,
            sqlite_where=text(f"{name} IS NOT NULL"),
            postgresql_where=text(f"{name} IS NOT NULL"),
        )
        for name in ("email", "candidate")
    ),
)

rows_elsewhere: Final = Table(
    "rows_elsewhere",
    metadata,
    Column("run", RunId, ForeignKey("runs.id"), primary_key=True),
    Column("source", Integer, primary_key=True, autoincrement=False),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("key", Hash, nullable=False),
    sqlite_with_rowid=False,
)
"""The ready rows of a run whose submission another run holds, because it took it over or had it.

With these, the index by run and state counts the rows of a run in each state. A trigger notes
each submission that changes its run.
"""

NOTE_TAKEN: Final = {
    "sqlite": (
        """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions
        WHEN old.run <> new.run BEGIN
            INSERT OR IGNORE INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key);
        END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION note_taken_submission() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key) ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$
        """,
        """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions FOR EACH ROW
        WHEN (old.run <> new.run) EXECUTE FUNCTION note_taken_submission()
        """,
    ),
}
"""The trigger, for each dialect."""


@event.listens_for(submissions, "after_create")
def _make_trigger(table: Table, connection: Connection, **_: object) -> None:
    del table
    for statement in NOTE_TAKEN[connection.dialect.name]:
        connection.exec_driver_sql(statement)


attempts: Final = Table(
    "attempts",
    metadata,
    Column(
        "submission", NUMBER, ForeignKey("submissions.id"), primary_key=True, autoincrement=False
    ),
    Column("run", RunId, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", Instant, nullable=False),
    Column("duration_s", Float),
    Column("status", Integer),
    Column("code", Text, nullable=False),
    Column("request_id", Packed),
    Column("sender", BigInteger),
    sqlite_with_rowid=False,
)

decisions: Final = Table(
    "decisions",
    metadata,
    Column("key", Hash, ForeignKey("submissions.key"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("decided_at", Moment),
    Column("decided_by", Text),
    Column("state", STATES, nullable=False),
    Column("conversation_id", Packed),
)
"""What people decided about doubtful submissions; the newest decision counts."""


senders: Final = Table(
    "senders",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("command", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid_space", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", BigInteger, nullable=False),  # when the process began, in ticks since the boot
    Column("started_at", Moment, nullable=False),
    Column("until", Moment, nullable=False),  # end of its lease, if it is not renewed
    Column("over_at", Moment),  # its lease was ended for it
    Column("ended_at", Moment),  # it is known to send nothing more
    Column("ended_how", Text, nullable=False),
    Column("run", RUN_ID),  # that it sends just now
)
"""Processes that send on a server's ledger; the id is the fencing token of a lease."""

turns: Final = Table(
    "turns",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sender", BigInteger, nullable=False),
    Column("holder", String(32), nullable=False),
    Column("taken_at", Moment, nullable=False),
)
"""Work that one sender at a time may do; a turn is over with its sender's lease."""

run_guards: Final = Table(
    "run_guards",
    metadata,
    Column("run", RunId, ForeignKey("runs.id"), primary_key=True),
    Column("failed", Integer, nullable=False),
    Column("in_a_row", Integer, nullable=False),
    Column("unreached_in_a_row", Integer, nullable=False),
    Column("doubtful", Integer, nullable=False),
    Column("reached", Boolean, nullable=False),
    Column("last", Text, nullable=False),
    Column("canary", String(20), nullable=False),
    Column("canary_by", BigInteger, nullable=False),
    Column("stopped", Text, nullable=False),
    Column("exit_code", Integer, nullable=False),
)
"""What stops a run, shared by its senders; only on a server."""

rates: Final = Table(
    "rates",
    metadata,
    Column("name", Text, primary_key=True),
    Column("next_at", Moment, nullable=False),
    Column("rate", Float, nullable=False),
    Column("grown_at", Moment, nullable=False),
    Column("step_s", Float, nullable=False),
    Column("held_until", Moment),
    Column("halved_at", Moment),
    Column("quota_s", Float),
    Column("quota_until", Moment),
)
"""Permits of all senders together; only of a server."""

nights: Final = Table(
    "nights",
    metadata,
    Column("id", RUN_ID, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("exit_code", Integer),
    Column("inbox", Text),
)

night_files: Final = Table(
    "night_files",
    metadata,
    Column("night", RUN_ID, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("folder", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("at", Moment, nullable=False),
    Column("ending", String(20), nullable=False),
    Column("run", RUN_ID),
    Column("reason", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Index("night_files_by_content", "sha256"),
    Index("night_files_by_time", "at"),
)

claims: Final = Table(
    "claims",
    metadata,
    Column("inbox", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("claimed_at", Moment, nullable=False),
    Column("holder", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("returned_at", Moment),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", HASH, primary_key=True),  # a hash: who reads the ledger cannot become anybody
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("session", String(16), nullable=False),
    Column("action", String(40), nullable=False),
    Column("list", String(64), nullable=False),
    Column("run", RUN_ID, nullable=False),
    Column("row", Integer),
    Column("column", Text, nullable=False),
    Column("plan_hash", HASH, nullable=False),
    Index("audit_events_by_time", "at"),
    Index("audit_events_by_list", "list"),
)

lists: Final = Table(
    "lists",
    metadata,
    Column("id", RUN_ID, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("uploaded_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("state", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("choices", JSON, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("plan_hash", HASH, nullable=False),
    Column("run", RUN_ID),
    Column("wish", String(10), nullable=False),
    Column("start_at", Moment),
    Column("message", Text, nullable=False),
    Index("lists_by_state", "state"),
    Index("lists_by_content", "sha256"),
)

approvals: Final = Table(
    "approvals",
    metadata,
    Column("id", RUN_ID, primary_key=True),
    Column("list", RUN_ID, nullable=False),
    Column("plan_hash", HASH, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Moment),
    Column("agreed", Boolean),
    Column("reason", Text, nullable=False),
    Index("approvals_by_list", "list"),
)

column_choices: Final = Table(
    "column_choices",
    metadata,
    Column("headers", HASH, primary_key=True),
    Column("columns", JSON, nullable=False),
    Column("chosen_by", Text, nullable=False),
    Column("chosen_at", Moment, nullable=False),
)

_PENDING: Final = text("outcome IS NULL")
_STRAY: Final = text("outcome = 'unknown-conversation'")

webhook_events: Final = Table(
    "webhook_events",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("happened_at", Moment),
    Column("conversation_id", Packed),
    Column("external_id", Packed),
    Column("facts", JSON, nullable=False),
    Column("outcome", String(40)),  # null until it is applied
    CheckConstraint(
        "typeof(conversation_id) <> 'text' AND typeof(external_id) <> 'text'", name="ids_are_bytes"
    ).ddl_if(dialect="sqlite"),  # an older version that still receives events must not write them
    Index("webhook_events_by_id", "id", unique=True),
    Index("webhook_events_pending", "number", sqlite_where=_PENDING, postgresql_where=_PENDING),
    Index("webhook_events_stray", "conversation_id", sqlite_where=_STRAY, postgresql_where=_STRAY),
)

identity: Final = Table(
    "ledger_identity",
    metadata,
    Column("id", RUN_ID, primary_key=True),
    Column("api", Text),
    Column("organization", HASH),
    Column("organization_folded", HASH),
    Column("key_fingerprint", String(16)),
    Column("writes", Integer),  # null is 0
)
"""One row: the ledger's id, its owner, and how often it was written."""
