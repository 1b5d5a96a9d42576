"""Personalities: documented ways in which a real API may behave, and how the sandbox acts them out.

A specification is a comma-separated list of `NAME` or `NAME:ARGUMENT`:

    lagging-list:3,no-external-id,refuses-with-200:0.2,campaign-draft:camp-2

A share is drawn for each person, so a repeated request for the same person meets the same answer.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from importer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json
    from importer.sandbox.store import JournalEntry

T = TypeVar("T")
Argument = Literal["", "share", "seconds", "hours", "requests", "campaign"]


@dataclass(frozen=True, slots=True)
class Personality:
    """One way in which an API may behave.

    Attributes:
        name: as in `--behave`.
        description: one sentence for help and documentation.
        argument: what `NAME:ARGUMENT` means; empty if it takes none.
        default: the argument if none is given.
    """

    name: str
    description: str
    argument: Argument = ""
    default: str = ""


PERSONALITIES: Final[Mapping[str, Personality]] = {
    each.name: each
    for each in (
        # The list of conversations.
        Personality(
            "lagging-list",
            "The list shows a conversation SECONDS after it was created.",
            "seconds",
            "5",
        ),
        Personality(
            "lagging-by-requests",
            "The list shows a conversation only after REQUESTS more requests for the list.",
            "requests",
            "3",
        ),
        Personality("empty-list", "The list leaves out conversations of the scheduling call."),
        Personality(
            "partial-list-error",
            "The list returns only half of the conversations, with an error beside the data.",
        ),
        Personality(
            "partial-list-more",
            "The list returns only half of the conversations, with hasMore but no token.",
        ),
        Personality(
            "partial-list-206",
            "The list returns only half of the conversations, with status 206.",
        ),
        Personality(
            "page-size-50", "A page of the list has 50 conversations, whatever limit is asked for."
        ),
        # What a conversation shows.
        Personality("no-external-id", "Conversations come without externalId."),
        Personality("masked-phones", "Phone numbers come with only their last four digits."),
        Personality("phones-without-plus", "Phone numbers come without the plus."),
        Personality(
            "local-times",
            "createdAt and updatedAt are local times without a zone, HOURS behind UTC.",
            "hours",
            "5",
        ),
        Personality(
            "clock-behind",
            "The Date header and all times are SECONDS behind our clock.",
            "seconds",
            "600",
        ),
        # How a request to create a conversation is answered.
        Personality(
            "existing-as-200",
            "A duplicate gets 200 and the existing conversation; without the duplicate check, "
            "only if that conversation is older than an hour.",
        ),
        Personality(
            "refuses-with-200",
            "A SHARE of the people gets a refusal with status 200: success false, errors, status "
            "error, or an id beside an error.",
            "share",
            "1",
        ),
        Personality(
            "empty-2xx",
            "A SHARE of the people is accepted, but the response is an empty 200, 202 or 204.",
            "share",
            "1",
        ),
        Personality(
            "one-id-for-all", "The response to every new conversation has the id of the first one."
        ),
        Personality("strict-external-id", "A repeated externalId is refused as a duplicate (409)."),
        Personality(
            "duplicate-words",
            "A SHARE of the people is refused for other reasons, in texts that contain the word "
            'duplicate, or with a 409 "retry later".',
            "share",
            "1",
        ),
        Personality(
            "accepts-then-504",
            "A SHARE of the people is accepted, but the response is 504.",
            "share",
            "1",
        ),
        Personality(
            "accepts-then-503",
            "A SHARE of the people is accepted, but the response is 503 with Retry-After.",
            "share",
            "1",
        ),
        # Campaigns.
        Personality("campaign-draft", "CAMPAIGN, or every one, is a DRAFT.", "campaign"),
        Personality("campaign-archived", "CAMPAIGN, or every one, is ARCHIVED.", "campaign"),
        Personality("campaign-missing", "CAMPAIGN, or every one, does not exist.", "campaign"),
        Personality(
            "no-email-fallback",
            "SMS and WhatsApp campaigns refuse people without a phone number.",
        ),
        # Events that are sent to a webhook.
        Personality("repeated-events", "Every event is sent twice."),
        Personality(
            "late-events",
            "Every other event is sent SECONDS late, so that later ones overtake it.",
            "seconds",
            "1",
        ),
        Personality("base64-signatures", "Events are signed in base64, not in hex."),
    )
}
"""Every personality by its name."""

Answer = tuple[int, bytes, dict[str, str]]
"""Status, body and extra headers."""

OLDER_S: Final = 3_600.0
"""Seconds. `existing-as-200` takes an older conversation for an existing one in any case."""

HIDDEN_HALF: Final = 2
_MAX_NUMBER: Final = 86_400.0


def parse_personalities(specification: str) -> dict[str, str]:
    """Parse a specification; returns name -> argument.

    Raises:
        UsageError: a name is unknown, or an argument is not what the personality takes.
    """
    chosen: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in specification.split(","))):
        name, colon, argument = part.partition(":")
        personality = PERSONALITIES.get(name)
        if personality is None:
            known = ", ".join(PERSONALITIES)
            raise UsageError(f"--behave: unknown personality {name!r}.", f"There are: {known}.")
        argument = argument or personality.default
        error = _argument_error(personality.argument, argument, given=bool(colon))
        if error:
            raise UsageError(f"--behave: {part!r}: {error}.", "See: importer sandbox --help")
        chosen[name] = argument
    return chosen


def _argument_error(kind: Argument, argument: str, *, given: bool) -> str:
    if not kind:
        return "it takes no argument" if given else ""
    if kind == "campaign":
        return ""
    try:
        number = float(argument)
    except ValueError:
        number = -1.0
    most = 1.0 if kind == "share" else _MAX_NUMBER
    return "" if 0 <= number <= most else f"{kind} must be a number from 0 to {most:g}"


class Behaviour:
    """The changes that the chosen personalities make to the sandbox.

    Args:
        specification: as in `--behave`; empty for an honest API.

    Raises:
        UsageError: the specification is invalid.
    """

    def __init__(self, specification: str = "") -> None:
        self._chosen = parse_personalities(specification)

    def __contains__(self, name: str) -> bool:
        return name in self._chosen

    @property
    def clock_offset_s(self) -> float:
        """Seconds to add to every time that the API shows; 0 or negative."""
        return -self._number("clock-behind") if "clock-behind" in self else 0.0

    @property
    def event_delay_s(self) -> float:
        """Seconds by which every other event is late."""
        return self._number("late-events") if "late-events" in self else 0.0

    def page_size(self, limit: int) -> int:
        """Return how many conversations a page has, given the requested number."""
        return 50 if "page-size-50" in self else limit

    def lists(self, entry: JournalEntry, *, age_s: float, requests: float) -> bool:
        """Whether the list shows a conversation.

        Args:
            entry: the conversation.
            age_s: seconds since it was accepted.
            requests: number of list requests since then, including this one.
        """
        if "lagging-list" in self and age_s < self._number("lagging-list"):
            return False
        if "lagging-by-requests" in self and requests <= self._number("lagging-by-requests"):
            return False
        if "empty-list" in self and entry["path"].startswith("/scheduling"):
            return False
        partial = any(name.startswith("partial-list") for name in self._chosen)
        return not (partial and zlib.crc32(entry["id"].encode()) % HIDDEN_HALF)

    def list_answer(self, data: list[Json], token: str | None) -> tuple[int, dict[str, Json]]:
        """Return status and content of a page of the list."""
        content: dict[str, Json] = {"data": data, "nextToken": token}
        if "partial-list-error" in self:
            content["error"] = "some conversations could not be loaded"
        if "partial-list-more" in self:
            content |= {"nextToken": None, "hasMore": True}
        if "partial-list-206" in self:
            return 206, content | {"nextToken": None}
        return 200, content

    def show(self, conversation: dict[str, Json]) -> dict[str, Json]:
        """Return a conversation as this API shows it."""
        shown = dict(conversation)
        if "no-external-id" in self:
            del shown["externalId"]
        phone = shown.get("participantPhoneNumber")
        if isinstance(phone, str):
            if "masked-phones" in self:
                phone = "*" * max(len(phone) - 4, 0) + phone[-4:]
            if "phones-without-plus" in self:
                phone = phone.removeprefix("+")
            shown["participantPhoneNumber"] = phone
        for key in ("createdAt", "updatedAt"):
            shown[key] = self._time(str(shown[key]))
        return shown

    def _time(self, text: str) -> str:
        time = datetime.fromisoformat(text) + timedelta(seconds=self.clock_offset_s)
        if "local-times" in self:
            local = time.replace(tzinfo=None) - timedelta(hours=self._number("local-times"))
            return local.isoformat(timespec="seconds")
        return time.isoformat(timespec="microseconds")

    def campaign(self, name: str, fields: dict[str, Json]) -> dict[str, Json] | None:
        """Return a campaign as this API shows it; None if it does not exist.

        Args:
            name: the id of the campaign.
            fields: the fields as an honest sandbox shows them.
        """
        if self._concerns("campaign-missing", name):
            return None
        for status in ("DRAFT", "ARCHIVED"):
            if self._concerns(f"campaign-{status.lower()}", name):
                fields = {**fields, "campaignStatus": status}
        return {**fields, "emailChannelFallbackEnabled": "no-email-fallback" not in self}

    def refuse(self, body: Mapping[str, Json]) -> Answer | None:
        """Return the answer to a valid body that this API refuses; None if it accepts it."""
        if self._meets("refuses-with-200", body):
            return _json_answer(200, _variant(_REFUSALS_WITH_200, body))
        if self._meets("duplicate-words", body):
            configuration = body.get("meetingConfiguration")
            title = configuration.get("title") if isinstance(configuration, dict) else ""
            status, error = _variant(_DUPLICATE_WORDS, body)
            return _json_answer(status, {"error": error.format(title=title)})
        return None

    def answer(self, body: Mapping[str, Json], conversation: dict[str, Json], first: str) -> Answer:
        """Return the answer to an accepted body.

        Args:
            body: the body of the request.
            conversation: the conversation as the API shows it.
            first: id of the organization's first conversation.
        """
        if self._meets("accepts-then-504", body):
            return _json_answer(504, {"error": "the upstream service did not answer in time"})
        if self._meets("accepts-then-503", body):
            status, content, _ = _json_answer(503, {"error": "the service is overloaded"})
            return status, content, {"retry-after": "1"}
        if self._meets("empty-2xx", body):
            return _variant((200, 202, 204), body), b"", {}
        if "one-id-for-all" in self:
            conversation = {**conversation, "id": first}
        return _json_answer(201, conversation)

    def _number(self, name: str) -> float:
        return float(self._chosen[name])

    def _concerns(self, name: str, campaign: str) -> bool:
        return name in self._chosen and self._chosen[name] in {"", campaign}

    def _meets(self, name: str, body: Mapping[str, Json]) -> bool:
        """Whether the person of a body is among the share of a personality."""
        if name not in self._chosen:
            return False
        drawn = zlib.crc32(f"{name}:{_contact(body)}".encode()) / 2**32
        return drawn < self._number(name)


_REFUSALS_WITH_200: Final[tuple[dict[str, Json], ...]] = (
    {"success": False, "message": "the conversation was not created"},
    {"errors": [{"message": "the conversation was not created"}]},
    {"status": "error", "message": "the conversation was not created"},
    {"id": "conv_not_created", "error": "the conversation was not created"},
)
_DUPLICATE_WORDS: Final = (
    (400, "the meeting template of the campaign 'Duplicate of Sales' has no location"),
    (422, "the title {title!r} is not allowed"),
    (422, "the title 'Duplicate detection engineer' needs a department"),
    (409, "retry later"),
)


def _contact(body: Mapping[str, Json]) -> str:
    return str(body.get("phoneNumber") or body.get("emailAddress") or "")


def _variant(variants: tuple[T, ...], body: Mapping[str, Json]) -> T:
    return variants[zlib.crc32(_contact(body).encode()) % len(variants)]


def _json_answer(status: int, content: Mapping[str, Json]) -> Answer:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return status, text.encode(), {}
