"""`importer explain` knows every code, setting, column, state, exit code and document."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from importer.cli.main import COMMANDS
from importer.cli.setup_commands import example_line
from importer.errors import EXIT_MEANING, Exit
from importer.model import STATE_ADVICE, STATE_MEANING, State
from importer.settings import Settings, load_settings
from importer.settings.settings import commands_of
from importer.settings.values import descriptions
from schemas.codes import WORDS, Code
from schemas.columns import BY_NAME
from tests.support.workspace import Workspace

DOCUMENTS: Final = sorted((Path(__file__).parents[3] / "importer" / "docs").glob("*.md"))


def explain(tmp_path: Path, *words: str) -> str:
    """Return what it says, on one line."""
    result = Workspace(tmp_path)("explain", *words)
    assert (result.code, result.err) == (Exit.OK, "")
    return " ".join(result.out.split())


def test_codes_with_what_to_do(tmp_path: Path) -> None:
    """The words of a report."""
    text = explain(tmp_path, "phone-invalid")
    assert WORDS[Code.PHONE_INVALID].fix in text
    assert "the row is not sent" in text


def test_every_topic_is_explained(tmp_path: Path) -> None:
    """Nothing that a user may meet is missing from the overview."""
    text = explain(tmp_path)
    names = [code.value for code in Code] + [state.value for state in State] + list(BY_NAME)
    for name in [*names, *Settings.model_fields, *(document.stem for document in DOCUMENTS)]:
        assert name in text


@pytest.mark.parametrize(
    ("topic", "meaning"),
    [
        ("doubtful", STATE_MEANING[State.DOUBTFUL][1:]),
        ("unsent", STATE_ADVICE[State.UNSENT]),
        ("5", EXIT_MEANING[Exit.DOUBTFUL]),
        ("--rate-per-s", descriptions(Settings)["rate_per_s"]),
        ("RATE_PER_S", "IMPORTER_RATE_PER_S"),
        ("phone_number", BY_NAME["phone_number"].about),
    ],
)
def test_whatever_the_spelling(tmp_path: Path, topic: str, meaning: str) -> None:
    """A setting as a flag or in capitals, an exit code as a number."""
    assert meaning.rstrip(".") in explain(tmp_path, topic)


def test_a_setting_with_all_that_a_user_needs(tmp_path: Path) -> None:
    """Its values, default, places and commands."""
    text = explain(tmp_path, "concurrency")
    for words in (
        "Values: a whole number, at least 1, at most 1,000",
        "Default: 4",
        "importer.yaml: concurrency: 4",
        "Environment: IMPORTER_CONCURRENCY",
        "Flag: --concurrency of run, resume, work, nightly",
        "Used by: run, resume, work, serve, nightly",
    ):
        assert words in text


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "new_ledger"])
def test_the_example_of_a_setting_can_be_copied(tmp_path: Path, name: str) -> None:
    """Its line is valid in importer.yaml and sets it."""
    file = tmp_path / "importer.yaml"
    file.write_text(f"{example_line(name)}\n", "utf-8")
    settings = load_settings(file)
    assert name in settings.model_fields_set
    assert getattr(settings, name) not in (None, "", {}, ())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_names_its_commands(name: str) -> None:
    """No setting is without a command, and all of them exist."""
    assert commands_of(name)
    assert set(commands_of(name)) <= set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_documents_are_shown(tmp_path: Path, document: Path) -> None:
    """From the package, so that they are there without the repository."""
    title = document.read_text("utf-8").splitlines()[0].removeprefix("# ")
    assert title in explain(tmp_path, document.stem)


def test_a_slip_is_named(tmp_path: Path) -> None:
    """Wrong usage, with what was perhaps meant."""
    result = Workspace(tmp_path)("explain", "phone-invalide")
    assert result.code == Exit.USAGE
    assert "Did you mean phone-invalid" in result.err
