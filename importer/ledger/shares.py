"""A sender's share of a run on a server: the submissions that it has claimed and no other may send.

It claims a few at a time, and makes intents and settles only what it has claimed, under its lease.
An answer that comes after the lease is over can only add evidence: a conversation that exists.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, insert, or_, select, tuple_, update

from importer.ledger.database import LET_GO
from importer.ledger.run_guards import RunGuards
from importer.ledger.senders import LIVE, sweep
from importer.ledger.submissions import (
    CONVERSATION_OF_ANOTHER,
    conversation_owners,
    id_of_key,
    is_refused,
    not_given_up,
    reject_opted_out,
)
from importer.ledger.tables import (
    SENDABLE,
    among,
    attempts,
    may_settle,
    reached,
    run_rows,
    senders,
    submissions,
)
from importer.model import RowStatus, State
from schemas.codes import WORDS, Code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

    from importer.ledger.database import Database
    from importer.ledger.lease import Lease
    from importer.ledger.records import Settlement
    from importer.ledger.run_guards import Canary


_LATE: Final = frozenset({State.CREATED, State.DUPLICATE})
_LATE_FROM: Final = frozenset({State.DOUBTFUL, *SENDABLE})
"""The states that proof of a conversation ends, also if another sender brings it."""

_S: Final = submissions.c
_OTHER: Final = submissions.alias("earlier").c
_LIVE_ONES: Final = select(senders.c.id).where(LIVE)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A submission that this sender has claimed.

    Attributes:
        sender: id of the lease under which it was claimed.
        attempts: the number of attempts in this run, as far as we know.
    """

    sender: int
    attempts: int


@dataclass(frozen=True, slots=True)
class _Standing:
    """A submission as the database has it while its end is written."""

    state: State
    attempts: int
    run: str
    sender: int | None
    person: str


class RunShare:
    """The part of a run that one sender sends; safe to use from several threads.

    Args:
        database: the database of a server's ledger.
        lease: the lease of this process.
        run: id of the run.
        window: how long people are held back after another run contacted them; None for none.
        since: UTC; when the run was begun or resumed, if it is sent in slices: its guards count
            from then on, and what was given up since is not claimed again.

    Attributes:
        guards: the guards of the run.

    Raises:
        LedgerError: from every method, if the database fails.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        run: str,
        window: timedelta | None = None,
        since: datetime | None = None,
    ) -> None:
        self._database = database
        self._lease = lease
        self._run = run
        self.guards = RunGuards(database, run)
        self._window = window
        self._claimed: dict[str, _Claimed] = {}
        self._under_way: dict[str, _Claimed] = {}
        self._after = (-1, -1)
        self._goes_on = since is not None
        self._begun = since
        self._claiming = threading.Lock()

    def join(self) -> None:
        """Take part in the run, beside its other senders or as the only one."""
        self.guards.join(self._lease.id, goes_on=self._goes_on)

    def take_canary(self) -> Canary:
        """Take this sender's canary; see `RunGuards.take_canary`."""
        return self.guards.take_canary(self._lease.id)

    # ---- claiming ----------------------------------------------------------------------------

    def claim(self, count: int) -> list[str] | None:
        """Claim the next submissions of the run that nobody has claimed, by file and row.

        What was given up since this share began, or the run, is not claimed again.

        Returns:
            Their keys; empty if there is none now; None if the lease is over for the moment, so
            that nothing can be said.
        """
        with self._claiming:
            found = self._claim_after(count)
            if found == [] and self._after != (-1, -1):  # others may have handed some back
                self._after = (-1, -1)
                found = self._claim_after(count)
            return found

    def _claim_after(self, count: int) -> list[str] | None:
        place = tuple_(run_rows.c.source, run_rows.c.row)

        def write(connection: Connection) -> list[tuple[str, int, int, int]] | None:
            lease, now = self._lease.id, self._hold_lease(connection, self._lease.id)
            if now is None:
                return None
            self._begun = self._begun or now
            free = (
                select(_S.key, _S.attempts, run_rows.c.source, run_rows.c.row)
                .join_from(run_rows, submissions, run_rows.c.key == _S.key)
                .where(
                    run_rows.c.run == self._run,
                    run_rows.c.status == RowStatus.READY.value,
                    place > tuple_(*self._after),
                    _S.run == self._run,
                    among(_S.state, SENDABLE),
                    not_given_up(self._begun),
                    or_(_S.sender.is_(None), _S.sender.not_in(_LIVE_ONES)),
                )
                .order_by(run_rows.c.source, run_rows.c.row)
                .limit(count)
                .with_for_update(of=submissions, skip_locked=True)
            )
            rows = [tuple(row) for row in connection.execute(free)]
            if rows:
                mine = update(submissions).where(_S.key.in_([row[0] for row in rows]))
                connection.execute(mine.values(sender=lease))
                self._claimed.update({row[0]: _Claimed(lease, row[1]) for row in rows})
            return rows

        rows = self._database.write("claimed", write)
        if rows:
            self._after = rows[-1][2], rows[-1][3]
        return None if rows is None else [row[0] for row in rows]

    def others_at_work(self) -> bool:
        """Whether another sender has claimed, or is sending, submissions of this run.

        Leases that are over end here, so the answer becomes no in the end.
        """
        sweep(self._database, self._lease.facts, self._lease.lasts)
        theirs = (
            select(_S.key)
            .join_from(run_rows, submissions, run_rows.c.key == _S.key)
            .where(
                run_rows.c.run == self._run,
                _S.run == self._run,
                among(_S.state, {*SENDABLE, State.SENDING}),
                _S.sender.in_(_LIVE_ONES),
                _S.sender != self._lease.id,
            )
            .limit(1)
        )
        return self._database.read(lambda c: c.execute(theirs).first() is not None)

    def hand_back(self) -> None:
        """Take part in the run no longer: others may claim what was claimed here and not sent."""
        self.guards.leave(self._lease.id)
        keys = sorted(self._claimed.keys() - self._under_way.keys())
        if keys:
            mine = {self._claimed[key].sender for key in keys}
            free = update(submissions).where(
                _S.key.in_(keys), _S.sender.in_(mine), among(_S.state, SENDABLE)
            )
            self._database.write_alone("handed-back", free.values(sender=None))
        self._claimed.clear()

    # ---- while sending -----------------------------------------------------------------------

    def record(
        self, keys: Sequence[str], settlements: Sequence[Settlement], *, again: bool = False
    ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
        """Write how attempts ended, and then the intents of others, in one transaction.

        Args:
            keys: the keys to send; all of them are of this share.
            settlements: each key once.
            again: whether the same call failed before, and may still have been written.

        Returns:
            For each key, whether its request may leave; it may not if its claim is lost, or its
            person must not be contacted any more. For each settlement, the state that the
            submission has now.
        """
        granted: dict[str, _Claimed] = {}

        def write(
            connection: Connection,
        ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
            granted.clear()
            lease = self._lease.id
            now = self._hold_lease(connection, lease) if keys else None
            time = now or connection.execute(select(func.clock_timestamp(), LET_GO)).one()[0]
            written = self._settle(connection, settlements, time)
            self._count(connection, settlements, written)
            if now is not None:
                granted.update(self._intend(connection, lease, keys, now, again=again))
            return tuple(key in granted for key in keys), written

        # A copy without these intents would send them again, so it must count as older.
        done = self._database.write("record", write, counted=bool(keys), lightly=True)
        for end in settlements:
            self._under_way.pop(end.key, None)
            if end.state is not State.PLANNED:
                self._claimed.pop(end.key, None)
        for key, claim in granted.items():
            self._claimed[key] = self._under_way[key] = claim
            self._lease.intents[key] = claim.sender
        for key in keys:
            if key not in granted:
                self._claimed.pop(key, None)
        return done

    def _count(
        self,
        connection: Connection,
        settlements: Sequence[Settlement],
        written: Sequence[State | None],
    ) -> None:
        """Count ends for the guards of the run, as they were written."""
        ends = [
            replace(end, state=state)
            for end, state in zip(settlements, written, strict=True)
            if end.counts and state is not None
        ]
        if ends:
            self.guards.count(connection, ends)

    def _hold_lease(self, connection: Connection, lease: int) -> datetime | None:
        """Hold the lease until the end of the transaction; None if it is over, else the time."""
        enough = func.clock_timestamp() + self._lease.margin
        held = (
            select(func.clock_timestamp(), LET_GO)
            .where(senders.c.id == lease, LIVE, senders.c.until > enough)
            .with_for_update(read=True, of=senders)
        )
        row = connection.execute(held.select_from(senders)).first()
        return None if row is None else row[0]

    def _intend(
        self, connection: Connection, lease: int, keys: Sequence[str], now: datetime, *, again: bool
    ) -> dict[str, _Claimed]:
        """Move claimed submissions to `sending`. This is the last defence against sending twice."""
        claims = {key: self._claimed.get(key) for key in keys}
        ours = [key for key, claim in claims.items() if claim is not None and claim.sender == lease]
        if not ours:
            return {}
        granted = self._find_written(connection, lease, ours) if again else {}
        ours = [key for key in ours if key not in granted]
        reject_opted_out(connection, self._run, ours, now)
        self._reject_recent(connection, ours, now)
        moved = connection.execute(
            update(submissions)
            .where(
                _S.key.in_(ours), _S.run == self._run, _S.sender == lease, among(_S.state, SENDABLE)
            )
            .values(
                state=State.SENDING.value,
                attempts=_S.attempts + 1,
                sent_at=now,
                code="",
                message="",
                status=None,
            )
            .returning(_S.key, _S.attempts, _S.id)
        ).all()
        if moved:
            connection.execute(
                insert(attempts),
                [
                    {
                        "submission": id_,
                        "run": self._run,
                        "number": number,
                        "started_at": now,
                        "code": "",
                        "sender": lease,
                    }
                    for _, number, id_ in moved
                ],
            )
        return granted | {key: _Claimed(lease, number) for key, number, _ in moved}

    def _find_written(
        self, connection: Connection, lease: int, keys: Sequence[str]
    ) -> dict[str, _Claimed]:
        """Find the intents that were written although their commit seemed to fail."""
        wanted = select(_S.key, _S.attempts).where(
            _S.key.in_(keys), _S.sender == lease, _S.state == State.SENDING.value
        )
        return {
            key: _Claimed(lease, number)
            for key, number in connection.execute(wanted)
            if number == self._claimed[key].attempts + 1
        }

    def _reject_recent(self, connection: Connection, keys: Sequence[str], now: datetime) -> None:
        """Reject people contacted by another run in the meantime.

        Two senders that want the same person at this moment come one after the other.
        """
        if self._window is None or not keys:
            return
        people = select(_S.person).where(_S.key.in_(keys)).distinct()
        for person in sorted(connection.scalars(people)):
            _lock_text(connection, person)
        recently = (
            select(1)
            .where(
                _OTHER.person == _S.person,
                reached(_OTHER.state),
                _OTHER.sent_at >= now - self._window,
                _OTHER.run != self._run,
            )
            .exists()
        )
        connection.execute(
            update(submissions)
            .where(_S.key.in_(keys), _S.run == self._run, among(_S.state, SENDABLE), recently)
            .values(
                state=State.REJECTED.value,
                code=Code.CONTACTED_RECENTLY.value,
                message=WORDS[Code.CONTACTED_RECENTLY].fix,
                settled_at=now,
            )
        )

    # ---- how attempts ended ------------------------------------------------------------------

    def _settle(
        self, connection: Connection, settlements: Sequence[Settlement], now: datetime
    ) -> tuple[State | None, ...]:
        if not settlements:
            return ()
        keys = [each.key for each in settlements]
        found = connection.execute(
            select(_S.key, _S.state, _S.attempts, _S.run, _S.sender, _S.person)
            .where(_S.key.in_(keys))
            .order_by(_S.key)
            .with_for_update()
        )
        standing = {row[0]: _Standing(State(row[1]), *row[2:]) for row in found}
        owners = self._find_owners(connection, settlements, standing)
        return tuple(
            self._settle_one(connection, end, standing.get(end.key), owners.get(end.key), now)
            for end in settlements
        )

    def _find_owners(
        self,
        connection: Connection,
        settlements: Sequence[Settlement],
        standing: dict[str, _Standing],
    ) -> dict[str, str]:
        """Find claims of another submission's conversation; no other sender claims it meanwhile."""
        claimed = [
            (each.key, each.conversation_id)
            for each in settlements
            if each.state in _LATE and each.conversation_id
        ]
        for conversation in sorted({each for _, each in claimed}):
            _lock_text(connection, conversation)
        persons = {
            each.key: standing[each.key].person
            for each in settlements
            if each.state is State.DUPLICATE and each.key in standing
        }
        return conversation_owners(connection, claimed, persons)

    def _settle_one(
        self,
        connection: Connection,
        end: Settlement,
        before: _Standing | None,
        owner: str | None,
        now: datetime,
    ) -> State | None:
        """Write one end; return the state that its submission has then."""
        if before is None:
            return None
        attempt = self._under_way.get(end.key)
        if attempt is None:  # nothing left: it is given up or refused before its request
            if before.state not in SENDABLE or not may_settle(before.state, end.state):
                return before.state
            return self._write_end(connection, end, now, _S.run == self._run)
        _end_attempt(connection, self._run, attempt.attempts, end)
        present = (before.run, before.attempts, before.sender) == (
            self._run,
            attempt.attempts,
            attempt.sender,
        )
        if present and before.state is State.SENDING:
            return self._write_end(connection, end, now, owner=owner, answered=True)
        if end.state in _LATE and not owner and before.state in _LATE_FROM:
            return self._write_end(connection, end, now)  # evidence is welcome late
        if present and before.state is State.DOUBTFUL:
            # The list must be read after this request has certainly ended.
            over = update(submissions).where(_S.key == end.key)
            connection.execute(over.values(settled_at=now))
        return before.state

    def _write_end(
        self,
        connection: Connection,
        end: Settlement,
        now: datetime,
        *narrower: ColumnElement[bool],
        owner: str | None = None,
        answered: bool = False,
    ) -> State:
        state, conversation, code, message = (
            end.state,
            end.conversation_id,
            end.code,
            end.message,
        )
        if owner:
            state = State.REJECTED if answered and is_refused(end) else State.DOUBTFUL
            conversation, code, message = None, CONVERSATION_OF_ANOTHER, owner
        values: dict[str, Any] = {
            "state": state.value,
            "status": end.status,
            "conversation_id": conversation,
            "code": code,
            "message": message,
            "settled_at": None if state is State.PLANNED else now,
        }
        if state is State.UNSENT:
            values["sender"] = None
        changed = update(submissions).where(and_(_S.key == end.key, *narrower)).values(values)
        connection.execute(changed)
        return state


def _end_attempt(connection: Connection, run: str, number: int, end: Settlement) -> None:
    a = attempts.c
    ended = update(attempts).where(
        a.submission == id_of_key(end.key), a.run == run, a.number == number
    )
    connection.execute(
        ended.values(
            duration_s=end.duration_s or 0.0,
            status=end.status,
            code=end.code,
            request_id=end.request_id or None,
        )
    )


def _lock_text(connection: Connection, text: str) -> None:
    """Make others who lock the same text wait until the end of the transaction."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text, 0))))
