"""Inboxes on real servers of our own: OpenSSH's sshd, and moto's S3, each behind a wire to cut."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

import boto3
import pytest

from importer.ledger import Ledger
from importer.nightly.clock import StopSignal
from importer.nightly.inbox import InboxSettings, OpenLedgers
from importer.nightly.night import run_night
from importer.nightly.notifications import notify, upload_page
from importer.nightly.ownership import MARKER_NAME
from importer.nightly.remote.remote_inbox import locate, open_remote
from tests.support.night_setup import NightSetup, make_night_setup
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.nightly.remote.remote_inbox import RemoteInbox
    from importer.report.night_report import NightReport
    from importer.sandbox.server import Sandbox


SSHD: Final = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
SFTP_SERVER: Final = Path("/usr/lib/openssh/sftp-server")
_PIECE: Final = 1 << 16
_FORBIDDEN: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 61\r\n"
    b"Connection: close\r\n\r\n<Error><Code>AccessDenied</Code><Message>No</Message></Error>"
)


@dataclass
class Wire:
    """What lies between the importer and a server; it can be cut.

    Attributes:
        port: that the importer connects to.
        server: port of the server.
        down: connections are closed as soon as they are made.
        cut_after: bytes from the server after which a connection is cut; None for never.
        refuses: beginnings of HTTP requests that are answered with 403.
    """

    server: int
    port: int = 0
    down: bool = False
    cut_after: int | None = None
    refuses: tuple[bytes, ...] = ()
    connections: int = 0

    def carry(self, sandbox_workspace: socket.socket) -> None:
        """Carry one connection, both ways, until an end of it is closed."""
        self.connections += 1
        with (
            closing(sandbox_workspace),
            socket.create_connection(("127.0.0.1", self.server)) as remote,
        ):
            if self.down:
                return
            back = threading.Thread(
                target=self._back, args=(remote, sandbox_workspace), daemon=True
            )
            back.start()
            with suppress(OSError):
                while piece := sandbox_workspace.recv(_PIECE):
                    if self.refuses and piece.startswith(self.refuses):
                        sandbox_workspace.sendall(_FORBIDDEN)
                        break
                    remote.sendall(piece)
            for end in (sandbox_workspace, remote):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()

    def _back(self, remote: socket.socket, sandbox_workspace: socket.socket) -> None:
        carried = 0
        with suppress(OSError):
            while piece := remote.recv(_PIECE):
                carried += len(piece)
                if self.cut_after is not None and carried > self.cut_after:
                    break
                sandbox_workspace.sendall(piece)
        for end in (sandbox_workspace, remote):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(server: int) -> Iterator[Wire]:
    """Yield a wire to a server of this machine."""
    wire = Wire(server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.port = listener.getsockname()[1]

        def listen() -> None:
            with suppress(OSError):
                while True:
                    sandbox_workspace, _ = listener.accept()
                    threading.Thread(
                        target=wire.carry, args=(sandbox_workspace,), daemon=True
                    ).start()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class RemoteFiles(Protocol):
    """An inbox on a server, as its owner sees it."""

    wire: Wire

    @property
    def address(self) -> str:
        """What the importer is told."""
        ...

    def put(self, name: str, text: str | bytes) -> None:
        """Upload a file."""
        ...

    def files(self) -> dict[str, bytes]:
        """Return every file, by its path in the inbox."""
        ...

    def refuse_writing(self, *, refused: bool) -> None:
        """Let the importer write, or not."""
        ...


@dataclass
class S3Server:
    """A bucket of its own on moto's server."""

    wire: Wire
    bucket: str
    client: Any

    @property
    def address(self) -> str:
        """What the importer is told."""
        return f"s3://{self.bucket}/to/inbox"

    def put(self, name: str, text: str | bytes) -> None:
        """Upload an object."""
        body = text.encode() if isinstance(text, str) else text
        self.client.put_object(Bucket=self.bucket, Key=f"to/inbox/{name}", Body=body)

    def files(self) -> dict[str, bytes]:
        """Return every object, by its path in the inbox."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [each["Key"] for each in found]
        return {
            key.removeprefix("to/inbox/"): self.client.get_object(Bucket=self.bucket, Key=key)[
                "Body"
            ].read()
            for key in keys
        }

    def refuse_writing(self, *, refused: bool) -> None:
        """Answer every request that would write with 403."""
        self.wire.refuses = (b"PUT ", b"POST ", b"DELETE ") if refused else ()


@dataclass
class SftpServer:
    """A folder that sshd serves."""

    wire: Wire
    folder: Path
    flags: Path

    @property
    def address(self) -> str:
        """What the importer is told."""
        return f"sftp://127.0.0.1:{self.wire.port}{self.folder}"

    def put(self, name: str, text: str | bytes) -> None:
        """Put a file there, whole."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def files(self) -> dict[str, bytes]:
        """Return every file, by its path in the inbox."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}

    def refuse_writing(self, *, refused: bool) -> None:
        """Let sshd serve its files for reading only."""
        self.flags.write_text("-R" if refused else "")


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """Yield the port of Moto's server, a process of its own."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _server(command, port):
        yield port


@pytest.fixture
def s3_server(
    moto_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Server]:
    """Yield an empty bucket, and credentials for it."""
    with wire_to(moto_port) as wire:
        env = {
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path / "home"),
        }
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{moto_port}")
        bucket = f"bucket-{uuid4().hex[:8]}"
        place = {"LocationConstraint": "eu-west-1"}
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
        yield S3Server(wire, bucket, client)
        client.close()


@pytest.fixture
def sftp_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    """Yield an empty folder behind sshd, and a key and known hosts for it."""
    if SSHD is None or not SFTP_SERVER.is_file():
        pytest.skip("there is no sshd here (Debian: openssh-server)")
    home, server = tmp_path / "home", tmp_path / "sshd"
    (home / ".ssh").mkdir(parents=True)
    server.mkdir()
    for key in (home / ".ssh/id_ed25519", server / "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    flags, program = server / "flags", server / "sftp.sh"
    flags.write_text("")
    program.write_text(f'#!/bin/sh\nexec {SFTP_SERVER} $(cat "{flags}")\n')
    program.chmod(0o755)
    shutil.copy(home / ".ssh/id_ed25519.pub", server / "authorized")
    port = _free_port()
    config = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": server / "host",
        "AuthorizedKeysFile": server / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "MaxStartups": 100,
        "Subsystem": f"sftp {program}",
    }
    lines = [f"{name} {value}\n" for name, value in config.items()]
    (server / "config").write_text("".join(lines))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd wants it
    with (
        _server([str(SSHD), "-D", "-e", "-f", str(server / "config")], port),
        wire_to(port) as wire,
    ):
        host_key = (server / "host.pub").read_text().split()[:2]
        known = f"[127.0.0.1]:{wire.port} {' '.join(host_key)}\n"
        (home / ".ssh/known_hosts").write_text(known)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        folder = tmp_path / "far"
        folder.mkdir()
        yield SftpServer(wire, folder, flags)


@dataclass
class RemoteNightSetup(NightSetup):
    """An inbox elsewhere with settings, where one night after the other is played.

    Attributes:
        remote: the inbox.
        made: makes what stands between the night and the inbox; a test puts its own there.
    """

    remote: RemoteFiles = field(kw_only=True)
    made: Callable[[RemoteInbox], RemoteInbox] = field(default=lambda inbox: inbox, kw_only=True)

    @property
    def inbox(self) -> Path:
        """The staging folder."""
        return self.inbox_settings.root

    @property
    def inbox_settings(self) -> InboxSettings:
        """The inbox with its settings."""
        return locate(
            self.remote.address, InboxSettings(Path(), self.workspace.folder / "importer.yaml")
        )

    def opened(
        self, stop: StopSignal | None = None, ledgers: OpenLedgers | None = None
    ) -> RemoteInbox:
        """Return the inbox as a night opens it."""
        stop, ledgers = (
            stop or StopSignal(0.0),
            ledgers or OpenLedgers(self.inbox_settings.ledger()),
        )
        return open_remote(self.remote.address, self.inbox_settings, ledgers, self.clock, stop)

    def add_remote_file(self, name: str, text: str | bytes) -> None:
        """Upload a file."""
        self.remote.put(name, text)

    def night(self, stop: StopSignal | None = None) -> NightReport:
        """Play a night; return what the morning sees of it."""
        stop = stop or StopSignal(0.0)
        with OpenLedgers(self.inbox_settings.ledger()) as ledgers:
            inbox = self.made(self.opened(stop, ledgers))
            night = run_night(inbox, self.inbox_settings, self.clock, stop)
            self.faults = notify(night, self.inbox_settings.load(), self.inbox, self.sleeps.append)
            self.faults += upload_page(inbox, self.clock.now())
        return night

    def remote_spreadsheets(self) -> set[str]:
        """Return every spreadsheet of the inbox, without what was written about it."""
        ours = (".check.html", ".rejected.csv", ".results.csv", ".yaml")
        return {
            path
            for path in self.remote.files()
            if not path.endswith((*ours, MARKER_NAME)) and not path.startswith("nights/")
        }

    def staged_spreadsheets(self) -> set[str]:
        """Return the spreadsheets of the staging folder."""
        return self.spreadsheets() if self.inbox.is_dir() else set()


@pytest.fixture(params=["s3_server", "sftp_server"])
def remote(request: pytest.FixtureRequest) -> RemoteFiles:
    """Return an inbox on each kind of server."""
    found: RemoteFiles = request.getfixturevalue(request.param)
    return found


def make_remote_setup(
    folder: Path, remote: RemoteFiles, sandbox: Sandbox, name: str = "machine"
) -> RemoteNightSetup:
    """Return a machine with settings for an inbox elsewhere."""
    (folder / name).mkdir()
    return RemoteNightSetup(
        make_night_setup(folder / name, sandbox.base_url).workspace, remote=remote
    )


def phones(sandbox: Sandbox) -> Counter[str]:
    """Return who was written to, and how often."""
    return Counter(str(entry["phoneNumber"]) for entry in sandbox.journal)


def expected_phones(count: int) -> Counter[str]:
    """Return the first people of the list, this many, once each."""
    return Counter(f"+1415555{number:04}" for number in range(count))


def date(setup: RemoteNightSetup) -> str:
    """Return the date of the night."""
    return f"{setup.clock.time:%Y-%m-%d}"


def open_claims(setup: RemoteNightSetup) -> int:
    """Return how many files are claimed and not given back."""
    with Ledger.open(setup.inbox_settings.main().ledger) as ledger:
        return len(ledger.claims.open(setup.remote.address))


@contextmanager
def _server(command: list[str], port: int) -> Iterator[None]:
    """Yield a server as a process of its own, which listens once the context is entered."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        wait_until(lambda: _listens(port), process)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
