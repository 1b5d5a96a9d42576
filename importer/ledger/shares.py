"""A sender's share of a run on a server: the submissions that only this sender may send.

A sender claims a few submissions at a time. It writes intents and results only for these, under its
lease. An answer that comes after the lease has expired can only add evidence that a conversation
exists.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Interval, bindparam, func, insert, or_, select, text, tuple_, update

from importer.ledger.database import IDLE_TIMEOUT
from importer.ledger.run_guards import RunGuards
from importer.ledger.senders import LIVE, sweep
from importer.ledger.submissions import (
    CONVERSATION_OF_ANOTHER,
    HAS_OPTED_OUT,
    build_rejection,
    conversation_owners,
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
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from importer.ledger.database import Database
    from importer.ledger.lease import Lease
    from importer.ledger.records import Settlement
    from importer.ledger.run_guards import Canary


_LATE: Final = frozenset({State.CREATED, State.DUPLICATE})
_LATE_FROM: Final = frozenset({State.DOUBTFUL, *SENDABLE})
"""The states that end when any sender proves that the conversation exists."""

_S: Final = submissions.c
_OTHER: Final = submissions.alias("earlier").c
_LIVE_ONES: Final = select(senders.c.id).where(LIVE)

# Each statement is one round trip to the server, for any number of submissions. They are built only
# once, because building one takes longer than running it.
_HOLD_LEASE: Final = (
    select(func.clock_timestamp(), IDLE_TIMEOUT)
    .select_from(senders)
    .where(
        senders.c.id == bindparam("b_lease"),
        LIVE,
        senders.c.until > func.clock_timestamp() + bindparam("b_margin", type_=Interval()),
    )
    .with_for_update(read=True, of=senders)
)
_LOCK_TEXTS: Final = text(
    "SELECT pg_advisory_xact_lock(hash) FROM (SELECT DISTINCT hashtextextended(given, 0) AS hash"
    " FROM unnest(CAST(:texts AS text[])) AS given ORDER BY 1) AS hashes"
)
_PEOPLE: Final = (
    select(func.hashtextextended(func.encode(_S.person, "hex"), 0).label("hash"))
    .where(_S.key.in_(bindparam("b_keys", expanding=True)))
    .distinct()
    .order_by("hash")
    .subquery("people")
)
_LOCK_PEOPLE: Final = select(func.pg_advisory_xact_lock(_PEOPLE.c.hash))
_RECENTLY: Final = (
    select(1)
    .where(
        _OTHER.person == _S.person,
        reached(_OTHER.state),
        _OTHER.sent_at >= bindparam("b_since"),
        _OTHER.run != bindparam("b_run"),
    )
    .exists()
)
"""The condition that another run has contacted the person since `b_since`; false if it is null."""

_LEAVE: Final = (
    update(submissions)
    .where(
        _S.key.in_(bindparam("b_keys", expanding=True)),
        _S.run == bindparam("b_run"),
        _S.sender == bindparam("b_lease"),
        among(_S.state, SENDABLE),
        ~HAS_OPTED_OUT,
        ~_RECENTLY,
    )
    .values(
        state=State.SENDING.value,
        attempts=_S.attempts + 1,
        sent_at=bindparam("b_now"),
        code="",
        message="",
        status=None,
    )
    .returning(_S.key, _S.attempts, _S.id)
)
_REJECT_RECENT: Final = build_rejection(Code.CONTACTED_RECENTLY, _RECENTLY)
_START_ATTEMPT: Final = insert(attempts)
_STANDING: Final = (
    select(
        *(_S.key, _S.id, _S.state, _S.attempts, _S.run, _S.sender, _S.person),
        *(func.clock_timestamp(), IDLE_TIMEOUT),
    )
    .where(_S.key.in_(bindparam("b_keys", expanding=True)))
    .order_by(_S.key)
    .with_for_update()
)
_END: Final = (
    update(submissions)
    .where(_S.id == bindparam("b_id"))
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in (
                *("state", "status", "conversation_id", "code", "message", "settled_at"),
                "sender",
            )
        }
    )
)
_END_ATTEMPT: Final = (
    update(attempts)
    .where(
        attempts.c.submission == bindparam("b_id"),
        attempts.c.run == bindparam("b_run"),
        attempts.c.number == bindparam("b_number"),
    )
    .values(
        {name: bindparam(f"b_{name}") for name in ("duration_s", "status", "code", "request_id")}
    )
)
_STILL_DOUBTFUL: Final = (
    update(submissions)
    .where(_S.id.in_(bindparam("b_ids", expanding=True)))
    .values(settled_at=func.clock_timestamp())
)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A submission that this sender has claimed.

    Attributes:
        sender: the id of the lease under which it was claimed.
        attempts: the number of attempts in this run that this sender knows.
    """

    sender: int
    attempts: int


@dataclass(frozen=True, slots=True)
class _Standing:
    """The state of a submission in the database when its end is written."""

    id: int
    state: State
    attempts: int
    run: str
    sender: int | None
    person: str
    now: datetime


class RunShare:
    """The part of a run that one sender sends; safe to use from several threads.

    Args:
        database: the database of a server's ledger.
        lease: the lease of this process.
        run: the id of the run.
        window: how long nobody is contacted again after another run contacted them; None for no
            limit.
        since: UTC; when the run began or was resumed, if it is sent in slices. Its guards count
            from this time, and submissions given up after it are not claimed again.

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
        """Take part in the run, alone or together with other senders."""
        self.guards.join(self._lease.id, goes_on=self._goes_on)

    def take_canary(self) -> Canary:
        """Take this sender's canary; see `RunGuards.take_canary`."""
        return self.guards.take_canary(self._lease.id)

    # ---- claiming ----------------------------------------------------------------------------

    def claim(self, count: int) -> list[str] | None:
        """Claim the next unclaimed submissions of the run, in the order of file and row.

        Submissions that were given up since `since` are not claimed again; without `since`, those
        that were given up since the first claim.

        Returns:
            Their keys; empty if none can be claimed now; None if the lease has expired or
            is about to expire.
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
        """Return whether another sender has claimed or is sending submissions of this run.

        This also ends expired leases, so a sender that died does not count forever.
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
        """Leave the run; other senders may then claim the submissions that were not sent."""
        self.guards.leave(self._lease.id)
        keys = sorted(self._claimed.keys() - self._under_way.keys())
        if keys:
            mine = {self._claimed[key].sender for key in keys}
            free = update(submissions).where(
                _S.key.in_(keys), _S.sender.in_(mine), among(_S.state, SENDABLE)
            )
            self._database.write_autocommit("handed-back", free.values(sender=None))
        self._claimed.clear()

    # ---- while sending -----------------------------------------------------------------------

    def record(
        self, keys: Sequence[str], settlements: Sequence[Settlement], *, again: bool = False
    ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
        """Write how attempts ended, then the intents of new attempts, in one transaction.

        Args:
            keys: the submissions to send, all from this share.
            settlements: the ends of attempts, at most one for each key.
            again: whether this call repeats a failed one, which may still have been committed.

        Returns:
            For each key, whether its request may be sent. It must not be sent if the claim is lost
            or the person must no longer be contacted. For each settlement, the state that the
            submission has now; None if there is no such submission.
        """
        granted: dict[str, _Claimed] = {}

        def write(
            connection: Connection,
        ) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
            granted.clear()
            lease = self._lease.id
            now = self._hold_lease(connection, lease) if keys else None
            written = self._settle(connection, settlements)
            if now is not None:
                granted.update(self._intend(connection, lease, keys, now, again=again))
            self._count(connection, settlements, written)  # last: it locks a shared row
            return tuple(key in granted for key in keys), written

        # A copy without these intents would send them again, so it must count as older.
        done = self._database.write("record", write, counted=bool(keys), unsynced=True)
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
        """Count the ends of attempts for the run's guards, with the states that were written."""
        ends = [
            replace(end, state=state)
            for end, state in zip(settlements, written, strict=True)
            if end.counts and state is not None
        ]
        if ends:
            self.guards.count(connection, ends)

    def _hold_lease(self, connection: Connection, lease: int) -> datetime | None:
        """Lock the lease until the transaction ends; return the time, or None if it has expired."""
        given = {"b_lease": lease, "b_margin": self._lease.margin}
        row = connection.execute(_HOLD_LEASE, given).first()
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
        if not ours:
            return granted
        since = None if self._window is None else now - self._window
        given = {"b_keys": ours, "b_run": self._run, "b_since": since, "b_now": now}
        if since is not None:  # so that two senders cannot both contact one person
            connection.execute(_LOCK_PEOPLE, given)
        moved = connection.execute(_LEAVE, {**given, "b_lease": lease}).all()
        if len(moved) < len(ours):
            reject_opted_out(connection, self._run, ours, now)
            connection.execute(_REJECT_RECENT, given)
        if moved:
            started = {"run": self._run, "started_at": now, "code": "", "sender": lease}
            connection.execute(
                _START_ATTEMPT,
                [{**started, "submission": id_, "number": number} for _, number, id_ in moved],
            )
        return granted | {key: _Claimed(lease, number) for key, number, _ in moved}

    def _find_written(
        self, connection: Connection, lease: int, keys: Sequence[str]
    ) -> dict[str, _Claimed]:
        """Find the intents that were committed although the commit seemed to fail."""
        wanted = select(_S.key, _S.attempts).where(
            _S.key.in_(keys), _S.sender == lease, _S.state == State.SENDING.value
        )
        return {
            key: _Claimed(lease, number)
            for key, number in connection.execute(wanted)
            if number == self._claimed[key].attempts + 1
        }

    # ---- how attempts ended ------------------------------------------------------------------

    def _settle(
        self, connection: Connection, settlements: Sequence[Settlement]
    ) -> tuple[State | None, ...]:
        """Write how attempts ended; return the new states of their submissions."""
        if not settlements:
            return ()
        found = connection.execute(_STANDING, {"b_keys": [each.key for each in settlements]})
        standing = {row[0]: _Standing(row[1], State(row[2]), *row[3:8]) for row in found}
        owners = self._find_owners(connection, settlements, standing)
        written = list[State | None]()
        changed, ended, over = list[dict[str, Any]](), list[dict[str, Any]](), list[int]()
        for end in settlements:
            before, attempt = standing.get(end.key), self._under_way.get(end.key)
            if before is None:
                written.append(None)
                continue
            if attempt is not None:
                ended.append(_end_of_attempt(before.id, self._run, attempt.attempts, end))
            change = self._find_change(end, before, attempt, owners.get(end.key))
            written.append(before.state if change is None else State(change["b_state"]))
            if change is not None:
                changed.append(change)
            elif before.state is State.DOUBTFUL and self._is_present(before, attempt):
                over.append(before.id)
        if changed:
            connection.execute(_END, changed)
        if ended:
            connection.execute(_END_ATTEMPT, ended)
        if over:  # the API's list must be read after these requests ended
            connection.execute(_STILL_DOUBTFUL, {"b_ids": over})
        return tuple(written)

    def _find_owners(
        self,
        connection: Connection,
        settlements: Sequence[Settlement],
        standing: dict[str, _Standing],
    ) -> dict[str, str]:
        """Lock the conversations, then find ends that name another submission's conversation."""
        claimed = [
            (each.key, each.conversation_id)
            for each in settlements
            if each.state in _LATE and each.conversation_id
        ]
        _lock_texts(connection, (each for _, each in claimed))
        persons = {
            each.key: standing[each.key].person
            for each in settlements
            if each.state is State.DUPLICATE and each.key in standing
        }
        return conversation_owners(connection, claimed, persons)

    def _is_present(self, before: _Standing, attempt: _Claimed | None) -> bool:
        """Return whether this is still the current attempt of a submission."""
        return attempt is not None and (before.run, before.attempts, before.sender) == (
            self._run,
            attempt.attempts,
            attempt.sender,
        )

    def _find_change(
        self,
        end: Settlement,
        before: _Standing,
        attempt: _Claimed | None,
        owner: str | None,
    ) -> dict[str, Any] | None:
        """Return what the end of an attempt changes in its submission; None if nothing changes."""
        if attempt is None:  # nothing was sent: it was given up or refused before
            ours = before.run == self._run and before.state in SENDABLE
            if ours and may_settle(before.state, end.state):
                return _change(end, before)
        elif before.state is State.SENDING and self._is_present(before, attempt):
            return _change(end, before, owner)
        elif end.state in _LATE and not owner and before.state in _LATE_FROM:
            return _change(end, before)  # late evidence counts, too
        return None


def _change(end: Settlement, before: _Standing, owner: str | None = None) -> dict[str, Any]:
    """Return the new values of a submission.

    Args:
        end: the end of its attempt.
        before: the submission before that.
        owner: a sentence about the submission that has the answer's conversation; None if no
            other submission has it.
    """
    values: dict[str, Any] = {
        "b_id": before.id,
        "b_state": end.state.value,
        "b_status": end.status,
        "b_conversation_id": end.conversation_id,
        "b_code": end.code,
        "b_message": end.message,
        "b_settled_at": None if end.state is State.PLANNED else before.now,
        "b_sender": None if end.state is State.UNSENT else before.sender,
    }
    if owner:
        state = State.REJECTED if is_refused(end) else State.DOUBTFUL
        values |= {
            "b_state": state.value,
            "b_conversation_id": None,
            "b_code": CONVERSATION_OF_ANOTHER,
            "b_message": owner,
            "b_settled_at": before.now,
        }
    return values


def _end_of_attempt(submission: int, run: str, number: int, end: Settlement) -> dict[str, Any]:
    return {
        "b_id": submission,
        "b_run": run,
        "b_number": number,
        "b_duration_s": end.duration_s or 0.0,
        "b_status": end.status,
        "b_code": end.code,
        "b_request_id": end.request_id or None,
    }


def _lock_texts(connection: Connection, texts: Iterable[str]) -> None:
    """Lock texts until the transaction ends; others that lock one of them wait."""
    wanted = list(texts)
    if wanted:
        connection.execute(_LOCK_TEXTS, {"texts": wanted})
