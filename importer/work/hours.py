"""The local times of candidates, and the hours in which they may be contacted.

Nobody is contacted before 8 in the morning or after 8 in the evening. A phone number may have
several time zones; then the westernmost and the easternmost one count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
import polars as pl
from phonenumbers.timezone import time_zones_for_number

from importer.nightly.clock import sending_end, sending_start
from schemas.columns import GROUP, ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.model import Plan
    from importer.settings import Settings


MORNING, EVENING = 8, 20
"""Nobody is contacted before or after these hours, local time."""

Zones = dict[tuple[str, str], int]
"""Westernmost and easternmost time zone of people -> how many people."""

_STEP: Final = timedelta(minutes=5)
_AHEAD: Final = timedelta(hours=48)
_PREFIX: Final = 8
_UNKNOWN: Final = "Etc/Unknown"


def local_zones(plan: Plan, settings: Settings) -> pl.DataFrame:
    """Return `west` and `east` for each ready row of a plan, in its order.

    The phone decides, else the country, else the meeting's time zone, else the settings'.
    """
    frame = plan.frame
    by_prefix = _by_prefix(frame["phone_number"])
    by_country = {each: _of_country(each) for each in frame["country"].drop_nulls().unique()}
    by_group = [
        _zone(group.meeting_configuration.get("timezone"), settings) for group in plan.groups
    ]
    found = []
    for phone, country, group in frame.select("phone_number", "country", GROUP).iter_rows():
        ends = by_prefix.get((phone or "")[:_PREFIX]) or by_country.get(country or "")
        found.append(ends or (by_group[group], by_group[group]))
    return pl.DataFrame(
        {ROW: frame[ROW], "west": [west for west, _ in found], "east": [east for _, east in found]},
        schema={ROW: pl.UInt32, "west": pl.String, "east": pl.String},
    )


def _by_prefix(phones: pl.Series) -> dict[str, tuple[str, str]]:
    """Return the ends for each beginning of a number, from one number that has it."""
    numbers = phones.drop_nulls().to_frame("phone")
    first = numbers.group_by(pl.col("phone").str.slice(0, _PREFIX).alias("prefix")).first()
    found = {}
    for prefix, phone in first.select("prefix", "phone").iter_rows():
        ends = _ends(time_zones_for_number(phonenumbers.parse(phone)))
        if ends is not None:
            found[prefix] = ends
    return found


def _of_country(country: str) -> tuple[str, str] | None:
    kind = phonenumbers.PhoneNumberType.MOBILE
    example = phonenumbers.example_number_for_type(country, kind)
    return None if example is None else _ends(time_zones_for_number(example))


def _ends(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the westernmost and the easternmost of some zones."""
    now = datetime.now(UTC)
    known = [name for name in names if name != _UNKNOWN and name in available_timezones()]
    if not known:
        return None
    order = sorted(known, key=lambda name: (now.astimezone(ZoneInfo(name)).utcoffset(), name))
    return order[0], order[-1]


def _zone(name: object, settings: Settings) -> str:
    return name if isinstance(name, str) and name in available_timezones() else settings.timezone


def count_zones(people: pl.DataFrame) -> Zones:
    """Count people by the zones they may be in."""
    counted = people.group_by("west", "east").len().sort("len", "west", descending=[True, False])
    return {(west, east): count for west, east, count in counted.iter_rows()}


def is_quiet(zones: Iterable[tuple[str, str]], at: datetime) -> bool:
    """Whether it is too early or too late for somebody."""
    every = {name for ends in zones for name in ends}
    return any(not MORNING <= at.astimezone(ZoneInfo(name)).hour < EVENING for name in every)


def find_start(zones: Zones, now: datetime, settings: Settings) -> datetime | None:
    """Return when sending may start, now or later; None if no hour suits everybody.

    Args:
        zones: the zones of the people.
        now: UTC.
        settings: `send_between`.
    """
    at = sending_start(settings, now)
    while at <= now + _AHEAD:
        if not is_quiet(zones, at):
            return at
        at = sending_start(settings, _next_step(at))
    return None


def find_end(zones: Zones, now: datetime, settings: Settings) -> datetime:
    """Return when sending must end, because it becomes too late for the first people."""
    closes = sending_end(settings, now)
    at = now
    while at < min(closes, now + _AHEAD) and not is_quiet(zones, at):
        at = _next_step(at)
    return min(at, closes)


def _next_step(at: datetime) -> datetime:
    """Return the next time at which a clock somewhere may show a full hour."""
    whole = at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)
    return whole + _STEP


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """The local times at which people of some zones are contacted.

    Attributes:
        zone: the zone of their clock.
        people: how many.
        first: local time of the first of them.
        last: local time of the last of them.
        quiet: how many of them would be contacted too early or too late.
    """

    zone: str
    people: int
    first: datetime
    last: datetime
    quiet: int


def local_times(
    people: pl.DataFrame, start: datetime, rate_per_s: float, most: int = 12
) -> Sequence[LocalTimes]:
    """Return when people are contacted in local time, the largest zones first.

    Args:
        people: `west` and `east` of each, in the order of sending.
        start: UTC.
        rate_per_s: how many people are contacted in a second.
        most: zones that are returned.
    """
    if not people.height:
        return ()
    placed = people.with_row_index("#at").with_columns(
        (pl.lit(start) + pl.duration(milliseconds=(pl.col("#at") * (1000 / rate_per_s)))).alias(
            "at"
        )
    )
    found = []
    for (west, east), part in placed.group_by("west", "east", maintain_order=True):
        clocks = {str(west), str(east)}
        hours = [pl.col("at").dt.convert_time_zone(name).dt.hour() for name in sorted(clocks)]
        quiet = pl.any_horizontal((hour < MORNING) | (hour >= EVENING) for hour in hours)
        at: list[datetime] = part["at"].to_list()
        zone = ZoneInfo(str(west))
        found.append(
            LocalTimes(
                _label(str(west), str(east)),
                part.height,
                at[0].astimezone(zone),
                at[-1].astimezone(zone),
                int(part.select(quiet.sum()).item()),
            )
        )
    return sorted(found, key=lambda each: -each.people)[:most]


def _label(west: str, east: str) -> str:
    names = dict.fromkeys(name.rpartition("/")[2].replace("_", " ") for name in (west, east))
    return " – ".join(names)
