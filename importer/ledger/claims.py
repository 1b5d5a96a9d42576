"""Claims on files of remote inboxes: one unique row for each, written before the file is fetched.

An object store cannot rename atomically, so the ledger says which night has a file. A claim that a
dead process left open is continued by the next night that has locked the inbox.
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
    """A file of a remote inbox that a night has taken.

    Attributes:
        inbox: its address, without a password.
        path: of the file, relative to the inbox.
        version: distinguishes it from other files at the same path.
        claimed_at: UTC.
        holder: host and process that took it last.
        place: where it is in the staging folder, relative to that; empty before it is fetched.
        sha256: hex digest of its bytes; empty before it is fetched.
        returned_at: UTC; when all results were back in the inbox; None until then.
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
    """The claims. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, inbox: str) -> tuple[Claim, ...]:
        """The unfinished claims of an inbox, in order of path."""
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
        """Write a claim before its file is fetched; False if that version is claimed already.

        A finished claim may be taken again: the same file was put there once more.
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

    def note_fetched(self, claim: Claim, place: str, sha256: str) -> None:
        """Write where in the staging folder a claimed file will be."""
        self._change(claim, place=place, sha256=sha256, holder=claim.holder)

    def note_returned(self, claim: Claim, now: datetime) -> None:
        """Write that all results of a claimed file are back in the inbox."""
        self._change(claim, returned_at=now)

    def drop(self, claim: Claim) -> None:
        """Remove a claim whose file disappeared before it was fetched."""
        gone = delete(claims).where(_same(claim))
        self._database.write("claim-drop", lambda connection: connection.execute(gone))

    def _change(self, claim: Claim, **values: object) -> None:
        changed = update(claims).where(_same(claim)).values(**values)
        self._database.write("claim-change", lambda connection: connection.execute(changed))


def forget(connection: Connection, before: datetime) -> None:
    """Remove claims finished before a time: a path may contain a name."""
    c = claims.c
    connection.execute(delete(claims).where(c.returned_at.is_not(None), c.returned_at < before))


def _same(claim: Claim) -> ColumnElement[bool]:
    c = claims.c
    return and_(c.inbox == claim.inbox, c.path == claim.path, c.version == claim.version)


def _claim(row: Row[Any]) -> Claim:
    return Claim(**{name: getattr(row, name) for name in Claim.__slots__})
