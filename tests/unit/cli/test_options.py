"""Flags are settings: the same names, the same words, the same types."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from importer.cli.main import COMMANDS, cli
from importer.cli.options import read_settings, settings_flags
from importer.errors import SettingsError
from importer.settings import Settings


def flags(name: str) -> dict[str, click.Option]:
    """Return the options of a command that carry the name of a setting."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {
        parameter.name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name in Settings.model_fields
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_flag_is_called_as_its_setting(name: str) -> None:
    """`rate_per_s` is `--rate-per-s`; without a default, so that file and environment count."""
    for setting, flag in flags(name).items():
        assert flag.opts == ["--" + setting.replace("_", "-")]
        assert flag.default is None or not isinstance(flag.default, str | int | float)


def test_check_and_run_shape_the_same_plan() -> None:
    """Whatever a check can be told of files and rows, a run can be told too."""
    assert flags("run").keys() >= flags("check").keys() | {"on_problems", "base_url"}
    assert flags("resume").keys() == flags("run").keys() - {"on_problems", "new_ledger"}


@click.command()
@settings_flags("campaign", "rate_per_s", "concurrency", "allow_recent", "on_problems")
@click.pass_context
def probe(context: click.Context, /, **given: object) -> None:
    """Keep what it was given."""
    context.obj.update(given)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ([], {}),
        (["--campaign", "42"], {"campaign": "42"}),
        (["--rate-per-s", "0.5"], {"rate_per_s": 0.5}),
        (["--concurrency", "3"], {"concurrency": 3}),
        (["--allow-recent"], {"allow_recent": True}),
        (["--on-problems", "skip"], {"on_problems": "skip"}),
    ],
)
def test_flags_arrive_with_their_types(arguments: list[str], given: dict[str, object]) -> None:
    """What was not said is None."""
    found: dict[str, object] = {}
    assert CliRunner().invoke(probe, arguments, obj=found).exit_code == 0
    assert {name: value for name, value in found.items() if value is not None} == given


@pytest.mark.parametrize(
    "arguments", [["--rate-per-s", "x"], ["--concurrency", "1.5"], ["--on-problems", "x"]]
)
def test_a_wrong_type_is_wrong_usage(arguments: list[str]) -> None:
    """Click says so before anything is read."""
    assert CliRunner().invoke(probe, arguments, obj={}).exit_code == 2


def test_settings_hear_only_what_was_said() -> None:
    """None leaves the default; a value that a setting cannot have is named by its flag."""
    assert read_settings(None, {"concurrency": None, "rate_per_s": 2.0}).rate_per_s == 2.0
    with pytest.raises(SettingsError, match="--concurrency"):
        read_settings(None, {"concurrency": 0})
