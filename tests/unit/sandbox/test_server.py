"""The sandbox starts, survives, stops, and says what is missing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from importer.errors import UsageError
from importer.sandbox.server import HOST, SandboxOptions, _listen, start_sandbox

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., dict[str, Any]]
Connect = Callable[..., httpx.Client]
CREATE = "/scheduling/conversations"

SERVE = """
import sys
from pathlib import Path
from importer.sandbox.server import SandboxOptions, serve
serve(SandboxOptions(journal=Path(sys.argv[1])), lambda url: print(url, flush=True))
"""


def started(journal: Path) -> tuple[subprocess.Popen[str], str]:
    """Return a sandbox in a process of its own, and its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(journal)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_conversations_survive_a_restart(tmp_path: Path, body: Make, client: Connect) -> None:
    """With the journal a second sandbox knows what the first accepted, duplicates too."""
    journal = tmp_path / "journal.jsonl"
    with start_sandbox(SandboxOptions(journal=journal)) as first, client(first.base_url) as api:
        created = api.post(CREATE, json=body()).json()
    with start_sandbox(SandboxOptions(journal=journal)) as second, client(second.base_url) as api:
        assert api.get(f"/conversations/{created['id']}").json()["externalId"] == "A-1"
        assert api.post(CREATE, json=body()).status_code == 409
        assert second.requests == 2
        assert len(second.journal) == 1


def test_a_killed_sandbox_has_journalled_what_it_answered(
    tmp_path: Path, body: Make, client: Connect
) -> None:
    """SIGKILL right after an answer loses nothing."""
    journal = tmp_path / "journal.jsonl"
    process, url = started(journal)
    try:
        with client(url) as api:
            created = api.post(CREATE, json=body()).json()["id"]
    finally:
        process.kill()
        process.communicate()
    assert [json.loads(line)["id"] for line in journal.read_text().splitlines()] == [created]


def test_a_sandbox_ends_when_it_is_told(tmp_path: Path, client: Connect) -> None:
    """SIGINT ends it with 0 and without a traceback, a connection open or not."""
    process, url = started(tmp_path / "journal.jsonl")
    with client(url) as api:
        assert api.get("/conversations").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == 0


def test_it_listens_on_this_machine_only() -> None:
    """The address is loopback, whatever the port."""
    with start_sandbox() as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")
        assert sandbox.base_url.endswith("/v1")


def test_a_port_that_is_taken_is_named() -> None:
    """Wrong usage, with the port in the message."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)), start_sandbox(SandboxOptions(port=port)):
            pass


def test_a_wrong_specification_starts_nothing() -> None:
    """Faults are read before the port is taken."""
    with (
        pytest.raises(UsageError, match="explode"),
        start_sandbox(SandboxOptions(faults="explode:1")),
    ):
        pass


def test_small_answers_leave_at_once() -> None:
    """The listener says its protocol, which is what makes asyncio turn Nagle's algorithm off."""
    with _listen(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_missing_extra_is_named() -> None:
    """Without uvicorn there is one clear message and no traceback."""
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from importer.errors import ImporterError\n"
        "try:\n    import importer.sandbox.server\n"
        "except ImporterError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install '.[web]'" in done.stdout
    assert done.stderr == ""


def test_faults_are_repeated_by_their_seed(body: Make, client: Connect) -> None:
    """Two sandboxes with the same seed refuse the same requests."""
    seen = []
    for _ in range(2):
        with (
            start_sandbox(SandboxOptions(faults="429:0.5", seed=4)) as sandbox,
            client(sandbox.base_url) as api,
        ):
            seen.append([api.post(CREATE, json=body()).status_code for _ in range(20)])
    assert seen[0] == seen[1]
    assert 429 in seen[0]
    assert 201 in seen[0]


def test_many_clients_are_served_at_once(tmp_path: Path, body: Make, client: Connect) -> None:
    """Requests that come together are journalled in groups, each once."""
    journal = tmp_path / "journal.jsonl"
    with start_sandbox(SandboxOptions(journal=journal)) as sandbox:

        def create(number: int) -> int:
            with client(sandbox.base_url) as api:
                made = body(phoneNumber=None, emailAddress=f"a{number}@example.org")
                return api.post(CREATE, json=made).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(create, range(64))) == {201}
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        assert sorted(line["emailAddress"] for line in lines) == sorted(
            f"a{number}@example.org" for number in range(64)
        )


def test_a_journal_that_cannot_be_written_is_told(
    tmp_path: Path, body: Make, client: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """If the journal cannot be written, the answer is a 500 and the reason is logged."""
    with (
        start_sandbox(SandboxOptions(journal=tmp_path / "journal.jsonl")) as sandbox,
        client(sandbox.base_url) as api,
    ):
        sandbox.close()
        assert api.post(CREATE, json=body()).status_code == 500
    assert "closed file" in caplog.text
    assert "+4420" not in caplog.text


def test_a_sandbox_ends_in_spite_of_silence() -> None:
    """A request that is kept waiting does not keep the sandbox: it ends in seconds."""
    request = b"GET /v1/conversations HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n"
    with socket.socket() as silent:
        with start_sandbox(SandboxOptions(faults="list-stall:1")) as sandbox:
            silent.settimeout(0.2)
            silent.connect((HOST, urlsplit(sandbox.base_url).port or 0))
            silent.sendall(request + b"x-organization-id: acme\r\n\r\n")
            with pytest.raises(TimeoutError):
                silent.recv(1)
        silent.settimeout(10)
        assert silent.recv(1) == b""
