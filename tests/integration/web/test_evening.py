"""A list that is not through in the evening waits, and goes on the next morning by itself."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.sandbox.server import start_sandbox
from importer.settings import load_settings
from importer.web.jobs import COMMAND, Jobs
from importer.work.page_lists import OUTSIDE_HOURS, PageLists
from importer.work.upload_store import new_id
from importer.work.workbench import Workbench
from tests.support.recruiter import make_list, write_project
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from importer.ledger.records import UploadedList
    from importer.settings import Settings

EVENING = datetime(2026, 11, 26, 19, 59, 57, tzinfo=UTC)
"""Three seconds before it is too late in London."""
MORNING = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


class Clock:
    """Goes as fast as any clock, from the time that it was set to."""

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def set(self, at: datetime) -> None:
        """Set it."""
        self._at, self._since = at, time.monotonic()

    def __call__(self) -> datetime:
        """Return the time."""
        return self._at + timedelta(seconds=time.monotonic() - self._since)


@contextmanager
def at_work(settings: Settings, clock: Clock) -> Iterator[tuple[Jobs, Workbench, Ledger]]:
    """Yield the jobs of a page, by this clock."""
    credentials = settings.credentials()
    with Ledger.open(settings.ledger, now=clock) as ledger:
        workbench = Workbench(settings, credentials, ledger)
        jobs = Jobs(PageLists(workbench, settings, credentials, ledger, COMMAND, clock))
        jobs.start()
        try:
            yield jobs, workbench, ledger
        finally:
            jobs.close()


def fail(*_: object) -> None:
    """Fail as nobody expects."""
    raise RuntimeError("a fault")


def test_nobody_is_written_to_at_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in counts as the real service here, so the hours of the people count."""
    monkeypatch.setattr("importer.work.page_lists.is_loopback", lambda host: host == "")
    monkeypatch.setenv("POPP_API_KEY", "a-key")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "an-organization")
    rows = [f"Pia,Q,,p{n}@example.com,GB,Cook\r\n" for n in range(100)]
    clock, list_id = Clock(EVENING - timedelta(hours=2)), new_id()
    with start_sandbox() as sandbox:
        path = write_project(tmp_path, sandbox.base_url, "timezone: Europe/London")
        text = path.read_text("utf-8").replace("rehearsal: true\n", "")
        path.write_text(text.replace("rate_per_s: 1000", "rate_per_s: 20"), "utf-8")
        entries = sandbox.conversations.entries
        with at_work(load_settings(path), clock) as (jobs, workbench, ledger):

            def find() -> UploadedList:
                found = ledger.lists.find(list_id)
                assert found is not None
                return found

            ledger.lists.add(list_id, "ann")
            file = workbench.place_for(list_id) / "list.csv"
            file.write_bytes(make_list(*rows))
            choices = {"meeting": "onsite", "participants": "panel"}
            checking = ListState.CHECKING.value
            ledger.lists.change(list_id, {ListState.UPLOADING}, state=checking, choices=choices)
            jobs.wake()
            wait_until(lambda: find().state is ListState.OPEN)
            assert find().counts["ready"] == len(rows)

            with monkeypatch.context() as broken:
                broken.setattr("importer.work.page_lists.reconcile", fail)
                jobs.look_up()
                wait_until(lambda: not jobs.is_looking_up)
                broken.setattr(Workbench, "ensure_people", fail)
                ledger.lists.change(list_id, {ListState.OPEN}, state=ListState.QUEUED.value)
                jobs.wake()
                wait_until(lambda: find().state is ListState.OPEN)
                assert "fault in importer" in find().message

            clock.set(EVENING)
            ledger.lists.change(list_id, {ListState.OPEN}, state=ListState.QUEUED.value)
            jobs.wake()
            wait_until(lambda: find().start_at is not None)
            waits = find()
            assert waits.state is ListState.QUEUED
            assert waits.message == OUTSIDE_HOURS
            assert waits.start_at == MORNING
            in_the_evening = len(entries)
            assert in_the_evening < len(rows)
            clock.set(MORNING)
            jobs.wake()
            wait_until(lambda: find().state is ListState.DONE)
        people = Counter(each["emailAddress"] for each in entries)
        assert len(people) == len(rows)
        assert set(people.values()) == {1}
