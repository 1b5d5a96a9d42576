"""Store doubtful submissions, how each doubt was settled, and the evidence for it.

`importer.sending.reconcile` decides what a doubtful submission needs. This file only keeps what it
needs for that: the lags of the API's list, and witnesses. A witness is a conversation that we
created later than a doubtful one and that the list already shows: the list has caught up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    String,
    and_,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)

from importer.errors import UsageError
from importer.ledger.column_types import Packed
from importer.ledger.records import ListLag, Witness
from importer.ledger.runs import is_masked_name
from importer.ledger.senders import WITHOUT_LEASE, describe_sender, unended_attempt
from importer.ledger.submissions import (
    CONVERSATION_OF_ANOTHER,
    OPTED_OUT,
    chunks,
    conversation_owners,
    id_of_campaign,
    read_record,
    select_records,
)
from importer.ledger.tables import (
    OPEN,
    among,
    attempts,
    decisions,
    reached,
    run_rows,
    run_sources,
    runs,
    senders,
    submissions,
)
from importer.masking import mask_file_name
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from importer.ledger.database import Database
    from importer.ledger.records import SubmissionRecord
    from importer.model import Outcome

RECONCILIATION: Final = "reconciliation"
"""The value of `decided_by` if the API's list of conversations decided."""

SENDER_UNKNOWN: Final = "sender-unknown"
"""The code of a doubtful submission whose sender may be frozen, and go on later."""

RESOLVED: Final = "resolved"
"""The code of a submission that a person settled."""


class Doubts:
    """The doubtful submissions. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
        now: the clock; timezone-aware.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._open: tuple[ColumnElement[bool], ...] = (among(submissions.c.state, OPEN),)
        if database.path is None:  # others may be sending it; in a file a crash has left it
            s = submissions.c
            self._open += ((s.state == State.DOUBTFUL.value) | (s.sender == WITHOUT_LEASE),)

    def list(self, run: str | None = None) -> tuple[SubmissionRecord, ...]:
        """List every submission that may have been accepted, in order of run, file and row.

        Args:
            run: the id of a run; None for every run.
        """
        narrower = [] if run is None else [submissions.c.run == run]
        return self._database.read(lambda c: _doubtful(c, *narrower, *self._open))

    def list_rejected(self, code: str, run: str | None = None) -> tuple[SubmissionRecord, ...]:
        """List every submission that was rejected with a code, in order of run, file and row.

        Args:
            code: the code of the rejection.
            run: the id of a run; None for every run.
        """
        narrower = [*_coded(code)]
        narrower += [] if run is None else [submissions.c.run == run]
        rejected = (State.REJECTED,)
        return self._database.read(lambda c: _doubtful(c, *narrower, states=rejected))

    def count_absent(self, code: str) -> dict[str, int]:
        """Return run -> how many of its submissions were proved absent and not sent again.

        Args:
            code: the code of that proof.
        """
        s = submissions.c
        wanted = (
            select(s.run, func.count())
            .where(s.state == State.PLANNED.value, *_coded(code))
            .group_by(s.run)
            .order_by(s.run)
        )
        return self._database.read(lambda c: {run: count for run, count in c.execute(wanted)})  # noqa: C416 - a Row is no pair to mypy

    def reconcile(
        self, outcomes: Iterable[Outcome], as_read: Mapping[str, SubmissionRecord] | None = None
    ) -> int:
        """Write what the API's list says about doubtful submissions; return how many were written.

        `created` is written with its conversation, unless another submission has that one.
        `planned` means proved absent: the submission may be sent again, and `resends` counts it.
        `doubtful` keeps it so, with a newer reason. `duplicate` is written over a rejection: the
        list shows the conversation that the API only claimed. Other states are not written. Nothing
        is written if the submission is no longer doubtful, or no longer rejected.

        A submission whose sender may be frozen, and go on, stays doubtful although it is absent.

        Args:
            outcomes: what the list says.
            as_read: key -> the submission as it was when the list was read; an outcome does not
                count if it has changed since.
        """
        seen = as_read or {}
        given = list(outcomes)
        claimed = [
            (each.key, each.conversation_id)
            for each in given
            if each.state in {State.CREATED, State.DUPLICATE} and each.conversation_id
        ]

        def write(connection: Connection) -> int:
            now = self._now()
            owners = conversation_owners(connection, claimed)
            absent = [each.key for each in given if each.state is State.PLANNED]
            frozen = _find_frozen(connection, absent)
            written = 0
            for outcome in given:
                owner = owners.get(outcome.key, "")
                claimed_only = outcome.state is State.DUPLICATE
                values = None if claimed_only and owner else _settled(outcome, owner, now)
                if outcome.key in frozen:
                    values = {"code": SENDER_UNKNOWN, "message": frozen[outcome.key]}
                before = State.REJECTED if claimed_only else State.DOUBTFUL
                if values is not None:
                    written += connection.execute(
                        update(submissions)
                        .where(
                            submissions.c.key == bindparam("b_key"),
                            submissions.c.state == before.value,
                            *_unchanged(seen.get(outcome.key)),
                        )
                        .values(**values),
                        {"b_key": outcome.key},
                    ).rowcount
            return written

        return self._database.write("reconciled", write, counted=True)

    def find(
        self,
        run: str,
        row: int,
        *,
        conversation_id: str | None = None,
        source: str | None = None,
    ) -> SubmissionRecord:
        """Return a row that a person may settle: it is doubtful, or a person settled it.

        Args and exceptions: as for `resolve`.
        """

        def read(connection: Connection) -> SubmissionRecord:
            found = _settleable(connection, run, row, source, self._open)
            _refuse_owned(connection, found.key, conversation_id)
            return found

        return self._database.read(read)

    def resolve(
        self,
        run: str,
        row: int,
        *,
        sent: bool,
        by: str,
        conversation_id: str | None = None,
        source: str | None = None,
    ) -> SubmissionRecord:
        """Settle a row as a person decides, or correct that decision; return the row as it was.

        A decision can be corrected until something else happens to the row. Every decision is kept.

        Args:
            run: id of a run that contains the row.
            row: spreadsheet row.
            sent: True: it arrived, and is never sent again; False: it did not arrive, and may be
                sent again.
            by: who decided.
            conversation_id: the id of the conversation it became, if known.
            source: name of the file, if several files of the run have such a row.

        Raises:
            UsageError: there is no such row, or several, or it is not doubtful, or another
                submission has that conversation.
        """
        now, s = self._now(), submissions.c
        word = {
            "state": State.CREATED.value if sent else State.PLANNED.value,
            "conversation_id": conversation_id if sent else None,
            "decided_by": by,
            "decided_at": now,
        }
        values = {
            **word,
            "code": RESOLVED,
            "message": "Settled by a person: " + ("it was sent." if sent else "it was not sent."),
            "settled_at": now if sent else None,
            "sender": None,
            **dict.fromkeys(_OF_A_CONVERSATION),
        }

        def write(connection: Connection) -> SubmissionRecord:
            before = _settleable(connection, run, row, source, self._open)
            _refuse_owned(connection, before.key, word["conversation_id"])
            unchanged = [*self._open]
            if before.code == RESOLVED:
                unchanged = [s.code == RESOLVED, s.state == before.state.value]
            number = _keep_earlier_decision(connection, before) + 1
            settled = update(submissions).where(s.key == before.key, *unchanged).values(**values)
            if not connection.execute(settled).rowcount:
                raise _not_doubtful(connection, run, row, before.key)
            connection.execute(insert(decisions), {"key": before.key, "number": number, **word})
            return before

        return self._database.write("resolve", write, counted=True)


def _coded(code: str) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a submission has a code, in the words of its index."""
    return submissions.c.code == code, submissions.c.code != literal_column("''", String)


_OF_A_CONVERSATION: Final = (
    *("remote_status", "remote_at", "listed_s"),
    *("meeting_state", "meeting_at", "meeting_known_at", "meeting_id"),
)
"""Facts of a conversation; a corrected id may belong to another one."""


def _unchanged(as_read: SubmissionRecord | None) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a submission has not changed since the list was read."""
    if as_read is None:
        return ()
    s = submissions.c
    at = (
        s.settled_at.is_(None) if as_read.settled_at is None else s.settled_at == as_read.settled_at
    )
    return s.run == as_read.run, s.attempts == as_read.attempts, at


def _find_frozen(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Find submissions whose sender may go on later; return key -> a sentence about it.

    Their last attempt has no end, and nobody knows that its process has ended.
    """
    if not keys or connection.dialect.name == "sqlite":
        return {}
    s = submissions.c
    found = {}
    for chunk in chunks(keys):
        wanted = (
            select(s.key, senders.c.command, senders.c.pid, senders.c.host)
            .join_from(submissions, attempts, and_(*unended_attempt()))
            .join(senders, senders.c.id == attempts.c.sender)
            .where(s.key.in_(chunk), senders.c.ended_at.is_(None))
        )
        for row in connection.execute(wanted):
            found[row.key] = (
                "The list does not hold it, but the process that had to send it may be frozen, "
                f"and go on: {describe_sender(row)}. If it has ended, or its machine is off, "
                "settle this row with `importer resolve`."
            )
    return found


def _settleable(
    connection: Connection,
    run: str,
    row: int,
    source: str | None,
    still_open: Sequence[ColumnElement[bool]],
) -> SubmissionRecord:
    """Find the row of a run that is doubtful, or that a person settled with nothing sent since."""
    key, s = _key(connection, run, row, source), submissions.c
    found = _doubtful(connection, s.key == key, *still_open) or _doubtful(
        connection, s.key == key, s.code == RESOLVED, states=(State.CREATED, State.PLANNED)
    )
    if not found:
        raise _not_doubtful(connection, run, row, key)
    return found[0]


def _refuse_owned(connection: Connection, key: str, conversation_id: object) -> None:
    """Raise UsageError if another submission has this conversation."""
    named = str(conversation_id or "")
    if named and conversation_owners(connection, [(key, named)]):
        raise UsageError(
            f"Conversation {named} belongs to another row already.",
            "Look up this row's own conversation in Popp.",
        )


def _keep_earlier_decision(connection: Connection, before: SubmissionRecord) -> int:
    """Return how many decisions on a row are kept; keep one that an older version did not."""
    kept = connection.scalar(
        select(func.count()).select_from(decisions).where(decisions.c.key == before.key)
    )
    if kept or before.code != RESOLVED:
        return kept or 0
    s = submissions.c
    names = ("key", "number", "decided_at", "decided_by", "state", "conversation_id")
    old = select(s.key, literal(1), s.decided_at, s.decided_by, s.state, s.conversation_id)
    connection.execute(insert(decisions).from_select(names, old.where(s.key == before.key)))
    return 1


def _doubtful(
    connection: Connection, *narrower: ColumnElement[bool], states: Iterable[State] = OPEN
) -> tuple[SubmissionRecord, ...]:
    s, a = submissions.c, attempts.c
    last = (a.submission == s.id) & (a.run == s.run) & (a.number == s.attempts)
    found = connection.execute(
        select_records()
        .add_columns(func.coalesce(a.request_id, literal("", Packed)))
        .join(attempts, last, isouter=True)
        .where(among(s.state, states), *narrower)
        .order_by(s.run, s.source, s.row)
    )
    return tuple(map(read_record, found))


def _settled(outcome: Outcome, owner: str, now: datetime) -> dict[str, Any] | None:
    """Return the columns that reconciliation changes; None to change nothing.

    Args:
        outcome: what the list says.
        owner: a sentence, if another submission has the conversation that was found.
        now: UTC.
    """
    if owner:
        return {"code": CONVERSATION_OF_ANOTHER, "message": owner}
    values: dict[str, Any] = {"code": outcome.code, "message": outcome.message}
    if outcome.state is State.DOUBTFUL:
        return values
    values |= {
        "state": outcome.state.value,
        "decided_by": RECONCILIATION,
        "decided_at": now,
    }
    if outcome.state in {State.CREATED, State.DUPLICATE}:
        return values | {"conversation_id": outcome.conversation_id, "settled_at": now}
    if outcome.state is State.PLANNED:
        resends = func.coalesce(submissions.c.resends, 0) + 1
        return values | {"settled_at": None, "resends": resends, "sender": None}
    return None


def _not_doubtful(connection: Connection, run: str, row: int, key: str | None) -> UsageError:
    state = connection.scalar(select(submissions.c.state).where(submissions.c.key == key))
    return UsageError(
        f"Row {row} of run {run} is not doubtful: it is {state or 'not a submission'}.",
        "`importer results` shows the state of each row.",
    )


def _key(connection: Connection, run: str, row: int, source: str | None) -> str | None:
    """Return the key of a row of a run."""
    found = connection.execute(
        select(run_rows.c.key, run_sources.c.name)
        .join_from(
            run_rows,
            run_sources,
            (run_sources.c.run == run_rows.c.run) & (run_sources.c.position == run_rows.c.source),
        )
        .where(run_rows.c.run == run, run_rows.c.row == row)
    ).all()
    named = [each for each in found if source is None or each.name == source]
    if source is not None and not named:  # its name as it is on the disk
        masked = mask_file_name(source)
        named = [each for each in found if is_masked_name(each.name, masked)]
    if not named:
        raise UsageError(f"Run {run} has no row {row}.", "`importer results` lists its rows.")
    if len(named) > 1:
        names = ", ".join(each.name for each in named)
        raise UsageError(f"Several files have a row {row}: {names}.", "Name the file.")
    return named[0].key if named[0].key is None else str(named[0].key)


class KnownConversations:
    """Read and note conversations. Each method is one transaction and raises LedgerError.

    Args:
        database: open.
        now: the clock; timezone-aware.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def ids(self, run: str | None = None) -> tuple[str, ...]:
        """Return ids of conversations, newest first.

        Args:
            run: the id of a run; None for every run.
        """
        s = submissions.c
        wanted = select(s.conversation_id).where(s.conversation_id.is_not(None))
        if run is not None:
            rows = select(run_rows.c.key).where(run_rows.c.run == run)  # found by index
            wanted = wanted.where(s.run == run, s.key.in_(rows))
        wanted = wanted.order_by(s.settled_at.desc(), s.key)
        return self._database.read(lambda c: tuple(c.scalars(wanted)))

    def write_statuses(self, statuses: Mapping[str, str]) -> int:
        """Write present statuses of conversations; return how many submissions were changed.

        An opt-out is final: what the API shows of it later may be old.

        Args:
            statuses: conversation id -> status as the API spells it.
        """
        if not statuses:
            return 0
        s = submissions.c
        changed = (
            update(submissions)
            .values(remote_status=bindparam("b_status"), remote_at=self._now())
            .where(
                s.conversation_id == bindparam("b_id"),
                s.remote_status.is_(None) | (func.upper(s.remote_status) != OPTED_OUT),
            )
        )
        values = [{"b_id": each, "b_status": status} for each, status in statuses.items()]
        return self._database.write(
            "refreshed", lambda c: c.execute(changed, values).rowcount, counted=True, unsynced=True
        )

    def witnesses(self, campaign: str, kind: str, since: datetime) -> tuple[Witness, ...]:
        """Return conversations that the API created after a time, oldest first.

        Those that only a person has reported as created are left out.

        Args:
            campaign: the campaign of the submissions.
            kind: setting `conversation` of the run, such as `auto-schedule`.
            since: UTC; only requests that left later count.
        """
        s = submissions.c
        wanted = (
            select(s.external_id, s.conversation_id, s.sent_at)
            .join_from(submissions, runs, s.run == runs.c.id)
            .where(
                among(s.state, {State.CREATED}),
                s.campaign == id_of_campaign(campaign),
                s.sent_at > since,
                s.code != RESOLVED,
                s.external_id != "",
                runs.c.settings["conversation"].as_string() == kind,
            )
            .order_by(s.sent_at)
        )
        return self._database.read(lambda c: tuple(Witness(*row) for row in c.execute(wanted)))

    def note_listed(self, external_ids: Iterable[str], at: datetime) -> int:
        """Note when the API's list first showed our conversations; return how many were new.

        Args:
            external_ids: those that the list showed; unknown ones are ignored.
            at: UTC; when the list showed them.
        """
        s = submissions.c
        unnoted = select(s.key, s.sent_at).where(
            reached(s.state),
            s.state != State.DUPLICATE.value,  # its conversation may be older than its request
            s.listed_s.is_(None),
            s.sent_at.is_not(None),
        )
        noted = (
            update(submissions)
            .where(s.key == bindparam("b_key"))
            .values(listed_s=bindparam("b_lag"))
        )
        given = list(external_ids)

        def write(connection: Connection) -> int:
            values = [
                {"b_key": key, "b_lag": max((at - sent_at).total_seconds(), 0.0)}
                for chunk in chunks(given)
                for key, sent_at in connection.execute(unnoted.where(s.external_id.in_(chunk)))
            ]
            if values:
                connection.execute(noted, values)
            return len(values)

        return self._database.write("listed", write)

    def list_lag(self) -> ListLag:
        """Return how long our conversations took, at most, to appear in the API's list."""
        listed_s = submissions.c.listed_s
        wanted = select(func.count(), func.max(listed_s)).where(listed_s.is_not(None))
        count, longest_s = self._database.read(lambda c: c.execute(wanted).one())
        return ListLag(count=count, longest_s=longest_s or 0.0)
