"""What the API says about a campaign, and what that means for its rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer.errors import SettingsError
from importer.model import NotSent, Response
from importer.sending.campaigns import (
    CampaignList,
    CampaignRows,
    CampaignVerdict,
    check_campaigns,
    list_campaigns,
    validate_campaign,
)
from importer.sending.rate_limiter import RateLimiter
from importer.sending.responses import Page, RawResponse, parse_page
from tests.support import builders
from tests.support.virtual_time import clock, run

if TYPE_CHECKING:
    from importer.model import Json

ROWS = CampaignRows("camp-1", rows=10, phones=4, emails=10)
LIVE: dict[str, Json] = {
    "campaignStatus": "LIVE",
    "channel": "SMS",
    "campaignType": "SCHEDULING",
    "emailChannelFallbackEnabled": True,
}


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, ""),
        ({"campaignStatus": "DRAFT"}, "It is DRAFT, not live."),
        ({"campaignStatus": "archived"}, "It is ARCHIVED, not live."),
        ({"campaignStatus": "WEIRD"}, ""),
        ({"campaignType": "APPLICANT_OUTREACH"}, "It is of type APPLICANT_OUTREACH"),
        (
            {
                "campaignType": "APPLICANT_OUTREACH",
                "closingMethod": "CALENDAR_MEETING_INTEGRATION",
            },
            "",
        ),
        ({"channel": "PIGEON"}, ""),
    ],
)
def test_only_what_is_known_refuses(changed: dict[str, Json], refused: str) -> None:
    """An unknown value is no reason."""
    verdict = validate_campaign({**LIVE, **changed}, ROWS, "auto-schedule")
    assert verdict.refused.startswith(refused)
    assert bool(verdict.refused) is bool(refused)


def test_a_plain_conversation_takes_any_type() -> None:
    """The campaign has a meeting template of its own."""
    fields: dict[str, Json] = {**LIVE, "campaignType": "APPLICANT_OUTREACH"}
    assert validate_campaign(fields, ROWS, "campaign") == CampaignVerdict()


def test_the_channel_needs_a_contact() -> None:
    """Of no row: refused; of some: told; with the fallback nobody is lost."""
    no_fallback: dict[str, Json] = {**LIVE, "emailChannelFallbackEnabled": False}
    some = validate_campaign(no_fallback, ROWS, "auto-schedule")
    assert some.note == "Campaign camp-1 writes by SMS, and 6 of 10 rows lack a phone."
    none = CampaignRows("camp-1", rows=10, phones=0, emails=10)
    assert "no row has a phone" in validate_campaign(no_fallback, none, "auto-schedule").refused
    assert validate_campaign(LIVE, none, "auto-schedule") == CampaignVerdict()
    mail: dict[str, Json] = {**LIVE, "channel": "EMAIL"}
    phones = CampaignRows("camp-1", rows=10, phones=10, emails=0)
    assert "no row has an e-mail" in validate_campaign(mail, phones, "auto-schedule").refused


class Source:
    """Answers each question in turn; the last answer from then on."""

    def __init__(self, *answers: Page | NotSent) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def campaign(self, campaign_id: str) -> Page:
        """Answer as the client does."""
        self.asked.append(campaign_id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, NotSent):
            raise answer
        return answer


def check(source: Source, count: int = 1, **chosen: object) -> dict[str, CampaignVerdict]:
    """Ask for some campaigns on leaping time."""

    async def main() -> dict[str, CampaignVerdict]:
        return await check_campaigns(
            [CampaignRows(f"camp-{n}", 1, 1, 1) for n in range(count)],
            client=source,
            limiter=RateLimiter(10, now=clock),
            settings=builders.settings(**chosen),
        )

    return run(main())


def test_a_campaign_that_is_not_there_is_refused() -> None:
    """Only if the answer names it: any other 404 is of the path."""
    gone = Source(Page(Response(404, error="Campaign not found")))
    assert check(gone)["camp-0"].refused == "The API does not know it."
    no_path = Source(Page(Response(404, error="no such path")))
    assert check(no_path)["camp-0"] == CampaignVerdict(unknown="HTTP 404")


def test_nobody_asks_on_if_the_api_does_not_answer() -> None:
    """One is enough to know; `required` then sends nothing."""
    silent = Source(NotSent("ConnectError"))
    assert list(check(silent, 5)) == ["camp-0"]
    assert silent.asked == ["camp-0"] * 2
    odd = Source(Page(Response(200), ({"name": "x"},)))
    assert check(odd)["camp-0"].unknown == "an answer of another shape"
    with pytest.raises(SettingsError, match="preflight: auto"):
        check(odd, preflight="required")


def test_each_campaign_is_asked_for_once() -> None:
    """All of them, in order."""
    source = Source(NotSent("ConnectError"), Page(Response(200), (LIVE,)))
    assert check(source, 3) == {f"camp-{n}": CampaignVerdict() for n in range(3)}
    assert source.asked == ["camp-0", "camp-0", "camp-1", "camp-2"]


class Pages:
    """A client that has these answers to the question which campaigns there are."""

    def __init__(self, *answers: bytes | NotSent, status: int = 200) -> None:
        self.tokens: list[str | None] = []
        self._answers = list(answers)
        self._status = status

    async def campaigns(self, token: str | None = None) -> Page:
        """Return the next answer."""
        self.tokens.append(token)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, NotSent):
            raise answer
        return parse_page(RawResponse(self._status, {}, answer, datetime.now(UTC)))


def test_campaigns_that_can_be_sent_to_are_listed() -> None:
    """Over several pages; drafts and campaigns without an id are left out."""
    pages = Pages(
        b'{"data": [{"id": "a", "campaignTitle": "Cooks", "campaignStatus": "LIVE"},'
        b' {"id": "b", "campaignStatus": "DRAFT"}, {"name": "?"}], "nextToken": "t"}',
        b'{"data": [{"id": "c"}], "nextToken": null}',
    )
    assert run(list_campaigns(pages, "auto-schedule")) == CampaignList({"a": "Cooks", "c": "c"})
    assert pages.tokens == [None, "t"]


def test_a_list_of_campaigns_that_never_ends_is_left() -> None:
    """After a few pages, with what they have."""
    pages = Pages(b'{"data": [{"id": "a"}], "nextToken": "t"}')
    assert run(list_campaigns(pages, "auto-schedule")).titles == {"a": "a"}
    assert len(pages.tokens) == 5


@pytest.mark.parametrize(
    ("pages", "unknown"),
    [
        (Pages(NotSent("ConnectError")), "ConnectError"),
        (Pages(b'{"error": "no"}', status=404), "HTTP 404"),
        (Pages(b"<html>"), "HTTP 200"),
        (Pages(b'{"campaigns": []}'), "HTTP 200"),
        (Pages(b'{"data": "all"}'), "HTTP 200"),
    ],
)
def test_an_odd_list_of_campaigns_says_nothing(pages: Pages, unknown: str) -> None:
    """No campaign is made up."""
    assert run(list_campaigns(pages, "auto-schedule")) == CampaignList(unknown=unknown)
