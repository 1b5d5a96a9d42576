"""Several senders on one server: leases, claims, and what a sender may do that lost its lease."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text, update

from importer.errors import LedgerError, TurnTaken
from importer.ledger import Ledger
from importer.ledger.doubts import SENDER_UNKNOWN
from importer.ledger.records import Settlement
from importer.ledger.senders import LOST_LEASE, ProcessFacts, boot_time_s, has_ended
from importer.ledger.tables import attempts, senders
from importer.model import Outcome, State
from importer.sending.supply import Claimed
from tests.unit.ledger.ledger_builders import new_run, planned_row, submission
from tests.unit.ledger.test_looking import watch_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.ledger.shares import RunShare


@contextmanager
def sender(url: str) -> Iterator[Ledger]:
    """Yield a ledger with a lease, as every sender has its own."""
    with Ledger.open(url) as ledger, ledger.lock("importer run"):
        yield ledger


def plan(ledger: Ledger, count: int = 10) -> str:
    """Return a run with that many people."""
    return ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(count)])


def share_of(ledger: Ledger, run: str, window: timedelta | None = None) -> RunShare:
    """Return what a sender sends of the run."""
    share = ledger.share(run, window)
    assert share is not None
    return share


def claim(share: RunShare, count: int) -> list[str]:
    """Return what it claims under a lease that holds."""
    keys = share.claim(count)
    assert keys is not None
    return keys


def lose_lease(ledger: Ledger) -> int:
    """Let the lease end, as when the process is frozen; returns its id."""
    assert ledger.lease is not None
    lost = ledger.lease.id
    over = (
        update(senders).where(senders.c.id == lost).values(until=datetime(2020, 1, 1, tzinfo=UTC))
    )
    ledger._database.write("over", lambda c: c.execute(over))
    return lost


def pretend_elsewhere(ledger: Ledger) -> None:
    """Put the process of a lease on another machine, where nobody can see whether it lives."""
    assert ledger.lease is not None
    away = update(senders).where(senders.c.id == ledger.lease.id)
    away = away.values(host="elsewhere", machine="other", boot_id="other", pid_space="pid:[1]")
    ledger._database.write("away", lambda c: c.execute(away))


def state_of(ledger: Ledger, key: str) -> State:
    """Return its state."""
    return ledger.submissions.records([key])[key].state


def created(key: str) -> Settlement:
    """Return an answer with a conversation."""
    return Settlement(key, State.CREATED, 201, f"conv-{key}", duration_s=0.1)


def test_each_submission_is_claimed_once(server_url: str) -> None:
    """Two senders of one run never claim the same one."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        shares = [share_of(each, run) for each in (one, two)]
        claimed = [key for _ in range(4) for share in shares for key in claim(share, 2)]
        assert sorted(claimed) == sorted(f"k{n}" for n in range(10))
        assert shares[0].claim(2) == shares[1].claim(2) == []
        assert shares[0].others_at_work()


def test_a_new_run_is_known_to_the_planner_of_queries(server_url: str) -> None:
    """Without statistics the server would read the whole run for each claim."""
    known = text("SELECT reltuples FROM pg_class WHERE relname IN ('submissions', 'run_rows')")
    with sender(server_url) as one:
        plan(one, 30)
        assert one._database.read(lambda c: c.scalars(known).all()) == [30, 30]


def test_claims_intents_and_ends_are_found_by_index(server_url: str) -> None:
    """None of them reads a table whole."""
    with sender(server_url) as one:
        mine = share_of(one, plan(one), timedelta(days=1))
        asked, scans = watch_queries(one)
        keys = claim(mine, 1)
        assert mine.record(keys, ())[0] == (True,)
        assert mine.record((), [created("k0")])[1] == (State.CREATED,)
    assert len(asked) > 6
    assert scans == []


def test_an_intent_needs_a_claim(server_url: str) -> None:
    """Without one no request may leave, not even with a lease."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        assert share_of(one, run).claim(1) == ["k0"]
        assert share_of(two, run).record(["k0"], ())[0] == (False,)


def test_what_is_handed_back_is_claimed_by_others(server_url: str) -> None:
    """At once, and without waiting for the end of the lease."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 2)
        mine, theirs = share_of(one, run), share_of(two, run)
        assert mine.claim(2) == ["k0", "k1"]
        assert mine.record(["k0"], ())[0] == (True,)
        mine.hand_back()
        assert theirs.claim(5) == ["k1"]
        assert mine.record((), [created("k0")])[1] == (State.CREATED,)


def test_after_the_lease_others_claim(server_url: str) -> None:
    """The claims of a silent sender are void, and its intents are refused."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 2)
        mine, theirs = share_of(one, run), share_of(two, run)
        assert mine.claim(2) == ["k0", "k1"]
        lose_lease(one)
        assert mine.record(["k0"], ())[0] == (False,)
        assert theirs.claim(2) == ["k0", "k1"]
        assert theirs.record(["k0", "k1"], ())[0] == (True, True)


def test_a_lost_lease_leaves_a_doubt(server_url: str) -> None:
    """What was being sent is doubtful, and nothing may leave under the old lease."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 1)
        mine = share_of(one, run)
        mine.claim(1)
        mine.record(["k0"], ())
        assert one.lease is not None
        assert one.lease.may_leave("k0")
        lose_lease(one)
        assert two.recover() == 1
        record = two.submissions.records(["k0"])["k0"]
        assert (record.state, record.code) == (State.DOUBTFUL, LOST_LEASE)
        one.lease._renew()  # the process goes on, under a new lease
        assert not one.lease.may_leave("k0")


@pytest.mark.parametrize(
    ("end", "then"),
    [
        (created("k0"), State.CREATED),
        (replace(created("k0"), state=State.DUPLICATE), State.DUPLICATE),
        (Settlement("k0", State.PLANNED, code="not-left"), State.DOUBTFUL),
        (Settlement("k0", State.UNSENT, code="http-429"), State.DOUBTFUL),
        (Settlement("k0", State.REJECTED, 422, code="http-422"), State.DOUBTFUL),
    ],
)
def test_a_late_end_only_adds_evidence(server_url: str, end: Settlement, then: State) -> None:
    """A conversation that exists counts whenever it is told; a "no" comes too late."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 1)
        mine = share_of(one, run)
        mine.claim(1)
        mine.record(["k0"], ())
        lose_lease(one)
        two.recover()
        assert mine.record((), [end])[1] == (then,)
        assert state_of(two, "k0") is then


def test_a_late_end_never_touches_a_second_attempt(server_url: str) -> None:
    """The zombie's "not sent" must not make the attempt of another sender sendable."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 1)
        zombie, second = share_of(one, run), share_of(two, run)
        zombie.claim(1)
        zombie.record(["k0"], ())
        lose_lease(one)
        two.recover()
        end_process(one)
        assert two.doubts.reconcile([Outcome("k0", State.PLANNED, 0, code="absent")]) == 1
        assert second.claim(1) == ["k0"]
        assert second.record(["k0"], ())[0] == (True,)
        late = Settlement("k0", State.PLANNED, code="not-left")
        assert zombie.record((), [late])[1] == (State.SENDING,)
        assert state_of(two, "k0") is State.DOUBTFUL  # as readers see it: it is being sent
        assert second.claim(1) == []
        assert second.record((), [created("k0")])[1] == (State.CREATED,)


def end_process(ledger: Ledger) -> None:
    """Note that the process of a lease has ended, as its parent does."""
    assert ledger.lease is not None
    ended = update(senders).where(senders.c.id <= ledger.lease.id, senders.c.over_at.is_not(None))
    ended = ended.values(ended_at=datetime.now(UTC), ended_how="killed")
    ledger._database.write("ended", lambda c: c.execute(ended))


def test_proof_of_absence_is_not_enough_while_the_sender_may_go_on(server_url: str) -> None:
    """A process on another machine may be frozen, and go on; the row says so, and names it."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 1)
        mine = share_of(one, run)
        pretend_elsewhere(one)
        mine.claim(1)
        mine.record(["k0"], ())
        lose_lease(one)
        two.recover()
        absent = [Outcome("k0", State.PLANNED, 0, code="absent")]
        two.doubts.reconcile(absent)
        [doubt] = two.doubts.list()
        assert (doubt.state, doubt.code) == (State.DOUBTFUL, SENDER_UNKNOWN)
        assert "importer run (process" in doubt.message
        assert "elsewhere" in doubt.message
        mine.record((), [Settlement("k0", State.PLANNED, code="not-left")])  # it came back
        two.doubts.reconcile(absent)
        assert state_of(two, "k0") is State.PLANNED


def test_a_verdict_does_not_count_for_a_later_attempt(server_url: str) -> None:
    """The list was read before the row went again."""
    with sender(server_url) as one:
        run = plan(one, 1)
        mine = share_of(one, run)
        mine.claim(1)
        doubtful = Settlement("k0", State.DOUBTFUL, code="ReadTimeout", duration_s=1.0)
        mine.record(["k0"], ())
        mine.record((), [doubtful])
        judged = {each.key: each for each in one.doubts.list()}
        absent = [Outcome("k0", State.PLANNED, 0, code="absent")]
        assert one.doubts.reconcile(absent, judged) == 1
        mine.claim(1)
        mine.record(["k0"], ())
        mine.record((), [doubtful])
        assert one.doubts.reconcile(absent, judged) == 0
        assert state_of(one, "k0") is State.DOUBTFUL


def test_an_intent_that_was_written_although_it_seemed_to_fail(server_url: str) -> None:
    """The connection may break while the commit is under way; the second try finds it."""
    with sender(server_url) as one:
        run = plan(one, 1)
        mine = share_of(one, run)
        mine.claim(1)
        claim = mine._claimed["k0"]
        assert mine.record(["k0"], ())[0] == (True,)
        mine._claimed["k0"] = claim  # as if nothing had been heard of it
        mine._under_way.clear()
        assert mine.record(["k0"], (), again=True)[0] == (True,)
        assert mine.record((), [created("k0")])[1] == (State.CREATED,)
        count = text("SELECT count(*) FROM attempts")
        assert one._database.read(lambda c: c.scalar(count)) == 1


def test_one_conversation_is_claimed_by_one(server_url: str) -> None:
    """Also if two senders are told the same id: the second one is doubtful."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one, 2)
        shares = [share_of(each, run) for each in (one, two)]
        ends: list[State | None] = []
        for share in shares:
            [key] = claim(share, 1)
            share.record([key], ())
            ends += share.record((), [Settlement(key, State.CREATED, 201, "conv-1")])[1]
        assert ends == [State.CREATED, State.DOUBTFUL]


def test_who_has_lost_its_lease_does_not_say_that_nothing_is_left(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits until it has a lease again, and then sends the rest."""
    with sender(server_url) as one:
        run = plan(one, 2)
        lease, share = one.lease, share_of(one, run)
        assert lease is not None
        share.join()
        lose_lease(one)
        assert share.claim(1) is None
        real = share.claim

        def claim_and_renew(count: int) -> list[str] | None:
            keys = real(count)
            if keys is None:
                lease._renew()
            return keys

        monkeypatch.setattr(share, "claim", claim_and_renew)
        supply = Claimed(share, lambda keys: map(submission, keys), 2)
        first = asyncio.run(supply.take())
        assert first is not None
        assert first.key == "k0"
        assert [each.run for each in one.senders.overview().senders if each.is_live] == [run]


def test_a_turn_is_taken_by_one(server_url: str) -> None:
    """A second sender is told who has it, and gets it when the first one is done."""
    with sender(server_url) as one, sender(server_url) as two:
        with one.turn("plan"):
            with (
                pytest.raises(TurnTaken, match=r"in use by importer run \(process"),
                two.turn("plan"),
            ):
                pass
            with two.turn("reconcile"):
                pass
        with two.turn("plan") as fence:
            two.runs.begin(new_run(), [planned_row("k0")], fence)


def test_a_lost_turn_writes_nothing(server_url: str) -> None:
    """A planner that was frozen finds that another one may have planned meanwhile."""
    with sender(server_url) as one, sender(server_url) as two, one.turn("plan") as fence:
        lose_lease(one)
        with two.turn("plan", 5):
            pass
        with pytest.raises(LedgerError, match="has lost its lease"):
            one.runs.begin(new_run(), [planned_row("k0")], fence)
        assert two.runs.list() == ()


def test_people_whom_another_run_contacts_at_the_same_time(server_url: str) -> None:
    """The contact window counts for two runs that send side by side."""
    with sender(server_url) as one, sender(server_url) as two:
        first = one.runs.begin(new_run(), [planned_row("k0", person="ada")])
        second = one.runs.begin(new_run(), [planned_row("k1", person="ada", campaign="other")])
        day = timedelta(days=1)
        mine, theirs = share_of(one, first, day), share_of(two, second, day)
        assert (mine.claim(1), theirs.claim(1)) == (["k0"], ["k1"])
        assert mine.record(["k0"], ())[0] == (True,)
        assert theirs.record(["k1"], ())[0] == (False,)
        assert state_of(one, "k1") is State.REJECTED


def test_what_was_given_up_is_not_claimed_again_by_the_same_round(server_url: str) -> None:
    """Else a run would try it forever; the next one tries it."""
    with sender(server_url) as one:
        run = plan(one, 1)
        mine = share_of(one, run)
        mine.claim(1)
        mine.record(["k0"], ())
        mine.record((), [Settlement("k0", State.UNSENT, code="ConnectError")])
        assert mine.claim(1) == []
        assert share_of(one, run).claim(1) == ["k0"]


def test_a_killed_process_is_known_to_have_ended(server_url: str) -> None:
    """On the same machine nobody has to wait for its lease, and no person has to decide."""
    code = (
        "import sys\n"
        "from importer.ledger import Ledger\n"
        "from tests.unit.ledger.test_leases import claim, plan, share_of\n"
        "with Ledger.open(sys.argv[1]) as ledger, ledger.lock('importer run'):\n"
        "    share = share_of(ledger, plan(ledger, 2))\n"
        "    share.record(claim(share, 2)[:1], ())\n"
        "    print('sent', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, server_url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        with sender(server_url) as other:
            assert other.recover() == 0
            process.kill()
            process.wait()
            assert other.recover() == 1
            run = other.runs.find().id
            assert share_of(other, run).claim(2) == ["k1"]
            other.doubts.reconcile([Outcome("k0", State.PLANNED, 0, code="absent")])
            assert share_of(other, run).claim(2) == ["k0"]


def test_when_a_process_has_certainly_ended() -> None:
    """Only this machine's own word counts, or its restart; never that of a container's name."""
    here = ProcessFacts.of_this_process()
    now = datetime.now(UTC)
    before_boot = now - timedelta(seconds=boot_time_s() + 60)
    assert not has_ended(here, now, here, now)
    assert has_ended(replace(here, born=here.born - 1), now, here, now)
    assert not has_ended(replace(here, born=0), now, here, now)
    outside = replace(here, machine="m", pid_space="pid:[4026531836]")
    older = replace(outside, boot_id="the one before")
    assert has_ended(older, before_boot, outside, now)
    assert not has_ended(older, now, outside, now)
    assert not has_ended(replace(older, host="other"), before_boot, outside, now)
    assert not has_ended(replace(older, pid_space="pid:[1]"), before_boot, outside, now)
    assert not has_ended(replace(older, machine=""), before_boot, replace(outside, machine=""), now)


def test_a_lease_is_renewed_and_given_back(server_url: str) -> None:
    """It lasts longer than its time, and ends with its holder."""
    with Ledger.open(server_url) as ledger:
        with ledger.lock("importer run", lease_s=0.4):
            lease = ledger.lease
            assert lease is not None
            first = lease.id
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                time.sleep(0.05)
            assert lease.id == first
        left = ledger._database.read(
            lambda c: c.execute(senders.select().where(senders.c.ended_at.is_(None))).all()
        )
        assert left == []


def test_an_intent_without_a_sender_is_refused_by_the_server(server_url: str) -> None:
    """So a process of an older version that still has the ledger open sends nothing."""
    with Ledger.open(server_url) as ledger:
        plan(ledger, 1)
        older = text("UPDATE submissions SET state = 'sending'")
        with pytest.raises(LedgerError):
            ledger._database.write("intent", lambda c: c.execute(older))
        assert ledger._database.read(lambda c: c.execute(attempts.select()).all()) == []
