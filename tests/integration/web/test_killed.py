"""A server that is killed goes on where it was: no list is lost, and nobody is contacted twice."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from importer.sandbox.server import start_sandbox
from tests.support.page_process import serve
from tests.support.recruiter import GOOD, make_list, write_project
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


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
            wait_until(lambda: len(entries) > 20)
            process.kill()
            process.wait()
        assert len(entries) < 200
        with serve(settings) as (_, ann):
            assert "All 200 rows are through" in ann.wait_until_sent(run)
        people = Counter(each["emailAddress"] for each in entries)
        assert len(people) == 200
        assert set(people.values()) == {1}


def test_killed_after_stop_and_after_go_on(tmp_path: Path) -> None:
    """What was stopped stays stopped, what was told to go on does, and nobody is reached twice."""
    rows = [f"Pia,Q,,p{n}@example.com,GB,Cook\r\n" for n in range(200)]
    with start_sandbox() as sandbox:
        settings = write_project(tmp_path, sandbox.base_url, "settle_s: 0.1", "max_doubtful: 50")
        fast = settings.read_text()
        settings.write_text(fast.replace("rate_per_s: 1000", "rate_per_s: 20"))
        entries = sandbox.conversations.entries
        with serve(settings) as (process, ann):
            list_id = ann.upload(make_list(*rows))
            run = ann.start(list_id)
            wait_until(lambda: len(entries) > 10)
            assert ann.post(f"/lists/{list_id}/halt", wish="stop").status_code == 303
            process.kill()
            process.wait()
        with serve(settings) as (process, ann):
            assert "Go on with" in ann.wait_until_sent(run)
            stopped_at = len(entries)
            assert stopped_at < 200
            assert ann.post(f"/lists/{list_id}/go-on").status_code == 303
            wait_until(lambda: len(entries) > stopped_at + 10)
            process.kill()
            process.wait()
        assert len(entries) < 200
        settings.write_text(fast)
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
            wait_until(lambda: any((tmp_path / "uploads").rglob("*.part")))
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
