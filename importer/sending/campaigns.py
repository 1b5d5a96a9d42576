"""Check each campaign before anything is sent: does it exist, is it live, can it reach people?

`list_campaigns` lists the campaigns, so that a person can choose one. The fields of both responses
are only inferred: a response that is not understood proves nothing about a campaign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from importer.errors import SettingsError
from importer.model import MaybeSent, NotSent
from importer.sending.echo import first_text, text_at
from importer.sending.responses import is_2xx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.model import Json
    from importer.sending.rate_limiter import Limiter
    from importer.sending.responses import Page
    from importer.settings import Settings


NOT_BY_EXTERNAL_ID: Final = "the API cannot be asked for a campaign by its externalCampaignId"

_NOT_LIVE: Final = frozenset(
    {
        "DRAFT",
        "ARCHIVED",
        "PAUSED",
        "STOPPED",
        "INACTIVE",
        "CLOSED",
        "COMPLETED",
        "ENDED",
        "DELETED",
    }
)
_OTHER_TYPES: Final = frozenset(
    {"APPLICANT_OUTREACH", "NEW_CANDIDATE_OUTREACH", "ENGAGEMENT_OUTREACH"}
)
_SCHEDULES: Final = "CALENDAR_MEETING_INTEGRATION"
_ATTEMPTS: Final = 2
_MANY: Final = 50
_PAGES: Final = 5


class CampaignSource(Protocol):
    """The part of the client that `check_campaigns` needs."""

    async def campaign(self, campaign_id: str) -> Page:
        """Fetch one campaign; raise NotSent or MaybeSent."""
        ...


class CampaignListSource(Protocol):
    """The part of the client that `list_campaigns` needs."""

    async def campaigns(self, token: str | None = None) -> Page:
        """Fetch one page of the list; raise NotSent or MaybeSent."""
        ...


@dataclass(frozen=True, slots=True)
class CampaignList:
    """The campaigns that rows can be sent to, as the API says.

    Attributes:
        titles: campaignId -> title, or the id if it has none.
        unknown: why the API does not say; empty if it does.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class CampaignRows:
    """The rows of a plan that go to a campaign.

    Attributes:
        campaign: campaignId.
        rows: how many.
        phones: how many of them have a phone.
        emails: how many of them have an e-mail.
    """

    campaign: str
    rows: int
    phones: int
    emails: int


@dataclass(frozen=True, slots=True)
class CampaignVerdict:
    """The API's answer about a campaign.

    Attributes:
        refused: why nothing can be sent to it; empty if that is not known.
        unknown: why the API does not answer; empty if it does.
        note: what a person should know although rows are sent; empty if there is nothing.
    """

    refused: str = ""
    unknown: str = ""
    note: str = ""


def require_ids(settings: Settings) -> None:
    """Raise SettingsError if campaigns must be looked up and rows name an externalCampaignId."""
    if settings.preflight == "required":
        raise SettingsError(
            f"Rows name an externalCampaignId, and {NOT_BY_EXTERNAL_ID}, so nothing is sent.",
            "Name the campaign by its id, or set `preflight: auto` to send without that answer.",
        )


async def check_campaigns(
    wanted: Iterable[CampaignRows],
    *,
    client: CampaignSource,
    limiter: Limiter,
    settings: Settings,
) -> dict[str, CampaignVerdict]:
    """Check each campaign; stop at the first one for which the API gives no answer.

    Raises:
        SettingsError: the API does not answer, and `preflight: required` demands that.
    """
    found: dict[str, CampaignVerdict] = {}
    for rows in wanted:
        verdict = await _ask(rows, client, limiter, settings)
        found[rows.campaign] = verdict
        if verdict.unknown:
            if settings.preflight == "required":
                raise SettingsError(
                    f"The API does not say whether campaign {rows.campaign} can be sent to "
                    f"({verdict.unknown}), so nothing is sent.",
                    "Set `preflight: auto` to send without that answer.",
                )
            break
        if len(found) >= _MANY:
            break
    return found


async def list_campaigns(client: CampaignListSource, kind: str) -> CampaignList:
    """Return the campaigns that can be sent to; those that are known to refuse rows are left out.

    Args:
        client: the client that asks for each page once.
        kind: setting `conversation`.
    """
    titles: dict[str, str] = {}
    token: str | None = None
    for _ in range(_PAGES):
        try:
            page = await client.campaigns(token)
        except (NotSent, MaybeSent) as exc:
            return CampaignList(unknown=str(exc))
        response = page.response
        if not is_2xx(response.status) or not response.readable:
            return CampaignList(unknown=f"HTTP {response.status}")
        for each in page.conversations:
            name = text_at(each, "id")
            if name and not validate_campaign(each, CampaignRows(name, 0, 0, 0), kind).refused:
                titles[name] = first_text(each, ("campaignTitle", "title", "name")) or name
        token = page.next_token
        if token is None:
            break
    return CampaignList(titles)


async def _ask(
    rows: CampaignRows, client: CampaignSource, limiter: Limiter, settings: Settings
) -> CampaignVerdict:
    reason = ""
    for _ in range(_ATTEMPTS):
        await limiter.acquire()
        try:
            page = await client.campaign(rows.campaign)
        except (NotSent, MaybeSent) as exc:
            reason = str(exc)
            continue
        response = page.response
        if response.status == HTTPStatus.NOT_FOUND and "campaign" in response.error.casefold():
            return CampaignVerdict(refused="The API does not know it.")
        if page.conversations and response.readable:
            return validate_campaign(page.conversations[0], rows, settings.conversation)
        return CampaignVerdict(unknown=f"HTTP {response.status}")
    return CampaignVerdict(unknown=reason)


def validate_campaign(fields: Mapping[str, Json], rows: CampaignRows, kind: str) -> CampaignVerdict:
    """Return what the fields of a campaign mean for its rows; pure.

    Args:
        fields: the fields as the API shows them.
        rows: the rows that would be sent to it.
        kind: setting `conversation`.
    """
    status = first_text(fields, ("campaignStatus", "status"))
    channel = text_at(fields, "channel")
    if status is None and channel is None:
        return CampaignVerdict(unknown="an answer of another shape")
    if (status or "").upper() in _NOT_LIVE:
        return CampaignVerdict(refused=f"It is {(status or '').upper()}, not live.")
    type_ = (text_at(fields, "campaignType") or "").upper()
    closing = (text_at(fields, "closingMethod") or "").upper()
    if kind == "auto-schedule" and type_ in _OTHER_TYPES and closing != _SCHEDULES:
        return CampaignVerdict(
            refused=f"It is of type {type_}, and auto-schedule conversations need SCHEDULING."
        )
    return _validate_channel((channel or "").upper(), fields, rows)


def _validate_channel(
    channel: str, fields: Mapping[str, Json], rows: CampaignRows
) -> CampaignVerdict:
    reachable, needs = rows.rows, ""
    if channel == "EMAIL":
        reachable, needs = rows.emails, "an e-mail"
    elif channel in {"SMS", "WHATSAPP"} and fields.get("emailChannelFallbackEnabled") is False:
        reachable, needs = rows.phones, "a phone"
    if reachable == 0 and rows.rows:
        return CampaignVerdict(refused=f"It writes by {channel}, and no row has {needs}.")
    if reachable < rows.rows:
        missing = rows.rows - reachable
        return CampaignVerdict(
            note=f"Campaign {rows.campaign} writes by {channel}, and {missing} of {rows.rows} rows "
            f"lack {needs}."
        )
    return CampaignVerdict()
