"""A run or resume that kills itself right after its n-th durable write to the ledger.

`python -m tests.crash.stop_at_write N run FILE` and `... N resume` act like `importer run --yes`
and `importer resume` up to that write; with N = 0 they finish.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING, NoReturn

from importer import deliver
from importer.errors import ImporterError
from importer.planning.history import looking
from importer.sending.delivery import Order
from importer.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def stop_at(write: int) -> Callable[[str], None]:
    """Kill this process as soon as that many writes are durable; never for 0."""
    writes = count(1)

    def on_commit(_what: str) -> None:
        if next(writes) == write:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_commit


def main(arguments: Sequence[str]) -> NoReturn:
    """Run or resume, with the exit codes of the command line."""
    try:
        sys.exit(_code(*arguments))
    except ImporterError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  # a program's output
        sys.exit(error.exit_code)


def _code(write: str, command: str, *files: str) -> int:
    settings = load_settings(None, {})
    order = Order(command, settings.credentials(), on_commit=stop_at(int(write)))
    if command == "run":
        with looking(settings) as look:
            plan = deliver.prepare(files, settings, look)
        report = deliver.deliver(plan, settings, order)
    else:
        report = deliver.resume(None, settings, order)
    return report.exit_code


if __name__ == "__main__":
    main(sys.argv[1:])
