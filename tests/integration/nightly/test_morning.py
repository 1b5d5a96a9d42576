"""What the morning gets of a night: message, metrics, log and page, and nothing of a person."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from importer.errors import Exit
from importer.languages import use_language
from importer.report.night_report import (
    FileEnding,
    FileReport,
    NightReport,
    night_json,
    night_text,
)
from tests.support.mail import mail_server
from tests.support.night_setup import NightSetup, serve_webhook

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

HEADER = "first_name,last_name,phone_number,email,candidate_id,Job Title"
PEOPLE = [
    ("Zebedee", "Quillfeather", "+14155550001", "zebedee@example.com", "Z-1"),
    ("Ysolde", "Marchbanks", "+14155550002", "ysolde@example.org", "Y-2"),
    ("Xerxes", "Oglethorpe", "+14155550003", "xerxes@example.com", "X-3"),
    ("Wilhelmina", "Pfefferkorn", "+14155550004", "wilhelmina@example.org", "W-4"),
    ("Vashti", "Underwood-Blythe", "+14155550005", "vashti@example.com", "V-5"),
]
WRONG = ("Ulfric", "Thistlewaite", "+1415555", "ulfric@example.org", "U-6")


def rows(*people: tuple[str, ...]) -> str:
    """Return a list of these people."""
    return "\n".join([HEADER, *(",".join([*person, "Chef"]) for person in people)]) + "\n"


@dataclass(frozen=True)
class Told:
    """What was said of a night."""

    setup: NightSetup
    night: NightReport
    mails: list[str]
    posts: list[dict[str, Any]]

    @property
    def metrics(self) -> str:
        """The metrics file."""
        return (self.setup.workspace.folder / "night.prom").read_text("utf-8")

    @property
    def log(self) -> str:
        """The log file."""
        return (self.setup.workspace.folder / "log.jsonl").read_text("utf-8")

    @property
    def page(self) -> str:
        """The night's page."""
        return (self.setup.inbox / "nights" / f"{self.night.id}.html").read_text("utf-8")


@pytest.fixture
def messages(setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Return a night with a file of each kind, and a row of each end."""
    return play(setup, sandbox, monkeypatch)


def play(setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Play that night."""
    with mail_server() as post, serve_webhook() as (url, posts, _):
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        setup.settings(
            sandbox.base_url,
            "log_file: log.jsonl\nmetrics_file: night.prom\nmail_to: [ops@example.com]\n"
            f"smtp: {post.address}\nsmtp_security: none\nmax_rejected_share: 50%\n",
        )
        setup.add_file("acme/good.csv", rows(*PEOPLE, WRONG, PEOPLE[0]))
        setup.add_file("held.csv", rows(WRONG))
        setup.add_file("letter.txt", "Dear {}, write to {} or ring {}!".format(*PEOPLE[0][1:4]))
        night = setup.night()
        mails = [f"{mail['subject']}\n\n{mail.get_content()}" for mail in post.mails]
    assert len(sandbox.journal) == len(PEOPLE)
    return Told(setup, night, mails, posts)


def test_one_message_each_way(messages: Told) -> None:
    """With the numbers, the files and what to do; Slack takes the post."""
    assert messages.setup.faults == []
    (mail,), (post,) = messages.mails, messages.posts
    assert "Import of " in mail.splitlines()[0]
    assert "5 conversations started from 3 files; 1 held, 1 failed." in mail.splitlines()[0]
    for result in (mail, post["text"]):
        assert "acme/good.csv: imported" in result
        assert "5 created, 1 rejected, 1 duplicate in file" in result
        assert "- Look at held/held.csv, then release it with" in result
        settings = messages.setup.workspace.folder / "importer.yaml"
        command = f"`importer release {messages.setup.inbox}/held/held.csv --config {settings}`"
        assert any(command in line for line in result.splitlines())
    assert set(post) == {"text"}
    assert json.loads(json.dumps(post)) == post


def test_the_metrics_say_what_happened(messages: Told) -> None:
    """As Prometheus reads them: every family with help and type, every value as in the summary."""
    families = {each.name: each for each in text_string_to_metric_families(messages.metrics)}
    values = {
        (sample.name.removeprefix("importer_"), *sample.labels.values()): sample.value
        for each in families.values()
        for sample in each.samples
    }
    assert all(each.documentation and each.type == "gauge" for each in families.values())
    assert all(re.fullmatch("importer_[a-z_]+", name) for name in families)
    summary = night_json(messages.night)
    for word, count in summary["rows"].items():
        assert values["night_rows", word] == count
    assert values["night_rows", "created"] == 5
    assert values["night_rows", "rejected"] == 2
    assert values["night_problems", "phone-too-short"] == summary["problems"]["phone-too-short"]
    endings = Counter(file["ending"] for file in summary["files"])
    assert {e: values["night_files", e] for e in endings} == endings
    assert values["night_files", "done"] == values["night_files", "held"] == 1
    assert values["night_exit_code",] == summary["exit_code"] == Exit.INPUT
    assert values["doubtful_open",] == 0
    assert values["night_end_timestamp_seconds",] == pytest.approx(messages.night.ended.timestamp())
    assert values["rate_limit_per_second",] == 500
    assert "last_success_timestamp_seconds" not in {name for name, *_ in values}


def test_the_metrics_take_the_place_of_the_last_ones_at_once(messages: Told) -> None:
    """A collector that reads meanwhile sees the old ones whole; a success is remembered."""
    file, old = messages.setup.workspace.folder / "night.prom", messages.metrics
    with file.open(encoding="utf-8") as before:
        night = messages.setup.night()
        assert before.read() == old != messages.metrics
    assert night.exit_code is Exit.OK
    (family,) = (
        each
        for each in text_string_to_metric_families(messages.metrics)
        if each.name == "importer_last_success_timestamp_seconds"
    )
    assert family.samples[0].value == night.ended.timestamp()
    assert oct(file.stat().st_mode & 0o777) == "0o644"


def test_every_line_of_the_log_is_an_event(messages: Told) -> None:
    """JSON with event, time and night; run and file if there is one."""
    events = [json.loads(line) for line in messages.log.splitlines()]
    for event in events:
        assert {"event", "at", "level", "night"} <= set(event)
        assert event["night"] == messages.night.id
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["at"])
        if event["event"].startswith(("file.", "run.")):
            assert re.fullmatch("[0-9a-f]{12}", event["file"])
        if event["event"].startswith("run."):
            assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", event["run"])
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("night.started", "night.ended")
    assert Counter(names)["file.concluded"] == 3
    assert Counter(names)["run.ended"] == 1
    assert events[-1]["rows_created"] == 5


def test_the_page_links_what_lies_there(setup: NightSetup, sandbox: Sandbox) -> None:
    """Every link leads to a file, whatever the file is called, and nothing comes from elsewhere."""
    for folder, name in (("acme", "<b>100% #1?.csv"), ("büro", '\'"list".csv')):
        setup.add_file(f"{folder}/{name}", rows(*PEOPLE, WRONG))
    setup.add_file("<script>alert(1)/letter.txt", "Dear all")
    night = setup.night()
    assert len(night.files) == 3
    page = setup.inbox / "nights" / f"{night.id}.html"
    text = page.read_text("utf-8")
    links = [unescape(link) for link in re.findall(r'href="([^"]*)"', text)]
    inbox_settings = {unquote(link) for link in links if not link.startswith(("data:", "#"))}
    assert len(inbox_settings) == sum(len(file.pages) + 1 for file in night.files)
    for place in inbox_settings:
        assert (page.parent / place).is_file(), place
    assert "://" not in text
    assert "<b>" not in text
    assert "<script" not in text
    assert re.findall('class="part ([a-z]+)"', text) == ["good", "fix"]
    assert len(sandbox.journal) == len(PEOPLE)


def test_nothing_of_a_person_is_told(messages: Told) -> None:
    """In no log, ledger, message, page or metric; only the pages beside the file say who."""
    ledger = b"".join(
        path.read_bytes() for path in messages.setup.workspace.folder.glob("importer.db*")
    )
    texts = {
        "log": messages.log,
        "ledger": ledger.decode("latin-1"),
        "messages": "".join(messages.mails) + json.dumps(messages.posts),
        "page": messages.page,
        "metrics": messages.metrics,
        "summary": night_text(messages.night) + json.dumps(night_json(messages.night)),
    }
    for first, last, phone, email, _ in (*PEOPLE, WRONG):
        for what in (first, last, phone, phone.lstrip("+1"), email):
            found = [where for where, text in texts.items() if what.lower() in text.lower()]
            assert found == [], what
    assert "created" in texts["ledger"]
    place = next(file.place for file in messages.night.files if file.folder == "acme")
    results = messages.setup.inbox / f"{place}.results.csv"
    assert PEOPLE[0][3] in results.read_text("utf-8")


def test_no_message_can_fail_the_night(
    setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail server that refuses and a webhook that fails: said, and the exit code is 0."""
    with mail_server() as post, serve_webhook() as (url, posts, answers):
        answers.append(500)
        post.refuses = {"ops@example.com": "550 no such user"}
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        setup.settings(
            sandbox.base_url,
            f"quiet_s: 0\nmail_to: [ops@example.com]\nsmtp: {post.address}\nsmtp_security: none\n",
        )
        setup.add_file("a.csv", rows(*PEOPLE))
        result = setup.workspace("nightly", "inbox", "--format", "json")
    assert result.code == Exit.OK
    summary = json.loads(result.out)
    assert summary["rows"]["created"] == 5
    assert summary["faults"] == [
        "The night's message by mail was not delivered (SMTP 550).",
        "The night's message by webhook was perhaps delivered (HTTP 500).",
    ]
    assert len(posts) == 1
    assert all(json.loads(line)["event"] for line in result.err.splitlines())


def test_a_german_team_reads_german(
    setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail, post, page and the pages of files; what programs read stays English."""
    with use_language("de"):
        messages = play(setup, sandbox, monkeypatch)
        summary = night_json(messages.night)
    (mail,), (post,) = messages.mails, messages.posts
    assert "5 Gespräche gestartet aus 3 Dateien; 1 zurückgehalten, 1 fehlgeschlagen." in mail
    page = re.sub("<[^>]+>", " ", messages.page.partition("<body>")[2])
    checked = (setup.inbox / "held" / "held.csv.check.html").read_text("utf-8")
    for result in (mail, post["text"], page):
        assert "100% der Zeilen sind abgelehnt, und max_rejected_share erlaubt 50%." in " ".join(
            result.split()
        )
        assert re.search(r"(?<!\S)(the|of|and|were|is|are|with|from)(?!\S)", result) is None, result
    assert 'lang="de"' in messages.page
    assert 'lang="de"' in checked
    assert summary["headline"] == "5 conversations started from 3 files; 1 held, 1 failed."
    assert any(each.startswith("Look at held/held.csv") for each in summary["todo"])
    assert "100% of its rows are rejected" in " ".join(f["reason"] for f in summary["files"])


def test_a_file_that_waits_for_templates_is_something_to_do() -> None:
    """Held back before sending, it would wait forever if nobody were told."""
    waits = FileReport(
        "", "a.csv", "", FileEnding.WAITING, "Nothing is sent.", Exit.HELD, place="working/a.csv"
    )
    now = datetime(2026, 11, 22, tzinfo=UTC)
    night = NightReport("night-1", "inbox", now, now, 1.0, (waits,), (), Exit.HELD, 0, 5.0)
    assert night.todo == ("working/a.csv is waiting until you act: Nothing is sent.",)
