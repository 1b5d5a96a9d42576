"""The exceptions that stop a run, and the exit code of each.

    ImporterError
    ├── UsageError           2  the command line asks for something impossible
    ├── InputError           3  a file or template cannot be read
    │   ├── FileUnreadable
    │   └── TemplateError
    ├── ConfigurationError   4  settings or credentials
    │   ├── SettingsError
    │   ├── CredentialsError
    │   └── LedgerError
    │       ├── TurnTaken       another process does what one at a time may do
    │       └── LedgerAway      the server is away for a moment
    └── Held                 6  a guard holds the run back

Faults of data are values, not exceptions: see `Problem`.
"""

from __future__ import annotations

import os
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Final


class Exit(IntEnum):
    """Exit codes of the process."""

    OK = 0
    REJECTED = 1
    USAGE = 2
    INPUT = 3
    SETUP = 4
    DOUBTFUL = 5
    HELD = 6
    INTERRUPTED = 130


EXIT_MEANING: dict[Exit, str] = {
    Exit.OK: "all well",
    Exit.REJECTED: "some rows were rejected, by the importer or by the API",
    Exit.USAGE: "wrong usage",
    Exit.INPUT: "a file or template cannot be read",
    Exit.SETUP: "a problem with settings, credentials, the ledger or the service",
    Exit.DOUBTFUL: "doubtful submissions remain",
    Exit.HELD: "held back by a guard, or because rows need fixing first (`on_problems`)",
    Exit.INTERRUPTED: "interrupted; `importer resume` continues",
}


RUN_AGAIN: dict[Exit, str] = {
    Exit.OK: "There is nothing to do; running it again sends nothing.",
    Exit.REJECTED: "Safe, but the same rows are rejected again: fix them first.",
    Exit.USAGE: "No: the command is wrong.",
    Exit.INPUT: "Once the file or template can be read.",
    Exit.SETUP: "Safe once the cause is gone; a run is continued with `importer resume`.",
    Exit.DOUBTFUL: "No: run `importer reconcile` first; a person decides what it cannot settle.",
    Exit.HELD: "No: a person must look first.",
    Exit.INTERRUPTED: "Safe: `importer resume` or the next night continues.",
}
"""Whether a scheduler may start the same command again after this exit code."""


class ImporterError(Exception):
    """An error that stops the run; its text is a message for a person.

    Args:
        message: what is wrong and where, without personal data or secrets.
        fix: what to do about it.
    """

    exit_code: Exit = Exit.SETUP

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class UsageError(ImporterError):
    """The command line asks for something impossible."""

    exit_code = Exit.USAGE


class InputError(ImporterError):
    """A file given by the user cannot be read."""

    exit_code = Exit.INPUT


class FileUnreadable(InputError):
    """A spreadsheet cannot be opened, or the file is not a spreadsheet."""


class TemplateError(InputError):
    """A template cannot be found or read, or breaks a rule of the API for every row."""


class ConfigurationError(ImporterError):
    """Settings, credentials or the ledger do not work."""


class SettingsError(ConfigurationError):
    """A setting is unknown or has a wrong value."""


class CredentialsError(ConfigurationError):
    """A secret is missing from the environment."""


class LedgerError(ConfigurationError):
    """The ledger cannot be opened, or another process is using it."""


class TurnTaken(LedgerError):
    """Another process is doing what one at a time may do."""


class LedgerAway(LedgerError):
    """The server of the ledger does not answer just now; the last write may have been made."""


class Held(ImporterError):
    """A guard refused to start the run, or stopped it."""

    exit_code = Exit.HELD


def describe_fault(error: BaseException) -> str:
    """Name an unexpected error and where it arose, for a log; its text may hold personal data."""
    steps = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(steps[-1].filename).stem}:{steps[-1].lineno}" if steps else ""
    return f"{type(error).__name__}{place}"


STOPPED_BY_FAULT: Final = "It stopped because of a fault in importer."


def advise_after_fault() -> str:
    """Return what a person does after an unexpected error on this machine."""
    return (
        f"The log of machine {os.uname().nodename} says where. "
        "It is safe to try again: nobody is contacted twice."
    )
