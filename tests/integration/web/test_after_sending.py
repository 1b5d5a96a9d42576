"""After sending: doubtful rows are settled as a person decides, and refused rows are sent again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from importer.ledger import Ledger
from importer.sandbox.server import start_sandbox
from importer.settings import load_settings
from tests.support.recruiter import GOOD, make_list, open_site, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Recruiter


@pytest.fixture
def api() -> Iterator[Sandbox]:
    """Yield a stand-in for the API that a test gives faults to."""
    with start_sandbox() as api:
        yield api


@pytest.fixture
def ann(api: Sandbox, tmp_path: Path) -> Iterator[Recruiter]:
    """Yield somebody who may do everything; only they settle a doubt."""
    settings = load_settings(write_project(tmp_path, api.base_url, "reconcile: false"))
    with open_site(settings) as site, site.sign_in() as ann:
        yield ann


def people(api: Sandbox) -> list[str]:
    """Return the first names of the people with a conversation."""
    return sorted(each["firstName"] for each in api.conversations.entries)


def settle(ann: Recruiter, answer: str) -> None:
    """Settle the only doubtful row; who does not say how they know it is asked to."""
    page = ann.browser.get("/doubts").text
    assert "1 row is doubtful" in page
    found = re.search(r'action="(/doubts/[0-9a-f]+)"', page)
    assert found is not None
    assert ann.post(found[1], answer=answer).status_code == 400
    done = ann.post(found[1], answer=answer, reason="looked it up")
    assert done.headers["location"] == "/doubts"
    assert ann.post(found[1], answer=answer, reason="once more").status_code == 303


def test_doubts_are_settled_on_a_persons_word(ann: Recruiter, api: Sandbox) -> None:
    """What was sent is never sent again; what was not sent can go again, and goes once."""
    api.set_faults("reset-after:1")
    arrived = ann.start(ann.upload(make_list(GOOD[0])))
    assert "Doubtful rows" in ann.wait_until_sent(arrived)
    settle(ann, "sent")
    assert ",created," in ann.browser.get(f"{arrived}/results.csv").text
    assert "Go on with" not in ann.browser.get(arrived).text

    api.set_faults("reset-before:1")
    list_id = ann.upload(make_list(GOOD[1]))
    lost = ann.start(list_id)
    assert "Go on with" not in ann.wait_until_sent(lost)
    settle(ann, "not-sent")
    api.set_faults("")
    assert people(api) == ["Ada"]
    assert "Go on with 1 row" in ann.browser.get(lost).text
    ann.post(f"/lists/{list_id}/go-on")
    assert "1 row is through" in ann.wait_until_sent(lost)
    assert people(api) == ["Ada", "Cy"]
    events = ann.browser.get("/audit.jsonl").text
    assert "doubt-sent" in events
    assert "doubt-not-sent" in events


def test_refused_rows_are_sent_again(ann: Recruiter, api: Sandbox, tmp_path: Path) -> None:
    """Only on request, and each person once; what comes later needs a request of its own."""
    api.set_faults("400:1")
    list_id = ann.upload(make_list(*GOOD))
    refused = ann.start(list_id)
    ann.wait_until_sent(refused)
    assert people(api) == []
    api.set_faults("")
    assert "The service refused 3 rows" in ann.browser.get(refused).text
    ann.post(f"/lists/{list_id}/go-on", retry="1")
    again = ann.wait_for_run(list_id)
    assert "All 3 rows are through" in ann.wait_until_sent(again)
    assert people(api) == ["Ada", "Cy", "Ed"]
    with Ledger.open(load_settings(tmp_path / "importer.yaml").ledger) as ledger:
        known = ledger.lists.find(list_id)
    assert known is not None
    assert "retry" not in known.choices
