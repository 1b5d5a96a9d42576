"""A server that is killed goes on where it was: no list is lost, and nobody is contacted twice."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from importer.sandbox.server import start_sandbox
from tests.support.recruiter import GOOD, Recruiter, make_list, write_project
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serve(settings: Path) -> Iterator[tuple[subprocess.Popen[str], Recruiter]]:
    """Serve a page in a process of its own, and sign in."""
    arguments = ["serve", "--config", str(settings)]
    with subprocess.Popen(
        [sys.executable, "-m", "importer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = None
            while found is None:
                line = process.stdout.readline()
                assert line, "the server ended"
                found = re.search(r"(http://[^/]+)(/sign-in\?token=\S+)", line)
            with httpx.Client(
                base_url=found[1], headers={"accept": "text/html"}, trust_env=False, timeout=30
            ) as browser:
                assert browser.get(found[2]).status_code == 303
                yield process, Recruiter(browser)
        finally:
            process.kill()


def test_killed_while_it_sends(tmp_path: Path) -> None:
    """The next server goes on by itself; every person is contacted once."""
    rows = [f"Pia,Q,,p{n}@example.com,GB,Cook\r\n" for n in range(200)]
    with start_sandbox() as sandbox:
        settings = write_project(tmp_path, sandbox.base_url, "settle_s: 0.1", "max_doubtful: 50")
        settings.write_text(settings.read_text().replace("rate_per_s: 1000", "rate_per_s: 60"))
        entries = sandbox.conversations.entries
        with serve(settings) as (process, ann):
            list_id = ann.upload(make_list(*rows))
            run = ann.start(list_id)
            until(lambda: len(entries) > 20)
            process.kill()
            process.wait()
        assert len(entries) < 200
        with serve(settings) as (_, ann):
            assert "All 200 rows are through" in ann.wait_until_sent(run)
        people = Counter(each["emailAddress"] for each in entries)
        assert len(people) == 200
        assert set(people.values()) == {1}


def test_killed_while_a_list_arrives(tmp_path: Path) -> None:
    """There is no half list, and the upload can be made again."""
    settings = write_project(tmp_path, "http://127.0.0.1:1/v1")
    with serve(settings) as (process, ann):
        list_id, token = ann.new_id(), ann.token
        place = urlsplit(str(ann.browser.base_url))
        cookie = "; ".join(f"{name}={value}" for name, value in ann.browser.cookies.items())
        head = (
            f"PUT /lists/{list_id}/file HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookie}\r\n"
            f"X-CSRF: {token}\r\nX-File-Name: list.csv\r\nContent-Length: 1000000\r\n\r\n"
        )
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode() + b"First Name,Email\r\n")
            until(lambda: any((tmp_path / "uploads").rglob("*.part")))
            process.kill()
            process.wait()
    with serve(settings) as (_, ann):
        assert ann.browser.get(f"/lists/{list_id}").status_code == 404
        assert list_id not in ann.browser.get("/").text
        assert ann.put(list_id, make_list(*GOOD)).status_code == 201
        answer = ann.post("/lists/new", id=list_id, meeting="onsite", participants="panel")
        assert answer.status_code == 303
        ann.wait_until_checked(list_id)
        assert "All 3 rows are ready" in ann.browser.get(f"/lists/{list_id}").text
        assert not any((tmp_path / "uploads").rglob("*.part"))
