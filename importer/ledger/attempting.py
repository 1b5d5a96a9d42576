"""What surrounds a request: the intent before it, the end after it, and what a crash left open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, insert, select, update

from importer.ledger.states import OPEN, SENDABLE, may_settle
from importer.ledger.tables import among, attempts, submissions
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from importer.ledger.records import Settlement

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
