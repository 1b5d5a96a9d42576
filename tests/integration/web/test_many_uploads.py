"""Fifty people upload at the same time: no list is lost or mixed up, and the server stays small."""

from __future__ import annotations

import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.settings import load_settings
from importer.work.upload_store import new_id
from tests.support.page_process import serve
from tests.support.recruiter import make_list, write_project
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT: Final = 50
MOST_BYTES: Final = 1 << 30
FILLER: Final = "\r\n" * 500_000
"""Blank rows at the end, as spreadsheet programs leave them; they make a small list large."""


def list_of(number: int) -> bytes:
    """Return a list of 1 MB that is nobody else's."""
    return make_list(f"Pia,Q,,p{number}@example.com,GB,Cook\r\n", FILLER)


def peak_bytes(process: int) -> int:
    """Return the most memory that a process ever had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text("utf-8"))
    assert found is not None
    return int(found[1]) * 1024


def has_open(ledger: Ledger, count: int) -> bool:
    """Whether at least this number of lists is checked."""
    return len(ledger.lists.list(states={ListState.OPEN}, limit=COUNT)) >= count


def test_fifty_uploads_at_the_same_time(tmp_path: Path) -> None:
    """Each is half there before any goes on; in the end all are whole, checked and unchanged."""
    settings = write_project(tmp_path, "http://127.0.0.1:1/v1")
    half_there = threading.Barrier(COUNT)
    lists = {new_id(): list_of(number) for number in range(COUNT)}
    with serve(settings) as (process, ann):
        headers = {"x-csrf": ann.token, "x-file-name": "list.csv"}
        choices = {"meeting": "onsite", "participants": "panel"}
        options: dict[str, Any] = {
            "base_url": ann.browser.base_url,
            "cookies": ann.browser.cookies,
            "trust_env": False,
            "timeout": 120,
        }

        def upload(list_id: str) -> tuple[int, int]:
            data = lists[list_id]

            def body() -> Iterator[bytes]:
                yield data[: len(data) // 2]
                half_there.wait(120)
                yield data[len(data) // 2 :]

            with httpx.Client(**options) as browser:
                put = browser.put(f"/lists/{list_id}/file", content=body(), headers=headers)
                form = {"id": list_id, **choices}
                post = browser.post("/lists/new", data=form, headers=headers)
                return put.status_code, post.status_code

        with ThreadPoolExecutor(COUNT) as people:
            assert set(people.map(upload, lists)) == {(201, 303)}
        with Ledger.open(load_settings(settings).ledger) as ledger:
            for checked in range(1, COUNT + 1):  # each has its own time, however slow the machine
                wait_until(partial(has_open, ledger, checked))
            found = {each.id: each for each in ledger.lists.list(limit=2 * COUNT)}
        assert found.keys() == lists.keys()
        for list_id, data in lists.items():
            assert found[list_id].sha256 == hashlib.sha256(data).hexdigest()
            assert found[list_id].counts["ready"] == 1
            assert (tmp_path / "uploads" / list_id / "list" / "list.csv").read_bytes() == data
        assert peak_bytes(process.pid) < MOST_BYTES
