"""Decide whether a listed conversation is the one that a doubtful submission asked for.

The same externalId in the same campaign is proof if nothing contradicts it. So is the same person
in the same campaign, created after the request left, if the list shows no externalId. A
conversation that may be the right one keeps the submission doubtful. A time alone never rules one
out, because clocks differ and zones may be missing. The functions here are pure.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from importer.sending.echo import (
    EMAILS,
    PHONES,
    Period,
    first_text,
    read_email,
    read_phone,
    read_time,
    same_id,
    text_at,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from importer.model import Json


CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far the API's clock may be behind ours."""


class PersonHashes(Protocol):
    """The ledger's identity, as matching uses it: it makes keyed hashes."""

    @property
    def organization(self) -> str:
        """Return the organization's id."""
        ...

    def person(self, phone: str | None, email: str | None) -> str:
        """Return the hash of a person, from the phone (E.164) or else the e-mail."""
        ...

    def email(self, address: str) -> str:
        """Return the hash of a normalised e-mail address."""
        ...


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission that may have been accepted.

    Attributes:
        key: the key of the submission.
        external_id: the externalId of the request.
        campaign: the campaignId, or the externalCampaignId if there was no campaignId.
        person: keyed hash of the person.
        sent_at: when the last request left; with a zone.
        ended_at: when we gave up waiting, or found it open after a crash; the API may have worked
            on it for some time after that. None counts as `sent_at`.
        email: keyed hash of the normalised e-mail, or None.
        resends: how often it was sent again after proof that it was absent.
        kind: the setting `conversation` of its run.
    """

    key: str
    external_id: str
    campaign: str
    person: str
    sent_at: datetime
    ended_at: datetime | None = None
    email: str | None = None
    resends: int = 0
    kind: str = "auto-schedule"

    @property
    def given_up_at(self) -> datetime:
        """Return when we gave up waiting for an answer."""
        return self.ended_at or self.sent_at


@dataclass(frozen=True, slots=True)
class ListedConversation:
    """One conversation of the list, without personal data.

    Attributes:
        conversation_id: the id; None if the list shows none.
        external_id: the external id; None if the list shows none.
        campaign: campaignId, or None.
        external_campaign: externalCampaignId, or None.
        organization: organizationId, or None.
        persons: keyed hashes of the people that its phone and e-mail may belong to.
        emails: keyed hash of its normalised e-mail.
        known_phone: whether its phone number is certain.
        opaque: whether nothing shows with certainty whose conversation it is.
        created: when, by our clock; None if the list shows no readable time.
    """

    conversation_id: str | None
    external_id: str | None = None
    campaign: str | None = None
    external_campaign: str | None = None
    organization: str | None = None
    persons: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    known_phone: bool = False
    opaque: bool = False
    created: Period | None = None


class Match(Enum):
    """The certainty that a conversation is the requested one."""

    NO = 0
    POSSIBLE = 1
    CERTAIN = 2


def read_conversation(
    conversation: Mapping[str, Json], hashes: PersonHashes, skew_s: float = 0.0
) -> ListedConversation:
    """Read from a conversation what matching needs.

    Args:
        conversation: the conversation as the API shows it.
        hashes: keyed hashes of people.
        skew_s: seconds that the API's clock is ahead of ours.
    """
    shown_phone, shown_email = first_text(conversation, PHONES), first_text(conversation, EMAILS)
    phone, email = read_phone(shown_phone), read_email(shown_email)
    persons = set()
    if phone is not None:
        number = phone.number if phone.international else f"+{phone.number}"
        persons.add(hashes.person(number, None))
    if email is not None:
        persons.add(hashes.person(None, email))
    external_id = text_at(conversation, "externalId")
    created = read_time(text_at(conversation, "createdAt"))
    unreadable = shown_phone is not None and (phone is None or not phone.international)
    return ListedConversation(
        conversation_id=id_of(conversation),
        external_id=external_id,
        campaign=text_at(conversation, "campaignId"),
        external_campaign=text_at(conversation, "externalCampaignId"),
        organization=text_at(conversation, "organizationId"),
        persons=frozenset(persons),
        emails=frozenset() if email is None else frozenset({hashes.email(email)}),
        known_phone=phone is not None and phone.international,
        opaque=external_id is None and (unreadable or not persons),
        created=None if created is None else created.shift(skew_s),
    )


def id_of(conversation: Mapping[str, Json]) -> str | None:
    """Return the id of a conversation as the list shows it."""
    return text_at(conversation, "id") or text_at(conversation, "conversationId")


class Evidence:
    """Gathers, page by page, what the list says about doubtful submissions.

    Args:
        doubts: all doubtful submissions.
        hashes: keyed hashes of people.
        owned: ids of conversations that belong to other submissions; these settle nothing.
    """

    def __init__(
        self,
        doubts: Sequence[Doubt],
        hashes: PersonHashes,
        owned: Collection[str] = frozenset(),
    ) -> None:
        self.external_ids: set[str] = set()
        self.count = 0
        self._hashes = hashes
        self._owned = owned
        self._by_external_id: defaultdict[str, list[Doubt]] = defaultdict(list)
        self._by_person: defaultdict[str, list[Doubt]] = defaultdict(list)
        for doubt in doubts:
            self._by_external_id[doubt.external_id].append(doubt)
            self._by_person[doubt.person].append(doubt)
            if doubt.email is not None:
                self._by_person[doubt.email].append(doubt)
        self._campaigns = {doubt.campaign for doubt in doubts}
        self._ids_seen: set[str] = set()  # which of those campaigns are campaignIds
        self._external_seen: set[str] = set()
        self._sightings: dict[str, list[ListedConversation]] = {doubt.key: [] for doubt in doubts}
        self._opaque: dict[tuple[str | None, str | None], datetime] = {}

    def note(self, conversations: Iterable[Mapping[str, Json]], skew_s: float = 0.0) -> None:
        """Add one page.

        Args:
            conversations: the conversations as the API shows them.
            skew_s: seconds that the API's clock is ahead of ours.
        """
        for conversation in conversations:
            seen = read_conversation(conversation, self._hashes, skew_s)
            self.count += 1
            if seen.external_id is not None:
                self.external_ids.add(seen.external_id)
            self._ids_seen |= self._campaigns & {seen.campaign}
            self._external_seen |= self._campaigns & {seen.external_campaign}
            # If it shows a doubt's externalId nevertheless, that doubt is not absent either.
            disputed = seen.external_id in self._by_external_id
            if seen.conversation_id in self._owned and not disputed:
                continue
            if seen.opaque:
                latest = seen.created.latest if seen.created else datetime.max.replace(tzinfo=UTC)
                where = (seen.campaign, seen.external_campaign)
                self._opaque[where] = max(self._opaque.get(where, latest), latest)
            for key in {doubt.key for doubt in self._candidates(seen)}:
                self._sightings[key].append(seen)

    def find_certain(self, doubt: Doubt) -> list[ListedConversation]:
        """Return the conversations that are certainly the one asked for, oldest first."""
        found = [
            seen
            for seen in self._sightings[doubt.key]
            if seen.conversation_id not in self._owned
            and self._match(doubt, seen) is Match.CERTAIN
            and not self._claimed(doubt, seen)
        ]
        return sorted(found, key=lambda s: s.created.earliest if s.created else doubt.sent_at)

    def find_possible(self, doubt: Doubt) -> list[ListedConversation]:
        """Return the conversations that may be the one asked for."""
        sightings = self._sightings[doubt.key]
        return [seen for seen in sightings if self._match(doubt, seen) is not Match.NO]

    def find_existing(self, claim: Doubt) -> list[ListedConversation]:
        """Return the conversations that this person certainly has in the campaign, oldest first.

        Args:
            claim: a request that the API refused as a conflict; it may be older.
        """
        found = [
            seen
            for seen in self._sightings[claim.key]
            if seen.conversation_id is not None
            and seen.conversation_id not in self._owned
            and self._same_campaign(claim, seen.campaign, seen.external_campaign)
            and (claim.person in seen.persons or claim.email in seen.emails)
            and not _contradicts(claim, seen, self._hashes.organization)
        ]
        return sorted(found, key=lambda s: s.created.earliest if s.created else claim.sent_at)

    def is_blind_for(self, doubt: Doubt) -> bool:
        """Whether the list shows a conversation of that time, but not whose it is."""
        return any(
            until >= doubt.sent_at - CLOCK_SKEW
            and self._same_campaign(doubt, campaign, external) is not False
            for (campaign, external), until in self._opaque.items()
        )

    def _candidates(self, seen: ListedConversation) -> Iterable[Doubt]:
        yield from self._by_external_id.get(seen.external_id or "", ())
        for one in seen.persons | seen.emails:
            yield from self._by_person.get(one, ())

    def _match(self, doubt: Doubt, seen: ListedConversation) -> Match:
        same_campaign = self._same_campaign(doubt, seen.campaign, seen.external_campaign)
        return match_conversation(doubt, seen, same_campaign, self._hashes.organization)

    def _same_campaign(
        self, doubt: Doubt, campaign: str | None, external: str | None
    ) -> bool | None:
        """Whether the campaigns are the same; None if the list does not show it."""
        if any(each is not None and same_id(doubt.campaign, each) for each in (campaign, external)):
            return True
        if doubt.campaign in self._ids_seen and campaign is not None:
            return False
        if doubt.campaign in self._external_seen and external is not None:
            return False
        return False if campaign is not None and external is not None else None

    def _claimed(self, doubt: Doubt, seen: ListedConversation) -> bool:
        """Whether another doubtful submission matches a conversation equally well."""
        return any(
            other.key != doubt.key and self._match(other, seen) is Match.CERTAIN
            for other in self._candidates(seen)
        )


def match_conversation(
    doubt: Doubt,
    seen: ListedConversation,
    same_campaign: bool | None,  # noqa: FBT001
    organization: str = "",
) -> Match:
    """Whether a conversation is the one that a doubtful submission asked for.

    Args:
        doubt: the submission.
        seen: the conversation.
        same_campaign: None if the list does not show it.
        organization: the organization's id in the request; empty to ignore it.
    """
    if same_campaign is False:
        return Match.NO
    same_person = doubt.person in seen.persons or doubt.email in seen.emails
    created_before = doubt.sent_at - CLOCK_SKEW
    earlier = seen.created is not None and seen.created.latest < created_before
    contradicted = _contradicts(doubt, seen, organization)
    if seen.external_id == doubt.external_id:
        campaign_fits = same_campaign or (seen.campaign is None and seen.external_campaign is None)
        return (
            Match.CERTAIN if campaign_fits and not earlier and not contradicted else Match.POSSIBLE
        )
    if not same_person:
        return Match.NO
    if seen.external_id is not None:  # another request asked for it; an old one is not ours
        return Match.NO if earlier else Match.POSSIBLE
    surely_since = seen.created is not None and seen.created.earliest >= created_before
    certain = same_campaign and surely_since and not contradicted
    return Match.CERTAIN if certain else Match.POSSIBLE


def _contradicts(doubt: Doubt, seen: ListedConversation, organization: str) -> bool:
    """Whether a phone, e-mail or organization shows that the conversation is another person's."""
    other_phone = seen.known_phone and doubt.person not in seen.persons
    other_email = bool(seen.emails) and doubt.email is not None and doubt.email not in seen.emails
    other_organization = (
        bool(organization)
        and seen.organization is not None
        and not same_id(organization, seen.organization)
    )
    return other_phone or other_email or other_organization
