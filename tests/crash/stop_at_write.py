"""A run that ends at its n-th write to the ledger: durable, and nobody has heard of it yet.

`python -m tests.crash.stop_at_write N run FILE` and `... N resume` do what `run --yes` and `resume`
do, up to that write; N = 0 lets them come to their end. The process kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from importer import deliver
from importer.errors import ImporterError
from importer.planning.history import open_history
from importer.prepare import prepare
from importer.sending.run_options import RunOptions, SilentObserver
from importer.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence


class KillAtWrite(SilentObserver):
    """Kills this process as soon as this many writes are durable; never for 0."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._writes = count(1)

    def on_commit(self, write: str) -> None:
        """Count, and kill."""
        del write
        if next(self._writes) == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> NoReturn:
    """Run or resume, and end like the command line if it gets that far."""
    try:
        sys.exit(_code(*arguments))
    except ImporterError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  # a program's output
        sys.exit(error.exit_code)


def _code(write: str, command: str, *files: str) -> int:
    settings = load_settings(None, {})
    options = RunOptions(command, settings.credentials())
    observer = KillAtWrite(int(write))
    if command == "run":
        with open_history(settings) as history:
            plan = prepare(files, settings, history)
        report = deliver.deliver(plan, settings, options, observer)
    else:
        report = deliver.resume(None, settings, options, observer)
    return report.exit_code


if __name__ == "__main__":
    main(sys.argv[1:])
