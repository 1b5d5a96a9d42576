"""A terminal at which a command asks, and somebody answers."""

from __future__ import annotations

import os
import pty
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

    from tests.support.workspace import Workspace


def answer_at_terminal(
    workspace: Workspace, answer: str | signal.Signals, *arguments: str
) -> tuple[int, str]:
    """Start a command at a terminal, wait for the question, and answer it.

    Returns:
        The exit code, and what the terminal showed.
    """
    ours, theirs = pty.openpty()
    process = workspace.process(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, asked = b"", False

    def read() -> bytes:
        for _ in range(12):
            if select.select([ours], [], [], 5)[0]:
                return os.read(ours, 65536)
            if asked and not isinstance(answer, str) and b"Interrupted" not in shown:
                process.send_signal(answer)  # the first may have come before it began to read
        raise TimeoutError(shown.decode())

    try:
        while b"[y/N]" not in shown:
            shown += read()
        asked = True
        if isinstance(answer, str):
            os.write(ours, answer.encode())
        else:
            process.send_signal(answer)
        while more := read():
            shown += more
    except TimeoutError:
        process.kill()
        process.wait()
        raise
    except OSError:
        pass  # this is how the end of a terminal reads
    finally:
        os.close(ours)
    return process.wait(30), shown.decode()
