"""The `importer` command: find the subcommand, and turn every ending into an exit code."""

from __future__ import annotations

import copy
import difflib
import gc
import inspect
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click
from click.shell_completion import CompletionItem

from importer.errors import Exit, ImporterError, UsageError
from importer.languages import (
    ENGLISH,
    LANGUAGES,
    language,
    language_of_terminal,
    translate,
    translate_filled,
    use_terminal_language,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "init": (
        "importer.cli.init_command",
        "Write settings, templates and a spreadsheet to start from.",
    ),
    "columns": (
        "importer.cli.setup_commands",
        "List the known columns, or show how the headers of FILE are read.",
    ),
    "check": ("importer.cli.check_command", "Check spreadsheets without sending anything."),
    "explain": (
        "importer.cli.setup_commands",
        "Explain a code, setting, column, state, exit code or document.",
    ),
    "run": ("importer.cli.run_commands", "Check spreadsheets, ask, and create the conversations."),
    "resume": ("importer.cli.run_commands", "Resume an unfinished run."),
    "runs": ("importer.cli.ledger_commands", "List the runs and nights in the ledger."),
    "results": ("importer.cli.ledger_commands", "Show the result of each row of a run."),
    "serve": ("importer.cli.server_commands", "Serve the page for recruiters, in the browser."),
    "reconcile": (
        "importer.cli.ledger_commands",
        "Look up doubtful submissions in the API.",
    ),
    "resolve": (
        "importer.cli.ledger_commands",
        "Settle a doubtful submission yourself.",
    ),
    "refresh": ("importer.cli.ledger_commands", "Update the status of the conversations."),
    "webhooks": (
        "importer.cli.server_commands",
        "Receive the events that the API sends.",
    ),
    "doctor": (
        "importer.cli.nightly_commands",
        "Check the setup of nightly imports.",
    ),
    "nightly": (
        "importer.cli.nightly_commands",
        "Import the files that have arrived in a folder, unattended.",
    ),
    "release": ("importer.cli.nightly_commands", "Release a held file for the next night."),
    "backup": ("importer.cli.ledger_commands", "Copy the ledger, at any moment."),
    "purge": (
        "importer.cli.ledger_commands",
        "Remove the readable text of old runs from the ledger.",
    ),
    "work": (
        "importer.cli.machine_commands",
        "Send what was put into the queue, beside other machines.",
    ),
    "jobs": (
        "importer.cli.machine_commands",
        "Show who sends on a ledger that several machines share.",
    ),
    "upgrade": (
        "importer.cli.machine_commands",
        "Bring the ledger to the version of this program.",
    ),
    "sandbox": ("importer.cli.server_commands", "Run a local mock of the API."),
    "completion": (
        "importer.cli.setup_commands",
        "Print the script that makes a shell complete commands and flags.",
    ),
}
"""Command -> its module and summary. `--help` reads this table, so it imports nothing heavy."""

READERS: dict[str, tuple[str, ...]] = {
    "If you have a list": ("init", "columns", "check", "explain"),
    "If you send it": ("run", "resume", "runs", "results"),
    "If recruiters send it": ("serve",),
    "If something is doubtful": ("reconcile", "resolve", "refresh", "webhooks"),
    "If it runs every night": ("doctor", "nightly", "release", "backup", "purge"),
    "If several machines send": ("work", "jobs", "upgrade"),
    "If you set it up": ("sandbox", "completion"),
}
"""Heading of `--help` -> commands. Each command has one reader."""


_MEMORY = "dirty_decay_ms:1000,muzzy_decay_ms:0"
"""For Polars' allocator: keep freed memory for a second, because the next step needs it again."""


class _ReaderGone(Exception):
    """Another program has closed our output (`| head`)."""


def help_paragraphs(text: str | None) -> Iterator[str]:
    r"""Yield the paragraphs of a help text; only those after a `\b` keep their lines."""
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        yield paragraph if paragraph.startswith("\b") else " ".join(paragraph.split())


def in_language(command: click.Command) -> click.Command:
    """Return a command whose help is in the reader's language; click translates its own texts."""
    if language() == ENGLISH:
        return command
    found = copy.copy(command)
    found._help_option = None  # click keeps it in the language of its first use
    found.help = "\n\n".join(
        paragraph if paragraph.startswith("\b") else translate(paragraph)
        for paragraph in help_paragraphs(command.help)
    )
    found.params = [copy.copy(each) for each in command.params]
    for each in found.params:
        if isinstance(each, click.Option) and each.help:
            each.help = translate(each.help)
    return found


class LazyGroup(click.Group):
    """A group that imports a command only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order in which a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command and return it."""
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # imported modules stay; scanning them for garbage takes a tenth longer
        module = import_module(COMMANDS[cmd_name][0])
        gc.freeze()
        gc.enable()
        if "importer.ledger.connection" in sys.modules:
            from importer.cli.options import show_upgrades  # noqa: PLC0415 - not for --help

            show_upgrades()
        command: click.Command = getattr(module, cmd_name)
        return in_language(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown one name those that are spelled alike."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=3)
            names = " or ".join(f"`importer {name}`" for name in close)
            meant = f"Did you mean {names}? " if close else ""
            raise UsageError(
                f"There is no command {args[0]}.", f"{meant}`importer --help` lists them all."
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; raise `_ReaderGone` if the reader of its output has closed it."""
        try:
            return super().invoke(ctx)
        except Exception as error:  # Polars has its own error for a broken pipe
            if isinstance(error, BrokenPipeError) or "Broken pipe" in str(error):
                raise _ReaderGone from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands by reader, from the tables alone."""
        width = max(map(len, COMMANDS))
        for heading, names in READERS.items():
            with formatter.section(translate(heading)):
                lines = [(f"{name:{width}}", translate(COMMANDS[name][1])) for name in names]
                formatter.write_dl(lines)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names from the table alone, and flags as click does."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=translate(summary))
            for name, (_, summary) in COMMANDS.items()
            if name.startswith(incomplete)
        ]


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--lang",
    type=click.Choice(list(LANGUAGES)),
    help="Language of messages and reports; the terminal's language (LANG) by default.",
)
@click.version_option(package_name="importer", prog_name="importer")
def cli(lang: str | None) -> None:
    """Turn candidate spreadsheets into interview-scheduling conversations.

    Nobody is contacted twice, no row is lost, and every problem says where it is and how to
    fix it. Start with `importer init`, then `importer check FILE`, then `importer run FILE`.
    """
    del lang  # `main` has chosen the language by then


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with one of `importer.errors.Exit`.

    Args:
        arguments: the arguments without the program's name; the process's own if None.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", _MEMORY)
    given = list(sys.argv[1:] if arguments is None else arguments)
    lang, given = _take_language(given)
    name = lang if lang in LANGUAGES else language_of_terminal(os.environ)
    with use_terminal_language(name, asked=bool(lang)):
        _run([*(["--lang", lang] if lang else []), *given])


def _take_language(given: list[str]) -> tuple[str, list[str]]:
    """Find --lang before or after the command; return its value and the other arguments."""
    end = given.index("--") if "--" in given else len(given)
    for position, word in enumerate(given[:end]):
        if word.startswith("--lang="):
            return word.removeprefix("--lang="), given[:position] + given[position + 1 :]
        if word == "--lang" and position + 1 < end:
            return given[position + 1], given[:position] + given[position + 2 :]
    return "", given


def _run(given: Sequence[str]) -> NoReturn:
    """Run a command and end the process."""
    try:
        outcome = in_language(cli).main(list(given), prog_name="importer", standalone_mode=False)
        sys.exit(outcome if isinstance(outcome, int) else Exit.OK)
    except ImporterError as error:
        _say(translate("Error: {message}", message=translate_filled(error.message)))
        if error.fix:
            _say(f"  {translate_filled(error.fix)}")
        _end(given, error.exit_code, error.message, error.fix)
    except click.ClickException as error:
        error.show()
        _end(given, Exit.USAGE, error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _say(translate("Interrupted."))
        _end(given, Exit.INTERRUPTED, "Interrupted.")
    except (_ReaderGone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except Exception as error:  # any other is a fault; its traceback may hold personal data
        if os.environ.get("IMPORTER_DEBUG"):
            raise
        message = f"something went wrong inside importer ({type(error).__name__}{_place(error)})."
        fix = (
            "The ledger is undamaged. "
            "Set IMPORTER_DEBUG=1 to see the details, and please report it."
        )
        _say(translate("Error: {message}", message=translate_filled(message)))
        _say(f"  {translate_filled(fix)}")
        _end(given, Exit.SETUP, message, fix)


def _end(arguments: Sequence[str], code: Exit, message: str, fix: str = "") -> NoReturn:
    """End with an error; as JSON on standard output too, if the command was to print JSON."""
    words = f"{' '.join(arguments)} ".replace("--format=", "--format ")
    if "--format json " in words:
        from importer.report.export import error_json, write_json  # noqa: PLC0415 - heavy

        with suppress(BrokenPipeError):
            write_json(error_json(code, message, fix), sys.stdout)
    sys.exit(code)


def _place(error: BaseException) -> str:
    """Return where an unexpected error arose; its text may hold personal data and is not shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
