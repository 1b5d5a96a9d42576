"""`importer run` asks, sends what is ready, and says what happened to it; `resume` goes on."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger.tables import STATES
from tests.support.odd_api import CUT, Body, OddApi, Reply, answer, serve_odd_api
from tests.support.terminal import answer_at_terminal

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

LEDGER = {"importer.db", "importer.db.key"}


def names(sandbox: Sandbox) -> list[str]:
    """Return the first names of the people that the sandbox accepted."""
    return sorted(entry["firstName"] for entry in sandbox.journal)


def test_a_good_list_is_sent(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Every row has its conversation, and the summary says so."""
    result = sandbox_workspace("run", "good.csv", "--yes")
    assert result.code == Exit.OK, result.err
    assert result.out == ""
    assert "2 conversations started from 2 rows" in result.err
    assert names(sandbox) == ["Ada", "Bob"]
    assert set(sandbox_workspace.files()) >= LEDGER


def test_a_second_run_sends_nothing(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """People that the first run reached are left out, without credentials or a question."""
    sandbox_workspace("run", "good.csv", "--yes")
    requests = sandbox.requests
    result = sandbox_workspace("run", "good.csv")
    assert result.code == Exit.OK
    assert "Nothing to send" in result.err
    assert sandbox.requests == requests


def test_a_rehearsal_sends_and_writes_nothing(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """--dry-run is check, with its exit codes, and needs no credentials."""
    before = sandbox_workspace.files()
    dry = sandbox_workspace.without("POPP_API_KEY", "POPP_ORGANIZATION_ID")
    assert dry("run", "good.csv", "--dry-run").code == Exit.OK
    assert dry("run", "mixed.csv", "--dry-run").code == Exit.REJECTED
    assert sandbox_workspace.files() == before
    assert sandbox.requests == 0


def test_without_a_terminal_yes_must_be_said(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """Wrong usage, and nothing happened."""
    before = sandbox_workspace.files()
    result = sandbox_workspace("run", "good.csv")
    assert result.code == Exit.USAGE
    assert "--yes" in result.error
    assert sandbox_workspace.files() == before
    assert sandbox.requests == 0


def test_a_person_is_asked(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Nobody is contacted before yes is said, and then everybody is."""
    code, shown = answer_at_terminal(sandbox_workspace, "y\n", "run", "good.csv")
    assert "Contact 2 people through 127.0.0.1 as organization acme? (rehearsal: nobody is" in shown
    assert code == Exit.OK, shown
    assert names(sandbox) == ["Ada", "Bob"]


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_person_may_say_no(sandbox_workspace: Workspace, sandbox: Sandbox, answer: str) -> None:
    """Anything but yes sends nothing and makes no ledger."""
    code, shown = answer_at_terminal(sandbox_workspace, answer, "run", "good.csv", "--limit", "1")
    assert "Contact 1 person through 127.0.0.1 as organization acme? (rehearsal: nobody is" in shown
    assert "Nothing was sent." in shown
    assert code == Exit.HELD
    assert sandbox.requests == 0
    assert not LEDGER & set(sandbox_workspace.files())


def test_resume_asks_too(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """At a terminal; `--yes` and scripts are not asked."""
    assert sandbox_workspace("run", "good.csv", "--yes", "--limit", "1").code == Exit.OK
    code, shown = answer_at_terminal(sandbox_workspace, "n\n", "resume")
    assert "Contact up to 1 person through 127.0.0.1 as organization acme? (rehearsal" in shown
    assert (code, len(sandbox.journal)) == (Exit.HELD, 1), shown
    assert sandbox_workspace("resume", "--yes").code == Exit.OK
    assert len(sandbox.journal) == 2


def test_a_person_may_walk_away(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Ctrl-C at the question ends it, without a traceback."""
    code, shown = answer_at_terminal(sandbox_workspace, signal.SIGINT, "run", "good.csv")
    assert code == Exit.INTERRUPTED
    assert "Interrupted." in shown
    assert "Traceback" not in shown
    assert sandbox.requests == 0


def test_faults_hold_the_list_back(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """By default nothing is sent while a row needs fixing, and no ledger is made."""
    before = sandbox_workspace.files()
    result = sandbox_workspace("run", "mixed.csv", "--yes")
    assert result.code == Exit.HELD
    assert "2 rows need fixing" in result.error
    assert sandbox_workspace.files() == before
    assert sandbox.requests == 0


def test_faults_can_be_left_out(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """The good rows go, and the exit code says that others did not."""
    result = sandbox_workspace("run", "mixed.csv", "--yes", "--on-problems", "skip")
    assert result.code == Exit.REJECTED
    assert names(sandbox) == ["Ada", "Bob"]


def test_one_bad_file_holds_all_back(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Even if faults of rows are left out: the person who gave the file meant it."""
    result = sandbox_workspace("run", "good.csv", "missing.csv", "--yes", "--on-problems", "skip")
    assert result.code == Exit.INPUT
    assert "missing.csv cannot be used" in result.error
    assert sandbox.requests == 0


def test_a_few_first_and_the_others_later(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """--limit sends this many; resume sends the others, each once."""
    result = sandbox_workspace("run", "good.csv", "--yes", "--limit", "1")
    assert result.code == Exit.OK, result.err
    assert "resume" in result.err
    assert names(sandbox) == ["Ada"]
    assert sandbox_workspace("resume").code == Exit.OK
    assert names(sandbox) == ["Ada", "Bob"]


def test_results_are_written(sandbox_workspace: Workspace) -> None:
    """Each row as it came, and what happened to it."""
    sandbox_workspace("run", "mixed.csv", "--yes", "--on-problems", "skip", "--results", "out.csv")
    rows = list(
        csv.DictReader((sandbox_workspace.folder / "out.csv").read_text("utf-8-sig").splitlines())
    )
    assert [(row["first_name"], row["import_status"]) for row in rows] == [
        *(("Ada", "created"), ("Bob", "created"), ("Cy", "rejected"), ("", "rejected")),
    ]
    assert all(row["reason"] for row in rows[2:])


def test_the_plan_that_was_checked_is_the_one_that_goes(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """By hash or by the JSON of the check; another plan is held back, and the change named."""
    report = sandbox_workspace("check", "good.csv", "--format", "json").out
    sandbox_workspace.write("check.json", report)
    sandbox_workspace.write(
        "good.csv", (sandbox_workspace.folder / "good.csv").read_text() + "Cy,+12025550107,Chef\n"
    )
    for wanted in ("check.json", json.loads(report)["plan"]):
        result = sandbox_workspace("run", "good.csv", "--yes", "--expect-plan", wanted)
        assert result.code == Exit.HELD
    assert (
        "content of good.csv"
        in sandbox_workspace("run", "good.csv", "--expect-plan", "check.json").error
    )
    assert sandbox.requests == 0
    sandbox_workspace.write(
        "check.json", sandbox_workspace("check", "good.csv", "--format", "json").out
    )
    assert (
        sandbox_workspace("run", "good.csv", "--yes", "--expect-plan", "check.json").code == Exit.OK
    )


def test_what_the_api_refuses_is_told(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """A 400 is a rejected row with the API's words; unchanged, it is not sent again."""
    sandbox.set_faults("400:1")
    result = sandbox_workspace("run", "good.csv", "--yes")
    assert result.code == Exit.REJECTED
    assert "rejected" in result.err
    sandbox.set_faults("")
    assert (
        sandbox_workspace("run", "good.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    )
    assert sandbox.journal == []


def test_doubt_remains_where_the_api_cannot_tell(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """Exit code 5, with what to do next; a word of a person settles it."""
    sandbox.set_faults("reset-after:1,list-500:1")
    result = sandbox_workspace("run", "good.csv", "--yes", "--limit", "1", "--attempts", "1")
    assert result.code == Exit.DOUBTFUL, result.err
    assert "importer reconcile" in result.err
    run = result.err.partition("importer reconcile ")[2].split()[0]
    assert sandbox_workspace("resolve", run, "2").code == Exit.USAGE
    wrong = sandbox_workspace("resolve", run, "2", "--sent", "c-1")
    assert (wrong.code, "the API knows no such conversation" in wrong.error) == (Exit.USAGE, True)
    settled = sandbox_workspace("resolve", run, "2", "--sent", "c-1", "--unchecked")
    assert settled.code == Exit.OK, settled.err
    assert "c-1" in settled.err
    sandbox.set_faults("")
    assert sandbox_workspace("reconcile").code == Exit.OK


def test_a_person_corrects_an_answer(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """The API shows whose conversation it is; all answers are kept, and nobody is sent it twice."""
    sandbox.set_faults("reset-after:1,list-500:1")
    result = sandbox_workspace("run", "good.csv", "--yes", "--attempts", "1")
    assert result.code == Exit.DOUBTFUL, result.err
    run = result.err.partition("importer reconcile ")[2].split()[0]
    ids = {entry["firstName"]: entry["id"] for entry in sandbox.journal}  # in any order
    ada, bob = ids["Ada"], ids["Bob"]
    wrong = sandbox_workspace("resolve", run, "2", "--sent", bob)
    assert (wrong.code, "of another person" in wrong.error) == (Exit.USAGE, True)
    assert sandbox_workspace("resolve", run, "2", "--sent", bob, "--unchecked").code == Exit.OK
    taken = sandbox_workspace("resolve", run, "3", "--sent", bob)
    assert (taken.code, "belongs to another row" in taken.error) == (Exit.USAGE, True)
    corrected = sandbox_workspace("resolve", run, "2", "--sent", ada)
    assert corrected.code == Exit.OK, corrected.error
    assert f"had answered: conversation {bob}" in corrected.err
    assert sandbox_workspace("resolve", run, "3", "--not-sent").code == Exit.OK
    assert sandbox_workspace("resolve", run, "3", "--sent", bob).code == Exit.OK
    sandbox.set_faults("")
    assert sandbox_workspace("resume", run).code == Exit.OK
    assert names(sandbox) == ["Ada", "Bob"]
    with sqlite3.connect(sandbox_workspace.folder / "importer.db") as ledger:
        rows = ledger.execute('SELECT number, state FROM decisions ORDER BY "key", number')
        decided = [(number, STATES.words[state].value) for number, state in rows]
        assert sorted(decided) == [(1, "created"), (1, "planned"), (2, "created"), (2, "created")]
    ledger.close()


def test_an_api_that_is_silent_does_not_stop_a_person(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """The answer is taken, with a warning that it was not checked."""
    sandbox.set_faults("reset-after:1,list-500:1")
    result = sandbox_workspace("run", "good.csv", "--yes", "--limit", "1", "--attempts", "1")
    run = result.err.partition("importer reconcile ")[2].split()[0]
    away = ("--base-url", "http://127.0.0.1:9/v1")
    result = sandbox_workspace("resolve", run, "2", "--sent", "c-1", *away)
    assert result.code == Exit.OK
    assert "c-1 was not checked: the API does not answer (ConnectError)" in result.err
    sandbox.set_faults("get-500:1")
    result = sandbox_workspace("resolve", run, "2", "--sent", sandbox.journal[0]["id"])
    assert result.code == Exit.OK
    assert "was not checked: the API does not show it (HTTP 500)" in result.err


def test_doubt_is_settled_by_the_list(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """A lost answer is looked up: the conversation is there, and nobody is sent it twice."""
    sandbox.set_faults("reset-after:1")
    result = sandbox_workspace("run", "good.csv", "--yes")
    assert result.code == Exit.OK, result.err
    assert names(sandbox) == ["Ada", "Bob"]


def test_what_to_do_next_finds_the_same_settings(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """A command that is proposed names the settings that this one was given."""
    (sandbox_workspace.folder / "importer.yaml").rename(
        sandbox_workspace.folder / "other settings.yaml"
    )
    given = ("--config", "other settings.yaml")
    checked, sent = (
        sandbox_workspace("check", "mixed.csv", *given),
        sandbox_workspace("run", "good.csv", "--yes", *given),
    )
    for result in (checked.out, sent.err):
        assert "--config 'other settings.yaml'" in " ".join(result.split())
    assert "--config" not in sandbox_workspace("check", "good.csv").out
    assert sandbox.journal


def test_a_run_with_nothing_ready_looks_up_doubts(workspace: Workspace) -> None:
    """It reads the list and sends nothing; what was found settles the exit code."""
    catches_up: list[bool] = []

    def second_is_cut(api: OddApi, body: Body) -> Reply:
        shown = answer(201, api.accept(body))
        return CUT if len(api.bodies) == 2 else shown

    def lags(api: OddApi) -> Reply:
        return api.whole_list() if catches_up else answer(200, {"data": [], "nextToken": None})

    api = OddApi(second_is_cut, lambda _, each: {**each, "organizationId": "acme"}, lags)
    with serve_odd_api(api):
        workspace.write(
            "importer.yaml",
            (workspace.folder / "importer.yaml").read_text()
            + f"base_url: {api.url}\nrate_per_s: 500\nsettle_s: 0.1\nconcurrency: 1\n",
        )
        assert workspace("run", "good.csv", "--yes").code == Exit.DOUBTFUL
        asked, stays = api.asked, workspace("run", "good.csv")
        assert stays.code == Exit.DOUBTFUL
        assert api.asked > asked
        assert "1 still doubtful" in stays.err
        nobody = workspace.without("POPP_API_KEY", "POPP_ORGANIZATION_ID")("run", "good.csv")
        assert nobody.code == Exit.DOUBTFUL
        assert "were not looked up" in nobody.err
        catches_up.append(True)
        settled = workspace("run", "good.csv")
    assert settled.code == Exit.OK, settled.err
    assert "1 found in the API's list" in settled.err
    assert len(api.bodies) == 2
