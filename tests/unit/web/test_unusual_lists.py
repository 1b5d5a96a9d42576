"""A list unlike the last ones of its campaign goes only if somebody says that it is right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from importer.languages import use_language
from importer.ledger.lock import file_lock
from importer.web.wording import plain_anomaly
from importer.work.workbench import CheckProgress
from tests.support.recruiter import Recruiter, make_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.unit.web.conftest import OpenPage


def people(kind: str, count: int, country: str = "GB") -> bytes:
    """Return a list of people that no other list has."""
    return make_list(*(f"P{n},Q,,{kind}{n}@example.com,{country},Cook\r\n" for n in range(count)))


def test_an_unusual_list_is_confirmed(ann: Recruiter, campaign: str, api: Sandbox) -> None:
    """It says what is unusual, before and when it is sent; without a word for it, nothing goes."""
    for number in range(3):
        list_id = ann.upload(people(f"usual{number}-", 4), campaign=campaign)
        assert "is not like" not in ann.browser.get(f"/lists/{list_id}").text
        ann.wait_until_sent(ann.start(list_id))
    list_id = ann.upload(people("odd-", 20, "FR"), campaign=campaign)
    for path in (f"/lists/{list_id}", f"/lists/{list_id}/send"):
        page = ann.browser.get(path).text
        assert "It has 20 rows, 4 are usual." in page
        assert "countries that were not in the last files (FR)." in page
        assert "guard_" not in page
    send = f"/lists/{list_id}/send"
    for result in ("", "on", "0" * 32):
        answer = ann.post(send, **ann.offer(list_id), unusual=result)
        assert answer.status_code == 409
        assert "Say first that you have looked" in answer.text
    assert _count(api, campaign) == 12
    box = re.search(r'name="unusual" value="([0-9a-f]+)"', ann.browser.get(send).text)
    assert box is not None
    assert ann.post(send, **ann.offer(list_id), unusual=box[1]).status_code == 303
    ann.wait_until_sent(ann.wait_for_run(list_id))
    assert _count(api, campaign) == 32
    assert "confirmed that an unusual list is right" in ann.browser.get("/history").text


def test_lists_of_other_campaigns_are_not_compared(ann: Recruiter, campaign: str) -> None:
    """Another campaign may have other sizes."""
    for number in range(3):
        list_id = ann.upload(people(f"other{number}-", 4), campaign=campaign)
        ann.wait_until_sent(ann.start(list_id))
    list_id = ann.upload(people("first-", 20), campaign=f"{campaign}-2")
    assert "is not like" not in ann.browser.get(f"/lists/{list_id}/send").text


def _count(api: Sandbox, campaign: str) -> int:
    return sum(each["campaignId"] == campaign for each in api.conversations.entries)


SENTENCES = (
    "It has 20 rows, 4 are usual, and guard_rows allows a change of 50%.",
    "40% of its rows are rejected, 5% are usual, and guard_rejected allows 10% more.",
    "80% of its rows contain nobody new, 5% are usual, and guard_known allows 50% more.",
    "9% of its rows are from countries that were not in the last files (F), and guard_x allows 2%.",
    "It lacks columns (email); guard_columns expects the columns of the last file.",
    "It has new columns (email); guard_columns expects the columns of the last file.",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_is_unusual_is_said_plainly(sentence: str) -> None:
    """Without the setting, and in the reader's language."""
    result = plain_anomaly(sentence)
    assert "guard" not in result
    assert result.endswith(".")
    with use_language("de"):
        assert plain_anomaly(sentence) != result


def test_a_list_that_is_being_checked_shows_a_bar(
    tmp_path: Path, open_page: Callable[..., AbstractContextManager[OpenPage]]
) -> None:
    """In the polled part and after a plain reload; another server holds the lists here."""
    (tmp_path / "uploads").mkdir()
    with file_lock(tmp_path / "uploads" / "jobs"), open_page() as page, page.signed_in() as browser:
        ann = Recruiter(browser)
        list_id = ann.new_id()
        ann.put(list_id, people("slow-", 2))
        ann.post("/lists/new", id=list_id)
        for path in (f"/lists/{list_id}", f"/lists/{list_id}/status"):
            text = browser.get(path).text
            assert "Your list is being checked" in text
            assert '<progress max="100" aria-label="Checked">' in text


def test_the_progress_of_a_check_never_says_all() -> None:
    """Nobody knows how far it is before the first piece, and the last part takes time, too."""
    progress = CheckProgress(9_000_000)
    assert progress.percent is None
    found: list[int | None] = []
    for rows in (40_000, 80_000, 120_000, 160_000):
        progress.note(rows)
        found.append(progress.percent)
    assert found == [44, 88, 99, 99]
    assert progress.rows == 160_000
