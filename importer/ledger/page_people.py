"""The people of the recruiter's page: their sessions, and the audit trail of what they did.

Sessions are stored here, so that they can be ended at once. The audit trail names no candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, or_, select, update

from importer.ledger.tables import audit_events, sessions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Row, Select

    from importer.ledger.database import Database


def hash_session(secret: str, auth: str) -> str:
    """Return the id of a session: a hash of the secret in its cookie.

    Args:
        secret: the secret in the cookie.
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
        groups: the groups of the person when the session started.
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


_PAGE: Final = 1_000
"""Events that are read at a time, so that an export of any length needs little memory."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that a person did on the page.

    Attributes:
        at: UTC.
        name: the name of the person; empty once purged.
        email: the e-mail of the person; empty if unknown or purged.
        session: the first characters of the session's id.
        action: such as `list-uploaded`.
        list: id of the list that it concerns; empty for none.
        run: id of the run that it concerns; empty for none.
        row: spreadsheet row that it concerns, or None.
        column: canonical column that it concerns; empty for none.
        plan_hash: the hash of the plan that it concerns, hex; empty for none.
        number: position in the trail; 0 until it is written.
    """

    at: datetime
    name: str
    email: str
    session: str
    action: str
    list: str = ""
    run: str = ""
    row: int | None = None
    column: str = ""
    plan_hash: str = ""
    number: int = 0


class AuditTrail:
    """Append and read events. Nothing on the page changes or deletes one.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, event: AuditEvent) -> None:
        """Write an event."""
        values = {name: getattr(event, name) for name in AuditEvent.__slots__ if name != "number"}
        self._database.write("audit", lambda c: c.execute(insert(audit_events), values))

    def newest(self, limit: int, *, before: int | None = None) -> tuple[AuditEvent, ...]:
        """Return the newest events, newest first.

        Args:
            limit: how many.
            before: only events with a smaller number.
        """
        wanted = select(audit_events).order_by(audit_events.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(audit_events.c.number < before)
        return self._read(wanted)

    def of_person(self, name: str, email: str, limit: int) -> tuple[AuditEvent, ...]:
        """Return the newest events of a person, newest first."""
        e = audit_events.c
        wanted = select(audit_events).where(e.name == name, e.email == email)
        return self._read(wanted.order_by(e.number.desc()).limit(limit))

    def all(self) -> Iterator[AuditEvent]:
        """Yield every event, oldest first."""
        last = 0
        e = audit_events.c
        while found := self._read(
            select(audit_events).where(e.number > last).order_by(e.number).limit(_PAGE)
        ):
            yield from found
            last = found[-1].number

    def _read(self, wanted: Select[Any]) -> tuple[AuditEvent, ...]:
        return self._database.read(lambda c: tuple(map(_event, c.execute(wanted))))


def _event(row: Row[Any]) -> AuditEvent:
    return AuditEvent(**{name: getattr(row, name) for name in AuditEvent.__slots__})


def forget_people(connection: Connection, before: datetime) -> None:
    """Remove the names of people from events before a time; the events stay."""
    old = update(audit_events).where(audit_events.c.at < before)
    connection.execute(old.values(name="", email="", session=""))
