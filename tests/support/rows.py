"""Made-up checked rows and templates for the tests of grouping, bodies and identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from importer import problems
from importer.model import CheckedRows
from importer.planning.grouping import Grouping
from importer.planning.template_files import Templates
from schemas.columns import COLUMNS, GROUP, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from importer.model import Group
    from importer.settings import Settings


ADA: Final = {
    "phone_number": "+442079460018",
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "country": "GB",
    "campaign": "camp-42",
    "meeting_template": "onsite-45",
    "participant_template": "manager",
    "job_title": "Engineer",
}
GRACE: Final = {
    **ADA,
    "phone_number": "+12025550104",
    "email": "grace@example.org",
    "first_name": "Grace",
}

MEETING = """\
title: "Interview for {job_title}"
timezone: Europe/London
duration: 45
openHours: [{days: [1, 2, 3, 4, 5], start: 09:00, end: "17:00"}]
videoConferencing: false
location: 1 High Street, Leeds
"""
PARTICIPANTS = """\
- name: Max Planck
  email: max@example.org
  isOrganizer: true
  isCalendarConnected: true
"""


def frame(*rows: Mapping[str, str | None]) -> pl.DataFrame:
    """Return checked rows of one file, from row 2 on; what a row does not say is null."""
    names = dict.fromkeys([column.name for column in COLUMNS])
    names |= dict.fromkeys(name for row in rows for name in row)
    cells = pl.DataFrame(
        [[row.get(name) for name in names] for row in rows],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    )
    return cells.select(
        pl.lit(0, dtype=pl.UInt16).alias(SOURCE),
        pl.int_range(2, len(rows) + 2, dtype=pl.UInt32).alias(ROW),
        *names,
    )


def as_checked_rows(rows: pl.DataFrame) -> CheckedRows:
    """Return these rows as all good ones."""
    return CheckedRows(
        rows, problems.empty(), rows.select(SOURCE, ROW, pl.lit("ready").alias("status"))
    )


class Grouped(NamedTuple):
    """Rows in their groups, the groups with their sizes, and the problems."""

    frame: pl.DataFrame
    groups: tuple[Group, ...]
    problems: pl.DataFrame


def group_rows(folder: Path, rows: pl.DataFrame, settings: Settings) -> Grouped:
    """Return these rows grouped with the templates of a folder, in one part."""
    grouping = Grouping(Templates(folder), settings)
    found = grouping.take(rows)
    sizes = dict(found.frame.group_by(GROUP).len().iter_rows())
    return Grouped(found.frame, grouping.groups(sizes), found.problems)


def write_templates(
    folder: Path, meetings: dict[str, str], participants: dict[str, str] | None = None
) -> Path:
    """Write templates with these names and texts, and the usual participants by default."""
    texts = {"meetings": meetings, "participants": participants or {"manager": PARTICIPANTS}}
    for kind, files in texts.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / kind / f"{name}.yaml").write_text(text, "utf-8")
    return folder
