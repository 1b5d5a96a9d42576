"""What the ledger knows of submissions and people, by key and by person, in bulk."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from importer.ledger.records import Contact, Standing
from importer.ledger.states import REACHED, SENDABLE, as_seen
from importer.ledger.tables import among, run_rows, run_sources, submissions
from importer.model import RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Select

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
