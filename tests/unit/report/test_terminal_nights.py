"""What a terminal shows of nights."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console

from importer.ledger.nights import Night, NightFile
from importer.report.terminal_history import PastNight, nights_text

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = datetime(2026, 7, 10, 2, tzinfo=UTC)
NIGHT = Night("night-20260710-020000-3f2a", AT, AT + timedelta(minutes=4), 6)


def file(ending: str, **facts: Any) -> NightFile:
    """What became of a file."""
    values = {"night": NIGHT.id, "position": 0, "folder": "", "name": "a.csv", "sha256": "0" * 64}
    return NightFile(**{**values, "at": AT, "ending": ending, **facts})


def shown(
    files: Sequence[NightFile], *, night: Night = NIGHT, later: NightFile | None = None
) -> str:
    """The text of one night, in one line."""
    now = {each.sha256: later or each for each in files}
    out = io.StringIO()
    Console(file=out, width=80).print(nights_text([PastNight(night, files, now)], 0))
    return " ".join(out.getvalue().split())


def test_a_night_that_was_cut_off() -> None:
    """It has no end, and what waits is the next night's first work."""
    text = shown([file("waiting")], night=Night(NIGHT.id, AT, None, None))
    assert "2026-07-10 02:00 UTC, running or interrupted waiting a.csv" in text
    assert "a.csv is left for the next night, which begins with it." in text


def test_a_clock_that_went_back() -> None:
    """A night takes no less than no time."""
    assert "UTC, 0.0 s" in shown([], night=Night(NIGHT.id, AT, AT - timedelta(days=1), 0))


def test_what_became_of_a_file_later() -> None:
    """A held file that was released and imported needs nobody any more."""
    later = file("done", night="night-20260711-020000-77aa", at=AT + timedelta(days=1))
    text = shown([file("held", reason="It is odd.")], later=later)
    assert "held a.csv It is odd. done on 2026-07-11 02:00 UTC" in text
    assert "What needs a person" not in text
    assert "importer release INBOX/held/a.csv" in shown([file("held", reason="It is odd.")])


def test_what_was_purged() -> None:
    """The names of old files are gone, and the rest is shown."""
    assert "done acme/(name purged) run r-1" in shown(
        [file("done", name="", folder="acme", run="r-1")]
    )
