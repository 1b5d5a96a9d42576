"""What becomes of doubtful submissions, on time that leaps, whatever the API shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from importer.ledger.records import ListLag, Witness
from importer.model import MaybeSent, NotSent, Outcome, Response, State
from importer.sending.matching import Doubt, Evidence, ListedConversation
from importer.sending.rate_limiter import RateLimiter
from importer.sending.reconcile import (
    ABSENT,
    ConversationStatuses,
    ListFindings,
    Proof,
    look_up,
    read_statuses,
)
from importer.sending.responses import Page
from tests.support import builders
from tests.support.virtual_time import clock, run

if TYPE_CHECKING:
    from collections.abc import Collection

    from importer.model import Json

CAUGHT_UP = Proof(lag=ListLag(20, 0.0))
"""The list was never behind, as often as it was looked at."""

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
Answer = Page | Response | NotSent | MaybeSent


def now() -> datetime:
    """Return the time of day on the leaping clock."""
    return START + timedelta(seconds=clock())


def doubt(number: int, age_s: float = 60.0) -> Doubt:
    """Return a submission that has been doubtful for this long."""
    sent_at = START - timedelta(seconds=age_s)
    return Doubt(
        f"key-{number}", f"ext-{number}", "camp-42", f"hash of +4420794600{number}", sent_at
    )


def conversation(number: int, **values: Json) -> dict[str, Json]:
    """Return the conversation of a submission."""
    return {
        "id": f"c-{number}",
        "externalId": f"ext-{number}",
        "campaignId": "camp-42",
        "participantPhoneNumber": f"+4420794600{number}",
        "createdAt": START.isoformat(),
        "status": "ONGOING",
        **values,
    }


def page(*numbers: int, token: str | None = None) -> Page:
    """Return a page with the conversations of some submissions."""
    return Page(Response(200), tuple(conversation(n) for n in numbers), token)


@dataclass
class Api:
    """The API's side: what each page says, in turn where it is asked for again.

    Attributes:
        pages: by token, "" for the first; the last answer from then on.
        single: by conversation id; unknown ones are 404.
        asked: (time, token or id).
    """

    pages: dict[str, list[Answer]] = field(default_factory=dict)
    single: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def conversations(self, token: str | None = None) -> Page:
        """Answer as the client does."""
        return self._answer(self.pages[token or ""], token or "")

    async def conversation(self, conversation_id: str) -> Page:
        """Answer as the client does."""
        return self._answer(self.single.get(conversation_id, [Response(404)]), conversation_id)

    def _answer(self, answers: list[Answer], what: str) -> Page:
        self.asked.append((clock(), what))
        answer = answers[0] if len(answers) == 1 else answers.pop(0)
        if isinstance(answer, NotSent | MaybeSent):
            raise answer
        return Page(answer) if isinstance(answer, Response) else answer


def reconcile_list(
    api: Api,
    *doubts: Doubt,
    proof: Proof = CAUGHT_UP,
    stop_at: float | None = None,
    rate: float = 1000,
    **chosen: object,
) -> ListFindings:
    """Reconcile without chance."""

    async def main() -> ListFindings:
        stop = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stop.set)
        return await look_up(
            doubts,
            client=api,
            limiter=RateLimiter(rate, now=clock),
            settings=builders.settings(**chosen),
            hashes=builders.HASHES,
            now=now,
            proof=proof,
            stop=stop,
            random=lambda: 1.0,
        )

    return run(main())


def test_a_long_list_is_matched_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page asks for a few of many doubts, and reading ends with the last of them."""
    asked = 0
    find = Evidence.find_certain

    def count(evidence: Evidence, doubt: Doubt) -> list[ListedConversation]:
        nonlocal asked
        asked += 1
        return find(evidence, doubt)

    monkeypatch.setattr(Evidence, "find_certain", count)
    many, size = 400, 4
    pages = [page(*range(n, n + size), token=str(n + size)) for n in range(0, many + 40, size)]
    api = Api({("" if not n else str(n * size)): [each] for n, each in enumerate(pages)})
    result = reconcile_list(api, *map(doubt, reversed(range(many))))
    assert result.settled == many
    assert result.pages == many // size
    assert asked < 4 * many


def test_found_is_created_with_its_id() -> None:
    """Wherever in the list it stands."""
    api = Api({"": [page(5, 6, token="t1")], "t1": [page(7, token="t2")], "t2": [page(1)]})
    result = reconcile_list(api, doubt(1))
    assert result.outcomes == (
        Outcome(
            "key-1",
            State.CREATED,
            attempts=0,
            conversation_id="c-1",
            message="Found in the list of conversations.",
        ),
    )
    assert (result.reason, result.pages) == ("", 3)


def test_not_found_in_a_whole_list_may_be_sent_again() -> None:
    """Planned, with the reason."""
    result = reconcile_list(Api({"": [page(5, token="t")], "t": [page(6)]}), doubt(1), doubt(5))
    first, second = result.outcomes
    assert (first.key, first.state, first.code) == ("key-1", State.PLANNED, ABSENT)
    assert (second.key, second.state) == ("key-5", State.CREATED)


def test_an_empty_list_is_whole() -> None:
    """Nothing was ever accepted."""
    assert reconcile_list(Api({"": [page()]}), doubt(1)).outcomes[0].state is State.PLANNED


def test_nothing_doubtful_asks_nothing() -> None:
    """And waits for nothing."""
    api = Api()
    assert reconcile_list(api) == ListFindings()
    assert api.asked == []


def test_the_walk_ends_when_all_are_found() -> None:
    """The rest of the list is of no interest."""
    api = Api({"": [page(1, token="t1")], "t1": [page(2, token="t2")], "t2": [page(3)]})
    assert reconcile_list(api, doubt(1), doubt(2)).pages == 2


@pytest.mark.parametrize(
    ("age_s", "settle_s", "begins"),
    [(60, 30, 0), (10, 30, 20), (0, 30, 30), (-500, 30, 30), (0, 0, 0)],
)
def test_the_list_is_given_time_to_settle(age_s: float, settle_s: float, begins: float) -> None:
    """Until the youngest is old enough; a clock that went back makes nobody wait longer."""
    api = Api({"": [page(1)]})
    reconcile_list(api, doubt(1, age_s), doubt(2, age_s=3600), settle_s=settle_s)
    assert api.asked[0][0] == begins


def test_settling_counts_from_when_it_was_given_up() -> None:
    """A request that was waited for half a minute may be accepted just after."""
    api = Api({"": [page(1)]})
    long_waited = replace(doubt(1, age_s=40), ended_at=START - timedelta(seconds=10))
    reconcile_list(api, long_waited, settle_s=30)
    assert api.asked[0][0] == 20


UNREADABLE: dict[str, tuple[list[Answer], str]] = {
    "unauthorized": ([Response(401)], "HTTP 401"),
    "no such path": ([Response(404)], "HTTP 404"),
    "redirected": ([Response(302)], "HTTP 302"),
    "broken for good": ([Response(500)], "HTTP 500"),
    "not as promised": ([Page(Response(200, readable=False))], "HTTP 200"),
    "busy for good": ([Response(429)], "HTTP 429"),
    "nobody there": ([NotSent("ConnectError")], "ConnectError"),
    "silent": ([MaybeSent("ReadTimeout")], "ReadTimeout"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_list_that_cannot_be_read_leaves_everything_doubtful(name: str) -> None:
    """Except what was found before; the reason is told, and what would not help is not repeated."""
    answers, output = UNREADABLE[name]
    api = Api({"": [page(5, token="t")], "t": answers})
    result = reconcile_list(api, doubt(1), doubt(5))
    assert [each.state for each in result.outcomes] == [State.DOUBTFUL, State.CREATED]
    assert result.reason == f"The list of conversations cannot be read ({output})."
    assert result.outcomes[0].message == result.reason
    for_good = name in {"unauthorized", "no such path", "redirected"}
    assert len(api.asked) == 1 + (1 if for_good else 5)


PASSING: list[list[Answer]] = [
    [Response(500), Response(502), page(1)],
    [NotSent("ConnectError"), MaybeSent("ReadError"), page(1)],
    [Page(Response(200, readable=False)), page(1)],
    [Response(503), Response(408), page(1)],
]


@pytest.mark.parametrize("answers", PASSING)
def test_what_may_pass_is_asked_again(answers: list[Answer]) -> None:
    """Reading is harmless."""
    assert reconcile_list(Api({"": list(answers)}), doubt(1)).outcomes[0].state is State.CREATED


def test_retry_after_is_respected_while_walking() -> None:
    """By everybody, through the shared limiter."""
    api = Api({"": [Response(429, retry_after_s=20), page(1)]})
    reconcile_list(api, doubt(1))
    assert [at for at, _ in api.asked] == pytest.approx([0, 20], abs=0.1)


def test_a_429_on_the_list_holds_whoever_shares_the_pace() -> None:
    """Also where the walk itself gives up."""

    async def main() -> tuple[float, float]:
        limiter = RateLimiter(10, now=clock)
        await look_up(
            [doubt(1)],
            client=Api({"": [Response(429, retry_after_s=20)]}),
            limiter=limiter,
            settings=builders.settings(attempts=1),
            hashes=builders.HASHES,
            now=now,
            proof=CAUGHT_UP,
        )
        return limiter.eta_s(1), limiter.rate

    held_s, rate = run(main())
    assert held_s == pytest.approx(20)
    assert rate == 5


def test_pages_take_permits() -> None:
    """At the rate that the submissions share."""
    pages: dict[str, list[Answer]] = {f"t{n}": [page(token=f"t{n + 1}")] for n in range(5)}
    api = Api({"": [page(token="t0")], **pages, "t5": [page()]})
    reconcile_list(api, doubt(1), rate=2)
    assert api.asked[-1][0] > 2.9


def test_a_list_in_a_circle_proves_nothing() -> None:
    """A token that comes again ends the pager."""
    api = Api({"": [page(token="a")], "a": [page(token="b")], "b": [page(token="a")]})
    result = reconcile_list(api, doubt(1))
    assert result.outcomes[0].state is State.DOUBTFUL
    assert "repeats itself" in result.reason
    assert len(api.asked) == 3


def test_a_list_that_is_too_long_proves_nothing() -> None:
    """The bound is named."""
    pages: dict[str, list[Answer]] = {f"t{n}": [page(token=f"t{n + 1}")] for n in range(50)}
    api = Api({"": [page(token="t0")], **pages})
    result = reconcile_list(api, doubt(1), max_pages=7)
    assert result.outcomes[0].state is State.DOUBTFUL
    assert "max_pages (7)" in result.reason
    assert len(api.asked) == 7


def test_a_list_that_takes_too_long_proves_nothing() -> None:
    """A list without an end gives a new token with each page."""
    pages: dict[str, list[Answer]] = {f"t{n}": [page(token=f"t{n + 1}")] for n in range(50)}
    api = Api({"": [page(token="t0")], **pages})
    result = reconcile_list(api, doubt(1), rate=1, max_list_s=9)
    assert result.outcomes[0].state is State.DOUBTFUL
    assert "max_list_s (9 s)" in result.reason
    assert len(api.asked) < 15


def witness(number: int, later_s: float) -> Witness:
    """Return a conversation that we created this long after the doubtful requests (at START)."""
    return Witness(f"ext-{number}", f"c-{number}", START + timedelta(seconds=later_s))


PLACE = ("camp-42", "auto-schedule")


def decided(*known: Witness, shown: tuple[int, ...], place: tuple[str, str] = PLACE) -> Outcome:
    """Return the verdict on a request that left at START, an hour later."""
    late = replace(doubt(1), sent_at=START - timedelta(hours=1))
    moved = [replace(each, sent_at=each.sent_at - timedelta(hours=1)) for each in known]
    return reconcile_list(Api({"": [page(*shown)]}), late, proof=Proof({place: moved})).outcomes[0]


def test_absence_needs_a_witness() -> None:
    """A conversation of ours that is later than the request, of the same campaign and kind."""
    assert decided(witness(6, 9), shown=(6,)).state is State.PLANNED
    assert decided(shown=(6,)).state is State.DOUBTFUL
    assert decided(witness(6, -9), shown=(6,)).state is State.DOUBTFUL
    for other in (("camp-7", PLACE[1]), (PLACE[0], "campaign")):
        assert decided(witness(6, 9), shown=(6,), place=other).state is State.DOUBTFUL


def test_a_list_that_leaves_ours_out_proves_nothing() -> None:
    """Whether they are older or younger than the one that it shows."""
    assert "lacks a conversation" in decided(witness(6, 9), witness(7, 8), shown=(6,)).message
    assert "lacks a conversation" in decided(witness(6, 9), witness(7, -8), shown=(6,)).message
    assert decided(witness(6, 9), witness(7, -3700), shown=(6,)).state is State.PLANNED


def test_the_newest_of_ours_is_given_time_to_be_listed() -> None:
    """A list that always ends with an old conversation is not taken for one that has caught up."""
    early = replace(doubt(1), sent_at=START - timedelta(hours=1))
    known = [witness(6, -3590), witness(7, -10)]
    api = Api({"": [page(6)]})
    found = reconcile_list(api, early, proof=Proof({PLACE: known}), settle_s=30)
    assert [at for at, _ in api.asked] == [20]
    assert found.outcomes[0].state is State.DOUBTFUL
    assert "lacks a conversation" in found.outcomes[0].message


def test_a_long_lag_excuses_no_list_that_leaves_ours_out() -> None:
    """Once it had `settle_s`, it may be late, but it proves nothing."""
    early = replace(doubt(1), sent_at=START - timedelta(hours=1))
    known = [witness(6, -3590), witness(7, -40)]
    proof = Proof({PLACE: known}, ListLag(3, 60.0))
    found = reconcile_list(Api({"": [page(6)]}), early, proof=proof, settle_s=30)
    assert found.outcomes[0].state is State.DOUBTFUL
    assert "lacks a conversation" in found.outcomes[0].message


@pytest.mark.parametrize(
    ("lag", "state"),
    [
        (ListLag(20, 5.9), State.PLANNED),
        (ListLag(20, 6.1), State.DOUBTFUL),
        (ListLag(19, 0.1), State.DOUBTFUL),
    ],
)
def test_the_measured_lag_proves_as_well(lag: ListLag, state: State) -> None:
    """Of twenty conversations at least, and ten times the longest of them has passed."""
    result = reconcile_list(Api({"": [page(5)]}), doubt(1, age_s=60), proof=Proof(lag=lag))
    assert result.outcomes[0].state is state


def test_a_resend_is_not_for_ever() -> None:
    """After max_resends a person decides."""
    again = replace(doubt(1), resends=1)
    assert "max_resends: 1" in reconcile_list(Api({"": [page(5)]}), again).outcomes[0].message
    more = reconcile_list(Api({"": [page(5)]}), again, max_resends=2)
    assert more.outcomes[0].state is State.PLANNED


def test_a_list_that_says_more_follows_proves_nothing() -> None:
    """Nor one that shows fewer conversations than it counts; what it shows is still found."""
    for last in (
        replace(page(5), incomplete="it says hasMore"),
        replace(page(5), total=7),
        replace(page(5), response=Response(200, refusal="error")),
    ):
        result = reconcile_list(Api({"": [last]}), doubt(1), doubt(5))
        assert result.outcomes[0].state is State.DOUBTFUL
        found = State.DOUBTFUL if last.response.refusal else State.CREATED
        assert result.outcomes[1].state is found
        assert result.reason


def test_what_the_list_shows_is_told() -> None:
    """The externalIds, for measuring its lag, and its clock."""
    one = replace(page(1, 5), response=Response(200, skew_s=-90.0))
    result = reconcile_list(Api({"": [one]}), doubt(1), doubt(2))
    assert result.external_ids == {"ext-1", "ext-5"}
    assert (result.skew_s, result.absent, result.settled) == (-90.0, 1, 2)


def test_a_list_may_call_the_id_otherwise() -> None:
    """`conversationId` is as good."""
    one = {**conversation(1), "id": None, "conversationId": "c-1"}
    result = reconcile_list(Api({"": [Page(Response(200), (one,))]}), doubt(1), doubt(2))
    assert [each.conversation_id for each in result.outcomes] == ["c-1", None]
    assert result.outcomes[1].state is State.PLANNED


def test_without_the_duplicate_check_of_the_api_absence_proves_nothing() -> None:
    """Found is still found."""
    result = reconcile_list(Api({"": [page(5)]}), doubt(1), doubt(5), skip_duplication_check=True)
    assert [each.state for each in result.outcomes] == [State.DOUBTFUL, State.CREATED]
    assert result.reason == ""


def test_a_possible_conversation_keeps_it_doubtful_and_is_named() -> None:
    """A person who settles it by hand knows where to look."""
    maybe = conversation(1, externalId="another's")
    result = reconcile_list(Api({"": [Page(Response(200), (maybe,))]}), doubt(1))
    (outcome,) = result.outcomes
    assert outcome.state is State.DOUBTFUL
    assert "c-1" in outcome.message


def test_a_list_that_shows_nobody_proves_nothing() -> None:
    """Neither externalId, nor phone, nor e-mail."""
    nameless: dict[str, Json] = {"id": "c-9", "campaignId": "camp-42"}
    result = reconcile_list(Api({"": [Page(Response(200), (nameless,))]}), doubt(1))
    assert result.outcomes[0].state is State.DOUBTFUL


@pytest.mark.parametrize("stop_at", [10.0, 30.3])
def test_a_stop_leaves_everything_doubtful(stop_at: float) -> None:
    """While it lets the list settle, and between its pages."""
    api = Api({"": [page(token="t")], "t": [page()]})
    result = reconcile_list(api, doubt(1, age_s=0), stop_at=stop_at, rate=1)
    assert result.outcomes[0].state is State.DOUBTFUL
    assert result.reason.startswith("Interrupted")
    assert len(api.asked) <= 1


def statuses(api: Api, wanted: Collection[str]) -> ConversationStatuses:
    """Return what the API says of these now."""

    async def main() -> ConversationStatuses:
        return await read_statuses(
            wanted,
            client=api,
            limiter=RateLimiter(1000, now=clock),
            settings=builders.settings(),
            random=lambda: 1.0,
        )

    return run(main())


def test_few_conversations_are_asked_for_one_by_one() -> None:
    """One that is gone is left out; what may pass is asked again."""
    api = Api(single={"c-1": [Response(500), page(1)], "c-2": [page(2)]})
    assert statuses(api, ["c-2", "c-1", "c-3"]) == ConversationStatuses(
        {"c-1": "ONGOING", "c-2": "ONGOING"}
    )


def test_many_conversations_are_read_from_the_list() -> None:
    """As far as it takes."""
    half = Page(Response(200), tuple(conversation(n) for n in range(30)), "t")
    api = Api({"": [half], "t": [page(30, 31, token="u")], "u": [page()]})
    found = statuses(api, [f"c-{n}" for n in range(32)])
    assert len(found.by_id) == 32
    assert [what for _, what in api.asked] == ["", "t"]


def test_statuses_that_cannot_be_read_come_with_the_reason() -> None:
    """What was read before is kept."""
    api = Api(single={"c-1": [page(1)], "c-2": [Response(403)]})
    found = statuses(api, ["c-1", "c-2"])
    assert found.by_id == {"c-1": "ONGOING"}
    assert "HTTP 403" in found.reason
