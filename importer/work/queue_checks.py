"""Check what several machines need: the queue, its workers, and clocks that agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from importer.errors import ImporterError
from importer.ledger import Ledger
from importer.ledger.uploaded_lists import QUEUE, WORKING
from importer.nightly.doctor import Finding
from importer.work.queue import JobQueue, is_installed

if TYPE_CHECKING:
    from importer.settings import Settings
    from importer.work.queue import QueueOverview


_SKEW_S: Final = 5.0


def examine_queue(settings: Settings) -> list[Finding]:
    """Check clock and queue of a ledger on a server; nothing for a ledger in a file."""
    if settings.ledger_file is not None:
        return []
    try:
        ledger = Ledger.open_existing(settings.ledger)
        if ledger is None:
            return []
        with ledger:
            skew_s = (datetime.now(UTC) - ledger.senders.server_time()).total_seconds()
            waiting = len(ledger.lists.list(owner=QUEUE, states=WORKING))
        found = [_compare_clocks(skew_s)]
        if is_installed():
            with JobQueue.open(settings) as queue:
                seen = queue.overview() if queue.is_set_up() else None
            found.append(_judge_queue(seen, waiting))
    except ImporterError as error:
        return [Finding("queue", ok=False, message=str(error))]
    return found


def _compare_clocks(skew_s: float) -> Finding:
    """Judge by how much this machine's clock differs from the database's, seconds."""
    if abs(skew_s) <= _SKEW_S:
        return Finding("clocks", ok=True, message="this machine and the database agree")
    direction = "ahead of" if skew_s > 0 else "behind"
    message = (
        f"this machine's clock is {abs(skew_s):.0f} s {direction} the database's; set both right, "
        "for example with NTP; sending uses the database's clock, hours and dates use this "
        "machine's"
    )
    return Finding("clocks", ok=True, message=message, warning=True)


def _judge_queue(seen: QueueOverview | None, waiting: int) -> Finding:
    """Judge the queue; None if it is not set up."""
    if seen is None:
        message = "it is not set up; run `importer upgrade`"
        return Finding("queue", ok=not waiting, message=message, warning=True)
    if not seen.workers and not waiting:
        message = "no worker is alive; `importer serve` sends the lists of its page itself"
        return Finding("queue", ok=True, message=message, warning=True)
    if not seen.workers:
        message = f"no worker is alive, and {waiting} lists wait; start `importer work`"
        return Finding("queue", ok=False, message=message, warning=True)
    message = f"{seen.workers} workers are alive, {waiting} lists wait or are being sent"
    if seen.stalled:
        message = f"{message}; {seen.stalled} jobs have stalled, and the next tick fails them"
    return Finding("queue", ok=True, message=message, warning=bool(seen.stalled))
