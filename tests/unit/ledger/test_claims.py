"""A file of a remote inbox is claimed by one process, and again only after its end."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.nights import Claim

INBOX: Final = "s3://bucket/inbox"
NOW: Final = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
CLAIM: Final = Claim(INBOX, "acme/list.csv", "120 etag", NOW, "host (process 1)")
RACER: Final = """
import sys
from datetime import UTC, datetime
from importer.ledger import Ledger
from importer.ledger.nights import Claim
with Ledger.open(sys.argv[1]) as ledger:
    sys.stdin.read()  # all wait for the same moment
    for number in range(20):
        claim = Claim("s3://b/i", f"{number}.csv", "1 etag", datetime.now(UTC), sys.argv[2])
        print(int(ledger.claims.take(claim)), end=" ")
"""


def test_a_claim_is_taken_once(ledger: Ledger) -> None:
    """Another version of the file, another path and another inbox are other claims."""
    assert ledger.claims.take(CLAIM)
    assert not ledger.claims.take(replace(CLAIM, holder="other (process 2)"))
    assert ledger.claims.open(INBOX) == (CLAIM,)
    others = [
        replace(CLAIM, version="120 other"),
        replace(CLAIM, path="list.csv"),
        replace(CLAIM, inbox="s3://bucket/other"),
    ]
    assert all(ledger.claims.take(each) for each in others)
    assert len(ledger.claims.open(INBOX)) == 3


def test_a_claim_that_came_to_its_end(ledger: Ledger) -> None:
    """It is no longer open, and the same file may be claimed again."""
    ledger.claims.take(CLAIM)
    ledger.claims.note_fetched(CLAIM, "working/acme/list.csv", "ab" * 32)
    (claim,) = ledger.claims.open(INBOX)
    assert (claim.place, claim.sha256) == ("working/acme/list.csv", "ab" * 32)
    ledger.claims.note_returned(claim, NOW + timedelta(minutes=5))
    assert ledger.claims.open(INBOX) == ()
    assert ledger.claims.take(CLAIM)
    assert ledger.claims.open(INBOX) == (CLAIM,)


def test_a_claim_without_a_file(ledger: Ledger) -> None:
    """What was taken away before it was fetched is forgotten."""
    ledger.claims.take(CLAIM)
    ledger.claims.drop(CLAIM)
    assert ledger.claims.open(INBOX) == ()


def test_purging_forgets_paths(ledger: Ledger) -> None:
    """Of claims that came to their end before that time; open ones stay."""
    ledger.claims.take(CLAIM)
    ledger.claims.take(replace(CLAIM, path="open.csv"))
    ledger.claims.note_returned(CLAIM, NOW)
    ledger.purge(NOW + timedelta(days=1))
    ledger.claims.note_returned(CLAIM, NOW)  # changes nothing: it is not there
    assert [claim.path for claim in ledger.claims.open(INBOX)] == ["open.csv"]


@pytest.fixture(params=["url", "server_url"])
def shared(request: pytest.FixtureRequest) -> str:
    """Return a ledger that several processes open: in a file, and on a server if there is one."""
    found = request.getfixturevalue(request.param)
    Ledger.open(found).close()
    assert isinstance(found, str)
    return found


def test_of_two_processes_one_takes_each(shared: str) -> None:
    """However they meet, nobody is refused with an error and no file is taken twice."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, shared, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
    took = []
    for racer in racers:
        assert racer.stdout is not None
        took.append([int(word) for word in racer.stdout.read().split()])
        racer.stdout.close()
        assert racer.wait() == 0
    assert [one + two for one, two in zip(*took, strict=True)] == [1] * 20


def test_an_inbox_is_held_by_one_night(shared: str) -> None:
    """The ledger itself is not held by it: runs go on, and other inboxes can be held."""
    with Ledger.open(shared) as one, Ledger.open(shared) as two:
        with one.lock("importer nightly", inbox=INBOX):
            with pytest.raises(LedgerError, match=r"s3://bucket/inbox is in use by .*nightly"):
                enter(two, INBOX)
            enter(two, "s3://bucket/other")
            with two.lock("importer run"):
                pass
        enter(two, INBOX)


def enter(ledger: Ledger, inbox: str) -> None:
    """Hold an inbox for a moment."""
    with ledger.lock("importer release", inbox=inbox):
        pass
