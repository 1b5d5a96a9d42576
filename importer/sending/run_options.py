"""The options of a run, and the observer that is told what happens in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import signal
    from datetime import datetime

    from importer.ledger import Ledger
    from importer.model import Outcome
    from importer.settings import Credentials


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run besides its plan and its settings.

    Attributes:
        command: name of the command that holds the ledger, for anybody who waits for it.
        credentials: the credentials of the API.
        limit: most submissions to send; the others stay open. None for all.
        signals: signals that stop the run; requests under way finish first.
        ledger: the settings' ledger, if the caller has it open; it stays open.
        since: UTC; when somebody began or resumed a run on a server, if this only goes on with it:
            its guards and canary stay as they are, and rows given up since are not tried again.
    """

    command: str
    credentials: Credentials
    limit: int | None = None
    signals: tuple[signal.Signals, ...] = ()
    ledger: Ledger | None = None
    since: datetime | None = None


class Observer(Protocol):
    """Is told what happens while a run sends, reconciles or refreshes.

    Subclass `SilentObserver` and override what you need. An exception raised in here stops the run
    after the requests under way have finished.
    """

    def on_start(self, run: str, count: int, seconds: float) -> None:
        """Handle the start of a round of sending: `count` submissions in about `seconds`."""
        ...

    def on_stage(self, sentence: str) -> None:
        """Handle a stage that takes time or deserves attention; `sentence` says what."""
        ...

    def on_list_unreadable(self, reason: str) -> None:
        """Handle an unreadable list of the API's conversations: doubts stay open."""
        ...

    def on_outcome(self, outcome: Outcome) -> None:
        """Handle the end of a submission; the ledger has it durably."""
        ...

    def on_commit(self, write: str) -> None:
        """Handle a durable write to the ledger, before anything acts on it.

        Runs in the thread that writes. A crash test kills the process here.
        """
        ...

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """Keep `stop`; setting it in the running event loop stops the run, as a signal does."""
        ...


class SilentObserver:
    """An observer that ignores everything."""

    def on_start(self, run: str, count: int, seconds: float) -> None:
        """Ignore the start."""

    def on_stage(self, sentence: str) -> None:
        """Ignore the stage."""

    def on_list_unreadable(self, reason: str) -> None:
        """Ignore the list."""

    def on_outcome(self, outcome: Outcome) -> None:
        """Ignore the outcome."""

    def on_commit(self, write: str) -> None:
        """Ignore the commit."""

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """Ignore the event."""


SILENT: Final = SilentObserver()


def make_stop_event(options: RunOptions, observer: Observer) -> asyncio.Event:
    """Make an event that the signals of the options set; needs a running event loop."""
    stop = asyncio.Event()
    for number in options.signals:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    observer.on_stop_event(stop)
    return stop
