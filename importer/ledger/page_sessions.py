"""Sessions of people on the recruiter's page: kept here, so that they end when we say so."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update

from importer.ledger.tables import sessions

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Row

    from importer.ledger.database import Database


def hash_session(secret: str, auth: str) -> str:
    """Return the id of a session: a hash of the secret in its cookie.

    Args:
        secret: in the cookie.
        auth: the setting of that name. Under another one the session is unknown, because roles
            depend on how a person signed in.
    """
    return sha256(f"{auth}:{secret}".encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class PageSession:
    """A person who is signed in.

    Attributes:
        id: `hash_session` of the secret in the cookie.
        name: the user name.
        email: empty if unknown.
        groups: of the person when the session started.
        started_at: UTC.
        seen_at: UTC; about when the session was last used.
    """

    id: str
    name: str
    email: str
    groups: frozenset[str]
    started_at: datetime
    seen_at: datetime


class PageSessions:
    """Start, find and end sessions. Each method is one transaction.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, session: PageSession, *, replaces: str = "") -> None:
        """Write a new session; end the one that it replaces, if any."""
        values = {name: getattr(session, name) for name in PageSession.__slots__}
        values["groups"] = sorted(session.groups)

        def write(connection: Connection) -> None:
            if replaces:
                connection.execute(delete(sessions).where(sessions.c.id == replaces))
            connection.execute(insert(sessions), values)

        self._database.write("session", write)

    def find(self, session_id: str) -> PageSession | None:
        """Return a session; None if there is none."""
        wanted = select(sessions).where(sessions.c.id == session_id)
        row = self._database.read(lambda c: c.execute(wanted).one_or_none())
        return None if row is None else _session(row)

    def note_seen(self, session_id: str, now: datetime) -> None:
        """Write when a session was used."""
        change = update(sessions).where(sessions.c.id == session_id).values(seen_at=now)
        self._database.write("session-seen", lambda c: c.execute(change))

    def end(self, session_ids: Collection[str]) -> None:
        """End sessions."""
        gone = delete(sessions).where(sessions.c.id.in_(list(session_ids)))
        self._database.write("session-end", lambda c: c.execute(gone))

    def end_expired(self, now: datetime, *, idle: timedelta, lifetime: timedelta) -> None:
        """End sessions that were not used for `idle`, or started `lifetime` ago."""
        s = sessions.c
        gone = delete(sessions).where(or_(s.seen_at < now - idle, s.started_at < now - lifetime))
        self._database.write("session-expire", lambda c: c.execute(gone))

    def list(self) -> tuple[PageSession, ...]:
        """Return every session, the last used one first."""
        wanted = select(sessions).order_by(sessions.c.seen_at.desc(), sessions.c.id)
        return self._database.read(lambda c: tuple(map(_session, c.execute(wanted))))


def _session(row: Row[Any]) -> PageSession:
    values = {name: getattr(row, name) for name in PageSession.__slots__}
    return PageSession(**{**values, "groups": frozenset(row.groups)})
