"""The page: whole, escaped, bounded, readable by everybody, and alone."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

import importer.report
from importer import problems
from importer.model import Counts
from importer.report import html, view
from importer.report.html import (
    BARS,
    BarPart,
    bar_parts,
    bare_names,
    causes,
    contact,
    facts,
    group_bars,
    heading,
    pretty,
)
from importer.report.tasks import Task
from importer.report.view import GroupView
from importer.settings import Settings
from schemas.codes import Code, Severity
from schemas.columns import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json, Plan
    from tests.unit.report.conftest import MakePlan, MakeTable


VOID = {"meta", "link", "br", "col", "img", "input", "hr"}
CSS = (Path(importer.report.__file__).parent / "plan.css").read_text()


class Page(HTMLParser):
    """The elements of a page, with their nesting checked on the way."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Require that an element is closed where it should be."""
        assert self.open.pop() == tag
        self.text += " " if tag in {"td", "th", "li", "dt", "dd", "p", "h3"} else ""

    def handle_data(self, data: str) -> None:
        """Note what can be read, except the style sheet."""
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of the elements of a kind."""
        return [attributes for tag, attributes in self.elements if tag == name]


def written(plan: Plan, folder: Path) -> str:
    """Return the page of a plan, with a date."""
    path = folder / "report.html"
    seen = view.plan_view(plan, Settings(), created_at=datetime(2026, 11, 22, 15, 30, tzinfo=UTC))
    html.write_page(seen, path)
    return path.read_text("utf-8")


def squeezed(text: str) -> str:
    """Return the text with single spaces."""
    return " ".join(text.split())


def test_everything_is_on_the_page(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Headline, counts, tasks, cells, changes, groups, example, files, fingerprints."""
    page = Page(written(recruiter_plan, tmp_path))
    assert not page.open
    text = squeezed(page.text)
    for expected in (
        "Check of recruiter.csv 22 November 2026, 15:30 UTC",
        "2 of 6 rows are ready to send; 3 need fixing.",
        "Nothing has been sent. 1 row repeats the person of an earlier row: skipped.",
        "2 ready",
        "3 to fix",
        "Correct the phone number 1 row",
        "This is not a valid phone number. Correct the number.",
        "Look for a mobile number",
        "020 7946 0018 +442079460018",
        "Interview for Warehouse Lead 2 rows",
        "Grace Hopper (grace.hopper@example.com), organizer",
        "Mon–Fri 09:00–17:00",
        "Example: row 2 To Ada2 Phone +442079460018",
        "Mobile as phone number",
        "utf-8, semicolon",
        recruiter_plan.tables[0].source.sha256,
        recruiter_plan.hash,
    ):
        assert expected in text, expected


def test_links_lead_to_what_is_there(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Every anchor has its target, every label its element, no id is there twice."""
    page = Page(written(recruiter_plan, tmp_path))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.all("a")]
    assert "#r0-3" in links
    assert {href[1:] for href in links if href} <= set(ids)
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert labels
    assert set(labels) <= set(ids)


def test_the_page_stands_alone(recruiter_plan: Plan, tmp_path: Path) -> None:
    """No script, nothing to fetch, and a policy that forbids both."""
    text = written(recruiter_plan, tmp_path)
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not re.search(r"\bsrc\s*=|@import|url\(|https?://|//cdn", text)
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    policy = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_it_can_be_read_without_eyes_and_used_without_a_mouse(
    recruiter_plan: Plan, tmp_path: Path
) -> None:
    """Language, title, one h1, headings without gaps, headers of tables, reachable regions."""
    page = Page(written(recruiter_plan, tmp_path))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(later <= sooner + 1 for sooner, later in pairwise(levels))
    assert all("scope" in header for header in page.all("th"))
    scrolled = [div for div in page.all("div") if "scroll" in (div.get("class") or "")]
    assert scrolled
    for region in scrolled:
        assert (region["tabindex"], region["role"]) == ("0", "region")
        assert region.get("aria-label") or region.get("aria-labelledby")


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;`{{7*7}}`\u202e\x1b\x00"


def test_nothing_of_the_user_s_is_markup(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Not a cell, a header, a file name, a note, a detail: all of it is text."""
    table = make_table(
        EVIL, [EVIL, "Name"], [[EVIL, EVIL]], {EVIL: "phone_number"}, extra={"Name": EVIL},
        notes=(EVIL,),
    )  # fmt: skip
    found = [
        problems.one(code, row=row, column=column, value=EVIL, detail=EVIL)
        for code, row, column in (
            (Code.PHONE_INVALID, 2, "phone_number"),
            (Code.TEMPLATE_INVALID, 2, EVIL),
            (Code.NAME_SPLIT, 2, "full_name"),
            (Code.VALUE_CHANGED, 2, "phone_number"),
            (Code.HEADER_MOVED, None, None),
            (Code.COLUMN_UNKNOWN, None, EVIL),
        )
    ]
    text = written(make_plan([table], found), tmp_path)
    page = Page(text)
    assert not page.open
    assert {tag for tag, _ in page.elements} & {"script", "img"} == set()
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    assert "<script>alert(1)</script>" in page.text
    assert "49" not in page.text
    assert not set("\u202e\x1b\x00") & set(text)


def test_a_hundred_thousand_problems_stay_under_5_mb(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """And the page says what it leaves out, and where to find all of it."""
    count = 50_000
    cells = [[f"020 {row}", f"a{row}@example", "n" * 300] for row in range(count)]
    mapping = {"Tel": "phone_number", "Mail": "email"}
    table = make_table("big.csv", ["Tel", "Mail", "Note"], cells, mapping)
    rows = table.frame.with_columns(pl.lit(0).alias(SOURCE))
    plan = make_plan(
        [table],
        [
            problems.at(rows, Code.PHONE_INVALID, column="phone_number", value=pl.col("Tel")),
            problems.at(rows, Code.EMAIL_INVALID, column="email", value=pl.col("Mail"),
                        detail=pl.col("Mail")),
        ],
    )  # fmt: skip
    assert plan.problems.height == 100_000
    text = written(plan, tmp_path)
    assert len(text.encode()) < 5_000_000
    words = squeezed(Page(text).text)
    assert "Correct the phone number 50,000 rows" in words
    assert "Shown: 500 of 50,000 rows." in words
    assert "--rejected FILE.csv" in words
    assert "--format json" in words


def test_the_worst_file_stays_under_5_mb(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Many wide columns, long cells full of what must be escaped, a problem in each."""
    headers = [f"Column {number} {'&' * 90}" for number in range(300)]
    extra = {header: f"c{number}" for number, header in enumerate(headers)}
    table = make_table("wide.csv", headers, [["<&>\"'" * 100] * 300] * 150, {}, extra=extra)
    rows = table.frame.with_columns(pl.lit(0).alias(SOURCE))
    found = [
        problems.at(rows, code, column=column, value=pl.lit("<&>'" * 100), detail=pl.lit("&" * 500))
        for column in extra.values()
        for code in (Code.PLACEHOLDER_MISSING, Code.VALUE_CHANGED)
    ]
    text = written(make_plan([table], found), tmp_path)
    assert len(text.encode()) < 5_000_000
    assert "more causes are left out here" in squeezed(Page(text).text)


def test_many_groups_and_files_stay_under_5_mb(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Huge templates in hundreds of groups, wide headers in hundreds of files."""
    headers = [f"H{number}{'<' * 60}" for number in range(300)]
    mapping = {headers[0]: "phone_number"}
    extra = {header: f"c{number}" for number, header in enumerate(headers[1:])}
    tables = [
        make_table(f"{number}.csv", headers, [["1"] * 300] * 2, mapping, extra=extra)
        for number in range(200)
    ]
    found = [
        problems.one(Code.PHONE_INVALID, row=2, column="phone_number", value="<" * 99, source=each)
        for each in range(200)
    ]
    plan = make_plan(tables, found, groups=200)
    huge = {f"key{number}": "<&>" * 400 for number in range(90)}
    groups = tuple(dataclasses.replace(each, meeting_configuration=huge) for each in plan.groups)
    text = written(dataclasses.replace(plan, groups=groups), tmp_path)
    assert len(text.encode()) < 5_000_000
    words = squeezed(Page(text).text)
    assert "more groups are left out here" in words
    assert "more files are left out here" in words
    assert "and 140 more files" in words


def test_a_clean_file_says_so(make_plan: MakePlan, make_table: MakeTable, tmp_path: Path) -> None:
    """No empty sections, and what comes next."""
    table = make_table("a.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    page = Page(written(make_plan([table]), tmp_path))
    text = squeezed(page.text)
    assert "The only row is ready to send; nothing needs fixing." in text
    assert "Every row that can be sent is ready." in text
    assert "To fix" not in text
    assert "Rows to fix" not in text


def test_an_unreadable_file_is_explained(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """There are no rows, no groups and no chart of them, but a task."""
    found = [problems.one(Code.FILE_UNREADABLE, detail="it is a picture")]
    text = squeezed(
        Page(written(make_plan([make_table("x.png", [], [], {})], found), tmp_path)).text
    )
    assert "There are no rows to import." in text
    assert "Save the file again 1 file" in text
    assert "it is a picture" in text
    assert "What will be sent" not in text


def test_the_same_plan_gives_the_same_page(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Byte for byte."""
    assert written(recruiter_plan, tmp_path) == written(recruiter_plan, tmp_path)


def luminance(colour: str) -> float:
    """Return relative luminance of `#rrggbb`, as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ("ink", "paper"), ("soft", "paper"), ("soft", "card"), ("soft", "sunk"), ("ink", "sunk"),
        ("link", "paper"), ("link", "card"), ("link", "sunk"), ("fix", "fix-tint"),
        ("check", "check-tint"), ("soft", "fix-tint"),
    ],
)  # fmt: skip
def test_text_stands_out_from_its_ground(scheme: int, ink: str, paper: str) -> None:
    """A contrast of 4.5 at least, in every scheme."""
    block = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[scheme]
    colours = {
        name: value if len(value) == 7 else "#" + "".join(letter * 2 for letter in value[1:])
        for name, value in re.findall(r"--([a-z-]+): (#[0-9a-f]+);", block)
    }
    light, dark = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def task(count: int) -> Task:
    """Return a task of this many problems."""
    return Task(
        Code.PHONE_INVALID, Severity.ERROR, None, "", "Correct", "", count, count, (), ()
    )  # fmt: skip


def group(rows: int) -> GroupView:
    """Return a group of this many rows."""
    return GroupView("camp-1", "onsite", "panel", rows, {}, {"title": f"Interview {rows}"}, ())


def test_shares_leave_out_what_there_is_none_of() -> None:
    """In the order of the bar."""
    assert bar_parts(Counts(read=9, ready=5, rejected=3, already_imported=1)) == [
        BarPart("ready", 5, "good"),
        BarPart("to fix", 3, "fix"),
        BarPart("imported before, skipped", 1, "done"),
    ]
    assert bar_parts(Counts()) == []


def test_causes_are_errors_first_then_by_frequency_and_to_scale() -> None:
    """The largest is the whole width; a bar leads to its task where that is shown."""
    bars = causes([("check", "", task(20)), ("fix", "task-1", task(2)), ("fix", "task-0", task(5))])
    assert [(bar.count, bar.percent, bar.kind, bar.anchor) for bar in bars] == [
        (5, 25.0, "fix", "task-0"),
        (2, 10.0, "fix", "task-1"),
        (20, 100.0, "check", ""),
    ]
    assert causes([]) == []


def test_files_are_called_without_their_folders() -> None:
    """Unless two of them would be called alike."""
    assert bare_names(["lists/a.csv", "lists/b.csv", "more/b.csv", "c.zip/d.csv", "-"]) == {
        "lists/a.csv": "a.csv",
        "lists/b.csv": "lists/b.csv",
        "more/b.csv": "more/b.csv",
        "c.zip/d.csv": "d.csv",
        "-": "-",
    }


def test_what_is_left_is_a_number_and_no_bar() -> None:
    """All that is left is in it."""
    bars = causes([("fix", "", task(count)) for count in range(1, BARS + 4)])
    assert len(bars) == BARS + 1
    assert (bars[-1].label, bars[-1].count, bars[-1].percent) == ("and 3 more causes", 6, 0.0)


def test_groups_keep_their_places() -> None:
    """Sorted by rows, linked by their position in the plan, where they are shown."""
    bars = group_bars([group(2), group(8), group(4)], linked=2)
    assert [(bar.label, bar.percent, bar.anchor) for bar in bars] == [
        ("camp-1: Interview 8", 100.0, "group-1"),
        ("camp-1: Interview 4", 50.0, ""),
        ("camp-1: Interview 2", 25.0, "group-0"),
    ]
    many = group_bars([group(1)] * (BARS + 1), linked=0)
    assert many[-1].label == "and 1 more group"


def meeting_group(meeting: Mapping[str, Json], *people: Mapping[str, Json]) -> GroupView:
    """Return a group with these templates."""
    return GroupView("camp-1", "onsite", "panel", 1, {}, meeting, people)


def test_a_meeting_in_words() -> None:
    """Who, how long, when, where; what we have no word for keeps its own name."""
    messages = facts(
        meeting_group(
            {
                "title": "Interview",
                "duration": 45,
                "openHours": [{"days": [1, 2, 3, 4, 5], "start": "09:00", "end": "17:00"}],
                "timezone": "Europe/London",
                "videoConferencing": True,
                "videoConferencingProvider": "Google Meet",
                "bufferMinutes": 15,
                "nested": {"a": [1, True, None]},
            },
            {"name": "Grace", "email": "grace@example.com", "isOrganizer": True},
            {"email": "bo@example.com"},
        )
    )
    assert messages == [
        ("Meets", "Grace (grace@example.com), organizer; bo@example.com"),
        ("Length", "45 minutes"),
        ("Offered times", "Mon–Fri 09:00–17:00"),
        ("Time zone", "Europe/London"),
        ("Where", "By video (Google Meet)"),
        ("Buffer minutes", "15"),
        ("Nested", '{"a": [1, true, null]}'),
    ]


@pytest.mark.parametrize(
    ("hours", "result"),
    [
        ([{"days": [0, 6], "start": "9", "end": "12"}], "Sun, Sat 9–12"),
        ([{"days": [6, 7], "start": "9", "end": "12"}], "Sat, Sun 9–12"),
        ([{"days": [1, 3, 5], "start": "9", "end": "12"}], "Mon, Wed, Fri 9–12"),
        (
            [{"days": [1], "start": "9", "end": "12", "timezone": "Europe/Rome"}],
            "Mon 9–12 Europe/Rome",
        ),
        ([{"days": ["MONDAY"], "start": "9", "end": "12"}], None),
        ([{"days": [9], "start": "9", "end": "12"}], None),
        ([{"from": "9"}], None),
        (["always"], "always"),
        ("always", "always"),
    ],
)
def test_hours_are_said_or_shown_as_they_are(hours: Json, result: str | None) -> None:
    """The item's form is not known for sure: what we cannot read is not guessed at."""
    messages = dict(facts(meeting_group({"openHours": hours})))["Offered times"]
    assert messages == (result if result is not None else json.dumps(list(hours)[0]))  # type: ignore[arg-type] # noqa: RUF015


def test_a_group_without_a_title_has_a_name() -> None:
    """The template's, else the campaign's."""
    assert heading(meeting_group({"title": "Interview"})) == "Interview"
    assert heading(meeting_group({})) == "onsite"
    assert heading(GroupView("camp-1", "", "", 1, {}, {}, ())) == "camp-1"


def test_whom_an_example_is_for() -> None:
    """What there is, in order."""
    body = {"firstName": "Ada", "phoneNumber": "+442079460018", "campaignId": "c"}
    assert contact(body) == [("To", "Ada"), ("Phone", "+442079460018")]


def test_json_for_reading_is_still_json() -> None:
    """Lists of numbers are in one line; text that looks like one is unchanged."""
    value: Json = {"days": [1, 2, 3], "text": "[\n 1\n]", "none": [], "mixed": [1, "a"]}
    assert json.loads(pretty(value)) == value
    assert '"days": [1, 2, 3]' in pretty(value)
