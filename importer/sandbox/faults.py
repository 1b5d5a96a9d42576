"""Faults on request: the `--faults` language, and which fault a request meets.

A specification is a comma-separated list of `[list-|get-]NAME[-before|-after]:SHARE[:NUMBER]`:

    429:0.05,500-after:0.02,reset-before:0.01,stall:0.01:2,list-503:1,optout:0.05

SHARE is the share of requests that meet the fault, from 0 to 1. `-after`: the conversation WAS
accepted (it is in the journal) before the answer goes wrong; `-before`: it was not. Without prefix
the fault affects creating a conversation, with `list-` listing, with `get-` reading one.

    400 ... 599    that status with {"error": ...}; NUMBER: seconds for Retry-After      (-before)
    reset          the connection is reset (RST) instead of an answer                    (-after)
    unread         the connection is reset before the body is read                       (-before)
    close          the connection is closed instead of an answer                         (-after)
    stall          silence for NUMBER seconds (100), then the connection closes          (-after)
    late           silence; the conversation is accepted after NUMBER seconds (1)        (-after)
    slow           the right answer, NUMBER seconds late (1)                             (-after)
    half-header    the answer breaks off within its header                               (-after)
    half-body      the answer breaks off within its body                                 (-after)
    wrong-length   the answer is longer than its Content-Length says                     (-after)
    garbage        bytes that are not HTTP                                               (-after)
    not-json       a 2xx whose body is not JSON                                          (-after)
    html           a 200 with a web page, as proxies send                                (-after)
    empty          a 2xx without a body                                                  (-after)
    no-id          a 2xx whose JSON has no id                                            (-after)
    redirect       a 307 to another host                                                 (-before)
    huge           a 500 with a page of NUMBER megabytes (10)                            (-before)
    loop           a list whose nextToken is always the same                 (list- only, -after)
    lag            a list without the conversations of the last NUMBER seconds (5)  (list-, -after)
    limit          a quota, written limit:NUMBER: 429 above that many requests per second
    optout         the conversation becomes OPTED_OUT after NUMBER seconds (3)
    undelivered    the conversation becomes DELIVERY_FAILED after NUMBER seconds (3)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from importer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Target = Literal["create", "list", "get"]
"""Which requests a fault affects: creating, listing, or reading one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a request fails.

    Attributes:
        name: as in the table of this module; three digits for a status.
        target: requests that meet it.
        after: whether the conversation is accepted before the answer goes wrong.
        share: the share of the requests, 0..1.
        number: seconds, or megabytes for `huge`; None for the default.
    """

    name: str
    target: Target
    after: bool
    share: float
    number: float | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A later status for a share of the conversations.

    Attributes:
        status: the new status.
        share: the share of the conversations, 0..1.
        after_s: seconds after acceptance.
    """

    status: str
    share: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Faults:
    """A parsed specification; `limit_per_s` is in requests per second, 0 for no limit."""

    faults: tuple[Fault, ...] = ()
    status_changes: tuple[StatusChange, ...] = ()
    limit_per_s: int = 0

    def draw(self, target: Target, random: Callable[[], float]) -> Fault | None:
        """Draw the fault that one request meets, or None.

        Args:
            target: kind of request.
            random: returns a number from 0 to 1; called only if the target has faults.
        """
        possible = [fault for fault in self.faults if fault.target == target]
        if not possible:
            return None
        left = random()
        for fault in possible:
            left -= fault.share
            if left < 0:
                return fault
        return None


_AFTER: Final = {  # name -> accepted first, unless the specification says otherwise
    "reset": True,
    "unread": False,
    "close": True,
    "stall": True,
    "late": True,
    "slow": True,
    "half-header": True,
    "half-body": True,
    "wrong-length": True,
    "garbage": True,
    "not-json": True,
    "html": True,
    "empty": True,
    "no-id": True,
    "redirect": False,
    "huge": False,
    "loop": True,
    "lag": True,
}
_ONLY_AFTER: Final = {"no-id", "late", "slow", "loop", "lag"}
_ONLY_BEFORE: Final = {"unread"}
_ONLY_LIST: Final = {"loop", "lag"}
_STATUS: Final = re.compile(r"[45]\d\d", re.ASCII)
_STATUS_CHANGES: Final = {"optout": "OPTED_OUT", "undelivered": "DELIVERY_FAILED"}
_PREFIXES: Final[tuple[tuple[str, Target], ...]] = (("list-", "list"), ("get-", "get"))
_CHANGE_AFTER_S: Final = 3.0
_MAX_NUMBER: Final = 86_400
_LIMIT: Final = "limit:"


def parse_faults(specification: str) -> Faults:
    """Parse a specification; an empty one has no faults.

    Raises:
        UsageError: the syntax is wrong, or the shares add up to more than 1.
    """
    faults: list[Fault] = []
    status_changes: list[StatusChange] = []
    limit_per_s = 0
    for part in specification.replace(" ", "").split(","):
        if not part:
            continue
        if part.startswith(_LIMIT):
            limit_per_s = _limit(part)
            continue
        name, share, number = _fields(part)
        if name in _STATUS_CHANGES:
            after_s = _CHANGE_AFTER_S if number is None else number
            status_changes.append(StatusChange(_STATUS_CHANGES[name], share, after_s))
        else:
            faults.append(_fault(part, name, share, number))
    for target in ("create", "list", "get"):
        _check_sum([fault.share for fault in faults if fault.target == target], target)
    _check_sum([change.share for change in status_changes], "optout and undelivered")
    return Faults(tuple(faults), tuple(status_changes), limit_per_s)


def _limit(part: str) -> int:
    number = part.removeprefix(_LIMIT)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= _MAX_NUMBER):
        raise _wrong(part, f"write limit:NUMBER, from 1 to {_MAX_NUMBER} requests per second")
    return int(number)


def _fields(part: str) -> tuple[str, float, float | None]:
    name, _, rest = part.partition(":")
    text, _, last = rest.partition(":")
    try:
        share, number = float(text), float(last) if last else None
    except ValueError as exc:
        raise _wrong(part, "write NAME:SHARE or NAME:SHARE:NUMBER") from exc
    if not 0 <= share <= 1:
        raise _wrong(part, "the share must be from 0 to 1")
    if number is not None and not 0 <= number <= _MAX_NUMBER:
        raise _wrong(part, f"the number must be from 0 to {_MAX_NUMBER}")
    return name, share, number


def _fault(part: str, name: str, share: float, number: float | None) -> Fault:
    target: Target = "create"
    for prefix, meant in _PREFIXES:
        if name.startswith(prefix):
            name, target = name.removeprefix(prefix), meant
    chosen: bool | None = None
    for suffix, after in (("-before", False), ("-after", True)):
        if name.endswith(suffix):
            name, chosen = name.removesuffix(suffix), after
    if name not in _AFTER and not _STATUS.fullmatch(name):
        known = ", ".join(("429", "500", *_AFTER, "limit", *_STATUS_CHANGES))
        raise _wrong(part, f"unknown fault; the faults are {known}")
    if name in _ONLY_LIST and target != "list":
        raise _wrong(part, f"only listing can fail this way: list-{name}")
    if (name in _ONLY_AFTER and chosen is False) or (name in _ONLY_BEFORE and chosen):
        raise _wrong(part, "this fault cannot happen on that side of the acceptance")
    return Fault(name, target, _AFTER.get(name, False) if chosen is None else chosen, share, number)


def _check_sum(shares: Sequence[float], what: str) -> None:
    if sum(shares) > 1 + 1e-9:
        message = f"The shares of the faults ({what}) add up to more than 1."
        raise UsageError(message, "Lower them: a request meets one fault at most.")


def _wrong(part: str, why: str) -> UsageError:
    return UsageError(
        f"--faults: {part!r}: {why}.", "An example: --faults 429:0.05,reset-after:0.01"
    )
