"""The audit trail of the recruiter's page: who did what, when; nothing of a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select, update

from importer.ledger.tables import audit_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from importer.ledger.database import Database


_PAGE: Final = 1_000
"""Events that are read at a time, so that an export of any length needs little memory."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that a person did on the page.

    Attributes:
        at: UTC.
        name: of the person; empty once purged.
        email: of the person; empty if unknown or purged.
        session: the first characters of the session's id.
        action: such as `list-uploaded`.
        list: id of the list that it concerns; empty for none.
        run: id of the run that it concerns; empty for none.
        row: spreadsheet row that it concerns, or None.
        column: canonical column that it concerns; empty for none.
        plan_hash: of the plan that it concerns, hex; empty for none.
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

    def of_list(self, list_id: str) -> tuple[AuditEvent, ...]:
        """Return the events that concern a list, oldest first."""
        e = audit_events.c
        return self._read(select(audit_events).where(e.list == list_id).order_by(e.number))

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
