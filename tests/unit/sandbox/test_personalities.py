"""Each personality does to the answers what its sentence says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from importer.errors import UsageError
from importer.sandbox.personalities import PERSONALITIES, parse_personalities
from importer.sandbox.server import SandboxOptions, start_sandbox

if TYPE_CHECKING:
    import httpx

Make = Callable[..., dict[str, Any]]
Connect = Callable[..., "httpx.Client"]
CREATE = "/scheduling/conversations"


class Answers:
    """What an API of some personalities answers to some people."""

    def __init__(self, behave: str, connect: Connect, make: Make, **options: Any) -> None:
        with (
            start_sandbox(SandboxOptions(behave=behave, **options)) as sandbox,
            connect(sandbox.base_url) as api,
        ):
            emails = [f"a{number}@example.org" for number in range(12)]
            bodies = [make(emailAddress=email, phoneNumber=None) for email in emails]
            self.created = [api.post(CREATE, json=each) for each in bodies]
            self.phone = api.post(CREATE, json=make(externalId="A-1"))
            self.lists = [api.get("/conversations") for _ in range(4)]
            self.campaign = api.get("/campaigns/camp-1")
            self.other_campaign = api.get("/campaigns/camp-2")
            self.journal = sandbox.journal

    @property
    def statuses(self) -> set[int]:
        """Statuses of the answers to the people with an e-mail address."""
        return {answer.status_code for answer in self.created}

    @property
    def shown(self) -> list[dict[str, Any]]:
        """What the last list shows."""
        shown: list[dict[str, Any]] = self.lists[-1].json()["data"]
        return shown


@pytest.fixture
def answers(client: Connect, body: Make) -> Callable[..., Answers]:
    """Return a function that makes the answers of an API of some personalities."""
    return lambda behave, **options: Answers(behave, client, body, **options)


def test_an_honest_api_shows_everything(answers: Callable[..., Answers]) -> None:
    """Without personalities: 201, everybody in the list, the time and a request id."""
    honest = answers("")
    assert honest.statuses == {201}
    assert len(honest.shown) == len(honest.journal) == 13
    assert honest.phone.headers["x-request-id"] != honest.lists[0].headers["x-request-id"]
    date = parsedate_to_datetime(honest.phone.headers["date"])
    assert abs((datetime.now(UTC) - date).total_seconds()) < 60


@pytest.mark.parametrize("behave", ["lagging-list:3600", "empty-list"])
def test_lists_that_do_not_show_the_newest(answers: Callable[..., Answers], behave: str) -> None:
    """An empty list that looks whole, though everybody was accepted."""
    lagging = answers(behave)
    assert [each.json() for each in lagging.lists] == [{"data": [], "nextToken": None}] * 4
    assert len(lagging.journal) == 13


def test_a_list_that_lags_by_requests(answers: Callable[..., Answers]) -> None:
    """Three lists show nothing, the fourth shows everything."""
    lengths = [len(each.json()["data"]) for each in answers("lagging-by-requests:3").lists]
    assert lengths == [0, 0, 0, 13]


@pytest.mark.parametrize(
    ("behave", "status", "sign"),
    [
        ("partial-list-error", 200, {"error"}),
        ("partial-list-more", 200, {"hasMore"}),
        ("partial-list-206", 206, set()),
    ],
)
def test_lists_that_are_half(
    answers: Callable[..., Answers], behave: str, status: int, sign: set[str]
) -> None:
    """Some conversations are missing, and only the sign tells."""
    partial = answers(behave)
    assert 0 < len(partial.shown) < 13
    assert partial.lists[0].status_code == status
    assert set(partial.lists[0].json()) == {"data", "nextToken", *sign}


def test_pages_of_fifty(client: Connect, body: Make) -> None:
    """Whatever the limit asks for."""
    with (
        start_sandbox(SandboxOptions(behave="page-size-50")) as sandbox,
        client(sandbox.base_url) as api,
    ):
        for number in range(51):
            sandbox.conversations.accept("acme", CREATE, body(phoneNumber=f"+4420794600{number}"))
        page = api.get("/conversations", params={"limit": 200}).json()
        assert len(page["data"]) == 50
        assert page["nextToken"]


def test_conversations_are_shown_otherwise(answers: Callable[..., Answers]) -> None:
    """No external id, a masked phone, one without plus, local times; in each answer."""
    shown = answers("no-external-id,masked-phones").shown[0]
    assert "externalId" not in shown
    assert shown["participantPhoneNumber"] == "*********0018"
    local = answers("phones-without-plus,local-times:5")
    for conversation in (local.shown[0], local.phone.json()):
        assert conversation["participantPhoneNumber"] == "442079460018"
        created = datetime.fromisoformat(conversation["createdAt"])
        assert created.tzinfo is None
        age = datetime.now(UTC).replace(tzinfo=None) - created
        assert 4.9 < age.total_seconds() / 3600 < 5.1


def test_a_clock_that_is_behind(answers: Callable[..., Answers]) -> None:
    """Date header and createdAt agree with each other, not with ours."""
    behind = answers("clock-behind:600")
    date = parsedate_to_datetime(behind.phone.headers["date"])
    created = datetime.fromisoformat(behind.phone.json()["createdAt"])
    assert abs((date - created).total_seconds()) < 5
    assert 590 < (datetime.now(UTC) - date).total_seconds() < 630


def test_existing_conversations_are_answered_200(
    tmp_path: Path, client: Connect, body: Make
) -> None:
    """With the id and the time of the older one; without the check only if it is old."""
    journal = tmp_path / "journal.jsonl"
    for check, status in ((True, 200), (False, 201)):
        with (
            start_sandbox(
                SandboxOptions(behave="existing-as-200", duplicate_check=check)
            ) as sandbox,
            client(sandbox.base_url) as api,
        ):
            first = api.post(CREATE, json=body())
            again = api.post(CREATE, json=body(externalId="A-2"))
            assert again.status_code == status
            assert (again.json()["id"] == first.json()["id"]) is check
            old = {**sandbox.journal[0], "received_s": 0.0}
    journal.write_text(json.dumps(old) + "\n", "utf-8")
    with (
        start_sandbox(
            SandboxOptions(behave="existing-as-200", duplicate_check=False, journal=journal)
        ) as sandbox,
        client(sandbox.base_url) as api,
    ):
        assert api.post(CREATE, json=body()).status_code == 200


def test_refusals_with_a_200(answers: Callable[..., Answers]) -> None:
    """Nobody is accepted, and four kinds of signs say so."""
    refusing = answers("refuses-with-200")
    assert refusing.statuses == {200}
    assert refusing.journal == []
    signs = {frozenset(each.json()) for each in refusing.created}
    assert {"success", "errors", "status", "error"} <= frozenset().union(*signs)


def test_a_share_of_the_people_is_refused(answers: Callable[..., Answers]) -> None:
    """The same people each time."""
    one, two = answers("refuses-with-200:0.4"), answers("refuses-with-200:0.4")
    assert one.statuses == {200, 201}
    assert [each.status_code for each in one.created] == [each.status_code for each in two.created]


def test_empty_answers(answers: Callable[..., Answers]) -> None:
    """Everybody is accepted, and no answer has a body."""
    empty = answers("empty-2xx")
    assert empty.statuses == {200, 202, 204}
    assert {each.content for each in empty.created} == {b""}
    assert len(empty.journal) == 13


def test_one_id_for_all(answers: Callable[..., Answers]) -> None:
    """The answers name one id, the list names the true ones."""
    same = answers("one-id-for-all")
    assert {each.json()["id"] for each in same.created} == {same.journal[0]["id"]}
    assert len({each["id"] for each in same.shown}) == 13


def test_external_ids_are_unique(answers: Callable[..., Answers]) -> None:
    """The second person under one external id is refused with a 409."""
    strict = answers("strict-external-id", duplicate_check=False)
    assert [each.status_code for each in strict.created] == [201, *[409] * 11]
    assert len(strict.journal) == 1


def test_words_that_mean_nothing(answers: Callable[..., Answers]) -> None:
    """Refusals that are no duplicates, in texts that sound like it."""
    words = answers("duplicate-words")
    assert words.statuses == {400, 409, 422}
    assert words.journal == []
    assert "duplicate" in " ".join(each.text.lower() for each in words.created)


@pytest.mark.parametrize("behave", ["accepts-then-503", "accepts-then-504"])
def test_accepted_all_the_same(answers: Callable[..., Answers], behave: str) -> None:
    """The answer is an error, the conversation exists and is listed."""
    accepting, status = answers(behave), int(behave[-3:])
    assert accepting.statuses == {status}
    assert len(accepting.shown) == len(accepting.journal) == 13
    assert (accepting.phone.headers.get("retry-after") == "1") is (status == 503)


@pytest.mark.parametrize("behave", ["campaign-draft", "campaign-archived"])
@pytest.mark.parametrize("which", ["", ":camp-1"])
def test_campaigns_that_do_not_send(
    answers: Callable[..., Answers], behave: str, which: str
) -> None:
    """The campaign says so, and refuses everybody with its status."""
    closed, word = answers(behave + which), behave.partition("-")[2]
    assert closed.campaign.json()["campaignStatus"] == word.upper()
    assert (closed.other_campaign.json()["campaignStatus"] == "LIVE") is bool(which)
    assert closed.statuses == {400}
    assert word.upper() in closed.phone.json()["error"]
    assert closed.journal == []


def test_campaigns_that_do_not_exist(answers: Callable[..., Answers]) -> None:
    """404 for the campaign and for everybody who is sent to it."""
    missing = answers("campaign-missing:camp-1")
    assert (missing.campaign.status_code, missing.other_campaign.status_code) == (404, 200)
    assert missing.statuses == {404}
    assert missing.journal == []


def test_phones_only(answers: Callable[..., Answers]) -> None:
    """Without the fallback only the person with a phone is accepted."""
    phones = answers("no-email-fallback")
    assert phones.campaign.json()["emailChannelFallbackEnabled"] is False
    assert phones.statuses == {400}
    assert phones.phone.status_code == 201


@pytest.mark.parametrize(
    "behave",
    [
        "moody",
        "no-external-id:1",
        "lagging-list:soon",
        "empty-2xx:2",
        "lagging-list:-1",
        "local-times:nan",
    ],
)
def test_a_wrong_specification_is_refused(behave: str) -> None:
    """As wrong usage, with the part in the message."""
    with pytest.raises(UsageError, match=behave.partition(":")[0]):
        parse_personalities(behave)


def test_every_personality_is_described_and_tested() -> None:
    """In one sentence, which names the argument; and this folder tries each."""
    tests = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    for each in PERSONALITIES.values():
        assert each.description.endswith(".")
        assert each.argument.upper() in each.description
        assert any(each.name in text for text in tests)
