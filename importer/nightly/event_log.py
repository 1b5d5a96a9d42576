"""The night's event log: JSON lines of ids, numbers and fixed words, no personal data."""

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
def open_event_log(file: Path | None, clock: Clock, night: str) -> Iterator[Log]:
    """Open a log that appends to a file, or writes to standard error if that is not possible.

    Args:
        file: created with its folder if needed; None for standard error.
        clock: the time of each event.
        night: id of the night, on every event.
    """
    out, fault = _open_output(file)
    try:
        log = _log(out, clock).bind(night=night)
        if fault:
            log.error("log.unwritable", cause=fault)
        yield log
    finally:
        if out is not sys.stderr:
            with suppress(OSError):  # what could not be written before cannot be written now
                out.close()


def _open_output(file: Path | None) -> tuple[TextIO, str]:
    if file is None:
        return sys.stderr, ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("a", encoding="utf-8"), ""
    except OSError as exc:
        return sys.stderr, exc.strerror or type(exc).__name__


class _Lines:
    """Writes lines; if the disk is full, the import goes on and events go to standard error."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        """Write one event, to standard error if the file cannot be written."""
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
