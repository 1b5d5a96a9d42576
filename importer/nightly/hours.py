"""When a night may send, and when it ends; pure functions of times with a zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from importer.settings import Settings

LONGEST: Final = timedelta(hours=12)
"""How long a night lasts where the settings name no deadline."""

_NEVER: Final = timedelta(days=3_650)


def deadline(settings: Settings, started: datetime) -> datetime:
    """When a night that started then ends, UTC."""
    if settings.deadline is None:
        return started + LONGEST
    return _next(settings.deadline, ZoneInfo(settings.timezone), started)


def opens(settings: Settings, now: datetime) -> datetime:
    """From when on people may be written to: now, or the next opening, UTC."""
    if settings.send_between is None or _open(settings, now):
        return now
    return _next(settings.send_between.split("-")[0], ZoneInfo(settings.timezone), now)


def closes(settings: Settings, now: datetime) -> datetime:
    """Until when people may be written to, if they may now, UTC."""
    if settings.send_between is None:
        return now + _NEVER
    return _next(settings.send_between.split("-")[1], ZoneInfo(settings.timezone), now)


def date_of(settings: Settings, now: datetime) -> str:
    """What the folder of a day is called."""
    return f"{now.astimezone(ZoneInfo(settings.timezone)):%Y-%m-%d}"


def _open(settings: Settings, now: datetime) -> bool:
    start, end = (settings.send_between or "").split("-")
    clock = f"{now.astimezone(ZoneInfo(settings.timezone)):%H:%M}"
    return start <= clock < end if start < end else clock >= start or clock < end


def _next(clock: str, zone: ZoneInfo, after: datetime) -> datetime:
    """The next moment, later than `after`, when a clock in the zone shows this time."""
    here = after.astimezone(zone)
    for days in range(3):
        day = here.date() + timedelta(days=days)
        then = datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)
        if then > after:
            return then
    raise AssertionError("every clock shows every time within two days")
