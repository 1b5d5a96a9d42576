"""The samples for operations can be parsed, and name what the program has."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from importer.cli.main import cli
from importer.errors import RUN_AGAIN, Exit
from importer.report.night_report import FileEnding, NightReport, render_metrics
from importer.report.outcomes import OUTCOME_MEANING

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "operations"
RECIPES = sorted(SAMPLES.glob("*.py"))


def metrics() -> set[str]:
    """Return the names of all metrics of a night."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    night = NightReport("night-1", "inbox", now, now, 1.0, (), (), Exit.OK, 0, 5.0, now)
    return set(re.findall(r"^# TYPE (importer_\w+)", render_metrics(night), re.MULTILINE))


def expressions(name: str) -> list[str]:
    """Return every query of the rules or the dashboard."""
    text = (SAMPLES / name).read_text("utf-8")
    if name.endswith(".json"):
        board = json.loads(text)
        return [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules: Any = YAML(typ="safe").load(text)
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_every_query_names_metrics_that_exist(name: str) -> None:
    """With labels and values that a night writes."""
    found = expressions(name)
    assert len(found) > 4
    for each in found:
        used = set(re.findall(r"importer_\w+", each))
        assert used, each
        assert used <= metrics(), each
        for label, value in re.findall(r'(\w+)=~?"([^"]+)"', each):
            known = OUTCOME_MEANING if label == "outcome" else [end.value for end in FileEnding]
            assert set(value.split("|")) <= set(known), each


def test_every_alert_says_what_to_do() -> None:
    """With commands that exist, and a severity."""
    rules: Any = YAML(typ="safe").load(SAMPLES / "alerts.yaml")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        for name in re.findall(r"`importer (\w+)", rule["annotations"]["summary"]):
            assert cli.get_command(cli.make_context("importer", [], resilient_parsing=True), name)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_short_and_starts_a_night_once(recipe: Path) -> None:
    """Its command line can be parsed, 0 and 1 pass, and the scheduler does not retry."""
    text = recipe.read_text("utf-8")
    tree = ast.parse(text)
    (command,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NIGHT"
    )
    context = cli.make_context("importer", [], resilient_parsing=True)
    nightly = cli.get_command(context, command[1])
    assert nightly is not None
    nightly.make_context("nightly", [*command[2:], "--format", "json"], parent=context)
    assert "returncode not in (0, 1)" in text
    assert re.search(r"retries=0|max_retries\": \"0\"", text)
    assert "allow_retries=True" not in text
    assert len(text.splitlines()) < 40


def test_there_is_a_recipe_for_each_scheduler_that_the_document_names() -> None:
    """And the document names no other file."""
    text = (ROOT / "importer" / "docs" / "nightly.md").read_text("utf-8")
    assert set(re.findall(r"`(\w+_night\.py)`", text)) == {path.name for path in RECIPES}


def test_every_exit_code_says_whether_to_run_again() -> None:
    """5 and 6 are never run again by a machine."""
    assert set(RUN_AGAIN) == set(Exit)
    for code in (Exit.DOUBTFUL, Exit.HELD):
        assert RUN_AGAIN[code].startswith("No")


def test_the_image_is_careful() -> None:
    """From the lock file with hashes, as a user without rights, and with a check of its health."""
    text = (ROOT / "samples" / "nightly" / "Containerfile").read_text("utf-8")
    assert "--require-hashes -r requirements.lock" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert "--read-only" in text
    (check,) = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])", text, re.DOTALL)
    command = json.loads(check)
    assert command[0] == "/opt/importer/bin/importer"
    context = cli.make_context("importer", [], resilient_parsing=True)
    doctor = cli.get_command(context, command[1])
    assert doctor is not None
    doctor.make_context("doctor", command[2:], parent=context)
