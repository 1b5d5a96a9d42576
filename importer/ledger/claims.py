"""Which files of remote inboxes were claimed: one row each, unique, written before any fetch.

An object store renames nothing at once, so the ledger says whose a file is. A claim that a process
left open is taken up by the next night that holds the inbox's lock: nobody else works there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from importer.ledger.tables import claims

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from importer.ledger.database import Database


@dataclass(frozen=True, slots=True)
class Claim:
    """A file of a remote inbox that a night took.

    Attributes:
        inbox: its address, without a password.
        path: of the file, relative to the inbox.
        version: what tells it from another file at the same path.
        claimed_at: UTC.
        holder: host and process that took it last.
        place: where it lies on that night's desk, relative to it; empty before it is fetched.
        sha256: hex digest of its bytes; empty before it is fetched.
        returned_at: UTC; when the inbox had all that was made of it; None until then.
    """

    inbox: str
    path: str
    version: str
    claimed_at: datetime
    holder: str
    place: str = ""
    sha256: str = ""
    returned_at: datetime | None = None


class Claims:
    """The questions and changes; each is one transaction and raises LedgerError where it fails.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, inbox: str) -> tuple[Claim, ...]:
        """The claims of an inbox that have not been brought to an end, in order of path."""
        c = claims.c
        wanted = (
            select(claims)
            .where(c.inbox == inbox, c.returned_at.is_(None))
            .order_by(c.path, c.version)
        )
        return self._database.read(
            lambda connection: tuple(map(_claim, connection.execute(wanted)))
        )

    def take(self, claim: Claim) -> bool:
        """Writes a claim before its file is fetched; says whether it is ours.

        It is not where the same version is claimed already. One that was brought to an end may be
        claimed again: the same file was put there once more.
        """
        values = {name: getattr(claim, name) for name in Claim.__slots__}

        def write(connection: Connection) -> bool:
            again = update(claims).where(_same(claim), claims.c.returned_at.is_not(None))
            if connection.execute(again.values(**values)).rowcount:
                return True
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            new = insert(claims).values(**values).on_conflict_do_nothing()
            return connection.execute(new.returning(claims.c.path)).first() is not None

        return self._database.write("claim", write)

    def fetched(self, claim: Claim, place: str, sha256: str) -> None:
        """Writes where on the desk a claimed file is about to lie."""
        self._change(claim, place=place, sha256=sha256, holder=claim.holder)

    def returned(self, claim: Claim, now: datetime) -> None:
        """Writes that the inbox has all that was made of a claimed file."""
        self._change(claim, returned_at=now)

    def drop(self, claim: Claim) -> None:
        """Forgets a claim whose file was taken away before anybody fetched it."""
        gone = delete(claims).where(_same(claim))
        self._database.write("claim-drop", lambda connection: connection.execute(gone))

    def _change(self, claim: Claim, **values: object) -> None:
        changed = update(claims).where(_same(claim)).values(**values)
        self._database.write("claim-change", lambda connection: connection.execute(changed))


def forget(connection: Connection, before: datetime) -> None:
    """Removes what was brought to an end before a time: a path may be called by a name."""
    c = claims.c
    connection.execute(delete(claims).where(c.returned_at.is_not(None), c.returned_at < before))


def _same(claim: Claim) -> ColumnElement[bool]:
    c = claims.c
    return and_(c.inbox == claim.inbox, c.path == claim.path, c.version == claim.version)


def _claim(row: Row[Any]) -> Claim:
    return Claim(**{name: getattr(row, name) for name in Claim.__slots__})
