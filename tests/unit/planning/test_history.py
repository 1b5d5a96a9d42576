"""People that earlier runs dealt with are left out of a plan, with the reason."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.ledger import Ledger
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.model import State
from importer.planning.history import skip_known
from importer.planning.identity import Identity
from importer.planning.payload import planned_rows
from schemas.columns import ROW
from tests.support.project import GOOD, Project, make_project
from tests.unit.ledger.ledger_builders import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Plan

IDENTITY = Identity(b"k" * 32, "acme")
OTHER = {**GOOD, "phone_number": "+1 202 555 0198"}


@pytest.fixture
def project() -> Iterator[Project]:
    """Yield a folder to plan in."""
    with make_project() as project:
        yield project


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def ledger(project: Project, clock: Clock) -> Iterator[Ledger]:
    """Yield a ledger beside the settings."""
    with Ledger.open(project.settings.ledger, now=clock.now, suffix=clock.end) as ledger:
        yield ledger


def began(ledger: Ledger, plan: Plan, project: Project) -> str:
    """Begin a run of a plan, and return its id."""
    file = SourceFile("list.csv", None, "0" * 64, 1)
    rows = planned_rows(plan, IDENTITY, project.settings)
    return ledger.runs.begin(NewRun(plan.hash, (file,) * len(plan.tables)), rows)


def ended(
    ledger: Ledger, plan: Plan, project: Project, state: State, *, conversation: str | None = None
) -> str:
    """Return a run of the plan in which every request ended like this."""
    run = began(ledger, plan, project)
    for key in ledger.submissions.sendable(run):
        ledger.submissions.intend(run, [key])
        ledger.submissions.settle(run, [Settlement(key, state, conversation_id=conversation)])
    return run


def known(plan: Plan, ledger: Ledger, project: Project, clock: Clock) -> Plan:
    """Return the plan without people that the ledger knows."""
    return skip_known(plan, ledger, IDENTITY, project.settings, now=clock.now())


def told(plan: Plan) -> list[tuple[int, str]]:
    """Return row and code of each problem."""
    return plan.problems.select(ROW, "code").rows()


def test_an_empty_ledger_knows_nobody(project: Project, ledger: Ledger, clock: Clock) -> None:
    """The plan itself comes back."""
    plan = project.plan([GOOD])
    assert known(plan, ledger, project, clock) is plan


@pytest.mark.parametrize(
    ("state", "told_of"),
    [
        (State.CREATED, ("already-imported", ["already-imported"])),
        (State.DUPLICATE, ("already-imported", ["already-imported"])),
        (State.DOUBTFUL, ("already-imported", ["possibly-sent"])),
        (State.REJECTED, ("rejected", ["rejected-before"])),
        (State.UNSENT, ("ready", [])),
        (State.PLANNED, ("ready", [])),
    ],
)
def test_what_became_of_a_row_decides(
    project: Project, ledger: Ledger, clock: Clock, state: State, told_of: tuple[str, list[str]]
) -> None:
    """Done and doubtful ones are left out, refused ones rejected, unsent ones go again."""
    status, codes = told_of
    run = ended(ledger, project.plan([GOOD]), project, state)
    plan = known(project.plan([OTHER, GOOD]), ledger, project, clock)
    assert plan.rows["status"].to_list() == ["ready", status]
    assert told(plan) == [(3, code) for code in codes]
    assert all(f"run {run}, row 2" in detail for detail in plan.problems["detail"])
    (row,) = ledger.runs.rows(run)
    assert row.submission
    assert plan.known.rows() == [(0, 3, row.submission.key)] * (status == "already-imported")


def test_a_request_under_way_is_in_doubt(project: Project, ledger: Ledger, clock: Clock) -> None:
    """What a crash left open may have arrived."""
    run = began(ledger, project.plan([GOOD]), project)
    ledger.submissions.intend(run, ledger.submissions.sendable(run))
    plan = known(project.plan([GOOD]), ledger, project, clock)
    assert told(plan) == [(2, "possibly-sent")]
    assert plan.counts.ready == 0


def test_a_refused_row_goes_again_once_it_changed(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """The key is the same person's; another body is another question to the API."""
    ended(ledger, project.plan([GOOD]), project, State.REJECTED)
    changed = project.plan([{**GOOD, "first_name": "Cyrus"}])
    assert known(changed, ledger, project, clock).counts.ready == 1


def test_a_refused_row_goes_again_when_told_to(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """The reason may have lain at the service."""
    ended(ledger, project.plan([GOOD]), project, State.REJECTED)
    told_to = Project(project.folder, project.settings.model_copy(update={"retry_rejected": True}))
    assert known(project.plan([GOOD]), ledger, project, clock).counts.ready == 0
    assert known(project.plan([GOOD]), ledger, told_to, clock).counts.ready == 1


def test_a_new_round_may_go_to_the_same_people(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """The round is part of the key."""
    ended(ledger, project.plan([GOOD]), project, State.CREATED)
    again = Identity(IDENTITY.hmac_key, IDENTITY.organization, round="second")
    plan = project.plan([GOOD])
    assert skip_known(plan, ledger, again, project.settings, now=clock.now()).counts.ready == 1


def test_who_opted_out_is_not_contacted_at_all(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """Neither in another campaign, nor after any time."""
    ended(ledger, project.plan([GOOD]), project, State.CREATED, conversation="c-1")
    ledger.conversations.write_statuses({"c-1": "OPTED_OUT"})
    clock.pass_s(timedelta(days=900).total_seconds())
    plan = known(project.plan([{**GOOD, "campaign": "b"}, OTHER]), ledger, project, clock)
    assert plan.rows["status"].to_list() == ["rejected", "ready"]
    assert told(plan) == [(2, "opted-out")]


@pytest.mark.parametrize(
    ("days", "allowed", "ready"), [(0, False, 1), (7, False, 0), (7, True, 1), (2, False, 1)]
)
def test_who_was_contacted_lately_waits(
    project: Project, ledger: Ledger, clock: Clock, days: int, *, allowed: bool, ready: int
) -> None:
    """By any campaign, within the window of the settings, unless they allow it."""
    ended(ledger, project.plan([GOOD]), project, State.CREATED)
    clock.pass_s(timedelta(days=3).total_seconds())
    choices = {"contact_window_days": days, "allow_recent": allowed}
    later = Project(project.folder, project.settings.model_copy(update=choices))
    plan = known(later.plan([{**GOOD, "campaign": "b"}]), ledger, later, clock)
    assert plan.counts.ready == ready
    assert told(plan) == ([] if ready else [(2, "contacted-recently")])


MAIL = {**GOOD, "email": "cy@example.org", "Candidate ID": "C-1"}


@pytest.mark.parametrize(
    "case",
    [
        ({"phone_number": ""}, {}, "email-of-another"),
        ({}, {"phone_number": ""}, "email-of-another"),
        ({}, {"phone_number": "+1 202 555 0198"}, "email-of-another"),
        ({}, {"phone_number": "+1 202 555 0198", "email": "C.Y+jobs@Example.org"}, None),
        (
            {"email": "c.y+x@gmail.com"},
            {"phone_number": "+1 202 555 0198", "email": "CY@googlemail.com"},
            "email-of-another",
        ),
        (
            {"email": ""},
            {"phone_number": "+1 202 555 0198", "email": ""},
            "candidate-id-of-another",
        ),
        ({}, {"phone_number": "+1 202 555 0198", "campaign": "b"}, None),
        (
            {"campaign": "Camp 1"},
            {"phone_number": "+1 202 555 0198", "campaign": "camp 1"},
            "campaign-spelling",
        ),
    ],
)
def test_one_person_under_another_contact_is_left_for_a_decision(
    project: Project,
    ledger: Ledger,
    clock: Clock,
    case: tuple[dict[str, str], dict[str, str], str | None],
) -> None:
    """The same mailbox or candidate id in the same campaign; the earlier run is named."""
    first, then, code = case
    run = ended(
        ledger, project.plan([{**MAIL, "Candidate ID": "C-1", **first}]), project, State.CREATED
    )
    again = {**MAIL, "Candidate ID": "C-1" if code else "C-2", **then}
    if code == "email-of-another":
        again["Candidate ID"] = "C-2"
    plan = skip_known(project.plan([again]), ledger, IDENTITY, project.settings, now=clock.now())
    found = plan.problems.filter(plan.problems["severity"] == "error")
    if code is None:
        assert (found["code"].to_list(), plan.counts.ready) == ([], 1)
        return
    assert code in found["code"].to_list()
    assert plan.counts.ready == 0
    if code != "campaign-spelling":
        assert run in str(found["detail"].item(0))


@pytest.mark.parametrize("state", [State.DOUBTFUL, State.UNSENT, State.REJECTED])
def test_a_corrected_phone_goes_if_the_api_refused_the_other(
    project: Project, ledger: Ledger, clock: Clock, state: State
) -> None:
    """Nobody was contacted then; people who may have been, or may still be, count as contacted."""
    ended(ledger, project.plan([MAIL]), project, state)
    other = {**MAIL, "phone_number": "+1 202 555 0198"}
    plan = skip_known(project.plan([other]), ledger, IDENTITY, project.settings, now=clock.now())
    assert plan.counts.ready == (1 if state is State.REJECTED else 0)


def test_a_refused_row_waits_if_its_person_was_reached_under_another_phone(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """The old list comes again after the corrected one: nobody is contacted twice for it."""
    ended(ledger, project.plan([MAIL]), project, State.REJECTED)
    ended(
        ledger, project.plan([{**MAIL, "phone_number": "+1 202 555 0198"}]), project, State.CREATED
    )
    changed = {**MAIL, "first_name": "Cyrus"}
    plan = known(project.plan([changed]), ledger, project, clock)
    assert plan.counts.ready == 0
    assert "email-of-another" in [code for _, code in told(plan)]


def test_a_shared_contact_goes_if_it_is_allowed(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """The flag is a person's decision."""
    ended(ledger, project.plan([MAIL]), project, State.CREATED)
    settings = project.settings.model_copy(update={"allow_shared_contact": True})
    other = {**MAIL, "phone_number": "+1 202 555 0198"}
    plan = skip_known(project.plan([other]), ledger, IDENTITY, settings, now=clock.now())
    assert plan.counts.ready == 1


def test_hashes_are_made_again_under_another_key(
    project: Project, ledger: Ledger, clock: Clock
) -> None:
    """A plan that was looked at under a preview key is sent under the ledger's own."""
    ended(ledger, project.plan([OTHER]), project, State.CREATED)
    preview = Identity(b"p" * 32, "acme")
    plan = skip_known(project.plan([GOOD]), ledger, preview, project.settings, now=clock.now())
    assert plan.frame["#key"].to_list() == preview.keys(plan.frame).to_list()
    (rows,) = planned_rows(plan, IDENTITY, project.settings)
    assert rows["key"].to_list() == IDENTITY.keys(plan.frame).to_list()
