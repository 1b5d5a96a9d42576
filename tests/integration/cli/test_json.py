"""Every command with --format json prints what its published schema says, whatever happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from importer.cli.main import COMMANDS, cli
from importer.errors import Exit
from importer.report.export import read_schemas

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import CommandResult, Workspace

PERSONAL = ("Ada", "Bob", "+1202555", "0104", "0105")


def closed(schema: Any) -> Any:
    """Return the same schema, which allows no key that it does not describe."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(each) for key, each in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        found["additionalProperties"] = False
    return found


def judged(result: CommandResult, name: str) -> Any:
    """Return the JSON that a command printed, as its schema describes it."""
    document = json.loads(result.out)
    schema = closed(json.loads(read_schemas()[name]))
    Draft202012Validator(schema).validate(document)
    assert document.get("exit_code", result.code) == result.code
    return document


@pytest.mark.parametrize("name", sorted(read_schemas()))
def test_every_schema_is_one(workspace: Workspace, name: str) -> None:
    """`importer explain --schema` prints it, and it is of version 1."""
    result = workspace("explain", "--schema", name)
    schema = json.loads(result.out)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"]["const"] == 1
    assert schema["required"][0] == "schema_version"


def test_every_command_with_json_has_a_schema() -> None:
    """And no other has one; `error` has the common one."""
    context = cli.make_context("importer", [], resilient_parsing=True)
    found = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if any("json" in getattr(each.type, "choices", ()) for each in command.params):
            found.add(name)
    assert found | {"error"} == set(read_schemas())


def test_an_unknown_schema_names_the_known_ones(workspace: Workspace) -> None:
    """Wrong usage."""
    result = workspace("explain", "--schema", "rum")
    assert result.code == Exit.USAGE
    assert "run" in result.error


def test_a_run_and_its_readers(sandbox_workspace: Workspace) -> None:
    """What was sent is JSON on standard output, and text for people stays on standard error."""
    result = sandbox_workspace("run", "good.csv", "--yes", "--format", "json", "--results", "r.csv")
    run = judged(result, "run")
    assert (run["ending"], run["exit_code"], run["results"]) == ("sent", 0, "r.csv")
    assert (run["totals"]["created"], run["totals"]["read"]) == (2, 2)
    assert "2 conversations started" in result.err
    assert not any(each in result.out for each in PERSONAL)
    runs = judged(sandbox_workspace("runs", "--format", "json"), "runs")
    assert runs["runs"][0]["run"] == run["run"]
    assert runs["runs"][0]["states"]["created"] == 2
    refreshed = judged(sandbox_workspace("refresh", "--format", "json"), "refresh")
    assert (refreshed["asked"], refreshed["read"]) == (2, 2)
    assert (
        judged(sandbox_workspace("results", "--format", "json"), "results")["totals"]["created"]
        == 2
    )
    again = judged(sandbox_workspace("run", "good.csv", "--yes", "--format", "json"), "run")
    assert (again["ending"], again["run"]) == ("nothing-to-send", None)
    assert again["totals"]["already_imported"] == 2


def test_doubts_are_listed_without_the_person(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """By `run`, `reconcile` and `resume`; the row says where to look."""
    sandbox.set_faults("reset-after:1,list-500:1")
    result = sandbox_workspace("run", "good.csv", "--yes", "--format", "json", "--attempts", "1")
    run = judged(result, "run")
    assert result.code == Exit.DOUBTFUL
    assert [(each["source"], each["row"]) for each in run["doubtful"]] == [
        ("good.csv", 2),
        ("good.csv", 3),
    ]
    looked = sandbox_workspace("reconcile", "--format", "json")
    assert len(judged(looked, "reconcile")["doubtful"]) == 2
    sandbox.set_faults("")
    found = sandbox_workspace("reconcile", run["run"], "--format", "json")
    assert judged(found, "reconcile")["found"] == 2
    resumed = sandbox_workspace("resume", "--format", "json")
    assert judged(resumed, "resume")["totals"]["created"] == 2
    for each in (result, looked, found, resumed):
        assert not any(word in each.out for word in PERSONAL)


def test_a_dry_run_sends_nothing(sandbox_workspace: Workspace) -> None:
    """Its totals are those that a run would begin with."""
    dry = judged(sandbox_workspace("run", "mixed.csv", "--dry-run", "--format", "json"), "run")
    assert (dry["ending"], dry["run"]) == ("dry-run", None)
    assert (dry["totals"]["planned"], dry["totals"]["rejected"]) == (2, 2)
    plan = judged(sandbox_workspace("check", "mixed.csv", "--format", "json"), "check")
    assert plan["plan"] == dry["plan"]


def test_results_that_cannot_be_written_are_said_once(sandbox_workspace: Workspace) -> None:
    """The run is there anyway, with the error in it."""
    sandbox_workspace("run", "good.csv", "--yes")
    result = sandbox_workspace("resume", "--format", "json", "--results", "/dev/full")
    run = judged(result, "resume")
    assert result.code == Exit.SETUP
    assert "cannot be written" in run["error"]["message"]
    assert run["totals"]["created"] == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Exit.HELD, ("run", "mixed.csv", "--yes")),
        (Exit.USAGE, ("run", "good.csv")),
        (Exit.INPUT, ("run", "nothing.csv")),
        (Exit.USAGE, ("run", "good.csv", "--no-such-flag")),
        (Exit.USAGE, ("resume",)),
        (Exit.SETUP, ("runs",)),
        (Exit.SETUP, ("reconcile", "--config", "missing.yaml")),
        (Exit.SETUP, ("nightly", "missing")),
    ],
)
def test_every_error_is_json_too(
    sandbox_workspace: Workspace, code: Exit, words: tuple[str, ...]
) -> None:
    """With its exit code, and the words that stand on standard error."""
    if words == ("resume",):
        sandbox_workspace("run", "good.csv", "--yes")
        words = ("resume", "no-such-run")
    for flag in (("--format", "json"), ("--format=json",)):
        result = sandbox_workspace(*words, *flag)
        assert result.code == code
        message = judged(result, "error")["error"]["message"]
        assert message in result.err


def test_columns_and_doctor_and_nightly(sandbox_workspace: Workspace) -> None:
    """The same for what does not need a run."""
    columns = judged(sandbox_workspace("columns", "mixed.csv", "--format", "json"), "columns")
    assert columns["files"][0]["columns"]["phone_number"] == "phone_number"
    assert columns["files"][0]["extra_columns"] == {"Job Title": "job_title"}
    assert judged(sandbox_workspace("columns", "--format", "json"), "columns")["files"] == []
    (sandbox_workspace.folder / "inbox").mkdir()
    doctor = judged(sandbox_workspace("doctor", "inbox", "--format", "json"), "doctor")
    states = {each["what"]: each["state"] for each in doctor["findings"]}
    assert (states["service"], states["hours"]) == ("ok", "warning")
    sandbox_workspace.write("inbox/good.csv", (sandbox_workspace.folder / "good.csv").read_bytes())
    result = sandbox_workspace("nightly", "inbox", "--quiet-s", "0", "--format", "json")
    night = judged(result, "nightly")
    assert night["rows"]["created"] == 2
    assert not any(each in result.out for each in PERSONAL)
    nights = judged(sandbox_workspace("runs", "--format", "json"), "runs")["nights"]
    assert nights[0]["files"][0]["ending"] == "done"
