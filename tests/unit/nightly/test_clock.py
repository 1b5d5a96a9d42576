"""When a night may send, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from importer.nightly.clock import MAX_NIGHT, local_date, night_end, sending_end, sending_start
from importer.settings import Settings

LONDON = {"timezone": "Europe/London", "send_between": "08:00-20:00"}


def at(text: str) -> datetime:
    """Return a time of July 2026, UTC; London is an hour ahead of it."""
    return datetime.fromisoformat(f"2026-07-{text}:00+00:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opening"),
    [("10 06:59", "10 07:00"), ("10 07:00", "10 07:00"), ("10 18:59", "10 18:59"),
     ("10 19:00", "11 07:00"), ("10 23:30", "11 07:00")],
)  # fmt: skip
def test_it_opens_by_the_clock_of_the_zone(now: str, opening: str) -> None:
    """Within the hours at once, else at the next opening."""
    assert sending_start(Settings.model_validate(LONDON), at(now)) == at(opening)


def test_it_closes_by_the_clock_of_the_zone() -> None:
    """Eight in the evening in London is seven in UTC."""
    assert sending_end(Settings.model_validate(LONDON), at("10 12:00")) == at("10 19:00")


@pytest.mark.parametrize(("now", "is_open"), [("10 23:00", True), ("10 02:00", True),
                                             ("10 12:00", False)])  # fmt: skip
def test_hours_over_midnight(now: str, is_open: bool) -> None:  # noqa: FBT001
    """They are open late and early."""
    settings = Settings(send_between="22:00-06:00")
    assert (sending_start(settings, at(now)) == at(now)) is is_open


def test_a_rehearsal_waits_for_no_hour() -> None:
    """It contacts nobody, and a night that waits until the morning looks like one that hangs."""
    settings = Settings.model_validate(
        {**LONDON, "rehearsal": True, "base_url": "http://127.0.0.1:8765/v1"}
    )
    assert sending_start(settings, at("10 23:30")) == at("10 23:30")
    assert sending_end(settings, at("10 12:00")) > at("11 12:00")


def test_without_hours_it_is_always_open() -> None:
    """Nothing closes within a year."""
    assert sending_start(Settings(), at("10 03:00")) == at("10 03:00")
    assert sending_end(Settings(), at("10 03:00")) > at("10 03:00") + timedelta(days=365)


def test_the_deadline() -> None:
    """It is the next such time, or twelve hours after the start."""
    assert night_end(Settings(), at("10 02:00")) == at("10 02:00") + MAX_NIGHT
    assert night_end(Settings(deadline="06:00"), at("10 02:00")) == at("10 06:00")
    assert night_end(Settings(deadline="06:00"), at("10 06:00")) == at("11 06:00")


def test_the_date_is_that_of_the_zone() -> None:
    """Half past eleven in the evening is tomorrow in London."""
    assert local_date(Settings(timezone="Europe/London"), at("10 23:30")) == "2026-07-11"


@pytest.mark.parametrize(
    "wrong",
    [{"send_between": "8-20"}, {"send_between": "08:00-08:00"}, {"deadline": "24:00"},
     {"timezone": "London"}, {"max_rejected_share": "-1"}, {"smtp": "a b"}],
)  # fmt: skip
def test_what_is_no_time_is_refused(wrong: dict[str, str]) -> None:
    """The settings say so before a night begins."""
    with pytest.raises(ValueError, match=r"must be|valid number|greater"):
        Settings.model_validate(wrong)


def test_a_share_may_be_written_as_a_percentage() -> None:
    """`5%` is 0.05."""
    assert Settings.model_validate({"max_rejected_share": "5%"}).max_rejected_share == 0.05
