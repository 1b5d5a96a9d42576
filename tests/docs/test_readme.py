"""The documents say what the program does: its tables, commands and examples."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click import Option
from click.testing import CliRunner

from importer.cli.main import COMMANDS, cli
from importer.settings import Settings
from importer.settings.values import descriptions
from tests.docs.tables import BLOCK, DOCUMENTS, made, written

if TYPE_CHECKING:
    from click import Command

TEXT = "\n".join(document.read_text("utf-8") for document in DOCUMENTS)


def test_every_table_is_as_the_program_makes_it() -> None:
    """`python -m tests.docs.tables` would change nothing."""
    assert written(TEXT) == TEXT


def test_every_table_stands_in_a_document() -> None:
    """None of the tables was forgotten."""
    assert {found[2] for found in BLOCK.finditer(TEXT)} == set(made())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_its_own_short_help(name: str) -> None:
    """The table that makes `--help` fast says what the command itself says."""
    command = _command(name)
    assert command.short_help == COMMANDS[name][1]


def test_every_command_line_of_the_readme_can_be_parsed() -> None:
    """Commands and flags in the examples exist."""
    found = re.findall(r"^(?:\$ )?importer ([a-z]+)([^\n#&>|]*)", TEXT, re.MULTILINE)
    assert len(found) > 4
    for name, rest in found:
        flags = {flag for option in _command(name).params for flag in option.opts}
        for flag in re.findall(r"--[a-z-]+", rest):
            assert flag in flags, f"importer {name} has no {flag}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    """`--help` works and gives each option a text."""
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    for option in _command(name).params:
        assert not isinstance(option, Option) or option.help, option.name


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    """Its sentence is the help of its flag and its line in the README."""
    assert descriptions(Settings)[name]


def _command(name: str) -> Command:
    context = cli.make_context("importer", [], resilient_parsing=True)
    command = cli.get_command(context, name)
    assert command is not None
    return command
