"""The rate of all senders together, on a server: permits on the database's clock.

Permits follow the generic cell rate algorithm: each is due one interval after the one before. They
are reserved one by one, a little under the rate, and a sender uses its permit within `LATE_S` of
its time or takes another one. So no second has more requests than the rate allows:
(1 s + LATE_S) x RESERVED x rate is less than the rate.

After a 429 on one machine all machines wait, and the rate of all is halved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from importer.ledger.database import Database


RESERVED: Final = 0.96
"""The part of the rate that is given out."""

LATE_S: Final = 0.02
"""A permit that is later than this is not used."""

_RECOVERY_S: Final = 60.0
"""How long a halved rate takes to grow to what it was, if it was halved from the full rate."""

_FLOOR: Final = 1 / 64
"""Halving stops at this part of the full rate."""

_ALL: Final = "requests"
"""The name of the one rate of a ledger: it belongs to one API and one organization."""

_MAKE: Final = text(
    "INSERT INTO rates (name, next_at, rate, grown_at, step_s) VALUES"
    " (:name, clock_timestamp(), :full, clock_timestamp(), 0) ON CONFLICT DO NOTHING"
)
# The columns are read once the row is locked, so that two senders never get one time.
_RESERVE: Final = text("""
    UPDATE rates SET
        rate = least(CAST(:full AS float8), rate + :growth * greatest(0,
            extract(epoch FROM clock_timestamp() - greatest(grown_at, held_until)))),
        grown_at = greatest(grown_at, clock_timestamp()),
        step_s = greatest(1 / (rate * :reserved),
            CASE WHEN quota_until > clock_timestamp() THEN quota_s ELSE 0 END),
        next_at = greatest(next_at, held_until,
            clock_timestamp() + make_interval(secs => :ahead)) + make_interval(secs =>
            greatest(1 / (rate * :reserved),
            CASE WHEN quota_until > clock_timestamp() THEN quota_s ELSE 0 END))
    WHERE name = :name
    RETURNING rate,
        extract(epoch FROM next_at - make_interval(secs => step_s) - clock_timestamp())
""")
_HELD: Final = text(
    "SELECT greatest(extract(epoch FROM held_until - clock_timestamp()), 0)"
    " FROM rates WHERE name = :name"
)
_HOLD: Final = text(
    "UPDATE rates SET"
    " held_until = greatest(held_until, clock_timestamp() + make_interval(secs => :seconds)),"
    " rate = CASE WHEN :halve AND (halved_at IS NULL OR clock_timestamp()"
    "   - make_interval(secs => :age) > halved_at)"
    "   THEN greatest(rate / 2, :floor) ELSE rate END,"
    " halved_at = CASE WHEN :halve AND (halved_at IS NULL OR clock_timestamp()"
    "   - make_interval(secs => :age) > halved_at)"
    "   THEN clock_timestamp() ELSE halved_at END,"
    " grown_at = clock_timestamp() WHERE name = :name"
)
_QUOTA: Final = text(
    "UPDATE rates SET quota_s = :interval,"
    " quota_until = clock_timestamp() + make_interval(secs => :seconds) WHERE name = :name"
)


@dataclass(frozen=True, slots=True)
class ReservedPermit:
    """A permit that was reserved.

    Attributes:
        wait_s: seconds until its time.
        rate: present number of permits a second.
    """

    wait_s: float
    rate: float


class LedgerRates:
    """The rate in the database of a server's ledger. Each method is one transaction.

    Args:
        database: open.
        full: permits a second, as the settings say.

    Raises:
        LedgerError: from every method, if the database fails.
    """

    def __init__(self, database: Database, full: float) -> None:
        self._database = database
        self._full = full
        self._made = False

    def reserve(self, ahead_s: float = 0.0) -> ReservedPermit:
        """Reserve the next permit of all.

        Args:
            ahead_s: its time is at least this far away, because the sender needs so long to use it.
        """
        given = {
            "name": _ALL,
            "ahead": ahead_s,
            "full": self._full,
            "growth": self._full / _RECOVERY_S,
            "reserved": RESERVED,
        }
        if not self._made:
            new = {"name": _ALL, "full": self._full}
            self._database.write_autocommit("rate", _MAKE, new)
            self._made = True
        [row] = self._database.write_autocommit("permit", _RESERVE, given)
        return ReservedPermit(wait_s=float(row[1]), rate=float(row[0]))

    def held_s(self) -> float:
        """Return the seconds until no hold is on."""
        [row] = self._database.execute_autocommit(_HELD, {"name": _ALL}) or [(0.0,)]
        return float(row[0] or 0.0)

    def hold(self, seconds: float, permit_age_s: float | None = None) -> None:
        """Let all senders wait.

        Args:
            seconds: the time to wait.
            permit_age_s: halve the rate as well, unless it was halved after the permit of this age.
        """
        given = {
            "name": _ALL,
            "seconds": seconds,
            "halve": permit_age_s is not None,
            "age": permit_age_s or 0.0,
            "floor": self._full * _FLOOR,
        }
        self._database.write_autocommit("hold", _HOLD, given)

    def spread(self, interval_s: float, seconds: float) -> None:
        """Give permits at most so often, for some seconds, so that a quota lasts."""
        given = {"name": _ALL, "interval": interval_s, "seconds": seconds}
        self._database.write_autocommit("quota", _QUOTA, given)
