"""A list goes its way: uploaded, checked, corrected, shown, sent once, and followed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.routing import Route

from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.sandbox.server import start_sandbox
from importer.settings import load_settings
from importer.web.page_app import list_routes
from tests.support.recruiter import (
    BAD,
    GOOD,
    HEADER,
    Recruiter,
    Site,
    make_list,
    open_site,
    write_project,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox
    from importer.settings import Settings

TEAM = """\
auth: proxy-header
page_url: https://importer.example.com
trusted_proxies: [127.0.0.1]
roles:
  uploader: ["group:recruiting"]
  sender: ["group:recruiting"]
  approver: [boss@example.com, ann@example.com]
  operator: [ops@example.com]
"""


def created(api: Sandbox, campaign: str) -> list[str]:
    """Return the first names of the people with a conversation."""
    return [
        each["firstName"] for each in api.conversations.entries if each["campaignId"] == campaign
    ]


# ---- the way through -----------------------------------------------------------------------------


def test_a_list_goes_its_way(ann: Recruiter, campaign: str, api: Sandbox) -> None:
    """Each person once, and the results say so."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}").text
    assert "1 row needs fixing" in page
    assert "Fill in the first name" in page
    assert ann.correct(list_id, 5, "First Name", "Nan").headers["location"].endswith("#r5")
    assert "All 4 rows are ready" in ann.browser.get(f"/lists/{list_id}").text
    assert "Nan Nameless" in ann.browser.get(f"/lists/{list_id}/preview?row=5").text
    assert "A rehearsal starts at once" in ann.browser.get(f"/lists/{list_id}/send").text
    run = ann.start(list_id)
    done = ann.wait_until_sent(run)
    assert "All 4 rows are through" in done
    assert len(created(api, campaign)) == 4
    results = ann.browser.get(f"{run}/results.csv").content.decode("utf-8-sig").splitlines()
    assert results[0].startswith("First Name,Surname,Mobile,Email,Country,Job Title,import_status")
    assert results[4].startswith("Nan,Nameless")
    assert all(",created," in line for line in results[1:])
    assert ann.browser.get(f"{run}/results.xlsx").content.startswith(b"PK")


def test_a_list_goes_its_way_without_script(ann: Recruiter) -> None:
    """The form takes the file by itself; an unusual name is shown as its person knows it."""
    files = {"file": ("Bewerber März.csv", make_list(*GOOD))}
    list_id = ann.new_id()
    data = {"csrf": ann.token, "id": list_id, "meeting": "onsite", "participants": "panel"}
    answer = ann.browser.post("/lists/new", data=data, files=files)
    assert answer.status_code == 303
    ann.wait_until_checked(list_id)
    page = ann.browser.get(f"/lists/{list_id}").text
    assert "Bewerber März.csv" in page
    assert "All 3 rows are ready" in page


def test_a_second_file_comes_too_late(ann: Recruiter, campaign: str, settings: Settings) -> None:
    """It is still coming when the first one is checked: the list stays what was checked."""
    list_id = ann.new_id()
    first, other = make_list(*GOOD), make_list(GOOD[0])
    assert ann.put(list_id, first).status_code == 201

    def slowly() -> Iterator[bytes]:
        yield other[:20]
        wait_until(lambda: any(Path(settings.uploads, list_id).rglob("*.part")))
        ann.post(
            "/lists/new", id=list_id, meeting="onsite", participants="panel", campaign=campaign
        )
        ann.wait_until_checked(list_id)
        yield other[20:]

    headers = {"x-csrf": ann.token, "x-file-name": "other.csv"}
    late = ann.browser.put(f"/lists/{list_id}/file", content=slowly(), headers=headers)
    assert late.status_code == 409
    folder = Path(settings.uploads) / list_id / "list"
    assert [(each.name, each.read_bytes()) for each in folder.iterdir()] == [("list.csv", first)]


def test_two_clicks_start_one_run(ann: Recruiter, campaign: str, settings: Settings) -> None:
    """The second one finds that the list is on its way."""
    list_id = ann.upload(make_list(*GOOD), campaign=campaign)
    fields = ann.offer(list_id)
    answers = [ann.post(f"/lists/{list_id}/send", **fields) for _ in range(3)]
    assert [each.status_code for each in answers] == [303, 303, 303]
    ann.wait_until_sent(ann.wait_for_run(list_id))
    assert ann.post(f"/lists/{list_id}/send", **fields).status_code == 303
    with Ledger.open(settings.ledger) as ledger:
        paths = [run.sources[0].path or "" for run in ledger.runs.list()]
    assert len([path for path in paths if list_id in path]) == 1


def test_what_changed_is_asked_again(ann: Recruiter, campaign: str, api: Sandbox) -> None:
    """A colleague's correction, between the look and the click."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    fields = ann.offer(list_id)
    ann.correct(list_id, 5, "First Name", "Nan")
    answer = ann.post(f"/lists/{list_id}/send", **fields)
    assert answer.status_code == 409
    assert "3 rows were ready then, 4 are now" in answer.text
    assert created(api, campaign) == []


def test_people_of_another_list_are_named(ann: Recruiter, campaign: str) -> None:
    """Before anything goes; and afterwards they stay behind."""
    first, second = (
        ann.upload(make_list(*GOOD), campaign=campaign),
        ann.upload(make_list(*GOOD[:2]), name="b.csv", campaign=campaign),
    )
    page = ann.browser.get(f"/lists/{second}/send").text
    assert "2 people of this list are also in a list" in page
    ann.wait_until_sent(ann.start(first))
    chosen = {"campaign": campaign, "meeting": "onsite", "participants": "panel"}
    ann.post(f"/lists/{second}/choices", **chosen)
    ann.wait_until_checked(second)
    assert "contacted before, not contacted again" in ann.browser.get(f"/lists/{second}").text


def test_the_same_content_is_recognised(ann: Recruiter, campaign: str) -> None:
    """With who uploaded it; it may be sent anyway, and nobody is contacted twice."""
    first, second = (
        ann.upload(make_list(*GOOD), campaign=campaign),
        ann.upload(make_list(*GOOD), name="again.csv", campaign=campaign),
    )
    page = ann.browser.get(f"/lists/{second}").text
    assert "A list with the same content was uploaded on" in page
    assert "It is not sent yet." in page
    assert f"/lists/{first}" in page
    ann.wait_until_sent(ann.start(first))
    assert "It started 3 conversations." in ann.browser.get(f"/lists/{second}").text
    ann.post(f"/lists/{first}/delete")
    page = ann.browser.get(f"/lists/{second}").text
    assert "It started 3 conversations." in page  # it is known after its file is gone
    assert f"/lists/{first}" not in page


# ---- corrections ---------------------------------------------------------------------------------


def test_corrections_can_be_taken_back(ann: Recruiter, campaign: str, settings: Settings) -> None:
    """The plan is then the one of before; every step is listed."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    with Ledger.open(settings.ledger) as ledger:
        before = ledger.lists.find(list_id)
        ann.correct(list_id, 5, "First Name", "Nan")
        corrected = ledger.lists.find(list_id)
        undo = {"header": "First Name", "seen": "1", "action": "undo"}
        assert ann.post(f"/lists/{list_id}/rows/5", **undo).status_code == 303
        after = ledger.lists.find(list_id)
    assert before is not None
    assert corrected is not None
    assert after is not None
    assert before.plan_hash == after.plan_hash != corrected.plan_hash
    assert "2 corrections" in ann.browser.get(f"/lists/{list_id}/corrections").text


def test_a_mistyped_address_is_changed_with_one_click(ann: Recruiter, campaign: str) -> None:
    """What is meant is only proposed; nothing changes without the click."""
    rows = (
        "Ada,Lovelace,+1 202 555 0104,Ada.L@gmial.com,US,Cook\r\n",
        "Ed,Edit,+61 491 570 006,ed@example.con,AU,Cook\r\n",
    )
    list_id = ann.upload(make_list(*rows), campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/fix?show=all").text
    for row, address in ((2, "Ada.L@gmail.com"), (3, "ed@example.com")):
        assert f"Change to {address}" in page
        ann.correct(list_id, row, "Email", address)
    page = ann.browser.get(f"/lists/{list_id}/fix?show=all").text
    assert "Change to" not in page
    corrected = ann.browser.get(f"/lists/{list_id}/corrected.csv").text
    assert ",Ada.L@gmail.com," in corrected
    assert ",ed@example.com," in corrected


def test_two_people_correct_one_row(ann: Recruiter, campaign: str) -> None:
    """The second is told, and nothing of the first is lost."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    assert ann.correct(list_id, 5, "First Name", "Nan").status_code == 303
    late = ann.correct(list_id, 5, "First Name", "Nora")
    assert late.status_code == 409
    assert "A colleague changed row 5 meanwhile" in late.text
    csv = ann.browser.get(f"/lists/{list_id}/corrected.csv").content.decode("utf-8-sig")
    assert "Nan,Nameless" in csv
    assert "Nora" not in csv


def test_a_row_is_left_out_and_taken_in_again(ann: Recruiter, campaign: str) -> None:
    """It counts as left out by a person, and is nowhere lost."""
    list_id = ann.upload(make_list(*GOOD, BAD[1]), campaign=campaign)
    assert ann.post(f"/lists/{list_id}/rows/5", seen="0", action="leave-out").status_code == 303
    page = ann.browser.get(f"/lists/{list_id}").text
    assert "3 rows are ready" in page
    assert "The list has 4 rows." in page
    assert "left out by you" in page
    assert "Prince" in ann.browser.get(f"/lists/{list_id}/fix?show=out").text
    ann.post(f"/lists/{list_id}/rows/5", seen="1", action="take-in")
    assert "1 row needs fixing" in ann.browser.get(f"/lists/{list_id}").text


def test_fixed_rows_come_back(ann: Recruiter, campaign: str) -> None:
    """Downloaded, corrected elsewhere, and uploaded: their cells replace those of the list."""
    list_id = ann.upload(make_list(*GOOD, *BAD), campaign=campaign)
    to_fix = ann.browser.get(f"/lists/{list_id}/to-fix.csv").content.decode("utf-8-sig")
    assert to_fix.count("\r\n") == 3
    fixed = to_fix.replace(",Nameless", "Nan,Nameless").replace(
        "Di,Prince,,", "Di,Prince,,di@example.com"
    )
    data, files = {"csrf": ann.token}, {"file": ("fixed.csv", fixed.encode())}
    assert ann.browser.post(f"/lists/{list_id}/fixed", data=data, files=files).status_code == 303
    assert "All 5 rows are ready" in ann.browser.get(f"/lists/{list_id}").text


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("First Name", "{{NAME}}", 400),
        ("First Name", "a\x07b", 400),
        ("First Name", "x" * 20_000, 400),
        ("No such column", "x", 400),
    ],
)
def test_what_no_cell_may_have(
    ann: Recruiter, campaign: str, header: str, value: str, status: int
) -> None:
    """It is refused, and nothing is written."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    assert ann.correct(list_id, 5, header, value).status_code == status
    assert "0 corrections" in ann.browser.get(f"/lists/{list_id}/corrections").text


def test_what_a_column_is_said_to_be_is_remembered(ann: Recruiter, campaign: str) -> None:
    """For the same set of headers, by anybody."""
    odd = HEADER.replace("Surname", "Sippe").encode() + GOOD[0].encode()
    list_id = ann.upload(odd, campaign=campaign)
    page = ann.browser.get(f"/lists/{list_id}/columns").text
    names = re.findall(r'name="(h\d+)" value="([^"]*)"', page)
    fields: dict[str, str] = dict(names)
    at = next(name for name, header in names if header == "Sippe").replace("h", "c")
    fields[at] = "last_name"
    assert ann.post(f"/lists/{list_id}/columns", **fields).status_code == 303
    ann.wait_until_checked(list_id)
    second = ann.upload(odd + GOOD[1].encode(), campaign=campaign)
    page = ann.browser.get(f"/lists/{second}").text
    assert "The columns are as" in page
    assert "<dt>Sippe</dt><dd>Last name</dd>" in page


# ---- uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"%PDF-1.7 something", "The list cannot be used yet"),
        (b"PK\x03\x04 broken", "The list cannot be used yet"),
        (HEADER.encode(), "The list cannot be used yet"),
    ],
)
def test_a_file_that_is_no_list(ann: Recruiter, campaign: str, data: bytes, result: str) -> None:
    """The page says so, and offers to try again."""
    page = ann.browser.get(f"/lists/{ann.upload(data, campaign=campaign)}").text
    assert result in page
    assert "Start" not in page.replace("Start interviews", "")


def test_an_upload_is_for_its_owner_only_and_goes_at_once(
    ann: Recruiter, campaign: str, settings: Settings
) -> None:
    """Files have mode 0600, folders 0700; deleting a list removes all of it."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign=campaign)
    ann.correct(list_id, 5, "First Name", "Nan")
    folder = Path(settings.uploads) / list_id
    files = [each for each in folder.rglob("*") if each.is_file()]
    assert {each.stat().st_mode & 0o077 for each in (folder, folder / "list", *files)} == {0}
    assert not any(each.name.endswith(".part") for each in files)
    ann.post(f"/lists/{list_id}/delete")
    assert not folder.exists()
    assert ann.browser.get(f"/lists/{list_id}").status_code == 410


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, api: Sandbox) -> None:
    """Both numbers are said, and nothing stays behind."""
    settings = load_settings(write_project(tmp_path, api.base_url, "max_bytes: 1000"))
    with open_site(settings) as site, site.sign_in() as ann:
        list_id = ann.new_id()
        answer = ann.put(list_id, b"x" * 2000)
        assert answer.status_code == 413
        assert "1 KB" in answer.text
        assert "2 KB" in answer.text
        assert not list(Path(settings.uploads).rglob("*.part"))
        assert ann.browser.get(f"/lists/{list_id}").status_code == 404


def test_html_in_names_and_cells_stays_text(ann: Recruiter, campaign: str) -> None:
    """Wherever it is shown."""
    evil = "<img src=x onerror=alert(1)>"
    head = HEADER.replace("Job Title", evil).encode()
    list_id = ann.upload(
        head + f"{evil},{evil},{evil},{evil},GB,{evil}\r\n".encode(),
        f"{evil}.csv",
        campaign=campaign,
    )
    for path in ("", "/fix", "/columns", "/preview", "/corrections"):
        page = ann.browser.get(f"/lists/{list_id}{path}").text
        assert "<img" not in page
    assert "&lt;img" in ann.browser.get(f"/lists/{list_id}/fix").text


# ---- campaigns -----------------------------------------------------------------------------------


def test_the_campaigns_of_the_api_are_proposed(tmp_path: Path, campaign: str) -> None:
    """By their titles; if the API does not answer, the form says so and works as before."""
    with start_sandbox() as api:
        known = load_settings(write_project(tmp_path / "known", api.base_url))
        with open_site(known) as site, site.sign_in() as ann:
            ann.wait_until_sent(ann.start(ann.upload(make_list(*GOOD), campaign=campaign)))
        with open_site(known) as site, site.sign_in() as ann:
            page = ann.browser.get("/lists/new").text
            assert f'<option value="{campaign}">Sandbox campaign {campaign}</option>' in page
            assert "does not say which campaigns" not in page
    with open_site(known) as site, site.sign_in() as ann:
        page = ann.browser.get("/lists/new").text
        assert f'<option value="{campaign}"></option>' in page
        assert "does not say which campaigns" in page
        assert (
            "All 3 rows are ready"
            in ann.browser.get(f"/lists/{ann.upload(make_list(*GOOD), campaign='another')}").text
        )


# ---- pause, stop and go on -----------------------------------------------------------------------


def test_a_list_is_paused_and_goes_on(tmp_path: Path, api: Sandbox) -> None:
    """What was not sent waits; then each person is contacted once."""
    rows = [f"Pia,Q,,p{n}@example.com,GB,Cook\r\n" for n in range(300)]
    settings = load_settings(write_project(tmp_path, api.base_url, "canary: 1"))
    slow = settings.model_copy(update={"rate_per_s": 40.0})
    with open_site(slow) as site, site.sign_in() as ann:
        list_id = ann.upload(make_list(*rows))
        run = ann.start(list_id)
        ann.post(f"/lists/{list_id}/halt", wish="pause")
        paused = ann.wait_until_sent(run)
        assert "Paused:" in paused
        assert len(created(api, "camp-1")) < 300
        ann.post(f"/lists/{list_id}/halt", wish="stop")
    with open_site(settings) as site, site.sign_in() as ann:
        assert "Paused:" in ann.browser.get(run).text
        ann.post(f"/lists/{list_id}/go-on")
        assert "All 300 rows are through" in ann.wait_until_sent(run)
    assert len(created(api, "camp-1")) == 300


def test_a_list_that_waits_for_its_hour_is_taken_back(
    settings: Settings, api: Sandbox, ann: Recruiter, campaign: str
) -> None:
    """It is open again, and nothing was sent."""
    list_id = ann.upload(make_list(*GOOD), campaign=campaign)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    queued = ListState.QUEUED.value
    with Ledger.open(settings.ledger) as ledger:
        assert ledger.lists.change(list_id, {ListState.OPEN}, state=queued, start_at=tomorrow)
        assert "about to start" in ann.browser.get(f"/lists/{list_id}").text
        ann.post(f"/lists/{list_id}/halt", wish="stop")
        wait_until(lambda: _state(ledger, list_id) is ListState.OPEN)
    assert "Go on with 3 rows" in ann.browser.get(f"/lists/{list_id}").text
    assert created(api, campaign) == []


def _state(ledger: Ledger, list_id: str) -> ListState | None:
    known = ledger.lists.find(list_id)
    return None if known is None else known.state


# ---- a team --------------------------------------------------------------------------------------


@pytest.fixture
def team(tmp_path: Path, api: Sandbox) -> Iterator[Site]:
    """Yield a page for a team, on which a second person must agree."""
    lines = (*TEAM.splitlines(), "approval: required")
    with open_site(load_settings(write_project(tmp_path, api.base_url, *lines))) as site:
        yield site


def test_lists_of_others_do_not_exist(team: Site) -> None:
    """Whatever is asked for, by address; an operator sees them."""
    with team.member("ann", "recruiting") as ann, team.member("bob", "recruiting") as bob:
        list_id = ann.upload(make_list(*GOOD, BAD[0]))
        for route in ROUTES:
            path = route.path.replace("{id}", list_id).replace("{row:int}", "5")
            path = path.replace("{ending}", "csv")
            for method in sorted(route.methods or ()):
                if method == "PUT":
                    answer = bob.put(list_id, b"other")
                elif method == "POST":
                    answer = bob.post(path, wish="stop", action="leave-out", seen="0", retry="1")
                else:
                    answer = bob.browser.get(path)
                assert answer.status_code in {403, 404}, (method, path)
        assert list_id not in bob.browser.get("/").text
        with team.member("ops") as ops:
            assert list_id in ops.browser.get("/").text
            assert ops.browser.get(f"/lists/{list_id}").status_code == 200
        assert "1 row needs fixing" in ann.browser.get(f"/lists/{list_id}").text


ROUTES = [
    route
    for route in list_routes(1_000)
    if isinstance(route, Route) and route.path.startswith("/lists/{id}")
]


def test_a_second_person_agrees(team: Site, api: Sandbox) -> None:
    """Never who uploaded or corrected the list; their word starts it."""
    with team.member("ann", "recruiting") as ann, team.member("boss") as boss:
        list_id = ann.upload(make_list(*GOOD), campaign="four-eyes")
        assert "Ask a second person" in ann.browser.get(f"/lists/{list_id}/send").text
        assert boss.browser.get(f"/lists/{list_id}").status_code == 404
        ann.post(f"/lists/{list_id}/send", **ann.offer(list_id))
        own = ann.post(f"/lists/{list_id}/decision", decision="agree", **ann.offer(list_id))
        assert own.status_code == 403
        assert created(api, "four-eyes") == []
        assert "waits for your approval" in boss.browser.get("/").text
        offer = boss.offer(list_id)
        assert (
            boss.post(f"/lists/{list_id}/decision", decision="decline", **offer).status_code == 400
        )
        assert boss.post(f"/lists/{list_id}/decision", decision="agree", **offer).status_code == 303
        ann.wait_until_sent(ann.wait_for_run(list_id))
        assert len(created(api, "four-eyes")) == 3


def test_a_correction_voids_the_request(team: Site, api: Sandbox) -> None:
    """Nothing goes that the second person has not seen."""
    with team.member("ann", "recruiting") as ann, team.member("boss") as boss:
        list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign="voided")
        ann.post(f"/lists/{list_id}/send", **ann.offer(list_id))
        offer = boss.offer(list_id)
        ann.correct(list_id, 5, "First Name", "Nan")
        answer = boss.post(f"/lists/{list_id}/decision", decision="agree", **offer)
        assert answer.status_code == 404
        assert created(api, "voided") == []


def test_the_audit_trail_tells_no_value(ann: Recruiter, settings: Settings, campaign: str) -> None:
    """Who, when, what and where; nothing of a candidate is in the ledger, even as a file's name."""
    list_id = ann.upload(make_list(*GOOD, BAD[0]), "Lovelace.csv", campaign=campaign)
    ann.correct(list_id, 5, "First Name", "Nanette")
    ann.wait_until_sent(ann.start(list_id))
    with Ledger.open(settings.ledger) as ledger:
        actions = [each.action for each in ledger.audit.all() if each.list == list_id]
    for action in ("list-uploaded", "cell-corrected", "sending-started"):
        assert action in actions
    file = settings.ledger_file
    assert file is not None
    for each in file.parent.glob(f"{file.name}*"):
        data = each.read_bytes()
        for secret in (b"Nanette", b"Lovelace", b"ada@example.com", b"442079460018"):
            assert secret not in data
