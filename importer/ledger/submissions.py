"""What the ledger knows of submissions and people, by key and by person, in bulk."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, func, insert, select, update

from importer.ledger.records import Contact, Standing
from importer.ledger.tables import (
    OPEN,
    REACHED,
    SENDABLE,
    among,
    as_seen,
    attempts,
    may_settle,
    run_rows,
    run_sources,
    submissions,
)
from importer.model import RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Select

    from importer.ledger.records import Settlement


OPTED_OUT: Final = "OPTED_OUT"
"""The status of a conversation whose person wants no more of it, as the API spells it."""

_CHUNK: Final = 5_000
_OTHER: Final = submissions.alias("other").c


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in lists that one statement can take."""
    rest = iter(values)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def is_empty(connection: Connection) -> bool:
    """Whether nothing was ever planned."""
    return connection.execute(select(submissions.c.key).limit(1)).first() is None


def standing(connection: Connection, keys: Iterable[str]) -> dict[str, Standing]:
    """Where the submissions of these keys stand; a key that is not known is left out."""
    s = submissions.c
    wanted = select(
        s.key, s.state, s.run, func.coalesce(s.settled_at, s.sent_at, s.planned_at), s.source,
        s.row, s.body_hash, s.conversation_id, s.code, s.message, s.remote_status,
    )  # fmt: skip
    names = _Names(connection)
    found: dict[str, Standing] = {}
    for chunk in chunks(keys):
        for key, state, run, at, source, row, *rest in connection.execute(
            wanted.where(s.key.in_(chunk))
        ):
            body_hash, conversation_id, code, message, remote_status = rest
            found[key] = Standing(
                key=key,
                state=as_seen(State(state)),
                run=run,
                at=at,
                source=names.of(run, source),
                row=row,
                body_hash=body_hash,
                conversation_id=conversation_id,
                code=code,
                message=message,
                remote_status=remote_status,
            )
    return found


def contacted(
    connection: Connection, persons: Iterable[str], since: datetime
) -> dict[str, Contact]:
    """Who of these people was contacted since then, or may have been, and when last."""
    s = submissions.c
    return _latest(
        connection,
        persons,
        select(s.person, s.sent_at, s.run, s.campaign).where(
            among(s.state, REACHED), s.sent_at >= since
        ),
    )


def opted_out(connection: Connection, persons: Iterable[str]) -> dict[str, Contact]:
    """Who of these people opted out of any conversation, and when that was learnt."""
    s = submissions.c
    return _latest(
        connection,
        persons,
        select(s.person, s.remote_at, s.run, s.campaign).where(
            among(s.state, REACHED), func.upper(s.remote_status) == OPTED_OUT
        ),
    )


def contacted_by_others(connection: Connection, run: str, since: datetime) -> list[str]:
    """The keys that a run still has to send to people whom other runs contacted since then."""
    return _unsent_to(connection, run, _OTHER.sent_at >= since, _OTHER.run != run)


def opted_out_since(connection: Connection, run: str) -> list[str]:
    """The keys that a run still has to send to people who have opted out of any conversation."""
    return _unsent_to(connection, run, func.upper(_OTHER.remote_status) == OPTED_OUT)


def _unsent_to(connection: Connection, run: str, *reached: ColumnElement[bool]) -> list[str]:
    """The keys that a run still has to send to people of whom another submission is such."""
    s = submissions.c
    people = select(_OTHER.person).where(among(_OTHER.state, REACHED), *reached)
    wanted = select(s.key).where(s.run == run, among(s.state, SENDABLE), s.person.in_(people))
    return list(connection.scalars(wanted))


def _latest(
    connection: Connection,
    persons: Iterable[str],
    wanted: Select[str, datetime, str, str],
) -> dict[str, Contact]:
    """The latest of what is wanted of each person."""
    found: dict[str, Contact] = {}
    for chunk in chunks(persons):
        for person, at, run, campaign in connection.execute(
            wanted.where(submissions.c.person.in_(chunk))
        ):
            if person not in found or found[person].at < at:
                found[person] = Contact(at=at, run=run, campaign=campaign)
    return found


def sendable(connection: Connection, run: str) -> list[str]:
    """The keys that a run still has to send, in order of file and row."""
    return list(
        connection.scalars(
            select(submissions.c.key)
            .join_from(run_rows, submissions, run_rows.c.key == submissions.c.key)
            .where(
                run_rows.c.run == run,
                run_rows.c.status == RowStatus.READY.value,
                submissions.c.run == run,
                among(submissions.c.state, SENDABLE),
            )
            .order_by(run_rows.c.source, run_rows.c.row)
        )
    )


class _Names:
    """Names of files, asked for once each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, dict[int, str]] = {}

    def of(self, run: str, position: int) -> str:
        """The name of a file of a run."""
        if run not in self._known:
            rows = self._connection.execute(
                select(run_sources.c.position, run_sources.c.name).where(run_sources.c.run == run)
            )
            self._known[run] = {number: name for number, name in rows}  # noqa: C416 - a Row is no pair to mypy
        return self._known[run].get(position, "")


INTERRUPTED = "interrupted"
"""The code of a submission whose attempt nobody saw the end of."""


# Statements are made once: to make them anew costs more than the database takes for them.
_LEAVE = (
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
    )
    .returning(submissions.c.key, submissions.c.attempts)
)
_BEGIN = insert(attempts)
_STANDING = (
    select(submissions.c.key, submissions.c.state, submissions.c.attempts)
    .where(
        submissions.c.key.in_(bindparam("b_keys", expanding=True)),
        submissions.c.run == bindparam("b_run"),
    )
    .with_for_update()
)


def intend(
    connection: Connection, run: str, keys: Sequence[str], *, now: datetime
) -> tuple[bool, ...]:
    """Moves submissions of a run to `sending`; the last line of defence against sending twice.

    Args:
        connection: in a writing transaction.
        run: that means to send.
        keys: of the submissions; few thousand at most.
        now: UTC.

    Returns:
        For each key whether its request may leave, once the transaction is durable. A key that
        is not planned or unsent, belongs to another run, or stands twice among `keys`, may not.
    """
    if not keys:
        return ()
    moved = connection.execute(_LEAVE, {"b_keys": keys, "b_run": run, "b_now": now}).all()
    if moved:
        connection.execute(
            _BEGIN,
            [
                {"key": key, "run": run, "number": number, "started_at": now, "code": ""}
                for key, number in moved
            ],
        )
    rest = {key for key, _ in moved}
    granted = []
    for key in keys:
        granted.append(key in rest)
        rest.discard(key)  # a second intent for it is refused
    return tuple(granted)


_MOVE = (
    update(submissions)
    .where(submissions.c.key == bindparam("b_key"), submissions.c.run == bindparam("b_run"))
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in ("state", "status", "conversation_id", "code", "message", "settled_at")
        }
    )
)
_END = (
    update(attempts)
    .where(
        and_(
            attempts.c.key == bindparam("b_key"),
            attempts.c.run == bindparam("b_run"),
            attempts.c.number == bindparam("b_number"),
        )
    )
    .values(
        {name: bindparam(f"b_{name}") for name in ("duration_s", "status", "code")},
    )
)


def settle(
    connection: Connection, run: str, settlements: Sequence[Settlement], *, now: datetime
) -> tuple[bool, ...]:
    """Writes how attempts ended.

    Args:
        connection: in a writing transaction.
        run: whose attempts they were.
        settlements: few thousand at most, each key once.
        now: UTC.

    Returns:
        For each whether it was written: whether its submission belongs to the run and its state
        may be followed by the new one.
    """
    if not settlements:
        return ()
    keys = [each.key for each in settlements]
    found = connection.execute(_STANDING, {"b_keys": keys, "b_run": run})
    standing = {key: (State(state), number) for key, state, number in found}
    written = tuple(
        each.key in standing and may_settle(standing[each.key][0], each.state)
        for each in settlements
    )
    values = [
        _values(run, each, standing[each.key][1], now)
        for each, may in zip(settlements, written, strict=True)
        if may
    ]
    if values:
        connection.execute(_MOVE, values)
        connection.execute(_END, values)
    return written


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
    }


def recover(connection: Connection, run: str | None, *, now: datetime) -> int:
    """Turns attempts that nobody saw the end of into doubtful ones, and counts them.

    Args:
        connection: in a writing transaction, in a process that holds the ledger.
        run: None for those of every run.
        now: UTC.
    """
    state = submissions.c.state
    wanted = [among(state, OPEN), state == State.SENDING.value]  # the first finds the index
    if run is not None:
        wanted.append(submissions.c.run == run)
    return connection.execute(
        update(submissions)
        .where(*wanted)
        .values(
            state=State.DOUBTFUL.value,
            code=INTERRUPTED,
            message="The import was cut off before an answer came.",
            settled_at=now,
        )
    ).rowcount
