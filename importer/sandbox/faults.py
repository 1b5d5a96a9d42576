"""Faults on request: the language of `--faults`, and the draw of one for each request.

A specification is a comma-separated list of `[list-|get-]NAME[-before|-after]:SHARE[:NUMBER]`:

    429:0.05,500-after:0.02,reset-before:0.01,stall:0.01:2,list-503:1,optout:0.05

SHARE is the part of the requests that meet the fault, from 0 to 1. `-after`: the conversation WAS
accepted (it is in the journal), then the answer goes wrong; `-before`: it was not. Without prefix a
fault is met by creating a conversation, with `list-` by listing, with `get-` by reading one.

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
    html           a 200 with a web page, as proxies send it                             (-after)
    empty          a 2xx without a body                                                  (-after)
    no-id          a 2xx whose JSON has no id                                            (-after)
    redirect       a 307 to another host                                                 (-before)
    huge           a 500 with a page of NUMBER megabytes (10)                            (-before)
    loop           a list whose nextToken is always the same                 (list- only, -after)
    lag            a list without the conversations of the last NUMBER seconds (5)  (list-, -after)
    limit          a quota, written limit:NUMBER: more than so many requests in a second meet 429
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
"""Which requests meet a fault: creating, listing, or reading one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for a request to go wrong.

    Attributes:
        name: as in the table of this module; a status is its three digits.
        target: which requests meet it.
        after: the conversation is accepted before the answer goes wrong.
        share: of the requests, 0..1.
        number: seconds, or megabytes for `huge`; None for the default.
    """

    name: str
    target: Target
    after: bool
    share: float
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """How a share of the conversations ends.

    Attributes:
        status: of the API.
        share: of the conversations, 0..1.
        after_s: seconds after it was accepted.
    """

    status: str
    share: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that a specification asks for; the limit is in requests per second, 0 for none."""

    faults: tuple[Fault, ...] = ()
    fates: tuple[Fate, ...] = ()
    limit_per_s: int = 0

    def draw(self, target: Target, random: Callable[[], float]) -> Fault | None:
        """The fault that one request meets, or None; one random number is taken if any could be.

        Args:
            target: what the request does.
            random: a number from 0 to 1, as `random.Random(seed).random`.
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


_AFTER: Final = {  # name -> the conversation is accepted, unless the specification says otherwise
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
_FATES: Final = {"optout": "OPTED_OUT", "undelivered": "DELIVERY_FAILED"}
_PREFIXES: Final[tuple[tuple[str, Target], ...]] = (("list-", "list"), ("get-", "get"))
_FATE_AFTER_S: Final = 3.0
_MAX_NUMBER: Final = 86_400
_LIMIT: Final = "limit:"


def parse(specification: str) -> Faults:
    """What a specification asks for; an empty one asks for nothing.

    Raises:
        UsageError: it does not follow the language of this module, or shares exceed 1 together.
    """
    faults: list[Fault] = []
    fates: list[Fate] = []
    limit_per_s = 0
    for part in specification.replace(" ", "").split(","):
        if not part:
            continue
        if part.startswith(_LIMIT):
            limit_per_s = _limit(part)
            continue
        name, share, number = _fields(part)
        if name in _FATES:
            after_s = _FATE_AFTER_S if number is None else number
            fates.append(Fate(_FATES[name], share, after_s))
        else:
            faults.append(_fault(part, name, share, number))
    for target in ("create", "list", "get"):
        _check_sum([fault.share for fault in faults if fault.target == target], target)
    _check_sum([fate.share for fate in fates], "optout and undelivered")
    return Faults(tuple(faults), tuple(fates), limit_per_s)


def _limit(part: str) -> int:
    """The requests per second of a quota."""
    number = part.removeprefix(_LIMIT)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= _MAX_NUMBER):
        raise _wrong(part, f"write limit:NUMBER, from 1 to {_MAX_NUMBER} requests a second")
    return int(number)


def _fields(part: str) -> tuple[str, float, float | None]:
    """Name, share and number of one part."""
    name, _, rest = part.partition(":")
    text, _, last = rest.partition(":")
    try:
        share, number = float(text), float(last) if last else None
    except ValueError as exc:
        raise _wrong(part, "write NAME:SHARE or NAME:SHARE:NUMBER") from exc
    if not 0 <= share <= 1:
        raise _wrong(part, "the share goes from 0 to 1")
    if number is not None and not 0 <= number <= _MAX_NUMBER:
        raise _wrong(part, f"the number goes from 0 to {_MAX_NUMBER}")
    return name, share, number


def _fault(part: str, name: str, share: float, number: float | None) -> Fault:
    """A fault from its fields."""
    target: Target = "create"
    for prefix, meant in _PREFIXES:
        if name.startswith(prefix):
            name, target = name.removeprefix(prefix), meant
    said: bool | None = None
    for suffix, after in (("-before", False), ("-after", True)):
        if name.endswith(suffix):
            name, said = name.removesuffix(suffix), after
    if name not in _AFTER and not _STATUS.fullmatch(name):
        known = ", ".join(("429", "500", *_AFTER, "limit", *_FATES))
        raise _wrong(part, f"no fault has this name; there are {known}")
    if name in _ONLY_LIST and target != "list":
        raise _wrong(part, f"only a list can do this: list-{name}")
    if (name in _ONLY_AFTER and said is False) or (name in _ONLY_BEFORE and said):
        raise _wrong(part, "this fault cannot stand on that side of the acceptance")
    return Fault(name, target, _AFTER.get(name, False) if said is None else said, share, number)


def _check_sum(shares: Sequence[float], what: str) -> None:
    """Refuses shares that exceed the whole."""
    if sum(shares) > 1 + 1e-9:
        message = f"The shares of the faults ({what}) exceed 1 together."
        raise UsageError(message, "Lower them: each request meets one fault at most.")


def _wrong(part: str, why: str) -> UsageError:
    """The refusal of a part of a specification."""
    return UsageError(
        f"--faults: {part!r}: {why}.", "An example: --faults 429:0.05,reset-after:0.01"
    )
