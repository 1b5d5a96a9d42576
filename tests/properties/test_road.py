"""Laws of the whole road that hold for any spreadsheet, from its bytes to what is sent."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importer.deliver import deliver
from importer.model import State
from importer.planning.history import open_history
from importer.planning.identity import Identity
from importer.planning.payload import submissions
from importer.prepare import prepare
from importer.sandbox.server import start_sandbox
from importer.sending.run_options import RunOptions
from tests.support.builders import CREDENTIALS
from tests.support.project import GOOD, Project, make_project
from tests.support.rows import PARTICIPANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.model import Plan
    from importer.sandbox.server import Sandbox
    from importer.settings import Settings

Row = dict[str, str]
IDENTITY: Final = Identity(hmac_key=b"law", organization="acme", round="")

BRIEF = settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)

CELLS: Final[Mapping[str, Sequence[str]]] = {
    "phone_number": (
        *("+12025550104", "(202) 555-0105", "+61 491 570 006", "020 7946 0018", "", "call me"),
        *("+12025550106", "+12025550107"),
    ),
    "email": ("ada@example.com", "bob@example.org", "", "", "nobody"),
    "first_name": ("Ada", "José", "李", " Bob ", ""),
    "country": ("US", "Australia", "", "Atlantis"),
    "campaign": ("a", "b", ""),
    "meeting_template": ("onsite-45", "onsite-45", "video", "none"),
    "Job Title": ("Chef", "Waiter", ""),
    "Note": ("", "x", "a, b", 'say "hi"', "two\nlines"),
}
ROWS = st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in CELLS.items()})
LISTS = st.lists(ROWS, max_size=8)


def bodies(plan: Plan, chosen: Settings) -> list[tuple[int, int, object]]:
    """Return where each submission comes from, and its body."""
    return [(each.source, each.row, each.body) for each in submissions(plan, IDENTITY, chosen)]


@BRIEF
@given(LISTS, LISTS)
def test_rows_add_up(first: list[Row], second: list[Row]) -> None:
    """Read = ready + rejected + duplicates + already imported, and groups hold the ready ones."""
    with make_project() as project:
        plan = project.plan(first, second)
        found = plan.counts
        # a row in which everything is blank is none
        rows = [row for row in (*first, *second) if any(cell.strip() for cell in row.values())]
        assert found.read == len(rows) == plan.rows.height
        assert found.read == (
            found.ready + found.rejected + found.duplicates + found.already_imported
        )
        assert found.ready == plan.frame.height == sum(group.rows for group in plan.groups)
        assert len(bodies(plan, project.settings)) == found.ready


@BRIEF
@given(LISTS, st.permutations(tuple(CELLS)))
def test_the_order_of_columns_changes_nothing(rows: list[Row], columns: list[str]) -> None:
    """The same rows are ready, with the same bodies, and the others for the same reasons."""
    with make_project() as project:
        plan, moved = project.plan(rows), project.plan(rows, columns=columns)
        assert moved.rows.equals(plan.rows)
        assert bodies(moved, project.settings) == bodies(plan, project.settings)
        assert moved.problems.sort(moved.problems.columns).equals(
            plan.problems.sort(plan.problems.columns)
        )


@BRIEF
@given(LISTS, st.data())
def test_the_hash_says_what_would_be_sent(rows: list[Row], data: st.DataObject) -> None:
    """The same input has the same hash; another cell, setting or template another."""
    rows = [*rows, GOOD]
    with make_project() as project:
        plan = project.plan(rows)
        assert project.plan(rows).hash == plan.hash
        with make_project() as elsewhere:
            assert elsewhere.plan(rows).hash == plan.hash
        at = data.draw(st.integers(0, len(rows) - 1))
        column = data.draw(st.sampled_from(tuple(CELLS)))
        other = [dict(row) for row in rows]
        other[at][column] += "x"
        assert project.plan(other).hash != plan.hash
        choices: list[dict[str, object]] = [
            {"round": "second"},
            {"campaign": "another"},
            {"default_country": "GB"},
            {"send_during_business_hours": True},
        ]
        setting = data.draw(st.sampled_from(choices))
        changed = Project(project.folder, project.settings.model_copy(update=setting))
        assert changed.plan(rows).hash != plan.hash
        template = project.folder / "templates" / "participants" / "manager.yaml"
        template.write_text(PARTICIPANTS.replace("Max", "Moritz"))
        assert project.plan(rows).hash != plan.hash


@BRIEF
@given(LISTS, st.integers(0, 8), st.sampled_from(["first_name", "phone_number", "country"]))
def test_a_bad_row_holds_back_no_other(rows: list[Row], place_of: int, fault: str) -> None:
    """The others are ready, with the same bodies, as if it were not there."""
    at = min(place_of, len(rows))
    wrong = {"first_name": "", "phone_number": "call me", "country": "Atlantis"}[fault]
    bad = {**GOOD, fault: wrong}
    with make_project() as project:
        alone, among = (
            project.plan(rows, [GOOD]),
            project.plan([*rows[:at], bad, *rows[at:]], [GOOD]),
        )
        assert among.counts.rejected == alone.counts.rejected + 1
        rejected = among.rows.filter((among.rows["#source"] == 0) & (among.rows["#row"] == at + 2))
        assert rejected["status"].to_list() == ["rejected"]
        assert [body for _, _, body in bodies(among, project.settings)] == [
            body for _, _, body in bodies(alone, project.settings)
        ]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Yield one sandbox for all examples; each sends to campaigns of its own."""
    with start_sandbox() as sandbox:
        yield sandbox


CAMPAIGNS: Final = count()


@settings(BRIEF, max_examples=5)
@given(rows=LISTS, more=LISTS)
def test_a_second_run_sends_nothing(sandbox: Sandbox, rows: list[Row], more: list[Row]) -> None:
    """Nor does a later list that names the same people again; new people in it are sent."""
    campaign = f"camp-{next(CAMPAIGNS)}"
    rows = [{**row, "campaign": campaign} for row in (*rows, GOOD)]
    more = [{**row, "campaign": campaign} for row in more]
    options = RunOptions("a law", CREDENTIALS)

    def sent(project: Project, lists: Sequence[Row]) -> int:
        before = sandbox.requests
        plan = project.plan(lists)
        report = deliver(plan, project.settings, options)
        assert report.states.get(State.DOUBTFUL, 0) == 0
        return sandbox.requests - before

    with make_project(base_url=sandbox.base_url, rate_per_s=2_000) as project:
        ready = project.plan(rows).counts.ready
        assert sent(project, rows) == ready
        assert sent(project, rows) == 0
        together = project.plan([*rows, *more]).counts.ready
        assert sent(project, [*rows, *more]) == together - ready
        with open_history(project.settings) as history:
            plan = prepare([str(project.folder / "list-0.csv")], project.settings, history)
        assert plan.counts.ready == 0
        here = [entry for entry in sandbox.journal if entry["campaignId"] == campaign]
        assert len(here) == together
