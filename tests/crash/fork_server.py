"""A fork server: processes of the real command line that start in a fifth of a second.

The server imports everything that is slow to import, then forks. A child has its own memory, files,
locks and threads, and dies like any other process. (Polars must not run before the fork: its
threads do not survive it.)
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND_LINE: Final = "importer.cli.main:main"
STOP_AT_WRITE: Final = "tests.crash.stop_at_write:main"

_IMPORTED: Final = (
    "pydantic_settings",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
    "alembic.autogenerate",
    "fastexcel",
    "schemas.candidates",
    "importer.ledger",
    "importer.sending.client",
    "importer.sending.worker",
    "importer.sending.reconcile",
    "importer.loader",
    "importer.planning.payload",
    "importer.planning.history",
    "importer.planning.grouping",
    "importer.cli.options",
    "importer.report.terminal",
    "importer.report.terminal_history",
    "importer.report.progress",
    "importer.report.export",
    "importer.deliver",
    "importer.preflight",
    "importer.cli.run_commands",
    "anyio._backends._asyncio",
    "certifi",
    "httpcore",
    "h11",
    "babel.core",
    "email_validator",
)


@dataclass(frozen=True, slots=True)
class Child:
    """A running process.

    Attributes:
        pid: process id.
        output: file with its standard output and error.
    """

    pid: int
    output: Path

    def text(self) -> str:
        """Return its output so far; empty before it has opened its file."""
        return self.output.read_text("utf-8", errors="replace") if self.output.exists() else ""


class ForkServer:
    """Starts one process at a time and waits for its end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.fork_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str],
        output: Path,
        main: str = COMMAND_LINE,
    ) -> Child:
        """Start a process.

        Args:
            arguments: without the program name.
            folder: working directory.
            env: added to the environment.
            output: file for its standard output and error.
            main: `module:function` that takes the arguments.
        """
        order = {
            "arguments": list(arguments),
            "folder": str(folder),
            "env": dict(env),
            "output": str(output),
            "main": main,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        return Child(int(self._line()), output)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the exit code, negative for a signal; None after the timeout."""
        assert self._process.stdout is not None
        if timeout_s is not None:
            ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
            if not ready:
                return None
        return int(self._line())

    def run(
        self,
        *arguments: str,
        folder: Path,
        env: Mapping[str, str],
        output: Path,
        main: str = COMMAND_LINE,
    ) -> tuple[int, str]:
        """Run a process to its end; returns exit code and output."""
        life = self.start(arguments, folder=folder, env=env, output=output, main=main)
        code = self.wait()
        assert code is not None
        return code, life.text()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fork server has ended")
        return line


def _serve() -> None:
    """Fork the processes that standard input asks for, one after the other."""
    for module in _IMPORTED:
        importlib.import_module(module)
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(order)
        print(pid, flush=True)  # noqa: T201  # protocol
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def _become(order: dict[str, object]) -> None:
    """Turn the forked process into the requested program."""
    os.setsid()  # Ctrl-C at the terminal must not reach it
    output = os.open(str(order["output"]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, stream)
    env, arguments = order["env"], order["arguments"]
    assert isinstance(env, dict)
    assert isinstance(arguments, list)
    os.environ.update(env)
    os.chdir(str(order["folder"]))
    module, _, function = str(order["main"]).partition(":")
    sys.argv = [module, *arguments]
    getattr(importlib.import_module(module), function)(arguments)
    sys.exit()


if __name__ == "__main__":
    _serve()
