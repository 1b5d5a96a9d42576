"""A folder with templates, settings and lists: all that a plan is made of."""

from __future__ import annotations

import csv
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from importer.prepare import prepare
from importer.settings import Settings
from tests.support.rows import MEETING, write_templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.model import Plan


GOOD: Final[dict[str, str]] = {
    "phone_number": "+1 202 555 0199",
    "email": "",
    "first_name": "Cy",
    "country": "US",
    "campaign": "a",
    "meeting_template": "onsite-45",
    "Job Title": "Chef",
    "Note": "",
}

PIECE: Final = 2_000
"""Bytes of a piece, so that `many` rows come in several."""


class Project(NamedTuple):
    """A folder with templates, and settings that name them."""

    folder: Path
    settings: Settings

    def plan(
        self, *lists: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None
    ) -> Plan:
        """Return the plan of these lists, each a CSV file."""
        return prepare(self.files(*lists, columns=columns), self.settings)

    def files(
        self, *lists: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None
    ) -> list[str]:
        """Write these lists, each as a CSV file, and name them."""
        names = []
        for number, rows in enumerate(lists):
            path = self.folder / f"list-{number}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns or list(rows[0] if rows else GOOD))
                writer.writeheader()
                writer.writerows(rows)
            names.append(str(path))
        return names


@contextmanager
def make_project(**choices: Any) -> Iterator[Project]:
    """Yield a new folder, with two meeting templates and settings for a list that names its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_templates(folder / "templates", {"onsite-45": MEETING, "video": "title: Call\n"})
        meetings = folder / "templates" / "meetings"
        (meetings / "video.yaml").write_text(MEETING.replace("Interview for {job_title}", "Call"))
        given: dict[str, Any] = {
            "templates": folder / "templates",
            "ledger": f"sqlite:///{folder / 'importer.db'}",
            "participants": "manager",
            "preflight": "off",
        }
        yield Project(folder, Settings(**{**given, **choices}))


def mixed_rows(count: int) -> list[dict[str, str]]:
    """Return rows of all kinds: good, wrong, repeated, with another's e-mail, in some groups."""
    rows = []
    for n in range(count):
        row = {**GOOD, "phone_number": f"+1 2{n % 4}2 555 01{n % 100:02}", "campaign": f"c{n % 3}"}
        row |= {"email": f"cy.{n % 300}@example.org", "Job Title": f"Chef {n % 5}"}
        if n % 11 == 0:
            row["phone_number"] = f"12{n}"
        if n % 13 == 0:
            row["first_name"] = ""
        if n % 17 == 0:
            row["meeting_template"] = "vidoe" if n % 2 else "video"
        if n % 19 == 0:
            row["Job Title"] = "" if n % 2 else "Chef {x}"
        rows.append(row)
    return rows


def assert_same_plan(one: Plan, other: Plan) -> None:
    """Assert that two plans agree about every row."""
    assert other.hash == one.hash
    assert other.counts == one.counts
    assert other.groups == one.groups
    assert other.rows.equals(one.rows)
    assert other.problems.equals(one.problems)
    assert [table.source for table in other.tables] == [table.source for table in one.tables]
