"""`importer serve` as a process: it says where the page is, lets in who has the link, and stops."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from importer.errors import Exit
from tests.support.waiting import wait_until
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

LIST = "0123456789abcdef0123456789abcdef"


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Yield a page in a process of its own, and a browser that has used its link."""
    process = Workspace(folder).process("serve", "--rehearsal", "--listen", "0")
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        found = re.fullmatch(
            r"The page is at (http://127\.0\.0\.1:\d+)\. This is a rehearsal: nobody is "
            r"contacted\.\n",
            first,
        )
        assert found is not None, first
        link = process.stdout.readline().split()[-1]
        with httpx.Client(
            base_url=found[1], headers={"accept": "text/html"}, trust_env=False
        ) as browser:
            assert browser.get(link).status_code == 303
            yield process, browser
    finally:
        process.kill()
        process.communicate()


def is_closed(url: str) -> bool:
    """Whether nobody listens there any more."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) != 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_finishes_what_it_has_begun(tmp_path: Path, how: signal.Signals) -> None:
    """An upload under way is taken whole after the signal; then it ends with 0."""
    with served(tmp_path) as (process, browser):
        text = browser.get("/").text
        found = re.search(r'name="csrf" (?:content|value)="(\w+)"', text)
        assert found is not None
        parts = urlsplit(str(browser.base_url))
        head = (
            f"PUT /lists/{LIST}/file HTTP/1.1\r\nHost: {parts.netloc}\r\nX-CSRF: {found[1]}\r\n"
            f"Cookie: importer={browser.cookies['importer']}\r\nContent-Length: 24\r\n\r\n"
        )
        uploads = tmp_path / "uploads"
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(f"{head}first_name,".encode())
            wait_until(lambda: any(uploads.rglob("*.part")), process)
            process.send_signal(how)
            wait_until(lambda: is_closed(str(browser.base_url)), process)
            connection.sendall(b"phone_number\n")
            answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 201 "), answer
        out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.OK, err
    assert out.endswith("The page has stopped.\n")
    assert "Traceback" not in err
    assert (uploads / LIST / "list" / "list").read_bytes() == b"first_name,phone_number\n"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--listen", "0.0.0.0:0"), Exit.SETUP, "can be reached from other machines"),
        (("--auth", "proxy-header"), Exit.SETUP, "`trusted_proxies`"),
        (("--auth", "oidc"), Exit.SETUP, "`oidc_issuer`"),
        (("--listen", "example.com:1"), Exit.SETUP, "must begin with an IP address"),
        (("--listen", "1"), Exit.USAGE, "not available"),
    ],
)
def test_it_is_open_to_nobody_by_mistake(
    tmp_path: Path, flags: tuple[str, ...], code: Exit, words: str
) -> None:
    """It says what to do instead."""
    if "1" in flags:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            result = Workspace(tmp_path)(
                "serve", "--rehearsal", "--listen", str(taken.getsockname()[1])
            )
    else:
        result = Workspace(tmp_path)("serve", "--rehearsal", *flags)
    assert result.code == code
    assert words in result.err
