"""What the morning sees of a night: its page, its metrics, and one message; none can fail it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer import notify
from importer.errors import Exit, ImporterError
from importer.nightly.inbox import NIGHTS
from importer.report.night_metrics import write_metrics
from importer.report.night_page import write_night
from importer.report.night_text import slack_of, subject_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from importer.nightly.inbox import Inbox
    from importer.report.night import NightReport
    from importer.settings import Settings


def tell(
    night: NightReport,
    settings: Settings,
    root: Path,
    sleep: Callable[[float], object],
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Writes the night's page and metrics, and sends its message; says what did not work.

    Args:
        night: what it did.
        settings: the main ones.
        root: the inbox.
        sleep: waits between the tries of a message, in seconds.
        stopped: whether the process was told to end; then no message is tried again.
    """
    faults = []
    if night.files or night.exit_code is not Exit.OK:
        faults += _tried(lambda: _page(night, root))
    metrics_file = settings.metrics_file
    if metrics_file is not None:
        faults += _tried(lambda: write_metrics(night, metrics_file))
    if _wanted(night, settings):
        outcome = notify.send(
            settings,
            subject_of(night),
            text_of(night),
            slack_of(night),
            now=night.ended,
            sleep=sleep,
            stopped=stopped,
        )
        faults += [
            f"The morning's message by {way} was {how}."
            for way, how in outcome.items()
            if how != "sent"
        ]
    return faults


def page_given_back(inbox: Inbox, now: datetime) -> list[str]:
    """Gives the night's page to an inbox that lies elsewhere; says what did not work."""
    if not (inbox.root / NIGHTS).is_dir() or not inbox.elsewhere:
        return []
    try:
        with inbox.at_work(now):
            inbox.carry_back()
    except ImporterError as exc:
        return [exc.message]
    return []


def _page(night: NightReport, root: Path) -> None:
    folder = root / NIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    write_night(night, folder / f"{night.id}.html", root)


def _wanted(night: NightReport, settings: Settings) -> bool:
    problems = night.exit_code is not Exit.OK or night.doubtful_open > 0
    files = bool(night.files) and settings.notify == "files"
    return settings.notify == "always" or problems or files


def _tried(write: Callable[[], None]) -> list[str]:
    try:
        write()
    except ImporterError as exc:
        return [exc.message]
    except OSError as exc:
        return [f"{exc.filename} cannot be written: {exc.strerror}."]
    return []
