"""Workers of the queue: killed, with an emptied queue and a restarted database, on PostgreSQL."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import WORKING
from importer.model import State
from tests.crash.conftest import people
from tests.support.postgres import POOLER, PROGRAMS, Server, own_server, pooled
from tests.support.remote_inboxes import moto_port, s3_server
from tests.support.waiting import wait_until
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from importer.ledger.records import UploadedList
    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import S3Server

__all__ = ["moto_port", "s3_server"]  # fixtures

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")

MOST_S = 180.0
"""Processes start slowly on a busy machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Yield a server of our own, because a test restarts it."""
    with tempfile.TemporaryDirectory() as name:  # its user must be able to enter it
        Path(name).chmod(0o755)
        with own_server(Path(name) / "server") as server:
            with connect(server.url) as connection:
                connection.execute("CREATE DATABASE made")
            shop = Workspace(Path(name), {"IMPORTER_LEDGER": server.url_of("made")})
            made = shop("upgrade")
            assert made.code == 0, made
            assert "The queue was set up." in made.err
            yield server


@pytest.fixture
def shop(server: Server, workspace: Workspace) -> Workspace:
    """Return a workspace whose ledger is on the server, with a queue."""
    name = f"queue_{uuid4().hex}"
    with connect(server.url) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE made")
    env = {"IMPORTER_LEDGER": server.url_of(name), "IMPORTER_QUEUE_POLL_S": "0.2"}
    return Workspace(workspace.folder, {**workspace.env, **env})


def connect(url: str) -> psycopg.Connection[Any]:
    """Connect to a database."""
    return psycopg.connect(url, autocommit=True)


def ledger_of(shop: Workspace) -> str:
    """Return the URL of its ledger."""
    return str(shop.env["IMPORTER_LEDGER"])


@contextmanager
def working(shop: Workspace, jobs: int = 2, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run workers, and end them as a person would; they must end well."""
    process = shop.process("work", "--jobs", str(jobs), *flags)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "Traceback" not in said[1]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of the workers."""
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(each) for each in tasks.read_text().split()]


def put_in(shop: Workspace, name: str) -> str:
    """Put a list into the queue; return the id of its run."""
    done = shop("run", name, "--queue", "--no-wait", "--yes", "-q")
    assert done.code == 0, done
    return done.out.strip()


def find(shop: Workspace, run: str) -> UploadedList:
    """Return the list of a run as it is now."""
    with Ledger.open(ledger_of(shop)) as ledger:
        found = ledger.lists.find_by_run(run)
    assert found is not None
    return found


def is_in(shop: Workspace, run: str, state: ListState) -> bool:
    """Whether the list of a run is in a state; False while the database is away."""
    return find(shop, run).state is state


def contacted(sandbox: Sandbox) -> Counter[str]:
    """Return how often each person was contacted, by e-mail address."""
    return Counter(str(each["emailAddress"]) for each in sandbox.journal)


def test_killed_workers_an_emptied_queue_and_a_restarted_database(
    server: Server, shop: Workspace, sandbox: Sandbox
) -> None:
    """Everybody is contacted once, and no person is needed."""
    shop.write("list.csv", people(100))
    run = put_in(shop, "list.csv")
    with working(shop, 2, "--rate-per-s", "25") as process:
        wait_until(lambda: len(sandbox.journal) > 10, process, most_s=MOST_S)
        with connect(ledger_of(shop)) as connection:
            connection.execute("TRUNCATE procrastinate_jobs CASCADE")
        os.kill(children_of(process)[0], signal.SIGKILL)
        wait_until(lambda: len(sandbox.journal) > 40, process, most_s=MOST_S)
        server.restart()
        wait_until(lambda: len(sandbox.journal) >= 100, process, most_s=MOST_S)
        wait_until(lambda: is_in(shop, run, ListState.DONE), process, most_s=MOST_S)
    assert contacted(sandbox) == {f"zq{n}@example.org": 1 for n in range(100)}
    with Ledger.open(ledger_of(shop)) as ledger:
        assert ledger.runs.states(run) == {State.CREATED: 100}
    with connect(ledger_of(shop)) as connection:
        ends = [row[0] for row in connection.execute("SELECT ended_how FROM senders")]
    # Whoever notices first: its parent, or another worker of this machine.
    assert {"its parent saw it exit", "its process was gone"} & {*ends}
    assert all(ends)


@pytest.fixture
def far_shop(server: Server, shop: Workspace, s3_server: S3Server) -> Iterator[Workspace]:
    """Move the shop behind PgBouncer in transaction mode, if it is here, and files to a store."""
    env = {"IMPORTER_QUEUE_LISTEN": "false", "IMPORTER_UPLOADS": s3_server.address}
    far = Workspace(shop.folder, {**shop.env, **env})
    if POOLER is None:
        yield far
        return
    with tempfile.TemporaryDirectory() as name:  # the user of PgBouncer must be able to enter it
        Path(name).chmod(0o755)
        with pooled(server, Path(name), ledger_of(shop).rpartition("/")[2]) as url:
            yield Workspace(shop.folder, {**far.env, "IMPORTER_LEDGER": url})


def test_lists_share_a_worker_and_are_paused_from_anywhere(
    far_shop: Workspace, sandbox: Sandbox, s3_server: S3Server
) -> None:
    """A short list does not wait for the end of a long one; a night is work like any other.

    No session of the database belongs to a worker, and no folder is shared.
    """
    shop = far_shop
    shop.write("long.csv", people(1000))
    shop.write("short.csv", people(4, "camp-2"))
    shop.write("inbox/arrived.csv", people(3, "camp-3"))
    with working(shop, 1, "--rate-per-s", "20") as process:
        long = put_in(shop, "long.csv")
        wait_until(lambda: len(sandbox.journal) > 5, process, most_s=MOST_S)
        short = put_in(shop, "short.csv")
        wait_until(lambda: is_in(shop, short, ListState.DONE), process, most_s=MOST_S)
        assert find(shop, long).state in WORKING
        assert shop("jobs", "--pause", long).code == 0
        wait_until(lambda: not sending(shop), process, most_s=MOST_S)
        shown = shop("jobs")
        assert shown.code == 0
        assert "paused" in shown.out
        night = shop("nightly", "inbox", "--queue", "--quiet-s", "0")
        assert night.code == 0, night
        assert list((shop.folder / "inbox" / "done").rglob("arrived.csv"))
        assert campaigns(sandbox)["camp-3"] == 3
        so_far = len(sandbox.journal)
        assert so_far < 1007
        assert shop("jobs", "--resume", long[:-1]).code == 0
        wait_until(lambda: len(sandbox.journal) > so_far + 5, process, most_s=MOST_S)
        assert shop("jobs", "--stop", long).code == 0
        assert shop("jobs", "--pause", long).code == 2
    assert campaigns(sandbox)["camp-2"] == 4
    found = Counter((each["emailAddress"], each["campaignId"]) for each in sandbox.journal)
    assert set(found.values()) == {1}
    assert find(shop, long).state is ListState.STOPPED
    kept = {name.rpartition("/")[2] for name in s3_server.files()}
    assert kept == {"long.csv", "short.csv"}


def campaigns(sandbox: Sandbox) -> Counter[str | None]:
    """Return how many people of each campaign were contacted."""
    return Counter(each["campaignId"] for each in sandbox.journal)


def sending(shop: Workspace) -> int:
    """Return how many senders send just now."""
    with Ledger.open(ledger_of(shop)) as ledger:
        return ledger.senders.count_sending()
