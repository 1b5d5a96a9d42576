"""If the list of conversations cannot be read, doubtful rows stay doubtful and are never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from tests.crash.conftest import people

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

UNREADABLE = ("list-500:1", "list-garbage:1", "list-loop:1", "list-html:1", "list-403:1")
ALL = ("--max-failures-in-a-row", "1000")


@pytest.mark.parametrize("fault", UNREADABLE)
def test_nothing_doubtful_goes_again(workspace: Workspace, sandbox: Sandbox, fault: str) -> None:
    """Run, resume, run and reconcile all end with exit code 5, and nobody is asked again."""
    sandbox.set_faults(f"reset-after:0.5,reset-before:0.5,{fault}")
    assert workspace("run", "list.csv", "--yes", *ALL).code == Exit.DOUBTFUL
    sent = sum(sandbox.statuses.values()) and len(sandbox.journal)
    sandbox.set_faults(fault)  # creating would succeed now
    for command in (("resume",), ("run", "list.csv", "--yes"), ("reconcile",), ("resume",)):
        result = workspace(*command)
        assert result.code == Exit.DOUBTFUL, result.err
        assert len(sandbox.journal) == sent
    sandbox.set_faults("")
    with Ledger.open(f"sqlite:///{workspace.folder / 'importer.db'}") as ledger:
        first = ledger.runs.list()[-1].id
    workspace.write("later.csv", people(1, start=12))
    assert workspace("run", "later.csv", "--yes").code == Exit.OK  # a witness for all of them
    assert workspace("resume", first).code == Exit.OK
    assert sorted(str(each["emailAddress"]) for each in sandbox.journal) == sorted(
        f"zq{number}@example.org" for number in range(13)
    )


@pytest.mark.parametrize("command", ["run", "resume", "reconcile"])
def test_the_worklist_identifies_each_row(
    workspace: Workspace, sandbox: Sandbox, command: str
) -> None:
    """Each doubtful row by run, file, row, person (masked), campaign, external id, time, reason."""
    workspace.write("list.csv", people(3, "camp-7"))
    sandbox.set_faults("reset-after:1,list-500:1")
    result = workspace("run", "list.csv", "--yes")
    if command != "run":
        result = workspace(command)
    assert result.code == Exit.DOUBTFUL
    with Ledger.open(f"sqlite:///{workspace.folder / 'importer.db'}") as ledger:
        doubtful = ledger.doubts.list()
    assert [each.row for each in doubtful] == [2, 3, 4]
    for each in doubtful:
        block = next(part for part in result.err.split("\n\n") if each.external_id in part)
        for word in (
            f"importer resolve {each.run} {each.row}", "list.csv", each.masked, "camp-7",
            f"{each.sent_at:%Y-%m-%d %H:%M:%S}", "cannot be read (HTTP 500)",
        ):  # fmt: skip
            assert word in " ".join(block.split())
    assert "example.org" not in result.err.replace("@example.org", "@")
    assert "zq1@" not in result.err


def test_a_lagging_list_proves_nothing(workspace: Workspace, sandbox: Sandbox) -> None:
    """A list that lags behind shows no conversation that the ledger knows of: nothing goes."""
    assert workspace("run", "list.csv", "--yes", "--limit", "6").code == Exit.OK
    sandbox.set_faults("reset-after:1,list-lag:1:3600")
    assert workspace("resume").code == Exit.DOUBTFUL
    sandbox.set_faults("list-lag:1:3600")
    assert workspace("resume").code == Exit.DOUBTFUL
    assert len(sandbox.journal) == 12
    sandbox.set_faults("")
    assert workspace("resume").code == Exit.OK
    assert len(sandbox.journal) == 12


def test_told_not_to_check_for_duplicates_the_api_proves_nothing(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """With skip_duplication_check on, what is absent from the list stays doubtful."""
    unchecked = type(workspace)(
        workspace.folder, {**workspace.env, "IMPORTER_SKIP_DUPLICATION_CHECK": "true"}
    )
    sandbox.set_faults("reset-before:1")
    assert unchecked("run", "list.csv", "--yes", *ALL).code == Exit.DOUBTFUL
    sandbox.set_faults("")
    assert unchecked("resume").code == Exit.DOUBTFUL
    assert sandbox.journal == []
