"""Help is there for every command, whole and quick."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import click
import pytest

from importer.cli.main import COMMANDS, READERS, cli
from importer.errors import Exit
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def command(name: str) -> click.Command:
    """Return the command of a name."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(tmp_path: Path, name: str, flag: str) -> None:
    """Its first sentence, and each option with its words; on standard output, with 0."""
    result = Workspace(tmp_path)(name, flag)
    assert (result.code, result.err) == (Exit.OK, "")
    assert f"Usage: importer {name}" in result.out
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.hidden or all(option in result.out for option in parameter.opts)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_is_true(name: str) -> None:
    """What `importer --help` says of a command without importing it is what the command says."""
    found = command(name)
    assert found.name == name
    assert found.get_short_help_str(200) == COMMANDS[name][1].rstrip(".") + "." * (
        found.get_short_help_str(200).endswith(".")
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_the_whole_explains_itself(tmp_path: Path, arguments: list[str]) -> None:
    """Every command with its summary."""
    result = Workspace(tmp_path)(*arguments)
    assert result.code == Exit.OK
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name} " in result.out
        assert summary in result.out


def test_the_version(tmp_path: Path) -> None:
    """That of the package."""
    assert version("importer") in Workspace(tmp_path)("--version").out


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check"], ["run", "--bogus", "x.csv"]])
def test_what_cannot_be_meant(tmp_path: Path, arguments: list[str]) -> None:
    """Wrong usage ends with 2, and says where help is."""
    result = Workspace(tmp_path)(*arguments)
    assert result.code == Exit.USAGE
    assert "--help" in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("typed", "meant"), [("chekc", "`importer check`"), ("reconsile", "`importer reconcile`")]
)
def test_a_misspelled_command_names_the_right_one(tmp_path: Path, typed: str, meant: str) -> None:
    """Wrong usage; one that resembles nothing leads to the list."""
    result = Workspace(tmp_path)(typed)
    assert result.code == Exit.USAGE
    assert f"There is no command {typed}." in result.err
    assert f"Did you mean {meant}" in result.err
    assert "`importer --help` lists them all." in Workspace(tmp_path)("zzz").err


def test_every_command_has_one_reader() -> None:
    """`--help` lists each once, under the heading of the people who need it."""
    listed = [name for names in READERS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    assert list(COMMANDS) == listed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("check", "x.csv", "--formta", "json"), "--format"),
        (("run", "x.csv", "--dryrun"), "--dry-run"),
        (("nightly", "inbox", "--send-betwen", "1"), "--send-between"),
    ],
)
def test_a_flag_that_is_nearly_right(tmp_path: Path, typed: tuple[str, ...], meant: str) -> None:
    """The one that is spelled alike is named."""
    result = Workspace(tmp_path)(*typed)
    assert result.code == Exit.USAGE
    assert "Did you mean" in result.err
    assert meant in result.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(tmp_path: Path, shell: str) -> None:
    """The script asks importer, which answers from the table of commands."""
    workspace = Workspace(tmp_path)
    assert f"_IMPORTER_COMPLETE={shell}_complete" in workspace("completion", shell).out
    asking = {
        "_IMPORTER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "importer rec",
        "COMP_CWORD": "rec" if shell == "fish" else "1",
    }
    process = Workspace(tmp_path, asking).process()
    out, err = process.communicate(timeout=60)
    assert "reconcile" in out, err
    assert "resume" not in out


_ENGLISH: Final = re.compile(r"(?<![-`\w])(the|of|and|is|are|with|by|from|which|this)(?![-`\w])")
"""Words that an English sentence has, and a German one has not."""


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_in_german_has_no_english_sentence(tmp_path: Path, name: str) -> None:
    """Summary, paragraphs, options, and what click says by itself."""
    result = Workspace(tmp_path)("--lang", "de", *([name] if name else []), "--help")
    assert result.out.startswith(f"Aufruf: importer {name}".rstrip())
    assert "Diese Hilfe zeigen und enden." in result.out
    assert _ENGLISH.search(result.out) is None, result.out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("chekc",), "Fehler: Es gibt keinen Befehl chekc.\n  Meinten Sie `importer check`?"),
        (("check",), "Fehler: Es fehlt das Argument 'FILE...'."),
        (("run", "x.csv", "--limit", "0"), "liegt nicht im Bereich x>=1."),
        (("run", "x.csv", "--dryrun"), "diesen: '--dry-run', '--round'?"),
        (("results", "--format", "xml"), "'xml' ist keines von 'text', 'csv', 'json', 'parquet'."),
        (("release", "x.csv"), "Nennen Sie eine Datei in held/ des Eingangs."),
        (("purge", "--older-than", "soon"), "--older-than nimmt Tage, zum Beispiel 90d"),
        (("check", "x.csv", "--campaign", ""), "darf nicht leer sein"),
    ],
)
def test_errors_in_german(tmp_path: Path, typed: tuple[str, ...], expected: str) -> None:
    """Those of click and ours; `--lang` stands before the command or after it."""
    workspace = Workspace(tmp_path)
    result = workspace("--lang", "de", *typed)
    assert expected in result.err
    assert workspace(*typed, "--lang=de").err == result.err
