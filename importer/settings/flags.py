"""Which settings each command takes as flags: for its own options, and for commands it proposes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_READING: Final = (
    "ledger",
    "templates",
    "default_country",
    "campaign",
    "external_campaign",
    "meeting",
    "participants",
    "round",
    "encoding",
    "sheet",
)
_KNOWN: Final = (
    "contact_window_days",
    "allow_recent",
    "allow_shared_contact",
    "retry_rejected",
)
_SENDING: Final = (
    "base_url",
    "rate_per_s",
    "concurrency",
    "canary",
    "max_failures",
    "max_failures_in_a_row",
    *_KNOWN,
    "attempts",
    "settle_s",
)
_HOURS: Final = ("quiet_s", "timezone", "send_between", "deadline", "grace_s")

FLAGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "columns": ("encoding", "sheet"),
        "check": (*_READING, *_KNOWN),
        "run": (*_READING, "new_ledger", "on_problems", *_SENDING),
        "resume": (*_READING, *_SENDING),
        "reconcile": ("ledger", "base_url", "rate_per_s", "settle_s"),
        "refresh": ("ledger", "base_url", "rate_per_s"),
        "resolve": ("ledger",),
        "runs": ("ledger",),
        "results": ("ledger",),
        "purge": ("ledger",),
        "backup": ("ledger",),
        "nightly": (
            *("ledger", "base_url", "rate_per_s", "concurrency"),
            *(*_HOURS, "log_file", "metrics_file", "new_ledger"),
        ),
        "release": ("ledger",),
        "doctor": ("ledger", "base_url"),
    }
)
"""Command -> names of settings, in the order of its help."""
