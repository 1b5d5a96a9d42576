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
    from tests.support.workspace import Workspace


def test_a_canary_holds_the_others_back(workspace: Workspace, sandbox: Sandbox) -> None:
    """Three requests, all refused: exit code 6, the reason, and not one request more."""
    sandbox.set_faults("422:1")
    result = workspace("run", "list.csv", "--yes", "--canary", "3")
    assert result.code == Exit.HELD, result.err
    assert "canary" in result.err
    assert sandbox.requests == 3


def test_a_successful_canary_lets_the_others_go(workspace: Workspace, sandbox: Sandbox) -> None:
    """All of the first three created: the other nine follow."""
    result = workspace("run", "list.csv", "--yes", "--canary", "3")
    assert result.code == Exit.OK, result.err
    assert len(sandbox.journal) == 12


def test_a_doubtful_canary_holds_the_run(workspace: Workspace, sandbox: Sandbox) -> None:
    """Doubtful is not created: the run is held, and resume begins with another canary."""
    sandbox.set_faults("reset-after:1")
    assert workspace("run", "list.csv", "--yes", "--canary", "3").code == Exit.HELD
    assert sandbox.requests == 3
    sandbox.set_faults("")
    assert workspace("resume", "--canary", "2").code == Exit.OK
    assert len(sandbox.journal) == 12


@pytest.mark.parametrize(
    ("allowed", "most"), [("2", 3), ("25%", 4), ("0", 1)], ids=["count", "share", "none"]
)
def test_too_many_failures_hold(
    workspace: Workspace, sandbox: Sandbox, allowed: str, most: int
) -> None:
    """One more than max_failures stops the run with exit code 6 and the reason."""
    sandbox.set_faults("422:1")
    result = workspace("run", "list.csv", "--yes", "--max-failures", allowed, "--concurrency", "1")
    assert result.code == Exit.HELD, result.err
    assert f"{most} submissions failed" in result.err
    assert sandbox.requests == most


def test_failures_in_a_row_hold(workspace: Workspace, sandbox: Sandbox) -> None:
    """A row of failures without a success stops the run with exit code 6 and the reason."""
    sandbox.set_faults("500:1")
    flags = ("--max-failures-in-a-row", "4", "--concurrency", "1")
    result = workspace("run", "list.csv", "--yes", *flags)
    assert result.code == Exit.HELD, result.err
    assert "4 submissions in a row failed" in result.err
    assert sandbox.requests == 4


def test_recently_contacted_people_are_held_back(workspace: Workspace, sandbox: Sandbox) -> None:
    """Within the window another campaign does not contact a person again, unless allowed."""
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    workspace.write("other.csv", people(2, "camp-2") + people(1, "camp-2", start=50).split("\n")[1])
    window = ("--contact-window-days", "30", "--on-problems", "skip")
    report = json.loads(_checked(workspace, "other.csv"))
    assert {each["code"] for each in report["problems"]} == {"contacted-recently"}
    result = workspace("run", "other.csv", "--yes", *window)
    assert result.code == Exit.REJECTED, result.err
    assert len(sandbox.journal) == 13
    assert workspace("run", "other.csv", "--yes", *window, "--allow-recent").code == Exit.OK
    assert len(sandbox.journal) == 15


def test_rejected_rows_go_again_on_request(workspace: Workspace, sandbox: Sandbox) -> None:
    """After the service was mended: once, and those who were reached the first time never."""
    sandbox.set_faults("422:0.5")
    assert (
        workspace("run", "list.csv", "--yes", "--max-failures-in-a-row", "99").code == Exit.REJECTED
    )
    reached = {each["emailAddress"] for each in sandbox.journal}
    assert 0 < len(reached) < 12
    sandbox.set_faults("")
    result = workspace("run", "list.csv", "--yes", "--on-problems", "skip")
    assert result.code == Exit.REJECTED
    assert "--retry-rejected" in result.err
    assert len(sandbox.journal) == len(reached)
    result = workspace("run", "list.csv", "--yes", "--retry-rejected")
    assert result.code == Exit.OK, result.err
    assert len(sandbox.journal) == 12
    assert len({each["emailAddress"] for each in sandbox.journal}) == 12
    assert workspace("run", "list.csv", "--yes", "--retry-rejected").code == Exit.OK
    assert len(sandbox.journal) == 12


def test_resume_leaves_out_people_who_have_opted_out(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """A run that goes on asks again, and rejects the row."""
    workspace.write("other.csv", people(3, "camp-2"))
    assert workspace("run", "other.csv", "--yes").code == Exit.OK
    workspace.write("list.csv", people(3))
    assert workspace("run", "list.csv", "--yes", "--limit", "1").code == Exit.OK
    ids = {each["emailAddress"]: each["id"] for each in sandbox.journal}  # in any order
    assert sandbox.conversations.set_status(ids["zq2@example.org"], "OPTED_OUT")
    assert workspace("refresh").code == Exit.OK
    result = workspace("resume")
    assert result.code == Exit.REJECTED, result.err
    assert len(sandbox.journal) == 5
    out = json.loads(workspace("results", "--format", "json").out)["outcomes"]
    assert [each["code"] for each in out] == ["", "", "opted-out"]
    assert [each["status"] for each in out] == ["created", "created", "rejected"]


def test_resume_leaves_out_people_contacted_by_another_run(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """Within the window another run's people are not written to by one that goes on."""
    workspace.write("list.csv", people(2))
    assert workspace("run", "list.csv", "--yes", "--limit", "1").code == Exit.OK
    run = json.loads(workspace("results", "--format", "json").out)["run"]
    workspace.write("other.csv", people(2, "camp-2"))
    assert workspace("run", "other.csv", "--yes").code == Exit.OK
    assert workspace("resume", run, "--contact-window-days", "30").code == Exit.REJECTED
    assert len(sandbox.journal) == 3
    assert workspace("run", "list.csv", "--yes", "--retry-rejected").code == Exit.OK
    assert len(sandbox.journal) == 4


def _checked(workspace: Workspace, name: str) -> str:
    env = {**workspace.env, "IMPORTER_CONTACT_WINDOW_DAYS": "30"}
    return type(workspace)(workspace.folder, env)("check", name, "--format", "json").out


def test_people_who_opted_out_are_left_out(workspace: Workspace, sandbox: Sandbox) -> None:
    """What refresh learns keeps a later run from writing to that person for any campaign."""
    workspace.write("list.csv", people(3))
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    out = sandbox.journal[1]
    assert sandbox.conversations.set_status(out["id"], "OPTED_OUT")
    result = workspace("refresh")
    assert result.code == Exit.OK, result.err
    assert "OPTED_OUT" in result.err
    workspace.write("other.csv", people(3, "camp-2"))
    report = json.loads(workspace("check", "other.csv", "--format", "json").out)
    assert [each["code"] for each in report["problems"]] == ["opted-out"]
    assert workspace("run", "other.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    later = [each for each in sandbox.journal if each["campaignId"] == "camp-2"]
    assert len(later) == 2
    assert out["emailAddress"] not in {each["emailAddress"] for each in later}


def test_campaigns_with_a_template_of_their_own(workspace: Workspace, sandbox: Sandbox) -> None:
    """`conversation: campaign` posts to /conversations, with nothing about the meeting."""
    workspace.write("importer.yaml", "conversation: campaign\n")
    env = {name: value for name, value in workspace.env.items() if "_MEETING" not in name}
    plain = type(workspace)(workspace.folder, {**env, "IMPORTER_PARTICIPANTS": None})
    sandbox.set_faults("reset-after:0.5")
    result = plain("run", "list.csv", "--yes")
    assert result.code == Exit.OK, result.err
    assert len(sandbox.journal) == 12
    assert {each["path"] for each in sandbox.journal} == {"/conversations"}
    for each in sandbox.journal:
        assert not {"meetingParticipants", "meetingConfiguration"} & set(each["body"])


@pytest.mark.parametrize(
    ("change", "result"),
    [
        (lambda workspace: workspace.write("list.csv", people(11)), "content of list.csv"),
        (
            lambda workspace: workspace.write("importer.yaml", "round: two\n"),
            "a setting that shapes bodies",
        ),
        (
            lambda workspace: workspace.write("list.csv", people(12, "camp-9")),
            "campaigns or templates",
        ),
    ],
    ids=["file", "setting", "template"],
)
def test_another_plan_than_expected(
    workspace: Workspace, sandbox: Sandbox, change: Callable[[Workspace], None], result: str
) -> None:
    """It is held with exit code 6, and what changed is named."""
    workspace.write("plan.json", workspace("check", "list.csv", "--format", "json").out)
    change(workspace)
    held = workspace("run", "list.csv", "--yes", "--expect-plan", "plan.json")
    assert held.code == Exit.HELD
    assert result in held.error
    assert sandbox.requests == 0
    workspace.write("list.csv", people(12))
    (workspace.folder / "importer.yaml").unlink(missing_ok=True)
    assert workspace("run", "list.csv", "--yes", "--expect-plan", "plan.json").code == Exit.OK
