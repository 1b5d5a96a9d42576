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
    from tests.support.desk import Desk, Said

PERSONAL = ("Ada", "Bob", "+1202555", "0104", "0105")


def closed(schema: Any) -> Any:
    """The same schema, which allows no key that it does not describe."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(each) for key, each in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        found["additionalProperties"] = False
    return found


def judged(said: Said, name: str) -> Any:
    """The JSON that a command printed, as its schema describes it."""
    document = json.loads(said.out)
    schema = closed(json.loads(read_schemas()[name]))
    Draft202012Validator(schema).validate(document)
    assert document.get("exit_code", said.code) == said.code
    return document


@pytest.mark.parametrize("name", sorted(read_schemas()))
def test_every_schema_is_one(desk: Desk, name: str) -> None:
    """`importer explain --schema` prints it, and it is of version 1."""
    said = desk("explain", "--schema", name)
    schema = json.loads(said.out)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"]["const"] == 1
    assert schema["required"][0] == "schema_version"


def test_every_command_with_json_has_a_schema() -> None:
    """And no other has one; `error` is that of all."""
    context = cli.make_context("importer", [], resilient_parsing=True)
    found = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if any("json" in getattr(each.type, "choices", ()) for each in command.params):
            found.add(name)
    assert found | {"error"} == set(read_schemas())


def test_an_unknown_schema_names_the_known_ones(desk: Desk) -> None:
    """Wrong usage."""
    said = desk("explain", "--schema", "rum")
    assert said.code == Exit.USAGE
    assert "run" in said.error


def test_a_run_and_its_readers(near: Desk) -> None:
    """What was sent is JSON on standard output, and text for people stays on standard error."""
    said = near("run", "good.csv", "--yes", "--format", "json", "--results", "r.csv")
    run = judged(said, "run")
    assert (run["ending"], run["exit_code"], run["results"]) == ("sent", 0, "r.csv")
    assert (run["totals"]["created"], run["totals"]["read"]) == (2, 2)
    assert "2 conversations started" in said.err
    assert not any(each in said.out for each in PERSONAL)
    runs = judged(near("runs", "--format", "json"), "runs")
    assert runs["runs"][0]["run"] == run["run"]
    assert runs["runs"][0]["states"]["created"] == 2
    refreshed = judged(near("refresh", "--format", "json"), "refresh")
    assert (refreshed["asked"], refreshed["read"]) == (2, 2)
    assert judged(near("results", "--format", "json"), "results")["totals"]["created"] == 2
    again = judged(near("run", "good.csv", "--yes", "--format", "json"), "run")
    assert (again["ending"], again["run"]) == ("nothing-to-send", None)
    assert again["totals"]["already_imported"] == 2


def test_doubts_are_listed_without_the_person(near: Desk, sandbox: Sandbox) -> None:
    """By `run`, `reconcile` and `resume`; the row says where to look."""
    sandbox.set_faults("reset-after:1,list-500:1")
    said = near("run", "good.csv", "--yes", "--format", "json", "--attempts", "1")
    run = judged(said, "run")
    assert said.code == Exit.DOUBTFUL
    assert [(each["source"], each["row"]) for each in run["doubtful"]] == [
        ("good.csv", 2),
        ("good.csv", 3),
    ]
    looked = near("reconcile", "--format", "json")
    assert len(judged(looked, "reconcile")["doubtful"]) == 2
    sandbox.set_faults("")
    found = near("reconcile", run["run"], "--format", "json")
    assert judged(found, "reconcile")["found"] == 2
    resumed = near("resume", "--format", "json")
    assert judged(resumed, "resume")["totals"]["created"] == 2
    for each in (said, looked, found, resumed):
        assert not any(word in each.out for word in PERSONAL)


def test_a_dry_run_sends_nothing(near: Desk) -> None:
    """Its totals are those that a run would begin with."""
    dry = judged(near("run", "mixed.csv", "--dry-run", "--format", "json"), "run")
    assert (dry["ending"], dry["run"]) == ("dry-run", None)
    assert (dry["totals"]["planned"], dry["totals"]["rejected"]) == (2, 2)
    plan = judged(near("check", "mixed.csv", "--format", "json"), "check")
    assert plan["plan"] == dry["plan"]


def test_results_that_cannot_be_written_are_said_once(near: Desk) -> None:
    """The run is there all the same, with the error in it."""
    near("run", "good.csv", "--yes")
    said = near("resume", "--format", "json", "--results", "/dev/full")
    run = judged(said, "resume")
    assert said.code == Exit.SETUP
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
def test_every_error_is_json_too(near: Desk, code: Exit, words: tuple[str, ...]) -> None:
    """With its exit code, and the words that stand on standard error."""
    if words == ("resume",):
        near("run", "good.csv", "--yes")
        words = ("resume", "no-such-run")
    for flag in (("--format", "json"), ("--format=json",)):
        said = near(*words, *flag)
        assert said.code == code
        message = judged(said, "error")["error"]["message"]
        assert message in said.err


def test_columns_and_doctor_and_nightly(near: Desk) -> None:
    """The same for what does not need a run."""
    columns = judged(near("columns", "mixed.csv", "--format", "json"), "columns")
    assert columns["files"][0]["columns"]["phone_number"] == "phone_number"
    assert columns["files"][0]["extra_columns"] == {"Job Title": "job_title"}
    assert judged(near("columns", "--format", "json"), "columns")["files"] == []
    (near.folder / "inbox").mkdir()
    doctor = judged(near("doctor", "inbox", "--format", "json"), "doctor")
    states = {each["what"]: each["state"] for each in doctor["findings"]}
    assert (states["service"], states["hours"]) == ("ok", "warning")
    near.write("inbox/good.csv", (near.folder / "good.csv").read_bytes())
    said = near("nightly", "inbox", "--quiet-s", "0", "--format", "json")
    night = judged(said, "nightly")
    assert night["rows"]["created"] == 2
    assert not any(each in said.out for each in PERSONAL)
    nights = judged(near("runs", "--format", "json"), "runs")["nights"]
    assert nights[0]["files"][0]["ending"] == "done"
