"""One person under several contacts, typed at the command line: nobody is contacted twice.

The sandbox's own duplicate check is off, so only the importer can prevent it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.sandbox.server import SandboxOptions, start_sandbox
from tests.integration.cli.conftest import SETTINGS
from tests.support.workspace import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

HEADER = "first_name,phone_number,email,candidate_id,campaign,Job Title\n"
ADA = "Ada,+12025550104,ada@example.org,A-1,camp-42,Chef\n"


@pytest.fixture
def open_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Yield a sandbox that takes whatever comes, however often."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with start_sandbox(SandboxOptions(duplicate_check=False)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox_workspace(workspace: Workspace, open_api: Sandbox) -> Workspace:
    """Return the workspace, with settings that send to it."""
    more = f"base_url: {open_api.base_url}\nrate_per_s: 500\nsettle_s: 0.1\npreflight: off\n"
    workspace.write("importer.yaml", SETTINGS + more)
    return workspace


SECOND_LISTS = {
    "a corrected phone, the same e-mail": (
        ADA,
        "Ada,+12025550105,ada@example.org,,camp-42,Chef\n",
        "email-of-another",
    ),
    "the e-mail with a tag, and another phone": (
        ADA.replace("example.org", "gmail.com"),
        "Ada,+12025550105,A.da+jobs@gmail.com,,camp-42,Chef\n",
        "email-of-another",
    ),
    "a corrected phone, the same candidate id": (
        ADA,
        "Ada,+12025550105,,A-1,camp-42,Chef\n",
        "candidate-id-of-another",
    ),
    "first by e-mail alone, then with a phone": (
        "Ada,,ada@example.org,,camp-42,Chef\n",
        ADA,
        "email-of-another",
    ),
    "first by phone, then by e-mail alone": (
        ADA,
        "Ada,,ada@example.org,,camp-42,Chef\n",
        "email-of-another",
    ),
    "the campaign in capitals": (ADA, ADA.replace("camp-42", "CAMP-42"), "campaign-spelling"),
    "the same phone under another name": (
        ADA,
        "Bartholomew,+12025550104,bart@example.org,B-1,camp-42,Chef\n",
        "phone-of-another-name",
    ),
    "the same e-mail alone, under another name": (
        "Ada,,ada@example.org,,camp-42,Chef\n",
        "Bartholomew,,ada@example.org,,camp-42,Chef\n",
        "email-of-another",
    ),
}


@pytest.mark.parametrize("name", SECOND_LISTS)
def test_a_second_list(sandbox_workspace: Workspace, open_api: Sandbox, name: str) -> None:
    """It contacts nobody, says why, and exits with a code that is noticed."""
    first, second, code = SECOND_LISTS[name]
    sandbox_workspace.write("first.csv", HEADER + first)
    sandbox_workspace.write("second.csv", HEADER + second)
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    result = sandbox_workspace("run", "second.csv", "--yes", "--on-problems", "skip")
    assert len(open_api.journal) == 1, result.err
    assert result.code == Exit.REJECTED
    assert code in sandbox_workspace("check", "second.csv", "--format", "json").out


def test_a_second_list_that_is_allowed(sandbox_workspace: Workspace, open_api: Sandbox) -> None:
    """A person's decision lets a shared contact go."""
    first, second, _ = SECOND_LISTS["a corrected phone, the same e-mail"]
    sandbox_workspace.write("first.csv", HEADER + first)
    sandbox_workspace.write("second.csv", HEADER + second)
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    assert sandbox_workspace("run", "second.csv", "--yes", "--allow-shared-contact").code == Exit.OK
    assert len(open_api.journal) == 2


NAMED = "first_name,last_name,phone_number,campaign,Job Title\n{},+12025550104,camp-42,Chef\n"


@pytest.mark.parametrize("name", ["Dr. Ana,García", "A.,Garcia", "Garcia,Ana", "ANNA,GARCIA"])
def test_a_name_in_another_spelling(
    sandbox_workspace: Workspace, open_api: Sandbox, name: str
) -> None:
    """It is the same person, and there is nothing to do."""
    sandbox_workspace.write("first.csv", NAMED.format("Ana,García"))
    sandbox_workspace.write("second.csv", NAMED.format(name))
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    result = sandbox_workspace("run", "second.csv", "--yes")
    assert (result.code, len(open_api.journal)) == (Exit.OK, 1), result.err


def test_another_person_at_a_phone_of_an_earlier_run(
    sandbox_workspace: Workspace, open_api: Sandbox
) -> None:
    """The row is not lost in silence: an error names the run, until a person says it is one."""
    sandbox_workspace.write("first.csv", NAMED.format("Ada,Lovelace"))
    sandbox_workspace.write("second.csv", NAMED.format("Ben,Lovelace"))
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    result = sandbox_workspace("check", "second.csv", "--format", "json")
    [problem] = json.loads(result.out)["problems"]
    assert (problem["code"], problem["column"]) == ("phone-of-another-name", "phone_number")
    run = json.loads(sandbox_workspace("runs", "--format", "json").out)["runs"][0]["run"]
    assert f"run {run}, first.csv row 2" in problem["message"]
    assert "allow_shared_contact" in problem["fix"]
    assert (
        sandbox_workspace("run", "second.csv", "--yes", "--on-problems", "skip").code
        == Exit.REJECTED
    )
    assert sandbox_workspace("run", "second.csv", "--yes", "--allow-shared-contact").code == Exit.OK
    assert len(open_api.journal) == 1
    with sqlite3.connect(sandbox_workspace.folder / "importer.db") as ledger:
        kept = "\n".join(ledger.iterdump())
    assert "Ada" not in kept
    assert "Lovelace" not in kept


def test_a_row_from_before_names_were_kept(sandbox_workspace: Workspace, open_api: Sandbox) -> None:
    """Nothing is known about its name, so the phone alone counts, as it did then."""
    sandbox_workspace.write("first.csv", NAMED.format("Ada,Lovelace"))
    sandbox_workspace.write("second.csv", NAMED.format("Ben,Lovelace"))
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    with sqlite3.connect(sandbox_workspace.folder / "importer.db") as ledger:
        ledger.execute("UPDATE submissions SET name = NULL")
    assert sandbox_workspace("run", "second.csv", "--yes").code == Exit.OK
    assert len(open_api.journal) == 1


@pytest.mark.parametrize("name", SECOND_LISTS)
def test_both_in_one_list(sandbox_workspace: Workspace, open_api: Sandbox, name: str) -> None:
    """Neither is sent on a guess: at most one of them is contacted."""
    first, second, _ = SECOND_LISTS[name]
    sandbox_workspace.write("both.csv", HEADER + first + second)
    result = sandbox_workspace("run", "both.csv", "--yes", "--on-problems", "skip")
    assert len(open_api.journal) <= 1
    a_repeat = name == "first by phone, then by e-mail alone"
    assert result.code == (Exit.OK if a_repeat else Exit.REJECTED)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_round(sandbox_workspace: Workspace, open_api: Sandbox, blank: str) -> None:
    """It would make a new key for everybody, so it is refused."""
    sandbox_workspace.write("first.csv", HEADER + ADA)
    assert sandbox_workspace("run", "first.csv", "--yes").code == Exit.OK
    result = sandbox_workspace("run", "first.csv", "--yes", "--round", blank)
    assert len(open_api.journal) == 1, result.err
    assert result.code in ({Exit.OK} if not blank else {Exit.USAGE, Exit.SETUP})


def test_one_candidate_id_everywhere(sandbox_workspace: Workspace, open_api: Sandbox) -> None:
    """In two campaigns and two rounds there are four conversations, each with its own id."""
    sandbox_workspace.write("list.csv", HEADER + ADA + ADA.replace("camp-42", "camp-43"))
    assert sandbox_workspace("run", "list.csv", "--yes").code == Exit.OK
    assert sandbox_workspace("run", "list.csv", "--yes", "--round", "second").code == Exit.OK
    ids = Counter(str(entry["externalId"]) for entry in open_api.journal)
    assert len(ids) == len(open_api.journal) == 4
    assert all(each.startswith("A-1-") for each in ids)
