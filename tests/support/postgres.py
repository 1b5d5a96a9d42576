"""A PostgreSQL server to keep ledgers on: one that the environment names, or one of our own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


SERVER = os.environ.get("TEST_POSTGRES_URL", "")
"""A PostgreSQL server on which the tests may make databases; without it they run on SQLite."""


@pytest.fixture
def server_url() -> Iterator[str]:
    """Yield the URL of an empty database on the server; skip the test without one.

    A database of its own, not a schema: the ledger's lock holds for a whole database, and tests run
    side by side.
    """
    if not SERVER:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"ledger_{uuid4().hex}"
    server = make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


PROGRAMS: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
"""The servers that Debian's package has installed, oldest first."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server of our own.

    Attributes:
        data: its folder.
        port: on loopback.
        user: that runs it; None for the present one.
    """

    data: Path
    port: int
    user: str | None

    @property
    def url(self) -> str:
        """Of its first database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def restart(self) -> None:
        """Restart it as after a crash: every connection is lost."""
        self.control("stop", "-m", "immediate")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers; a power cut would harm it, but no test has one."""
        options = f"-p {self.port} -k {self.data} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.control("start", "-w", "-o", options, "-l", str(self.data / "log"))

    def become_replica(self) -> None:
        """Restart it as one that only copies another server, and can be read."""
        self.control("stop", "-m", "fast")
        (self.data / "standby.signal").touch()
        self.start()

    def control(self, *words: str) -> None:
        """Run `pg_ctl`."""
        run_program(self.user, str(PROGRAMS[-1]), "-D", str(self.data), *words)


def free_port() -> int:
    """Return a port on loopback that nobody uses just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def run_program(user: str | None, *command: str) -> None:
    """Run a program to its end, without its output."""
    subprocess.run(
        command,
        user=user,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """Start a server in a new folder; it ends with the context."""
    user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
    folder.mkdir(parents=True)
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    initdb = str(PROGRAMS[-1].with_name("initdb"))
    run_program(user, initdb, "-D", str(data), "-A", "trust", "-U", "postgres", "-N")
    server = Server(data, free_port(), user)
    server.start()
    try:
        yield server
    finally:
        server.control("stop", "-m", "immediate")


POOLER: Final = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
"""PgBouncer, if it is installed."""

_POOLED: Final = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_login_retry = 0.5
"""


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def pooled(server: Server, folder: Path, database: str = "postgres") -> Iterator[str]:
    """Start PgBouncer in front of a server, in transaction mode; yields the URL of a database."""
    if POOLER is None:
        raise RuntimeError("PgBouncer is not installed")
    port = free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(_POOLED.format(server=server.port, port=port))
    command = [POOLER, "--quiet", str(settings)]
    with subprocess.Popen(command, user=server.user, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(partial(_answers, port))
            yield f"postgresql://postgres@127.0.0.1:{port}/{database}"
        finally:
            process.kill()
