"""Processes of the real command line that start in a fifth of a second, to be killed by hundreds.

A nursery is a process that has imported everything that is slow to import and then forks: what it
forks has its own memory, files, locks and threads, and dies like any other process. (Nothing of
Polars runs before the fork: its threads would not survive it.)
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
STOPPING: Final = "tests.crash.stopping:main"

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
    "importer.report.terminal_history",
    "importer.report.progress",
    "importer.report.export",
)


@dataclass(frozen=True, slots=True)
class Life:
    """One process: who it is, and where its words go.

    Attributes:
        pid: of the process.
        said: the file that holds its standard output and error.
    """

    pid: int
    said: Path

    def words(self) -> str:
        """What it has said until now; nothing before it has opened its file."""
        return self.said.read_text("utf-8", errors="replace") if self.said.exists() else ""


class Nursery:
    """Starts one process at a time and says how it ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
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
        said: Path,
        main: str = COMMAND_LINE,
    ) -> Life:
        """Starts a process.

        Args:
            arguments: without the program's name.
            folder: where it runs.
            env: on top of the environment.
            said: file for its standard output and error.
            main: `module:function` that takes the arguments.
        """
        order = {
            "arguments": list(arguments),
            "folder": str(folder),
            "env": dict(env),
            "said": str(said),
            "main": main,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        return Life(int(self._line()), said)

    def ended(self, timeout_s: float | None = None) -> int | None:
        """Exit code of the process, negative for a signal; None if it goes on for so long."""
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
        said: Path,
        main: str = COMMAND_LINE,
    ) -> tuple[int, str]:
        """Starts a process, lets it come to its end, and gives its exit code and words."""
        life = self.start(arguments, folder=folder, env=env, said=said, main=main)
        code = self.ended()
        assert code is not None
        return code, life.words()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the nursery is gone")
        return line


def _serve() -> None:
    """Forks whatever standard input asks for, one after the other."""
    for module in _IMPORTED:
        importlib.import_module(module)
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(order)
        print(pid, flush=True)  # noqa: T201  # the nursery's answer
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def _become(order: dict[str, object]) -> None:
    """What the forked process does for the rest of its life."""
    os.setsid()  # a Ctrl-C at the terminal is not for it
    said = os.open(str(order["said"]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, said), (2, said)):
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
