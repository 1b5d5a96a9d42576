"""After a run: what became of its conversations, and what is forgotten in time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, func, select, update

from importer.ledger import claims, nights
from importer.ledger.tables import OPEN, among, run_sources, runs, submissions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection


_BACKUP: Final = re.compile(r"-before-\d+-(\d{8}T\d{6})Z$")


def conversations(connection: Connection, run: str | None, limit: int | None) -> tuple[str, ...]:
    """Ids of conversations that the ledger knows, those made last first.

    Args:
        connection: in a transaction.
        run: None for those of every run.
        limit: None for all.
    """
    s = submissions.c
    wanted = select(s.conversation_id).where(s.conversation_id.is_not(None))
    if run is not None:
        wanted = wanted.where(s.run == run)
    return tuple(connection.scalars(wanted.order_by(s.settled_at.desc(), s.key).limit(limit)))


def refreshed(connection: Connection, statuses: Mapping[str, str], *, now: datetime) -> int:
    """Writes the present statuses of conversations, and says of how many it did.

    Args:
        connection: in a writing transaction.
        statuses: conversation id -> status as the API spells it.
        now: UTC.
    """
    if not statuses:
        return 0
    return connection.execute(
        update(submissions)
        .where(submissions.c.conversation_id == bindparam("b_conversation"))
        .values(remote_status=bindparam("b_status"), remote_at=now),
        [{"b_conversation": each, "b_status": status} for each, status in statuses.items()],
    ).rowcount


def purge(connection: Connection, before: datetime) -> int:
    """Removes what only people need to read, and says from how many submissions.

    Masked text, messages and external ids go, and the names and places of the files of runs that
    have nothing doubtful left. What keeps anybody from being contacted twice stays: key, person,
    state, times, conversation. Doubtful submissions stay whole.

    Args:
        connection: in a writing transaction.
        before: UTC; younger submissions stay as they are.
    """
    s = submissions.c
    purged = connection.execute(
        update(submissions)
        .where(
            func.coalesce(s.settled_at, s.sent_at, s.planned_at) < before,
            ~among(s.state, OPEN),
            (s.masked != "") | (s.message != "") | (s.external_id != ""),
        )
        .values(masked="", message="", external_id="")
    ).rowcount
    old = select(runs.c.id).where(func.coalesce(runs.c.finished_at, runs.c.started_at) < before)
    doubted = select(s.run).where(among(s.state, OPEN))
    connection.execute(
        update(run_sources)
        .where(run_sources.c.run.in_(old), run_sources.c.run.not_in(doubted))
        .values(name="", path=None)
    )
    nights.forget(connection, before)
    claims.forget(connection, before)
    return purged


def drop_backups(path: Path, before: datetime) -> tuple[str, ...]:
    """Deletes backups of a SQLite ledger made before a time; they hold what `purge` removes."""
    dropped = []
    for backup in sorted(path.parent.glob(f"{path.name}-before-*")):
        made = _BACKUP.search(backup.name)
        if made and datetime.strptime(made[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) < before:
            backup.unlink()
            dropped.append(backup.name)
    return tuple(dropped)
