"""Which conversation of the list is the one that was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from importer.sending.matching import (
    CLOCK_SKEW,
    Doubt,
    Evidence,
    Match,
    match_conversation,
    read_conversation,
)
from tests.support.builders import HASHES

if TYPE_CHECKING:
    from importer.model import Json

SENT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DOUBT = Doubt("key-1", "ext-1", "camp-42", "hash of +442079460018", SENT)


def conversation(**values: Json) -> dict[str, Json]:
    """Return a listed conversation, of the doubtful submission unless told otherwise."""
    return {
        "id": "c-1",
        "externalId": "ext-1",
        "campaignId": "camp-42",
        "participantPhoneNumber": "+442079460018",
        "createdAt": "2026-11-22T10:00:01Z",
        **values,
    }


def seen_as(*conversations: dict[str, Json], doubts: tuple[Doubt, ...] = (DOUBT,)) -> Match:
    """Return what the list says of the first doubtful submission."""
    evidence = Evidence(doubts, HASHES)
    evidence.note(conversations)
    if evidence.find_certain(doubts[0]):
        return Match.CERTAIN
    return Match.POSSIBLE if evidence.find_possible(doubts[0]) else Match.NO


EARLIER = "2026-11-22T09:54:59Z"
WITHIN_SKEW = "2026-11-22T09:55:01Z"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Match.CERTAIN),
        ({"createdAt": None}, Match.CERTAIN),
        ({"createdAt": "yesterday"}, Match.CERTAIN),
        ({"createdAt": WITHIN_SKEW}, Match.CERTAIN),
        ({"createdAt": EARLIER}, Match.POSSIBLE),
        ({"campaignId": None}, Match.CERTAIN),
        ({"campaignId": None, "externalCampaignId": "camp-42"}, Match.CERTAIN),
        ({"campaignId": "camp-7", "externalCampaignId": "camp-42"}, Match.CERTAIN),
        ({"campaignId": "camp-7", "externalCampaignId": "REQ-7"}, Match.NO),
        ({"campaignId": "camp-7"}, Match.POSSIBLE),
        ({"campaignId": "camp-7", "createdAt": EARLIER}, Match.POSSIBLE),
        ({"participantPhoneNumber": None}, Match.CERTAIN),
        ({"participantPhoneNumber": "+12025550104"}, Match.POSSIBLE),
        ({"participantPhoneNumber": "+44 ••• 0018"}, Match.CERTAIN),
        ({"organizationId": "org-1"}, Match.CERTAIN),
        ({"organizationId": "org-2"}, Match.POSSIBLE),
        ({"createdAt": "2026-11-22T05:00:01"}, Match.CERTAIN),
    ],
)
def test_the_external_id_decides(changed: dict[str, Json], expected: Match) -> None:
    """With the campaign where the list shows it; a conversation from before needs a look."""
    assert seen_as(conversation(**changed)) is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Match.CERTAIN),
        ({"participantPhoneNumber": "+44 20 7946-0018"}, Match.CERTAIN),
        ({"createdAt": WITHIN_SKEW}, Match.CERTAIN),
        ({"participantPhoneNumber": "442079460018"}, Match.CERTAIN),
        ({"participantPhoneNumber": "00442079460018"}, Match.CERTAIN),
        ({"createdAt": EARLIER}, Match.POSSIBLE),
        ({"createdAt": "2026-11-22T05:00:01"}, Match.POSSIBLE),
        ({"createdAt": None}, Match.POSSIBLE),
        ({"campaignId": None}, Match.POSSIBLE),
        ({"campaignId": "camp-7"}, Match.POSSIBLE),
        ({"campaignId": "camp-7", "externalCampaignId": "REQ-7"}, Match.NO),
        ({"participantPhoneNumber": "+12025550104"}, Match.NO),
        ({"externalId": "another's"}, Match.POSSIBLE),
        ({"externalId": "another's", "createdAt": EARLIER}, Match.NO),
    ],
)
def test_without_an_external_id_person_campaign_and_time_decide(
    changed: dict[str, Json], expected: Match
) -> None:
    """All three, or it is not certain."""
    assert seen_as(conversation(**{"externalId": None, **changed})) is expected


def test_a_person_known_by_e_mail_is_found_by_it() -> None:
    """Whichever of the two the list shows."""
    doubt = Doubt("key-1", "ext-1", "camp-42", "hash of ada@example.com", SENT)
    one = conversation(
        externalId=None, participantPhoneNumber=None, participantEmailAddress="ada@example.com"
    )
    assert seen_as(one, doubts=(doubt,)) is Match.CERTAIN
    both = conversation(externalId=None, participantEmailAddress="ada@example.com")
    assert seen_as(both, doubts=(doubt,)) is Match.CERTAIN


def test_the_list_itself_tells_which_kind_of_campaign_is_meant() -> None:
    """Any conversation of camp-42 proves that camp-42 is a campaignId, so camp-7 is another."""
    same_candidate = conversation(id="c-7", campaignId="camp-7")
    a_colleague = conversation(id="c-8", externalId="x", participantPhoneNumber="+12025550104")
    assert seen_as(same_candidate) is Match.POSSIBLE
    assert seen_as(same_candidate, a_colleague) is Match.NO
    assert seen_as(a_colleague, same_candidate) is Match.NO


def test_a_conversation_that_two_could_claim_is_certain_for_neither() -> None:
    """The same person in two rounds of a campaign, and one conversation without an externalId."""
    second = Doubt("key-2", "ext-2", "camp-42", DOUBT.person, SENT)
    unnamed = conversation(externalId=None)
    assert seen_as(unnamed, doubts=(DOUBT, second)) is Match.POSSIBLE
    assert seen_as(unnamed, doubts=(second, DOUBT)) is Match.POSSIBLE
    assert seen_as(conversation(), doubts=(DOUBT, second)) is Match.CERTAIN


def test_of_several_conversations_the_first_counts() -> None:
    """And all are known."""
    evidence = Evidence([DOUBT], HASHES)
    evidence.note([conversation(id="late", createdAt="2026-11-22T11:00:00Z"), conversation()])
    assert [each.conversation_id for each in evidence.find_certain(DOUBT)] == ["c-1", "late"]


def test_the_order_and_cut_of_pages_does_not_matter() -> None:
    """Evidence is gathered, not judged on the way."""
    pages = [conversation(id="c-7", campaignId="camp-7"), conversation(), conversation(id="z")]
    results = set()
    for order in (pages, pages[::-1]):
        evidence = Evidence([DOUBT], HASHES)
        for one in order:
            evidence.note([one])
        results.add(
            tuple(sorted(str(each.conversation_id) for each in evidence.find_certain(DOUBT)))
        )
    assert results == {("c-1", "z")}


@pytest.mark.parametrize(
    ("created_at", "blind"),
    [("2026-11-22T10:00:01Z", True), (None, True), (EARLIER, False)],
)
def test_a_conversation_that_shows_nobody_blinds_the_list(
    created_at: str | None, *, blind: bool
) -> None:
    """Nobody can tell whether it is the one, unless it is older."""
    for phone in (None, "+44 •••• 0018", "020 7946 0018"):
        evidence = Evidence([DOUBT], HASHES)
        one = {"id": "c-9", "campaignId": "camp-42", "createdAt": created_at}
        evidence.note([{**one, "participantPhoneNumber": phone}])
        assert evidence.is_blind_for(DOUBT) is blind


def test_a_conversation_of_another_submission_settles_nothing() -> None:
    """With our externalId it keeps the row doubtful, for one id may have been told to many."""
    evidence = Evidence([DOUBT], HASHES, owned={"c-1"})
    evidence.note([conversation(participantPhoneNumber=None)])
    assert not evidence.find_certain(DOUBT)
    assert evidence.find_possible(DOUBT)
    evidence = Evidence([DOUBT], HASHES, owned={"c-1"})
    evidence.note([conversation(externalId="ext-2")])
    assert not evidence.find_certain(DOUBT)
    assert not evidence.find_possible(DOUBT)


def test_an_e_mail_is_evidence_as_well() -> None:
    """Of the row whose phone the list does not show; another's contradicts."""
    doubt = replace(DOUBT, email="e-mail hash of ada@example.com")
    one = {"externalId": None, "participantPhoneNumber": None}
    own = conversation(**one, participantEmailAddress="Ada@Example.com")
    assert seen_as(own, doubts=(doubt,)) is Match.CERTAIN
    other = conversation(participantEmailAddress="bob@example.com")
    assert seen_as(other, doubts=(doubt,)) is Match.POSSIBLE


def test_the_clock_of_the_api_is_corrected() -> None:
    """Ten minutes behind are no earlier time."""
    evidence = Evidence([DOUBT], HASHES)
    evidence.note([conversation(externalId=None, createdAt="2026-11-22T09:50:01Z")], skew_s=-600)
    assert evidence.find_certain(DOUBT)


def test_nothing_readable_is_kept_of_a_person() -> None:
    """Only hashes."""
    seen = read_conversation(conversation(participantEmailAddress="ada@example.com"), HASHES)
    assert seen.persons == {"hash of +442079460018", "hash of ada@example.com"}


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_times_are_compared_across_zones(zone: timezone) -> None:
    """A time without a zone may be of any."""
    at = (SENT - CLOCK_SKEW).astimezone(zone)
    created = read_conversation(conversation(createdAt=at.isoformat()), HASHES).created
    assert created is not None
    assert created.earliest == created.latest == at
    naive = read_conversation(conversation(createdAt="2026-11-22T10:00:00"), HASHES).created
    assert naive is not None
    assert naive.latest - naive.earliest == timedelta(hours=26)


def test_anything_can_stand_in_the_list() -> None:
    """Values of any type are not there, rather than a crash."""
    odd = conversation(
        id={}, externalId=[1], participantPhoneNumber={"a": 1}, campaignId=True, createdAt=1.5
    )
    assert read_conversation(odd, HASHES).opaque
    assert read_conversation({}, HASHES).opaque
    assert match_conversation(DOUBT, read_conversation({}, HASHES), None) is Match.NO
