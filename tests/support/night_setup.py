"""An inbox to play nights in: a clock that is moved by hand, lists, and somebody who gets mail."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, Final

from importer.nightly.clock import StopSignal
from importer.nightly.inbox import InboxFolders, InboxSettings, LocalInbox, OpenLedgers
from importer.nightly.night import run_night
from importer.nightly.notifications import notify
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from importer.report.night_report import NightReport


TEAM: Final = (
    "- {name: Sam, email: sam@example.com, isOrganizer: true, isCalendarConnected: true}\n"
)
SETTINGS: Final = """\
campaign: camp-42
meeting: onsite-45
participants: team
rate_per_s: 500
preflight: "off"
retry_503: true
settle_s: 0.1
max_wait_s: 0.01
wait_base_s: 0.01
attempts: 2
"""
HEADER: Final = "first_name,phone_number,Job Title"


def candidate_list(first: int, count: int, header: str = HEADER) -> str:
    """Return a list of this many people; another number gives other people."""
    rows = [f"Ada,+1415555{number:04},Chef" for number in range(first, first + count)]
    return "\n".join([header, *rows]) + "\n"


@dataclass
class HandClock:
    """A clock that moves only when somebody waits by it, or sets it.

    Attributes:
        time: UTC.
        seconds: of the clock that never jumps.
        events: what happens at a time, once the clock comes by it.
        on_wait: told of every wait.
    """

    time: datetime
    seconds: float = 0.0
    events: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self.time

    def elapsed_s(self) -> float:
        """Return seconds that were waited."""
        return self.seconds

    def wait(self, seconds: float, stop: StopSignal) -> None:
        """Move on, and do what happens meanwhile."""
        del stop
        self.waits.append(seconds)
        self.seconds += seconds
        self.time += timedelta(seconds=seconds)
        for event in [event for event in self.events if event[0] <= self.time]:
            self.events.remove(event)
            event[1]()


def noon_tomorrow() -> datetime:
    """Return a time later than any file that a test writes, and hours from midnight."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return tomorrow.replace(hour=12, minute=0, second=0, microsecond=0)


@dataclass
class NightSetup:
    """An inbox with settings, where one night after the other is played."""

    workspace: Workspace
    clock: HandClock = field(default_factory=lambda: HandClock(noon_tomorrow()))
    folder: str = "inbox"
    sleeps: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        """The folder that files arrive in."""
        return self.workspace.folder / self.folder

    @property
    def inbox_settings(self) -> InboxSettings:
        """The inbox with its settings."""
        return InboxSettings(self.inbox, self.workspace.folder / "importer.yaml")

    def add_file(self, name: str, text: str | bytes) -> Path:
        """Put a file into the inbox."""
        return self.workspace.write(f"{self.folder}/{name}", text)

    def settings(self, base_url: str, more: str = "") -> None:
        """Write the main importer.yaml; lines in `more` replace the usual ones."""
        over = {line.partition(":")[0] for line in more.splitlines()}
        usual = [line for line in SETTINGS.splitlines() if line.partition(":")[0] not in over]
        self.workspace.write("importer.yaml", "\n".join([*usual, f"base_url: {base_url}", more]))

    def folder_settings(self, folder: str, **chosen: object) -> None:
        """Write what the main importer.yaml says about a subfolder; nothing if nothing is given.

        Other folders are no longer mentioned.
        """
        path = self.workspace.folder / "importer.yaml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("folders:")]
        result = [f"folders: {json.dumps({folder: chosen})}"] if chosen else []
        self.workspace.write("importer.yaml", "\n".join([*lines, *result]))

    def night(self, stop: StopSignal | None = None) -> NightReport:
        """Play a night; return what the morning sees of it."""
        with OpenLedgers(self.inbox_settings.ledger()) as ledgers:
            inbox = LocalInbox(InboxFolders(self.inbox), ledgers)
            night = run_night(inbox, self.inbox_settings, self.clock, stop or StopSignal(0.0))
        self.faults = notify(night, self.inbox_settings.load(), self.inbox, self.sleeps.append)
        return night

    def spreadsheets(self) -> set[str]:
        """Return every spreadsheet of the inbox, relative to it, without pages about it."""
        files = (path for path in self.inbox.rglob("*") if path.is_file())
        ours = (".check.html", ".rejected.csv", ".results.csv")
        return {
            path.relative_to(self.inbox).as_posix()
            for path in files
            if not path.name.endswith((*ours, ".yaml"))
            and path.parent.name != "nights"
            and not path.name.startswith(".")
        }


def make_night_setup(folder: Path, base_url: str, more: str = "") -> NightSetup:
    """Return an empty inbox with templates and settings."""
    workspace = Workspace(folder)
    assert workspace("init").code == 0
    workspace.write("templates/participants/team.yaml", TEAM)
    (folder / "inbox").mkdir()
    setup = NightSetup(workspace)
    setup.settings(base_url, more)
    return setup


@contextmanager
def serve_webhook() -> Iterator[tuple[str, list[dict[str, Any]], list[int]]]:
    """Yield a webhook on a real socket: its address, what it got, and its next statuses."""
    got: list[dict[str, Any]] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            status = answers.pop(0) if answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got, answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
