"""Lists of the recruiter's page and of the queue: state, approvals, and what headers mean.

    uploading -> uploaded -> checking -> open -> (waiting ->) queued -> sending -> done
    sending -> paused | stopped -> queued again; any -> deleted

The state says what there is to do: the page works on lists that are checking, queued or sending,
also after a crash. If workers of the queue are alive, they send those that are queued or sending. A
list without an owner was put into the queue by a command, and only workers send it.
No value of a cell is stored here, and a file's name only masked.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, delete, func, insert, or_, select, update

from importer.ledger.records import Approval, ListState, UploadedList
from importer.ledger.tables import approvals, column_choices, lists

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from importer.ledger.database import Database
    from importer.model import Json


UNSENT: Final = frozenset(
    {ListState.CHECKING, ListState.OPEN, ListState.WAITING, ListState.QUEUED, ListState.PAUSED}
)
"""States of lists whose people may still be contacted."""

WORKING: Final = frozenset({ListState.QUEUED, ListState.SENDING})
"""States of lists that are being sent, or would be if a worker were free."""

QUEUE: Final = ""
"""The owner of the lists that commands put in."""

_NEWEST: Final = (lists.c.uploaded_at.desc(), lists.c.id)


class UploadedLists:
    """Read and change lists. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
        now: the clock; timezone-aware.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    # ---- lists -------------------------------------------------------------------------------

    def add(self, list_id: str, owner: str) -> UploadedList | None:
        """Make a list whose file is about to arrive; None if the id is taken by another person."""
        now = self._now()
        new = {
            "id": list_id,
            "owner": owner,
            "name": "",
            "sha256": "",
            "size": 0,
            "uploaded_at": now,
            "changed_at": now,
            "state": ListState.UPLOADING.value,
            "version": 1,
            "choices": {},
            "counts": {},
            "plan_hash": "",
            "run": None,
            "wish": "",
            "start_at": None,
            "message": "",
        }

        def write(connection: Any) -> UploadedList | None:
            if _read(connection, list_id) is None:
                connection.execute(insert(lists), new)
            known = _read(connection, list_id)
            arriving = {ListState.UPLOADING, ListState.UPLOADED}
            is_theirs = known is not None and known.owner == owner and known.state in arriving
            return known if is_theirs else None

        return self._database.write("list", write)

    def find(self, list_id: str) -> UploadedList | None:
        """Return a list, or None if there is none."""
        return self._database.read(lambda c: _read(c, list_id))

    def list(
        self,
        *,
        owner: str | None = None,
        states: Collection[ListState] | None = None,
        sha256: str = "",
        limit: int = 100,
    ) -> tuple[UploadedList, ...]:
        """Return lists, newest first.

        Args:
            owner: only lists of this person.
            states: only lists in these states; by default all that are not deleted.
            sha256: only lists with this content.
            limit: at most this many.
        """
        wanted = select(lists).order_by(*_NEWEST).limit(limit)
        if states is None:
            wanted = wanted.where(lists.c.state != ListState.DELETED.value)
        else:
            wanted = wanted.where(lists.c.state.in_([state.value for state in states]))
        if owner is not None:
            wanted = wanted.where(lists.c.owner == owner)
        if sha256:
            wanted = wanted.where(lists.c.sha256 == sha256)
        found = self._database.read(lambda c: c.execute(wanted).all())
        return tuple(map(_list, found))

    def count_open(self, owner: str) -> int:
        """Count the lists of a person that are not sent and not deleted."""
        closed = [ListState.DONE, ListState.DELETED, ListState.FAILED, ListState.STOPPED]
        wanted = (
            select(func.count())
            .select_from(lists)
            .where(lists.c.owner == owner, lists.c.state.not_in([each.value for each in closed]))
        )
        return self._database.read(lambda c: c.scalar(wanted) or 0)

    def count_states(self) -> dict[ListState, int]:
        """Return the number of lists in each state."""
        wanted = select(lists.c.state, func.count()).group_by(lists.c.state)
        rows = self._database.read(lambda c: c.execute(wanted).all())
        return {ListState(state): count for state, count in rows}

    def next_job(self, *, sends: bool = True) -> UploadedList | None:
        """Return the list to work on now: what was being sent first, then the oldest one.

        Args:
            sends: whether the caller sends lists. If workers do, the rest is to check lists,
                and to pause or stop those that nobody has begun to send.
        """
        now = self._now()
        state = lists.c.state
        due = or_(lists.c.start_at.is_(None), lists.c.start_at <= now)
        sending = state == ListState.SENDING.value
        work = [
            state == ListState.CHECKING.value,
            and_(state == ListState.QUEUED.value, due if sends else lists.c.wish != ""),
            *([sending] if sends else []),
        ]
        mine = select(lists).where(or_(*work), lists.c.owner != QUEUE)
        first = mine.order_by(case((sending, 0), else_=1), lists.c.changed_at).limit(1)
        found = self._database.read(lambda c: c.execute(first).first())
        return None if found is None else _list(found)

    def next_start(self) -> datetime | None:
        """Return when the next list that waits for its hour starts; None if none does."""
        waits = (lists.c.state == ListState.QUEUED.value, lists.c.owner != QUEUE)
        wanted = select(func.min(lists.c.start_at)).where(*waits)
        found: datetime | None = self._database.read(lambda c: c.scalar(wanted))
        return found

    def change(
        self,
        list_id: str,
        states: Collection[ListState],
        version: int | None = None,
        **values: object,
    ) -> UploadedList | None:
        """Change a list if it is still as the caller saw it.

        Args:
            list_id: the id of the list.
            states: the states in which this change is allowed.
            version: the one that the caller saw; None for any.
            values: new values of its columns.

        Returns:
            The list as it is now; None if nothing was changed.
        """
        wanted: list[ColumnElement[bool]] = [
            lists.c.id == list_id,
            lists.c.state.in_([state.value for state in states]),
        ]
        if version is not None:
            wanted.append(lists.c.version == version)
        changed = (
            update(lists)
            .where(*wanted)
            .values(version=lists.c.version + 1, changed_at=self._now(), **values)
        )

        def write(connection: Any) -> UploadedList | None:
            return _read(connection, list_id) if connection.execute(changed).rowcount else None

        return self._database.write("list", write)

    def note_progress(self, list_id: str, progress: Mapping[str, Json]) -> None:
        """Note how far a list is that is being sent; its version stays, because nobody decided.

        Args:
            list_id: the id of the list.
            progress: for `counts`, under the name `progress`.
        """
        mine = (lists.c.id == list_id, lists.c.state == ListState.SENDING.value)
        wanted = select(lists.c.counts).where(*mine).with_for_update()

        def write(connection: Connection) -> None:
            counts = connection.scalar(wanted)
            if counts is not None:
                values = {"counts": {**counts, "progress": dict(progress)}}
                connection.execute(update(lists).where(*mine).values(values))

        self._database.write("progress", write)

    def put_in(
        self, connection: Connection, list_id: str, run: str, choices: Mapping[str, Json]
    ) -> None:
        """Queue a list in the transaction that begins its run.

        Args:
            connection: a connection in that transaction.
            list_id: the id of a list whose files have arrived.
            run: the id of the run.
            choices: what a worker needs to know of it.
        """
        mine = update(lists).where(lists.c.id == list_id)
        values = {"state": ListState.QUEUED.value, "run": run, "choices": dict(choices)}
        connection.execute(mine.values(version=2, changed_at=self._now(), **values))

    def find_by_run(self, run: str) -> UploadedList | None:
        """Return the list that a run sends; None if it sends none."""
        wanted = select(lists).where(lists.c.run == run).order_by(lists.c.changed_at.desc())
        found = self._database.read(lambda c: c.execute(wanted.limit(1)).one_or_none())
        return None if found is None else _list(found)

    def is_one_waiting(self, longer_s: float) -> bool:
        """Whether a list has waited for a worker longer than these seconds."""
        now = self._now()
        waits = select(lists.c.id).where(
            lists.c.state == ListState.QUEUED.value,
            or_(lists.c.start_at.is_(None), lists.c.start_at <= now),
            lists.c.changed_at < now - timedelta(seconds=longer_s),
        )
        return self._database.read(lambda c: c.execute(waits.limit(1)).first() is not None)

    # ---- approvals ---------------------------------------------------------------------------

    def ask_approval(self, approval_id: str, list_id: str, plan_hash: str, by: str) -> None:
        """Ask a second person to approve a plan of a list."""
        new = {
            "id": approval_id,
            "list": list_id,
            "plan_hash": plan_hash,
            "asked_by": by,
            "asked_at": self._now(),
            "decided_by": None,
            "decided_at": None,
            "agreed": None,
            "reason": "",
        }
        self._database.write("approval", lambda c: c.execute(insert(approvals), new))

    def approvals(self, list_id: str | None = None) -> tuple[Approval, ...]:
        """Return the approvals of a list, or those that nobody has decided; newest first."""
        wanted = select(approvals).order_by(approvals.c.asked_at.desc())
        if list_id is None:
            wanted = wanted.where(approvals.c.agreed.is_(None))
        else:
            wanted = wanted.where(approvals.c.list == list_id)
        found = self._database.read(lambda c: c.execute(wanted).all())
        return tuple(Approval(**row._mapping) for row in found)

    def decide_approval(self, approval_id: str, by: str, *, agreed: bool, reason: str) -> bool:
        """Write a decision; False if somebody decided before."""
        decided = (
            update(approvals)
            .where(approvals.c.id == approval_id, approvals.c.agreed.is_(None))
            .values(decided_by=by, decided_at=self._now(), agreed=agreed, reason=reason)
        )
        return bool(self._database.write("approval", lambda c: c.execute(decided).rowcount))

    # ---- columns -----------------------------------------------------------------------------

    def remember_columns(self, headers: str, columns: Mapping[str, str], by: str) -> None:
        """Keep what the headers of a set mean.

        Args:
            headers: hash of the set of headers.
            columns: header -> column.
            by: who chose this.
        """
        new = {
            "headers": headers,
            "columns": dict(columns),
            "chosen_by": by,
            "chosen_at": self._now(),
        }

        def write(connection: Any) -> None:
            connection.execute(delete(column_choices).where(column_choices.c.headers == headers))
            connection.execute(insert(column_choices), new)

        self._database.write("columns", write)

    def columns_for(self, headers: str) -> tuple[dict[str, str], str]:
        """Return what was chosen for a set of headers, and who chose it; both empty if nothing."""
        wanted = select(column_choices).where(column_choices.c.headers == headers)
        found = self._database.read(lambda c: c.execute(wanted).one_or_none())
        return ({}, "") if found is None else (dict(found.columns), str(found.chosen_by))


def _read(connection: Any, list_id: str) -> UploadedList | None:
    found = connection.execute(select(lists).where(lists.c.id == list_id)).one_or_none()
    return None if found is None else _list(found)


def _list(row: Row[Any]) -> UploadedList:
    values: dict[str, Json] = dict(row._mapping)
    names = {each.name for each in dataclasses.fields(UploadedList)}
    known: dict[str, Any] = {name: value for name, value in values.items() if name in names}
    return UploadedList(**{**known, "state": ListState(known["state"])})
