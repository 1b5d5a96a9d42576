"""The receiver keeps what is signed, before it answers, and refuses the rest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from importer.deliver import deliver
from importer.errors import LedgerError, SettingsError
from importer.ledger import Ledger
from importer.model import State
from importer.sandbox.server import SandboxOptions, start_sandbox
from importer.sending.run_options import RunOptions
from importer.settings import Settings
from importer.settings.page_settings import WEBHOOK_SECRET
from importer.web.request_checks import USUAL_PACE, Pace
from importer.web.webhook_receiver import MAX_BODY_BYTES, PATH, start_receiver
from tests.support.builders import CREDENTIALS
from tests.support.events import SECRET, event, signature
from tests.support.project import GOOD, Project, make_project
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.unit.web.conftest import OpenPage

STARTED = event("CONVERSATION_STARTED", recordId="conv-1")


class Receiver:
    """A receiver on a socket, its ledger, and what it printed."""

    def __init__(self, url: str, ledger: Ledger, terminal: list[str]) -> None:
        self.url = url
        self.ledger = ledger
        self.terminal = terminal

    def send(self, body: bytes, *signatures: str) -> int:
        """Return the status of the answer."""
        headers = [(b"x-signature", each.encode("latin-1")) for each in signatures]
        return httpx.post(self.url, content=body, headers=headers, trust_env=False).status_code

    @property
    def received(self) -> int:
        """How many events the ledger has."""
        return self.ledger.events.counts().received


@contextmanager
def receiving(settings: Settings, pace: Pace = USUAL_PACE) -> Iterator[Receiver]:
    """Yield a receiver for these settings."""
    terminal: list[str] = []
    with (
        Ledger.open(settings.ledger) as ledger,
        start_receiver(settings, say=terminal.append, pace=pace) as url,
    ):
        yield Receiver(url, ledger, terminal)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a receiver, whose secret is in the environment."""
    monkeypatch.setenv(WEBHOOK_SECRET, SECRET)
    return made(tmp_path)


def made(folder: Path, **given: Any) -> Settings:
    """Return settings of a receiver."""
    ledger = f"sqlite:///{folder / 'importer.db'}"
    return Settings.model_validate({"ledger": ledger, "listen": "127.0.0.1:0", **given})


def test_only_signed_events_are_kept(settings: Settings) -> None:
    """Anything else gets a 401, and the person at the terminal is told once."""
    right = signature(STARTED)
    with receiving(settings) as receiver:
        wrong = [
            (),
            ("",),
            ("\u00e9",),
            (right[:-1] + ("0" if right[-1] != "0" else "1"),),
            (signature(STARTED, secret="another secret entirely"),),
            (signature(STARTED + b" "),),
            (right, right),
        ]
        assert {receiver.send(STARTED, *each) for each in wrong} == {401}
        assert receiver.received == 0
        assert len(receiver.terminal) == 2
        assert receiver.send(STARTED, right) == 200
        assert receiver.send(STARTED, f"sha256={right.upper()}") == 200
        assert receiver.received == 1


def test_the_encoding_of_a_signature_is_a_setting(settings: Settings, tmp_path: Path) -> None:
    """A signature that is right in the other one is refused, with the remedy."""
    del settings
    with receiving(made(tmp_path, webhook_signature="base64")) as receiver:
        assert receiver.send(STARTED, signature(STARTED)) == 401
        assert "set `webhook_signature: hex`" in receiver.terminal[0]
        assert receiver.send(STARTED, signature(STARTED, "base64").rstrip("=")) == 200


def test_what_is_odd_does_no_harm(settings: Settings) -> None:
    """Too long, of another method, unreadable, unknown."""
    with receiving(settings) as receiver:
        long = b"x" * (MAX_BODY_BYTES + 1)
        assert receiver.send(long, signature(long)) == 413
        assert httpx.get(receiver.url, trust_env=False).status_code == 405
        assert receiver.received == 0
        odd = [b"not JSON", b"[]", event("UNHEARD_OF")]
        assert [receiver.send(each, signature(each)) for each in odd] == [200] * 3
        assert receiver.received == 3


def test_an_event_that_trickles_in_is_stopped(settings: Settings) -> None:
    """Nobody keeps the receiver busy for hours."""
    with receiving(settings, Pace(grace_s=0.1, bytes_per_s=1_000_000)) as receiver:
        host, port = receiver.url.removeprefix("http://").removesuffix(PATH).split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_run_that_holds_the_ledger_is_no_obstacle(settings: Settings) -> None:
    """Events are kept and applied meanwhile, in transactions of their own."""
    with receiving(settings) as receiver, receiver.ledger.lock("a run"):
        assert receiver.send(STARTED, signature(STARTED)) == 200
        wait_until(lambda: receiver.ledger.events.counts().waiting == 0)


def test_an_event_that_cannot_be_kept_is_asked_for_again(settings: Settings) -> None:
    """A 200 would lose it."""
    with receiving(settings) as receiver:
        with receiver.ledger._database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE webhook_events RENAME TO gone")
        assert receiver.send(STARTED, signature(STARTED)) == 503
        with receiver.ledger._database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO webhook_events")
        assert receiver.send(STARTED, signature(STARTED)) == 200


def test_a_receiver_needs_a_secret_and_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new ledger in the wrong folder would answer for events that it cannot place."""
    with pytest.raises(LedgerError, match="no ledger"), start_receiver(made(tmp_path)):
        pass
    Ledger.open(made(tmp_path).ledger).close()
    with pytest.raises(SettingsError, match="is not set"), start_receiver(made(tmp_path)):
        pass
    monkeypatch.setenv(WEBHOOK_SECRET, "short")
    with pytest.raises(SettingsError, match="can be guessed"), start_receiver(made(tmp_path)):
        pass


def test_an_answered_event_survives_a_kill(tmp_path: Path) -> None:
    """The command answers 200 and is killed at once; the event is in the ledger."""
    settings = made(tmp_path)
    Ledger.open(settings.ledger).close()
    arguments = ["webhooks", "--ledger", settings.ledger, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "importer", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, WEBHOOK_SECRET: SECRET, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("Events are received at ").strip(" .\n")
        with Ledger.open(settings.ledger) as ledger:
            receiver = Receiver(url, ledger, [])
            assert receiver.send(STARTED, signature(STARTED)) == 200
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert receiver.received == 1
    finally:
        process.kill()
        process.communicate()


def test_the_page_receives_events_too(
    open_page: Callable[..., AbstractContextManager[OpenPage]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a session, by their signature alone; without a secret there is no such address."""
    headers = {"x-signature": signature(STARTED)}
    with open_page() as page, page.visitor() as visitor:
        assert visitor.post(PATH, content=STARTED, headers=headers).status_code == 401
    monkeypatch.setenv(WEBHOOK_SECRET, SECRET)
    with open_page() as page, page.visitor() as visitor:
        assert visitor.post(PATH, content=STARTED, headers=headers).status_code == 200
        assert visitor.post(PATH, content=STARTED + b" ", headers=headers).status_code == 401
        assert visitor.get("/").status_code == 303
        with Ledger.open(page.settings.ledger) as ledger:
            assert ledger.events.counts().received == 1


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Yield a folder of lists whose ledger also receives events."""
    monkeypatch.setenv(WEBHOOK_SECRET, SECRET)
    # A ledger belongs to an API whatever its port is, so the sandbox's need not be known yet.
    api = "http://127.0.0.1:1/v1"
    with make_project(
        listen="127.0.0.1:0", base_url=api, rate_per_s=1_000, reconcile=False
    ) as project:
        yield project


def test_events_of_the_sandbox_settle_doubts(project: Project) -> None:
    """Everybody is accepted with a 504; events come twice and late, and settle every row."""
    rows = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(4)]
    with (
        receiving(project.settings) as receiver,
        start_sandbox(
            SandboxOptions(
                behave="accepts-then-504,repeated-events,late-events:0.05",
                webhook=(receiver.url, SECRET.encode()),
            )
        ) as sandbox,
    ):
        settings = project.settings.model_copy(update={"base_url": sandbox.base_url})
        report = deliver(project.plan(rows), settings, RunOptions("a test", CREDENTIALS))
        wait_until(lambda: not receiver.ledger.doubts.list())
        assert receiver.ledger.runs.states(report.run) == {State.CREATED: 4}
        assert {*receiver.ledger.conversations.ids()} == {each["id"] for each in sandbox.journal}
        url = f"{sandbox.base_url.removesuffix('/v1')}/sandbox/conversations/"
        for change in ({"status": "OPTED_OUT"}, {"meeting": "2026-12-01T10:00:00+00:00"}):
            changed = httpx.patch(url + sandbox.journal[0]["id"], json=change, trust_env=False)
            assert changed.status_code == 204

        def known() -> list[tuple[str | None, str | None]]:
            found = receiver.ledger.runs.rows(report.run)
            submissions = [each.submission for each in found if each.submission is not None]
            return [(each.remote_status, each.meeting_state) for each in submissions]

        wait_until(lambda: ("OPTED_OUT", "scheduled") in known())
