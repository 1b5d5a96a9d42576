"""The guards, end to end: a run that goes wrong stops early and says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.crash.conftest import people

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.sandbox.server import Sandbox
    from tests.support.desk import Desk


def test_a_canary_holds_the_others_back(desk: Desk, sandbox: Sandbox) -> None:
    """Three requests, all refused: exit code 6, the reason, and not one request more."""
    sandbox.set_faults("422:1")
    said = desk("run", "list.csv", "--yes", "--canary", "3")
    assert said.code == Exit.HELD, said.err
    assert "canary" in said.err
    assert sandbox.requests == 3


def test_a_successful_canary_lets_the_others_go(desk: Desk, sandbox: Sandbox) -> None:
    """All of the first three created: the other nine follow."""
    said = desk("run", "list.csv", "--yes", "--canary", "3")
    assert said.code == Exit.OK, said.err
    assert len(sandbox.journal) == 12


def test_a_doubtful_canary_holds_the_run(desk: Desk, sandbox: Sandbox) -> None:
    """Doubtful is not created: the run is held, and resume begins with another canary."""
    sandbox.set_faults("reset-after:1")
    assert desk("run", "list.csv", "--yes", "--canary", "3").code == Exit.HELD
    assert sandbox.requests == 3
    sandbox.set_faults("")
    assert desk("resume", "--canary", "2").code == Exit.OK
    assert len(sandbox.journal) == 12


@pytest.mark.parametrize(
    ("allowed", "most"), [("2", 3), ("25%", 4), ("0", 1)], ids=["count", "share", "none"]
)
def test_too_many_failures_hold(desk: Desk, sandbox: Sandbox, allowed: str, most: int) -> None:
    """One more than max_failures stops the run with exit code 6 and the reason."""
    sandbox.set_faults("422:1")
    said = desk("run", "list.csv", "--yes", "--max-failures", allowed, "--concurrency", "1")
    assert said.code == Exit.HELD, said.err
    assert f"{most} submissions failed" in said.err
    assert sandbox.requests == most


def test_failures_in_a_row_hold(desk: Desk, sandbox: Sandbox) -> None:
    """A row of failures without a success stops the run with exit code 6 and the reason."""
    sandbox.set_faults("500:1")
    flags = ("--max-failures-in-a-row", "4", "--concurrency", "1")
    said = desk("run", "list.csv", "--yes", *flags)
    assert said.code == Exit.HELD, said.err
    assert "4 submissions in a row failed" in said.err
    assert sandbox.requests == 4


def test_recently_contacted_people_are_held_back(desk: Desk, sandbox: Sandbox) -> None:
    """Within the window another campaign does not contact a person again, unless allowed."""
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    desk.write("other.csv", people(2, "camp-2") + people(1, "camp-2", start=50).split("\n")[1])
    window = ("--contact-window-days", "30", "--on-problems", "skip")
    report = json.loads(_checked(desk, "other.csv"))
    assert {each["code"] for each in report["problems"]} == {"contacted-recently"}
    said = desk("run", "other.csv", "--yes", *window)
    assert said.code == Exit.REJECTED, said.err
    assert len(sandbox.journal) == 13
    assert desk("run", "other.csv", "--yes", *window, "--allow-recent").code == Exit.OK
    assert len(sandbox.journal) == 15


def test_rejected_rows_go_again_on_request(desk: Desk, sandbox: Sandbox) -> None:
    """After the service was mended: once, and those who were reached the first time never."""
    sandbox.set_faults("422:0.5")
    assert desk("run", "list.csv", "--yes", "--max-failures-in-a-row", "99").code == Exit.REJECTED
    reached = {each["emailAddress"] for each in sandbox.journal}
    assert 0 < len(reached) < 12
    sandbox.set_faults("")
    said = desk("run", "list.csv", "--yes", "--on-problems", "skip")
    assert said.code == Exit.REJECTED
    assert "--retry-rejected" in said.err
    assert len(sandbox.journal) == len(reached)
    said = desk("run", "list.csv", "--yes", "--retry-rejected")
    assert said.code == Exit.OK, said.err
    assert len(sandbox.journal) == 12
    assert len({each["emailAddress"] for each in sandbox.journal}) == 12
    assert desk("run", "list.csv", "--yes", "--retry-rejected").code == Exit.OK
    assert len(sandbox.journal) == 12


def test_resume_leaves_out_people_who_have_opted_out(desk: Desk, sandbox: Sandbox) -> None:
    """A run that goes on asks again, and rejects the row."""
    desk.write("other.csv", people(3, "camp-2"))
    assert desk("run", "other.csv", "--yes").code == Exit.OK
    desk.write("list.csv", people(3))
    assert desk("run", "list.csv", "--yes", "--limit", "1").code == Exit.OK
    assert sandbox.conversations.set_status(sandbox.journal[2]["id"], "OPTED_OUT")
    assert desk("refresh").code == Exit.OK
    said = desk("resume")
    assert said.code == Exit.REJECTED, said.err
    assert len(sandbox.journal) == 5
    out = json.loads(desk("results", "--format", "json").out)["outcomes"]
    assert [each["code"] for each in out] == ["", "", "opted-out"]
    assert [each["status"] for each in out] == ["created", "created", "rejected"]


def test_resume_leaves_out_people_contacted_by_another_run(desk: Desk, sandbox: Sandbox) -> None:
    """Within the window another run's people are not written to by one that goes on."""
    desk.write("list.csv", people(2))
    assert desk("run", "list.csv", "--yes", "--limit", "1").code == Exit.OK
    run = json.loads(desk("results", "--format", "json").out)["run"]
    desk.write("other.csv", people(2, "camp-2"))
    assert desk("run", "other.csv", "--yes").code == Exit.OK
    assert desk("resume", run, "--contact-window-days", "30").code == Exit.REJECTED
    assert len(sandbox.journal) == 3
    assert desk("run", "list.csv", "--yes", "--retry-rejected").code == Exit.OK
    assert len(sandbox.journal) == 4


def _checked(desk: Desk, name: str) -> str:
    env = {**desk.env, "IMPORTER_CONTACT_WINDOW_DAYS": "30"}
    return type(desk)(desk.folder, env)("check", name, "--format", "json").out


def test_people_who_opted_out_are_left_out(desk: Desk, sandbox: Sandbox) -> None:
    """What refresh learns keeps a later run from writing to that person for any campaign."""
    desk.write("list.csv", people(3))
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    out = sandbox.journal[1]
    assert sandbox.conversations.set_status(out["id"], "OPTED_OUT")
    said = desk("refresh")
    assert said.code == Exit.OK, said.err
    assert "OPTED_OUT" in said.err
    desk.write("other.csv", people(3, "camp-2"))
    report = json.loads(desk("check", "other.csv", "--format", "json").out)
    assert [each["code"] for each in report["problems"]] == ["opted-out"]
    assert desk("run", "other.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    later = [each for each in sandbox.journal if each["campaignId"] == "camp-2"]
    assert len(later) == 2
    assert out["emailAddress"] not in {each["emailAddress"] for each in later}


def test_campaigns_with_a_template_of_their_own(desk: Desk, sandbox: Sandbox) -> None:
    """`conversation: campaign` posts to /conversations, with nothing about the meeting."""
    desk.write("importer.yaml", "conversation: campaign\n")
    env = {name: value for name, value in desk.env.items() if "_MEETING" not in name}
    plain = type(desk)(desk.folder, {**env, "IMPORTER_PARTICIPANTS": None})
    sandbox.set_faults("reset-after:0.5")
    said = plain("run", "list.csv", "--yes")
    assert said.code == Exit.OK, said.err
    assert len(sandbox.journal) == 12
    assert {each["path"] for each in sandbox.journal} == {"/conversations"}
    for each in sandbox.journal:
        assert not {"meetingParticipants", "meetingConfiguration"} & set(each["body"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda desk: desk.write("list.csv", people(11)), "content of list.csv"),
        (lambda desk: desk.write("importer.yaml", "round: two\n"), "a setting that shapes bodies"),
        (lambda desk: desk.write("list.csv", people(12, "camp-9")), "campaigns or templates"),
    ],
    ids=["file", "setting", "template"],
)
def test_another_plan_than_expected(
    desk: Desk, sandbox: Sandbox, change: Callable[[Desk], None], said: str
) -> None:
    """It is held with exit code 6, and what changed is named."""
    desk.write("plan.json", desk("check", "list.csv", "--format", "json").out)
    change(desk)
    held = desk("run", "list.csv", "--yes", "--expect-plan", "plan.json")
    assert held.code == Exit.HELD
    assert said in held.error
    assert sandbox.requests == 0
    desk.write("list.csv", people(12))
    (desk.folder / "importer.yaml").unlink(missing_ok=True)
    assert desk("run", "list.csv", "--yes", "--expect-plan", "plan.json").code == Exit.OK
