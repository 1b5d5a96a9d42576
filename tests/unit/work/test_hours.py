"""Nobody is written to while they may be asleep, by their own clock."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from importer.settings import Settings
from importer.work.hours import Zones, find_end, find_start, is_quiet, local_times

LONDON, NEW_YORK = ("Europe/London", "Europe/London"), ("America/New_York", "America/New_York")
SYDNEY = ("Australia/Perth", "Australia/Sydney")
ANY = Settings()


def at(hour: int, minute: int = 0, day: int = 27) -> datetime:
    """Return a time in November 2026, UTC."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zones", "now", "quiet"),
    [
        ({LONDON: 1}, at(7, 59), True),
        ({LONDON: 1}, at(8), False),
        ({LONDON: 1}, at(19, 59), False),
        ({LONDON: 1}, at(20), True),
        ({LONDON: 1, NEW_YORK: 1}, at(12), True),
        ({LONDON: 1, NEW_YORK: 1}, at(13), False),
        ({SYDNEY: 1}, at(23), True),  # 7 o'clock in Perth
        ({SYDNEY: 1}, at(0), False),
    ],
)
def test_quiet_hours(zones: Zones, now: datetime, *, quiet: bool) -> None:
    """Both ends of a country count."""
    assert is_quiet(zones, now) is quiet


@pytest.mark.parametrize(
    ("zones", "now", "start", "end"),
    [
        ({LONDON: 1}, at(9), at(9), at(20)),
        ({LONDON: 1}, at(3), at(8), at(3)),
        ({LONDON: 1, NEW_YORK: 1}, at(21), at(13, day=28), at(21)),
        ({LONDON: 1, NEW_YORK: 1}, at(14), at(14), at(20)),
        ({NEW_YORK: 1, SYDNEY: 1}, at(14), at(0, day=28), at(14)),
    ],
)
def test_when_a_list_starts_and_pauses(
    zones: Zones, now: datetime, start: datetime, end: datetime
) -> None:
    """The first time that suits everybody, and the first at which somebody's evening begins."""
    assert find_start(zones, now, ANY) == start
    assert find_end(zones, now, ANY) == end


def test_a_list_around_the_globe_has_no_hour() -> None:
    """An operator has to allow it, or the list is split."""
    zones = {LONDON: 1, NEW_YORK: 1, ("Asia/Tokyo", "Asia/Tokyo"): 1}
    assert find_start(zones, at(9), ANY) is None


def test_the_hours_of_the_settings_count_too() -> None:
    """They can only make the time shorter."""
    settings = Settings(send_between="10:00-12:00", timezone="Europe/London")
    assert find_start({LONDON: 1}, at(8), settings) == at(10)
    assert find_end({LONDON: 1}, at(10), settings) == at(12)


def test_what_is_shown_by_the_clocks_of_the_people() -> None:
    """The first and the last of each zone, and how many are written to too late."""
    people = pl.DataFrame([[*LONDON]] * 61 + [[*NEW_YORK]], schema=["west", "east"], orient="row")
    london, new_york = local_times(people, at(19, 30), rate_per_s=1 / 60)
    assert (london.zone, london.people, london.quiet) == ("London", 61, 31)
    assert (f"{london.first:%H:%M}", f"{london.last:%H:%M}") == ("19:30", "20:30")
    assert (new_york.zone, f"{new_york.first:%H:%M}", new_york.quiet) == ("New York", "15:31", 0)
