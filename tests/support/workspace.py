"""A recruiter's workspace: a folder, credentials, and the command line as it is typed there.

The commands run in this process, by way of the real `main`, so that a test takes no second to
start Python; `Workspace.process` starts one where signals, pipes or a terminal matter.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from click.testing import CliRunner

from importer.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


CREDENTIALS: Final = {"POPP_API_KEY": "rehearsal", "POPP_ORGANIZATION_ID": "acme"}
FAST: Final = ("--rate-per-s", "500", "--concurrency", "4")
"""Flags of a run that is not to take long."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended, and what it said on both streams."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What follows `Error:`, or empty."""
        return self.err.partition("Error: ")[2].strip()


@dataclass(frozen=True)
class Workspace:
    """Types commands in a folder.

    Attributes:
        folder: where they are typed.
        env: on top of the environment, such as the credentials; None takes one away.
    """

    folder: Path
    env: Mapping[str, str | None] = field(default_factory=lambda: dict(CREDENTIALS))

    def __call__(self, *arguments: str) -> CommandResult:
        """Type `importer ARGUMENTS`, with no terminal and nothing to read."""
        code = None
        shell = CliRunner(env={"COLUMNS": "200", **self.env})
        with contextlib.chdir(self.folder), shell.isolation() as (out, err, _):
            try:
                main(arguments)
            except SystemExit as end:
                code = end.code
            sys.stdout.flush()
            sys.stderr.flush()
            result = out.getvalue().decode(), err.getvalue().decode()
        assert isinstance(code, int)
        # Some libraries print warnings by themselves, past what pytest turns into errors.
        assert "DeprecationWarning:" not in result[1]
        return CommandResult(code, *result)

    def process(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start `importer ARGUMENTS` as a process of its own, with pipes as its streams."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # any options
            [sys.executable, "-m", "importer.cli.main", *arguments],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            preexec_fn=_restore_ctrl_c,  # noqa: PLW1509  (no threads are about when it forks)
            **(streams | options),
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that is started here."""
        wanted = {**os.environ, "COLUMNS": "200", **self.env}
        return {name: value for name, value in wanted.items() if value is not None}

    def without(self, *names: str) -> Workspace:
        """Return the same workspace without some variables of the environment."""
        return Workspace(self.folder, {**self.env, **dict.fromkeys(names)})

    def write(self, name: str, text: str | bytes) -> Path:
        """Put a file here."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def files(self) -> dict[str, bytes]:
        """Return every file below the folder with its content."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def _restore_ctrl_c() -> None:
    """Let Ctrl-C work again: a shell turns it off for what runs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
