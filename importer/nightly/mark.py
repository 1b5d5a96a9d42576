"""The mark of an inbox: which ledger knows who was contacted from it. What it says and means.

Two ledgers know nothing of each other, so a list that is sent again would reach people twice if it
met another ledger than the first time. The first night of an inbox puts a mark there, and every
night after it goes on only with the ledger that the mark names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = ".importer-ledger"
LONGEST: Final = 4096
"""Bytes of a mark; whatever is longer is none."""

_SHORT: Final = 8
_WORDS: Final = """\
# importer put this here. Who was contacted from this folder stands in one ledger, and only with
# that ledger may files be imported from it: set `ledger:` in importer.yaml to it. If it is lost for
# good, nobody knows who was contacted; removing this file lets another ledger take over.
"""
_LINES: Final = re.compile(
    r"ledger: ([0-9a-f]{32})\s+since: (\d{4}-\d\d-\d\d)(?:\s+night: ([\w-]{1,80}))?\s*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark says.

    Attributes:
        ledger: id of the ledger that the folder belongs to.
        since: UTC.
        night: id of the last one that worked there; empty before the first, and in a subfolder.
    """

    ledger: str
    since: date
    night: str = ""


def text_of(mark: Mark) -> bytes:
    """The mark as a file."""
    night = f"night: {mark.night}\n" if mark.night else ""
    return f"{_WORDS}ledger: {mark.ledger}\nsince: {mark.since:%Y-%m-%d}\n{night}".encode()


def mark_of(raw: bytes) -> Mark | None:
    """What a file says; None where it is no whole mark."""
    try:
        lines = raw.decode("ascii").splitlines()
        found = _LINES.fullmatch("\n".join(line for line in lines if not line.startswith("#")))
        if found is None:
            return None
        return Mark(found[1], date.fromisoformat(found[2]), found[3] or "")
    except ValueError:
        return None


def short(ledger: str) -> str:
    """As much of a ledger's id as a person needs to tell two apart."""
    return ledger[:_SHORT]


def belongs(mark: Mark | None) -> str:
    """What a mark that was judged says, as part of a sentence."""
    if mark is None:
        return "it belongs to no ledger yet, and the first night marks it"
    return f"it belongs to this ledger, {short(mark.ledger)}, since {mark.since:%Y-%m-%d}"


def judged(
    raw: bytes | None, ledger: str, called: str, place: str, knows: Callable[[str], bool]
) -> Mark | None:
    """Whether files of a folder may be imported with a ledger.

    Args:
        raw: what lies there as its mark; None for nothing.
        ledger: id; empty for one that is not there yet.
        called: the ledger for a person.
        place: the folder for a person.
        knows: whether that ledger was there in a night.

    Returns:
        The mark; None where the folder belongs to nobody yet.

    Raises:
        ConfigurationError: it belongs to another ledger, or nobody can tell to which, or the ledger
            is a copy from before the last night.
    """
    if raw is None:
        return None
    mark = mark_of(raw)
    if mark is None:
        raise ConfigurationError(
            f"Nobody can tell which ledger {place} belongs to: its mark {place}/{NAME} is damaged.",
            "Restore it from a backup. If `ledger:` names the ledger that was always used here, "
            "remove it: the next night writes it anew.",
        )
    if mark.ledger != ledger:
        other = f"which is {short(ledger)}" if ledger else "which is not there yet"
        raise ConfigurationError(
            f"{place} belongs to ledger {short(mark.ledger)} since {mark.since:%Y-%m-%d}, "
            f"and not to {called}, {other}.",
            "Name that ledger in `ledger:` (IMPORTER_LEDGER and --ledger go before it); `importer "
            "doctor` shows a ledger's id. If it is lost for good: no other one knows who was "
            "contacted from here, and would contact them again where a list comes again; "
            f"removing {place}/{NAME} lets this one take over.",
        )
    if mark.night and not knows(mark.night):
        raise ConfigurationError(
            f"{called} is an older copy: it knows nothing of {mark.night}, which worked on {place} "
            "with this ledger, nor of whom it contacted.",
            "Let only the newest copy work, wherever it lies. If there is no other one: whoever "
            "was contacted since would be contacted again where a list comes again; removing "
            f"{place}/{NAME} lets this copy go on.",
        )
    return mark
