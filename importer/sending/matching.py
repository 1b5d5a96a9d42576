"""Is a conversation of the list the one that a doubtful submission asked for? Pure.

The same externalId in the same campaign is it, where the list shows no earlier time of creation.
Where it shows no externalId, the same person in the same campaign, created since the request
left, is it. Whatever could be it, but is not certain to, keeps the submission doubtful.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from importer.sending.responses import text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from importer.model import Json


CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far the API's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission of which nobody knows whether it was accepted.

    Attributes:
        key: of the submission.
        external_id: that the request carried.
        campaign: campaignId, or externalCampaignId where there was no other.
        person: keyed hash of the person.
        sent_at: when the last request left; with a zone.
        ended_at: when we gave it up, or found it given up after a crash; the API may have gone on
            with it for some time after. None counts as `sent_at`.
    """

    key: str
    external_id: str
    campaign: str
    person: str
    sent_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedConversation:
    """What the list shows of one conversation, without personal data.

    Attributes:
        conversation_id: None where it shows none.
        external_id: None where it shows none.
        campaign: campaignId, or None.
        external_campaign: externalCampaignId, or None.
        persons: keyed hashes of its phone and of its e-mail.
        created_at: None where it shows none that can be read.
    """

    conversation_id: str | None
    external_id: str | None
    campaign: str | None
    external_campaign: str | None
    persons: frozenset[str]
    created_at: datetime | None

    @property
    def opaque(self) -> bool:
        """Whether nothing tells whose conversation it is."""
        return self.external_id is None and not self.persons


class Match(Enum):
    """How sure it is that a conversation is the one asked for."""

    NO = 0
    POSSIBLE = 1
    CERTAIN = 2


def shown(
    conversation: Mapping[str, Json], person: Callable[[str | None, str | None], str]
) -> ListedConversation:
    """What counts of a conversation.

    Args:
        conversation: as the API shows it.
        person: keyed hash of a person, given the phone or else the e-mail.
    """
    phone = text_at(conversation, "participantPhoneNumber")
    email = text_at(conversation, "participantEmailAddress")
    persons = set()
    if phone is not None:
        persons.add(person(re.sub(r"[^0-9+]", "", phone), None))
    if email is not None:
        persons.add(person(None, email))
    return ListedConversation(
        conversation_id=id_of(conversation),
        external_id=text_at(conversation, "externalId"),
        campaign=text_at(conversation, "campaignId"),
        external_campaign=text_at(conversation, "externalCampaignId"),
        persons=frozenset(persons),
        created_at=_time(text_at(conversation, "createdAt")),
    )


def id_of(conversation: Mapping[str, Json]) -> str | None:
    """The id of a conversation as the list shows it."""
    return text_at(conversation, "id") or text_at(conversation, "conversationId")


class Evidence:
    """Gathers, page by page, what the list has to say of the doubtful ones.

    Args:
        doubts: all of them.
        person: keyed hash of a person, given the phone or else the e-mail.
    """

    def __init__(
        self, doubts: Sequence[Doubt], person: Callable[[str | None, str | None], str]
    ) -> None:
        self._person = person
        self._by_external_id: defaultdict[str, list[Doubt]] = defaultdict(list)
        self._by_person: defaultdict[str, list[Doubt]] = defaultdict(list)
        for doubt in doubts:
            self._by_external_id[doubt.external_id].append(doubt)
            self._by_person[doubt.person].append(doubt)
        self._campaigns = {doubt.campaign for doubt in doubts}
        self._ids_seen: set[str] = set()  # which of those campaigns are campaignIds
        self._external_seen: set[str] = set()
        self._sightings: dict[str, list[ListedConversation]] = {doubt.key: [] for doubt in doubts}
        self._opaque_until: datetime | None = None

    def note(self, conversations: Iterable[Mapping[str, Json]]) -> None:
        """Take in one page."""
        for conversation in conversations:
            seen = shown(conversation, self._person)
            self._ids_seen |= self._campaigns & {seen.campaign}
            self._external_seen |= self._campaigns & {seen.external_campaign}
            if seen.opaque:
                latest = seen.created_at or datetime.max.replace(tzinfo=UTC)
                self._opaque_until = max(self._opaque_until or latest, latest)
            candidates = {
                doubt.key: doubt
                for doubt in (
                    *self._by_external_id.get(seen.external_id or "", ()),
                    *(each for one in seen.persons for each in self._by_person.get(one, ())),
                )
            }
            for key in candidates:
                self._sightings[key].append(seen)

    def certain(self, doubt: Doubt) -> list[ListedConversation]:
        """The conversations that are the one asked for, the first created first."""
        found = [
            seen
            for seen in self._sightings[doubt.key]
            if self._likeness(doubt, seen) is Match.CERTAIN and not self._claimed(doubt, seen)
        ]
        return sorted(found, key=lambda seen: seen.created_at or doubt.sent_at)

    def possible(self, doubt: Doubt) -> list[ListedConversation]:
        """The conversations that may be it."""
        sightings = self._sightings[doubt.key]
        return [s for s in sightings if self._likeness(doubt, s) is not Match.NO]

    def blind_for(self, doubt: Doubt) -> bool:
        """Whether the list shows a conversation of that time that nobody can put to a person."""
        until = self._opaque_until
        return until is not None and until >= doubt.sent_at - CLOCK_SKEW

    def _likeness(self, doubt: Doubt, seen: ListedConversation) -> Match:
        return match_conversation(doubt, seen, self._same_campaign(doubt, seen))

    def _same_campaign(self, doubt: Doubt, seen: ListedConversation) -> bool | None:
        """Whether the campaigns are the same; None where the list does not tell."""
        if doubt.campaign in {seen.campaign, seen.external_campaign}:
            return True
        if doubt.campaign in self._ids_seen and seen.campaign is not None:
            return False
        if doubt.campaign in self._external_seen and seen.external_campaign is not None:
            return False
        both = seen.campaign is not None and seen.external_campaign is not None
        return False if both else None

    def _claimed(self, doubt: Doubt, seen: ListedConversation) -> bool:
        """Whether another doubtful submission has as good a claim to a conversation."""
        return any(
            other.key != doubt.key and self._likeness(other, seen) is Match.CERTAIN
            for other in (
                *self._by_external_id.get(seen.external_id or "", ()),
                *(each for one in seen.persons for each in self._by_person.get(one, ())),
            )
        )


def match_conversation(doubt: Doubt, seen: ListedConversation, same_campaign: bool | None) -> Match:  # noqa: FBT001
    """Whether a conversation is the one that a doubtful submission asked for.

    Args:
        doubt: the submission.
        seen: the conversation.
        same_campaign: None where the list does not tell.
    """
    if same_campaign is False:
        return Match.NO
    earlier = seen.created_at is not None and seen.created_at < doubt.sent_at - CLOCK_SKEW
    if seen.external_id == doubt.external_id:
        return _by_external_id(seen, same_campaign=same_campaign, earlier=earlier)
    if doubt.person not in seen.persons or earlier:
        return Match.NO
    certain = seen.external_id is None and same_campaign and seen.created_at is not None
    return Match.CERTAIN if certain else Match.POSSIBLE


def _by_external_id(
    seen: ListedConversation, *, same_campaign: bool | None, earlier: bool
) -> Match:
    """The same where the externalId is the same."""
    told = same_campaign or (seen.campaign is None and seen.external_campaign is None)
    if earlier:
        return Match.POSSIBLE if told else Match.NO
    return Match.CERTAIN if told else Match.POSSIBLE


def _time(text: str | None) -> datetime | None:
    """A time of ISO 8601, in UTC where it names no zone; None for anything else."""
    try:
        when = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        return None
    if when is None or when.tzinfo is not None:
        return when
    return when.replace(tzinfo=UTC)
