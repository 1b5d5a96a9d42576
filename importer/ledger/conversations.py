"""Conversations in the ledger: their ids and statuses, and when the API's list showed them.

The list of an API may lag behind. If it already shows a conversation that we created later than a
doubtful one, that conversation is a witness: the list has caught up. If enough lags were measured,
the longest of them also shows when the list has caught up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update

from importer.ledger.doubts import RESOLVED
from importer.ledger.records import ListLag, Witness
from importer.ledger.submissions import OPTED_OUT, chunks
from importer.ledger.tables import REACHED, among, run_rows, runs, submissions
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from importer.ledger.database import Database


class KnownConversations:
    """Read and note conversations. Each method is one transaction and raises LedgerError.

    Args:
        database: open.
        now: the clock; timezone-aware.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def ids(self, run: str | None = None) -> tuple[str, ...]:
        """Return ids of conversations, newest first.

        Args:
            run: None for those of every run.
        """
        s = submissions.c
        wanted = select(s.conversation_id).where(s.conversation_id.is_not(None))
        if run is not None:
            rows = select(run_rows.c.key).where(run_rows.c.run == run)  # found by index
            wanted = wanted.where(s.run == run, s.key.in_(rows))
        wanted = wanted.order_by(s.settled_at.desc(), s.key)
        return self._database.read(lambda c: tuple(c.scalars(wanted)))

    def write_statuses(self, statuses: Mapping[str, str]) -> int:
        """Write present statuses of conversations; return how many submissions were changed.

        An opt-out is final: what the API shows of it later may be old.

        Args:
            statuses: conversation id -> status as the API spells it.
        """
        if not statuses:
            return 0
        s = submissions.c
        changed = (
            update(submissions)
            .values(remote_status=bindparam("b_status"), remote_at=self._now())
            .where(
                s.conversation_id == bindparam("b_id"),
                s.remote_status.is_(None) | (func.upper(s.remote_status) != OPTED_OUT),
            )
        )
        values = [{"b_id": each, "b_status": status} for each, status in statuses.items()]
        return self._database.write(
            "refreshed", lambda c: c.execute(changed, values).rowcount, counted=True, lightly=True
        )

    def witnesses(self, campaign: str, kind: str, since: datetime) -> tuple[Witness, ...]:
        """Return conversations that the API created after a time, oldest first.

        Those that only a person has reported as created are left out.

        Args:
            campaign: of the submissions.
            kind: setting `conversation` of the run, such as `auto-schedule`.
            since: UTC; only requests that left later count.
        """
        s = submissions.c
        wanted = (
            select(s.external_id, s.conversation_id, s.sent_at)
            .join_from(submissions, runs, s.run == runs.c.id)
            .where(
                among(s.state, {State.CREATED}),
                s.campaign == campaign,
                s.sent_at > since,
                s.code != RESOLVED,
                s.external_id != "",
                runs.c.settings["conversation"].as_string() == kind,
            )
            .order_by(s.sent_at)
        )
        return self._database.read(lambda c: tuple(Witness(*row) for row in c.execute(wanted)))

    def note_listed(self, external_ids: Iterable[str], at: datetime) -> int:
        """Note when the API's list first showed our conversations; return how many were new.

        Args:
            external_ids: those that the list showed; unknown ones are ignored.
            at: UTC; when the list showed them.
        """
        s = submissions.c
        unnoted = select(s.key, s.sent_at).where(
            among(s.state, REACHED),
            s.state != State.DUPLICATE.value,  # its conversation may be older than its request
            s.listed_s.is_(None),
            s.sent_at.is_not(None),
        )
        noted = (
            update(submissions)
            .where(s.key == bindparam("b_key"))
            .values(listed_s=bindparam("b_lag"))
        )
        given = list(external_ids)

        def write(connection: Connection) -> int:
            values = [
                {"b_key": key, "b_lag": max((at - sent_at).total_seconds(), 0.0)}
                for chunk in chunks(given)
                for key, sent_at in connection.execute(unnoted.where(s.external_id.in_(chunk)))
            ]
            if values:
                connection.execute(noted, values)
            return len(values)

        return self._database.write("listed", write)

    def list_lag(self) -> ListLag:
        """Return how long our conversations took, at most, to appear in the API's list."""
        listed_s = submissions.c.listed_s
        wanted = select(func.count(), func.max(listed_s)).where(listed_s.is_not(None))
        count, longest_s = self._database.read(lambda c: c.execute(wanted).one())
        return ListLag(count=count, longest_s=longest_s or 0.0)
