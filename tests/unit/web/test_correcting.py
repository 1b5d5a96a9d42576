"""A list is put right with few clicks: suggestions, many rows at once, and rows by their number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.recruiter import GOOD, HEADER, make_list

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Recruiter

PAGE_HELP = re.compile(r'href="/help/messages#([a-z-]+)"')


def fields_of(page: str, action: str) -> list[dict[str, str]]:
    """Return the hidden fields of each form with this address."""
    forms = re.findall(rf'<form[^>]* action="{action}"[^>]*>(.*?)</form>', page, re.DOTALL)
    pattern = r'<input type="hidden" name="([^"]*)" value="([^"]*)">'
    return [dict(re.findall(pattern, form)) for form in forms]


# ---- suggestions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "meant"),
    [
        ("Jo,Doe,,jo@example.com,Germny,Cook", "Germany"),
        ("Jo,Doe,020 7946 0019,jo@example.com,,Cook", "+44 20 7946 0019"),
        ("Jo,Doe,,jo@gmial.com,GB,Cook", "jo@gmail.com"),
        ("Jo,Doe,,jo doe@example..com,GB,Cook", "jodoe@example.com"),
        (
            'Jo,Doe,"020 7946 0019 / 020 7946 0020",jo@example.com,GB,Cook',
            "+44 20 7946 0019",
        ),
    ],
)
def test_a_click_takes_a_suggestion(ann: Recruiter, campaign: str, cells: str, meant: str) -> None:
    """What the cell probably means is a button, and one click puts the row right."""
    list_id = ann.upload(make_list(*GOOD, f"{cells}\r\n"), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/fix?show=all").text
    assert f">Change to {meant}</button>" in page
    row = rf"/lists/{list_id}/rows/5"
    chosen = next(each for each in fields_of(page, row) if each.get("value") == meant)
    ann.post(row, **{**chosen, "action": "save", "csrf": ann.token})
    after = ann.browser.get(f"/lists/{list_id}").text
    assert "All 4 rows are ready" in after


def test_nothing_is_suggested_if_nobody_can_say(ann: Recruiter, campaign: str) -> None:
    """A number that is valid nowhere, and a country like no other."""
    list_id = ann.upload(
        make_list(*GOOD, "Jo,Doe,12,jo@example.com,Narnia,Cook\r\n"), campaign=campaign
    )
    assert "Change to" not in ann.browser.get(f"/lists/{list_id}/fix").text


# ---- many rows at once ---------------------------------------------------------------------------

SAME = tuple(f"P{n},Q,,p{n}@example.com,Germny,Cook\r\n" for n in range(5))


def test_a_correction_is_made_in_every_row_with_the_value(
    ann: Recruiter, campaign: str, api: Sandbox
) -> None:
    """The rows are shown first; one click changes them, and one takes them all back."""
    list_id = ann.upload(make_list(*SAME), campaign=campaign)
    ann.correct(list_id, 2, "Country", "Germany")
    page = ann.browser.get(f"/lists/{list_id}/fix?show=all&row=2").text
    assert "Change 4 more rows with this value" in page
    together = f"/lists/{list_id}/together"
    asked = fields_of(page, together)[0]
    shown = ann.post(together, **{**asked, "csrf": ann.token})
    assert shown.status_code == 200
    assert "Change 4 rows?" in shown.text
    assert "1 row needs" not in ann.browser.get(f"/lists/{list_id}").text
    result = fields_of(shown.text, together)[0]
    assert ann.post(together, **{**result, "csrf": ann.token}).status_code == 303
    assert "All 5 rows are ready" in ann.browser.get(f"/lists/{list_id}").text
    corrections = f"/lists/{list_id}/corrections"
    listed = ann.browser.get(corrections).text
    assert "and 3 more" in listed
    back = fields_of(listed, corrections)[0]
    assert ann.post(corrections, **{**back, "csrf": ann.token}).status_code == 303
    assert "4 rows need fixing" in ann.browser.get(f"/lists/{list_id}").text
    assert not api.conversations.entries or campaign not in {
        each["campaignId"] for each in api.conversations.entries
    }


def test_a_task_is_solved_with_one_value(ann: Recruiter, campaign: str) -> None:
    """Phones without a country: the country of all of them is chosen from a list."""
    rows = [f"P{n},Q,020 7946 00{n},p{n}@example.com,,Cook\r\n" for n in range(20, 24)]
    list_id = ann.upload(make_list(*rows), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/fix?task=phone-country-needed.phone_number").text
    assert "The same “Country” for all 4 rows" in page
    together = f"/lists/{list_id}/together"
    asked = {**fields_of(page, together)[0], "value": "GB", "csrf": ann.token}
    shown = ann.post(together, **asked)
    result = {**fields_of(shown.text, together)[0], "csrf": ann.token}
    ann.post(together, **result)
    assert "All 4 rows are ready" in ann.browser.get(f"/lists/{list_id}").text


def test_what_changed_meanwhile_is_shown_again(ann: Recruiter, campaign: str) -> None:
    """Nothing is changed in rows that the person has not seen."""
    list_id = ann.upload(make_list(*SAME), campaign=campaign)
    together = f"/lists/{list_id}/together"
    asked = {"header": "Country", "like": "Germny", "value": "Germany"}
    shown = ann.post(together, **asked)
    result = {**fields_of(shown.text, together)[0], "csrf": ann.token}
    ann.correct(list_id, 3, "Country", "France")
    again = ann.post(together, **result)
    assert "Change 4 rows?" in again.text
    assert "5 rows need" not in again.text


@pytest.mark.parametrize("header", ["Mobile", "Email", "First Name", "Nothing"])
def test_people_are_not_made_alike(ann: Recruiter, campaign: str, header: str) -> None:
    """A phone number, an address or a name is right in one row only."""
    list_id = ann.upload(make_list(*SAME), campaign=campaign)
    asked = {"header": header, "like": "Q", "value": "x"}
    assert ann.post(f"/lists/{list_id}/together", **asked).status_code == 400


def test_nothing_is_corrected_after_sending(ann: Recruiter, campaign: str) -> None:
    """From no address of the page, however old the tab is in which it is open."""
    list_id = ann.upload(make_list(*GOOD), campaign=campaign)
    ann.correct(list_id, 3, "First Name", "Cyril")
    ann.wait_until_sent(ann.start(list_id))
    before = ann.browser.get(f"/lists/{list_id}/corrected.csv").content
    for path, fields in (
        ("rows/3", {"header": "First Name", "value": "Cy", "seen": "1", "action": "save"}),
        ("rows/3", {"seen": "1", "action": "leave-out"}),
        ("together", {"header": "Country", "like": "GB", "value": "France"}),
        ("corrections", {"seq": "1"}),
        ("columns", {"h0": "First Name", "c0": "ignore"}),
        ("choices", {"campaign": "another"}),
    ):
        assert ann.post(f"/lists/{list_id}/{path}", **fields).status_code == 423, path
    data, files = {"csrf": ann.token}, {"file": ("fixed.csv", make_list(GOOD[0]))}
    fixed = ann.browser.post(f"/lists/{list_id}/fixed", data=data, files=files)
    assert fixed.status_code == 423
    assert ann.browser.get(f"/lists/{list_id}/corrected.csv").content == before


# ---- columns -------------------------------------------------------------------------------------


def test_a_column_with_another_name_fills_the_meeting(ann: Recruiter, campaign: str) -> None:
    """The page says what is missing, and takes another column for it; nothing else changes."""
    data = make_list(*GOOD).replace(b"Job Title", b"Skip Duplicate Check,Position")
    data = data.replace(b",Engineer", b",no,Engineer").replace(b",Analyst", b",no,Analyst")
    list_id = ann.upload(data, campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}").text
    assert "Say which column is “job title”" in page
    rows = ann.browser.get(f"/lists/{list_id}/fix").text
    assert rows.count("has no column for") == 1
    columns = f"/lists/{list_id}/columns"
    page = ann.browser.get(columns).text
    sent = dict(re.findall(r'name="(h\d+)" value="([^"]*)"', page))
    for number, select in re.findall(r'<select name="c(\d+)"(.*?)</select>', page, re.DOTALL):
        chosen = re.findall(r'<option value="(\w+)" selected', select)
        assert len(chosen) == 1, select
        sent[f"c{number}"] = "job_title" if sent[f"h{number}"] == "Position" else chosen[0]
    assert ann.post(columns, **sent).status_code == 303
    ann.wait_until_checked(list_id)
    assert "All 3 rows are ready" in ann.browser.get(f"/lists/{list_id}").text
    assert "Interview for Engineer" in ann.browser.get(f"/lists/{list_id}/preview").text
    assert '<option value="job_title" selected' in ann.browser.get(columns).text


# ---- rows by their number ------------------------------------------------------------------------


def test_a_row_is_found_by_its_number(ann: Recruiter, campaign: str) -> None:
    """A good row, too, and every cell of it can be corrected; its results are found likewise."""
    list_id = ann.upload(make_list(*GOOD), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/fix?row=3").text
    assert 'value="Cy"' in page
    assert 'value="Ada"' not in page
    assert ann.correct(list_id, 3, "First Name", "Cyril").status_code == 303
    for wrong in ("99", "-1", "x", "9" * 30):
        assert ann.browser.get(f"/lists/{list_id}/fix?row={wrong}").status_code == 200
    assert "There is no such row" in ann.browser.get(f"/lists/{list_id}/fix?row=99").text
    run = ann.start(list_id)
    ann.wait_until_sent(run)
    results = ann.browser.get(f"{run}/rows?row=3").text
    assert "cy@" not in results
    assert len(re.findall(r'<td class="num"', results)) == 1
    assert "There is no such row" in ann.browser.get(f"{run}/rows?row=99").text


def test_a_row_of_a_wide_list_names_its_wrong_columns(ann: Recruiter, campaign: str) -> None:
    """Each name leads to its cell, which may be far to the right."""
    wide = b"Shift,Site,Team,Floor,"
    data = make_list(*GOOD, "Jo,Doe,,jo@example.com,Germny,Cook\r\n")
    head, *rows = data.splitlines(keepends=True)
    list_id = ann.upload(
        wide + head + b"".join(b"x,x,x,x," + row for row in rows), campaign=campaign
    )
    page = ann.browser.get(f"/lists/{list_id}/fix").text
    link = re.search(r'<a class="where" href="#([^"]+)">Country</a>', page)
    assert link is not None
    assert f'id="{link[1]}"' in page


# ---- words ---------------------------------------------------------------------------------------


def test_every_message_leads_to_its_paragraph(ann: Recruiter, campaign: str) -> None:
    """In the tasks, at the cells and in the results."""
    list_id = ann.upload(make_list(*GOOD, *SAME), campaign=campaign)
    paragraphs = set(re.findall(r'<li class="task[^"]*" id="([^"]+)"', _help(ann)))
    for path in (f"/lists/{list_id}", f"/lists/{list_id}/fix"):
        found = PAGE_HELP.findall(ann.browser.get(path).text)
        assert "country-unknown" in found
        assert set(found) <= paragraphs
    run = ann.start(list_id)
    ann.wait_until_sent(run)
    assert "country-unknown" in PAGE_HELP.findall(ann.browser.get(f"{run}/rows").text)


def _help(ann: Recruiter) -> str:
    return ann.browser.get("/help/messages").text


def test_two_people_with_one_address_are_told_so(ann: Recruiter, campaign: str) -> None:
    """Not of a phone number, if there is none."""
    rows = ("Jo,Doe,,team@example.com,GB,Cook\r\n", "Mia,Ray,,team@example.com,GB,Cook\r\n")
    list_id = ann.upload(make_list(*GOOD, *rows), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/fix?show=all").text
    assert "The same e-mail address is in row 5" in page
    assert "The same phone number" not in page


def test_the_rows_to_fix_speak_plainly(ann: Recruiter, campaign: str) -> None:
    """No flag, no file of settings, no template."""
    rows = ("Jo,Doe,020 7946 0019,jo@example.com,,\r\n",)
    list_id = ann.upload(make_list(*rows), campaign=campaign)
    data = ann.browser.get(f"/lists/{list_id}/to-fix.csv").content.decode("utf-8-sig")
    assert data.startswith(HEADER.strip())
    assert "The country of the phone number is unknown." in data
    for technical in ("importer.yaml", "template", "--", "`", "default_country"):
        assert technical not in data
