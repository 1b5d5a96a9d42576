"""The night's events as JSON lines, one for each fact: ids, numbers and words alone."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.nightly.clock import Clock


Log = structlog.typing.FilteringBoundLogger


@contextmanager
def logging_to(file: Path | None, clock: Clock, night: str) -> Iterator[Log]:
    """A log that appends to a file, or writes to standard error where there is none to write to.

    Args:
        file: made with its folder where needed; where that fails the log says so and goes on.
        clock: the time of each event.
        night: on every event.
    """
    out, fault = _opened(file)
    try:
        log = _log(out, clock).bind(night=night)
        if fault:
            log.error("log.unwritable", cause=fault)
        yield log
    finally:
        if out is not sys.stderr:
            with suppress(OSError):  # what it could not write before, it cannot now
                out.close()


def _opened(file: Path | None) -> tuple[TextIO, str]:
    if file is None:
        return sys.stderr, ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("a", encoding="utf-8"), ""
    except OSError as exc:
        return sys.stderr, exc.strerror or type(exc).__name__


class _Lines:
    """Writes a line; a disk that is full keeps no import from going on, and no event untold."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        """Writes one event, to standard error where the file takes no more."""
        try:
            self._write(message)
        except OSError as exc:
            if self._out is sys.stderr:
                return
            self._out = sys.stderr
            cause = exc.strerror or type(exc).__name__
            said = {**json.loads(message), "event": "log.unwritable", "cause": cause}
            self.msg(json.dumps(said))
            self.msg(message)

    def _write(self, message: str) -> None:
        self._out.write(message + "\n")
        self._out.flush()

    debug = info = warning = error = msg


def _log(out: TextIO, clock: Clock) -> Log:
    def stamped(_logger: object, _method: str, event: Any) -> Any:
        event["at"] = f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
        return event

    log: Log = structlog.wrap_logger(
        _Lines(out),
        processors=[
            structlog.processors.add_log_level,
            stamped,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    return log
