"""Submissions: find them by key and by person, and change their states while sending."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    String,
    and_,
    bindparam,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from importer.ledger.database import find_by_hash
from importer.ledger.records import KnownSubmission, SubmissionRecord
from importer.ledger.senders import WITHOUT_LEASE
from importer.ledger.tables import (
    OPEN,
    REACHED,
    SENDABLE,
    among,
    as_seen,
    attempts,
    campaigns,
    may_settle,
    reached,
    run_sources,
    submissions,
)
from importer.model import State
from schemas.codes import WORDS, Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, ScalarSelect, Select, Update
    from sqlalchemy.sql.base import ReadOnlyColumnCollection

    from importer.ledger.database import Database
    from importer.ledger.records import Settlement


OPTED_OUT: Final = "OPTED_OUT"
"""The API's status of a conversation whose person opted out."""

INTERRUPTED: Final = "interrupted"
"""The code of a submission whose attempt was cut off by a crash."""

CONVERSATION_OF_ANOTHER: Final = "conversation-of-another"
"""The code of a submission whose response named another submission's conversation."""

CHUNK: Final = 5_000
"""Values in one statement."""

_MANY: Final = 20_000
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_OTHERS: Final = submissions.alias("other")
OTHER: Final = _OTHERS.c


def chunks(values: Iterable[str], size: int = CHUNK) -> Iterator[list[str]]:
    """Yield the values in lists that one statement can take."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


class Submissions:
    """Read and change submissions. Each method is one transaction, durable when it returns.

    Args:
        database: open.
        now: the clock; timezone-aware.

    Raises:
        LedgerError: from every method, if the database fails.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    # ---- keys and people ---------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether no submission was ever planned."""
        first = select(submissions.c.key).limit(1)
        return self._database.read(lambda c: c.execute(first).first() is None)

    def count_states(self) -> dict[State, int]:
        """Return the number of submissions in each state."""
        s = submissions.c
        wanted = select(s.state, func.count()).group_by(s.state)
        rows = self._database.read(lambda c: c.execute(wanted).all())
        return {State(state): count for state, count in rows}

    def records(self, keys: Iterable[str]) -> dict[str, SubmissionRecord]:
        """Return the submissions with these keys; unknown keys are left out."""
        return {each.key: each for each in self._records(submissions.c.key, keys)}

    def known(self, keys: Iterable[str]) -> Iterator[list[KnownSubmission]]:
        """Yield what earlier runs did for these keys, many at a time; unknown keys are left out."""
        s = submissions.c
        wanted = select(s.key, s.state, s.run, s.row, s.name)

        def read(chunk: list[str]) -> Callable[[Connection], list[KnownSubmission]]:
            return lambda c: list(map(_known, find_by_hash(c, wanted, s.key, chunk)))

        for chunk in chunks(keys, _MANY):
            yield self._database.read(read(chunk))

    def contacted(self, persons: Iterable[str], since: datetime) -> dict[str, SubmissionRecord]:
        """Return, for each of these people (keyed hashes), the last submission since a time.

        Submissions of any run count if they reached the person, or may have.
        """
        s = submissions.c
        sent = reached(s.state) & (s.sent_at >= since)
        return _newest(self._records(s.person, persons, sent), lambda each: each.sent_at)

    def opted_out(self, persons: Iterable[str]) -> dict[str, SubmissionRecord]:
        """Return, for each of these people (keyed hashes), the last submission with an opt-out."""
        s = submissions.c
        out = and_(reached(s.state), *_opted_out(s))
        if self._database.read(lambda c: c.execute(WHO_OPTED_OUT.limit(1)).first()) is None:
            return {}
        return _newest(self._records(s.person, persons, out), lambda each: each.remote_at)

    def _records(
        self, column: ColumnElement[Any], values: Iterable[str], *narrower: ColumnElement[bool]
    ) -> list[SubmissionRecord]:
        """Return the submissions that have one of these values in a column."""
        wanted, given = select_records().where(*narrower), list(values)
        return self._database.read(
            lambda c: [
                read_record(row)
                for chunk in chunks(given, _MANY)
                for row in find_by_hash(c, wanted, column, chunk)
            ]
        )

    def related(
        self, emails: Iterable[str], candidates: Iterable[str]
    ) -> tuple[SubmissionRecord, ...]:
        """Return the submissions, of any run and state, that have one of these keyed hashes.

        Args:
            emails: hashes of normalised e-mail addresses.
            candidates: hashes of candidate ids.
        """
        s = submissions.c
        found = [*self._records(s.email, emails), *self._records(s.candidate, candidates)]
        return tuple({each.key: each for each in found}.values())

    def campaigns(self) -> tuple[str, ...]:
        """Return every campaign of a planned submission, as it was spelled, sorted."""
        wanted = select(campaigns.c.name).order_by(campaigns.c.name)
        return self._database.read(lambda c: tuple(c.scalars(wanted)))

    # ---- while sending -----------------------------------------------------------------------

    def sendable(self, run: str, limit: int | None = None) -> list[str]:
        """Return the keys that a run may still send, by file and row.

        Args:
            run: the id of the run.
            limit: how many; None for all.
        """
        s = submissions.c
        wanted = select(s.key).where(*sendable_by(run)).order_by(s.source, s.row).limit(limit)
        return self._database.read(lambda c: list(c.scalars(wanted)))

    def unfinished(self, run: str) -> list[str]:
        """Return the keys that a run may still send, now or after reconciliation; in any order."""
        s = submissions.c
        wanted = select(s.key).where(s.run == run, among(s.state, SENDABLE | OPEN))
        return self._database.read(lambda c: list(c.scalars(wanted)))

    def count_sendable(self, run: str, since: datetime | None = None) -> int:
        """Return how many submissions a run may still send.

        Args:
            run: the id of the run.
            since: UTC; leave out those that were given up since then.
        """
        wanted = select(func.count()).select_from(submissions).where(*sendable_by(run))
        if since is not None:  # two counts: planned rows are counted in the index alone
            planned = wanted.where(among(submissions.c.state, {State.PLANNED}))
            given_up = wanted.where(among(submissions.c.state, {State.UNSENT}), not_given_up(since))
            wanted = select(planned.scalar_subquery() + given_up.scalar_subquery())
        return self._database.read(lambda c: c.scalar(wanted) or 0)

    def intend(self, run: str, keys: Sequence[str]) -> tuple[bool, ...]:
        """Make the intent to send durable; return for each key whether its request may leave."""
        return self.record(run, keys, ())[0]

    def settle(self, run: str, settlements: Sequence[Settlement]) -> tuple[State | None, ...]:
        """Write how attempts ended; return each written state, None if it was refused."""
        return self.record(run, (), settlements)[1]

    def record(
        self, run: str, keys: Sequence[str], settlements: Sequence[Settlement]
    ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
        """Write how attempts ended, and then the intents of others, in one transaction.

        Args:
            run: the run of these submissions.
            keys: the keys to send, at most a few thousand.
            settlements: a few thousand at most, each key once.

        Returns:
            For each key, whether its request may leave; it must not if the person has opted out,
            and is then written as rejected. For each settlement, the state that was
            written, None if it was refused; see `importer.ledger.tables.may_settle`. A `created`
            submission whose conversation belongs to another one is written as doubtful; so is a
            `duplicate` of another person's, or as rejected if an error named the conversation.
        """

        def write(
            connection: Connection,
        ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
            now = self._now()
            written = _settle(connection, run, settlements, now)
            reject_opted_out(connection, run, keys, now)
            return _intend(connection, run, keys, now), written

        # A copy without these intents would send them again, so it must count as older.
        return self._database.write("record", write, counted=bool(keys), unsynced=True)

    def recover(self, run: str | None = None) -> int:
        """Mark attempts that a crash left open as doubtful; return how many.

        The caller must hold the ledger's lock.

        Args:
            run: the id of a run; None for every run.
        """
        state = submissions.c.state
        left_open = [
            among(state, OPEN),
            state == State.SENDING.value,
        ]  # the first condition makes the index usable
        if run is not None:
            left_open.append(submissions.c.run == run)
        recovered = (
            update(submissions)
            .where(*left_open)
            .values(
                state=State.DOUBTFUL.value,
                code=INTERRUPTED,
                message="The import was interrupted before an answer came.",
                settled_at=self._now(),
            )
        )
        return self._database.write("recover", lambda c: c.execute(recovered).rowcount)


def sendable_by(run: str) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a run may send a submission."""
    return submissions.c.run == run, among(submissions.c.state, SENDABLE)


def not_given_up(since: datetime) -> ColumnElement[bool]:
    """Return the condition that a submission was not given up since a time."""
    s = submissions.c
    return or_(s.state != State.UNSENT.value, s.settled_at.is_(None), s.settled_at < since)


def _opted_out(
    columns: ReadOnlyColumnCollection[str, Column[Any]],
) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a person opted out, in the words of its index."""
    out = literal_column(f"'{OPTED_OUT}'", String)
    return columns.remote_status.is_not(None), func.upper(columns.remote_status) == out


WHO_OPTED_OUT: Final = select(OTHER.person).where(
    OTHER.person > "", among(OTHER.state, REACHED), *_opted_out(OTHER)
)
"""People who opted out.

Without the words of `reached`, SQLite cannot read the index of everybody who was contacted.
"""

CAMPAIGN: Final = (
    select(campaigns.c.name).where(campaigns.c.id == submissions.c.campaign).scalar_subquery()
)
"""The name of a submission's campaign."""

RECORD: Final = (
    submissions.c.key, submissions.c.state, submissions.c.run,
    func.coalesce(run_sources.c.name, ""), submissions.c.row, CAMPAIGN,
    submissions.c.external_id, submissions.c.person, submissions.c.email, submissions.c.candidate,
    submissions.c.name,
    submissions.c.masked, submissions.c.body_hash, submissions.c.conversation_id,
    submissions.c.status, submissions.c.code, submissions.c.message, submissions.c.attempts,
    func.coalesce(submissions.c.resends, 0), submissions.c.sent_at, submissions.c.settled_at,
    submissions.c.remote_status, submissions.c.remote_at, submissions.c.decided_by,
    submissions.c.meeting_state, submissions.c.meeting_at,
)  # fmt: skip
"""The columns of a `SubmissionRecord`, in its order; `OF_FILE` joins the name of the file."""

OF_FILE: Final = and_(
    run_sources.c.run == submissions.c.run, run_sources.c.position == submissions.c.source
)

_SEEN: Final = {state.value: as_seen(state) for state in State}


def select_records() -> Select[Any]:
    """Return the query for `RECORD`; the caller adds the conditions."""
    return select(*RECORD).join_from(submissions, run_sources, OF_FILE, isouter=True)


def read_record(values: Sequence[Any]) -> SubmissionRecord:
    """Return the record in a row of the database; the row begins with the columns of `RECORD`."""
    return SubmissionRecord(values[0], _SEEN[values[1]], *values[2:])


def _known(values: Sequence[Any]) -> KnownSubmission:
    return KnownSubmission(values[0], _SEEN[values[1]], *values[2:])


def _newest(
    found: Iterable[SubmissionRecord], at: Callable[[SubmissionRecord], datetime | None]
) -> dict[str, SubmissionRecord]:
    """Return the newest submission of each person."""
    newest: dict[str, SubmissionRecord] = {}
    for each in found:
        known = newest.get(each.person)
        if known is None or (at(known) or _NEVER) < (at(each) or _NEVER):
            newest[each.person] = each
    return newest


HAS_OPTED_OUT: Final = (
    select(1)
    .where(OTHER.person == submissions.c.person, reached(OTHER.state), *_opted_out(OTHER))
    .exists()
)
"""The condition that a submission's person has opted out of any conversation."""


def build_rejection(code: Code, condition: ColumnElement[bool]) -> Update:
    """Return the statement that rejects what a run may send of `b_keys` if a condition holds."""
    s = submissions.c
    found = s.key.in_(bindparam("b_keys", expanding=True)), s.run == bindparam("b_run")
    return (
        update(submissions)
        .where(*found, among(s.state, SENDABLE), condition)
        .values(
            state=State.REJECTED.value,
            code=code.value,
            message=WORDS[code].fix,
            settled_at=bindparam("b_now"),
        )
    )


# Statements are compiled once: compiling them each time costs more than running them.
_LEAVE: Final = (
    update(submissions)
    .where(
        submissions.c.key.in_(bindparam("b_keys", expanding=True)),
        submissions.c.run == bindparam("b_run"),
        among(submissions.c.state, SENDABLE),
    )
    .values(
        state=State.SENDING.value,
        attempts=submissions.c.attempts + 1,
        sent_at=bindparam("b_now"),
        code="",
        message="",
        status=None,
        sender=WITHOUT_LEASE,
    )
    .returning(submissions.c.key, submissions.c.attempts, submissions.c.id)
)
_REJECT_OPTED_OUT: Final = build_rejection(Code.OPTED_OUT, HAS_OPTED_OUT)
_START_ATTEMPT: Final = insert(attempts)
_STANDING: Final = (
    select(submissions.c.key, submissions.c.state, submissions.c.attempts, submissions.c.person)
    .where(
        submissions.c.key.in_(bindparam("b_keys", expanding=True)),
        submissions.c.run == bindparam("b_run"),
    )
    .with_for_update()
)
_OWNERS: Final = select(
    submissions.c.conversation_id,
    submissions.c.key,
    submissions.c.run,
    submissions.c.row,
    submissions.c.person,
).where(submissions.c.conversation_id.in_(bindparam("b_ids", expanding=True)))
_SETTLE: Final = (
    update(submissions)
    .where(submissions.c.key == bindparam("b_key"), submissions.c.run == bindparam("b_run"))
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in ("state", "status", "conversation_id", "code", "message", "settled_at")
        }
    )
)


def id_of_campaign(name: str) -> ScalarSelect[Any]:
    """Return the query for the number of a campaign in this ledger."""
    return select(campaigns.c.id).where(campaigns.c.name == name).scalar_subquery()


def id_of_key(key: ColumnElement[Any] | str) -> ScalarSelect[Any]:
    """Return the query for a submission's number in this ledger."""
    return select(submissions.c.id).where(submissions.c.key == key).scalar_subquery()


_END_ATTEMPT: Final = (
    update(attempts)
    .where(
        and_(
            attempts.c.submission == id_of_key(bindparam("b_key")),
            attempts.c.run == bindparam("b_run"),
            attempts.c.number == bindparam("b_number"),
        )
    )
    .values(
        {name: bindparam(f"b_{name}") for name in ("duration_s", "status", "code", "request_id")}
    )
)


def reject_opted_out(connection: Connection, run: str, keys: Sequence[str], now: datetime) -> None:
    """Reject submissions of people who have opted out, perhaps since the run began."""
    if keys:
        connection.execute(_REJECT_OPTED_OUT, {"b_keys": keys, "b_run": run, "b_now": now})


def _intend(
    connection: Connection, run: str, keys: Sequence[str], now: datetime
) -> tuple[bool, ...]:
    """Move submissions to `sending`. This is the last defence against sending twice.

    A key is refused if it is neither planned nor unsent, belongs to another run, or repeats.
    """
    if not keys:
        return ()
    moved = connection.execute(_LEAVE, {"b_keys": keys, "b_run": run, "b_now": now}).all()
    if moved:
        connection.execute(
            _START_ATTEMPT,
            [
                {"submission": id_, "run": run, "number": number, "started_at": now, "code": ""}
                for _, number, id_ in moved
            ],
        )
    rest = {row.key for row in moved}
    granted = []
    for key in keys:
        granted.append(key in rest)
        rest.discard(key)  # a second intent for it is refused
    return tuple(granted)


def _settle(
    connection: Connection, run: str, settlements: Sequence[Settlement], now: datetime
) -> tuple[State | None, ...]:
    if not settlements:
        return ()
    keys = [each.key for each in settlements]
    found = connection.execute(_STANDING, {"b_keys": keys, "b_run": run}).all()
    standing = {key: (State(state), number) for key, state, number, _ in found}
    duplicates = {each.key for each in settlements if each.state is State.DUPLICATE}
    owners = conversation_owners(
        connection,
        [
            (each.key, each.conversation_id)
            for each in settlements
            if each.state in _CLAIMING and each.conversation_id
        ],
        {key: person for key, _, _, person in found if key in duplicates},
    )
    values, written = [], list[State | None]()
    for each in settlements:
        if each.key not in standing or not may_settle(standing[each.key][0], each.state):
            written.append(None)
            continue
        before, number = standing[each.key]
        value = _values(run, each, number, now)
        if each.key in owners:
            refused = before is State.SENDING and is_refused(each)
            value |= {
                "b_state": (State.REJECTED if refused else State.DOUBTFUL).value,
                "b_conversation_id": None,
                "b_code": CONVERSATION_OF_ANOTHER,
                "b_message": owners[each.key],
            }
        values.append(value)
        written.append(State(value["b_state"]))
    if values:
        connection.execute(_SETTLE, values)
        connection.execute(_END_ATTEMPT, values)
    return tuple(written)


_CLAIMING: Final = frozenset({State.CREATED, State.DUPLICATE})


def is_refused(end: Settlement) -> bool:
    """Whether a duplicate was told by an error, so that the request made no conversation."""
    return end.state is State.DUPLICATE and end.status is not None and end.status >= _ERRORS_FROM


_ERRORS_FROM: Final = 400  # HTTP


def conversation_owners(
    connection: Connection,
    claimed: Sequence[tuple[str, str]],
    persons: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Find submissions that claim another one's conversation; return key -> a sentence about it.

    Args:
        connection: a connection in a transaction.
        claimed: key and conversation id, in the order in which they are written.
        persons: of the keys that may have a conversation of the same person's other submissions.
    """
    if not claimed:
        return {}
    owned: dict[str, set[str]] = {}
    where: dict[tuple[str, str], str] = {}
    whose = dict(persons)
    for chunk in chunks(each for _, each in claimed):
        for conversation, key, run, row, person in connection.execute(_OWNERS, {"b_ids": chunk}):
            owned.setdefault(conversation, set()).add(key)
            where[conversation, key] = f"row {row} of run {run}"
            whose[key] = person
    found: dict[str, str] = {}
    for key, conversation in claimed:
        own = (
            {key} if key not in persons else {each for each in whose if whose[each] == persons[key]}
        )
        others = sorted(owned.get(conversation, set()) - own)
        if others:
            place = where.get((conversation, others[0]), "another row")
            found[key] = f"The API named the conversation that {place} already has."
        else:
            owned.setdefault(conversation, set()).add(key)
    return found


def _values(run: str, end: Settlement, number: int, now: datetime) -> dict[str, Any]:
    return {
        "b_key": end.key,
        "b_run": run,
        "b_number": number,
        "b_state": end.state.value,
        "b_status": end.status,
        "b_conversation_id": end.conversation_id,
        "b_code": end.code,
        "b_message": end.message,
        "b_settled_at": None if end.state is State.PLANNED else now,
        "b_duration_s": end.duration_s,
        "b_request_id": end.request_id or None,
    }
