"""Measure rates: conversations matched with doubts, and a ledger on a server beside a file.

`python -m tests.support.bench.rates` prints a table. CPU seconds are of this process, so
PostgreSQL's own are not in them.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.deliver import deliver
from importer.ledger import Ledger, open_and_lock
from importer.ledger.records import ListLag, Settlement
from importer.model import State
from importer.planning.identity import Identity
from importer.prepare import prepare
from importer.sending.matching import Doubt
from importer.sending.rate_limiter import RateLimiter
from importer.sending.reconcile import Proof, look_up
from importer.sending.responses import RawResponse, parse_page
from importer.sending.run_options import RunOptions
from importer.settings import Settings, load_settings
from tests.support.bench.contest import ROOT, sandbox
from tests.support.bench.people import write
from tests.support.bench.stages import bytes_of_each
from tests.support.bench.submitting import CREDENTIALS
from tests.support.bench.tables import rates_table
from tests.support.postgres import PROGRAMS, own_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.sending.responses import Page

_CONVERSATIONS: Final = 100_000
_A_PAGE: Final = 50
_DOUBTS: Final = 1_000
_SUBMISSIONS: Final = 2_000
_BATCH: Final = 32
_PERMITS: Final = 500
_START: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rate:
    """What was done, how often, and how long it took.

    Attributes:
        what: what was done.
        times: how often.
        wall_s: seconds on the clock.
        cpu_s: seconds of this process.
        floor_name: what the floor does as often; empty if there is none.
        floor_s: its CPU seconds.
    """

    what: str
    times: int
    wall_s: float
    cpu_s: float
    floor_name: str = ""
    floor_s: float = 0.0


def _time(act: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that something takes, on the clock and of the processor."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


# ---- a long list of conversations ----------------------------------------------------------------


def _page(start: int) -> bytes:
    """Return a page as the API sends it; the list ends with the last conversation."""
    shown = [
        {
            "id": f"c-{number}",
            "externalId": f"ext-{number}",
            "campaignId": "camp-42",
            "participantPhoneNumber": f"+4479{number:08}",
            "participantEmailAddress": f"person.{number}@example.org",
            "createdAt": _START.isoformat(),
            "status": "ONGOING",
        }
        for number in range(start, start + _A_PAGE)
    ]
    end = start + _A_PAGE
    token = str(end) if end < _CONVERSATIONS else None
    return json.dumps({"data": shown, "nextToken": token}).encode()


class _FromMemory:
    """A client that answers from memory."""

    def __init__(self, pages: dict[str, bytes]) -> None:
        self._pages = pages

    async def conversations(self, token: str | None = None) -> Page:
        """Parse a page as the client does."""
        return parse_page(RawResponse(200, {}, self._pages[token or "0"], _START))

    async def conversation(self, conversation_id: str) -> Page:
        """Refuse: the benchmark asks for no single conversation."""
        raise NotImplementedError(conversation_id)


def measure_matching() -> Rate:
    """Match doubts that the list does not show, so that it is read to its end."""
    pages = {str(start): _page(start) for start in range(0, _CONVERSATIONS, _A_PAGE)}
    identity = Identity(b"secret", "bench")
    doubts = [
        Doubt(
            f"key-{number}",
            f"other-{number}",
            "camp-42",
            identity.person(f"+4478{number:08}", None),
            _START - timedelta(minutes=1),
        )
        for number in range(_DOUBTS)
    ]

    async def find() -> None:
        found = await look_up(
            doubts,
            client=_FromMemory(pages),
            limiter=RateLimiter(float("inf")),
            settings=Settings(settle_s=0, max_pages=len(pages)),
            hashes=identity,
            now=lambda: _START,
            proof=Proof(lag=ListLag(20, 0.0)),
        )
        assert found.pages == len(pages), found.reason

    took = _time(lambda: asyncio.run(find()))
    _, floor_s = _time(lambda: [json.loads(page) for page in pages.values()])
    what = f"conversations matched with {_DOUBTS:,} doubts, pages of {_A_PAGE} from memory"
    return Rate(what, _CONVERSATIONS, *took, "json.loads", floor_s)


# ---- a ledger on a server beside a file ----------------------------------------------------------


def _plan(folder: Path, ledger: str) -> str:
    """Plan a run and send one of its messages; return its id."""
    folder.mkdir()
    write(folder / "list.csv", _SUBMISSIONS + 1)
    with sandbox(folder) as url:
        config = folder / "importer.yaml"  # the ledger's key is beside it
        samples = (ROOT / "samples" / "templates", url)
        config.write_text("templates: {}\nbase_url: {}\n".format(*samples), "utf-8")
        chosen = load_settings(config, {"ledger": ledger, "participants": "panel"})
        options = RunOptions("bench", CREDENTIALS, limit=1)
        deliver(prepare([str(folder / "list.csv")], chosen), chosen, options)
    with Ledger.open(ledger, create=False) as there:
        return there.runs.find().id


def _batches(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]


def _ends(keys: list[str]) -> list[Settlement]:
    return [Settlement(key, State.CREATED, 201, f"c-{key}", counts=True) for key in keys]


def measure_file(folder: Path) -> Rate:
    """Measure intents and ends on SQLite."""
    url = f"sqlite:///{folder / 'importer.db'}"
    run = _plan(folder / "file", url)
    with open_and_lock(url, "bench") as ledger:
        keys = ledger.submissions.sendable(run)

        def send() -> None:
            for batch in _batches(keys):
                assert all(ledger.submissions.intend(run, batch))
                ledger.submissions.settle(run, _ends(batch))

        took = _time(send)
    size = bytes_of_each(folder / "importer.db")
    what = f"submissions on SQLite: intent and end ({size:,.0f} bytes each, created)"
    return Rate(what, len(keys), *took)


def measure_server(folder: Path, file: Rate) -> Iterator[Rate]:
    """Measure claims, intents and ends, and permits of the shared rate, on PostgreSQL."""
    with own_server(folder / "server") as server:
        run = _plan(folder / "machine", server.url)
        with open_and_lock(server.url, "bench") as ledger:
            share, rates = ledger.share(run), ledger.rates(1_000_000)
            assert share is not None
            assert rates is not None
            share.join()
            claimed: list[list[str]] = []

            def claim() -> None:
                while batch := share.claim(_BATCH):
                    claimed.append(batch)

            def send() -> None:
                for batch in claimed:
                    assert all(share.record(batch, ())[0])
                    share.record((), _ends(batch))

            took = _time(claim)
            count = sum(map(len, claimed))
            yield Rate(f"claims on PostgreSQL, {_BATCH} at a time", count, *took)
            floor_s = file.cpu_s / file.times * count
            what = "submissions on PostgreSQL: intent and end"
            yield Rate(what, count, *_time(send), "SQLite", floor_s)
            took = _time(lambda: [rates.reserve() for _ in range(_PERMITS)])
            yield Rate("permits of the shared rate, one after the other", _PERMITS, *took)


def measure() -> Iterator[Rate]:
    """Measure everything that this machine can; without PostgreSQL's programs only the rest."""
    yield measure_matching()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs as another user
        yield (file := measure_file(folder))
        if PROGRAMS:
            yield from measure_server(folder, file)


if __name__ == "__main__":
    print(rates_table(list(measure())))  # noqa: T201  # a program's output
