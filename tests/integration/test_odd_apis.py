"""However the API behaves: nobody is contacted twice, and nobody is lost in silence.

Each case is an API on a real socket that does one thing differently from what we expect of ours.
After two runs of the same file nobody may have been contacted twice; and everybody who was not
contacted must be rejected with a reason, unsent, or openly doubtful, and the exit code must say so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from importer.deliver import deliver, reconcile, refresh, resume
from importer.errors import Exit, LedgerError, SettingsError
from importer.ledger import Ledger
from importer.model import State
from importer.planning.history import open_history
from importer.sending.run_options import RunOptions, SilentObserver
from tests.support.builders import CREDENTIALS
from tests.support.odd_api import CUT, Body, OddApi, Reply, accepts, answer, serve_odd_api
from tests.support.project import GOOD, Project, make_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.model import RunReport

OPTIONS = RunOptions("a test", CREDENTIALS)


def rows(count: int, **values: str) -> list[dict[str, str]]:
    """Return rows of different people."""
    return [
        {**GOOD, "phone_number": f"+1 202 555 0{n:03}", **values} for n in range(100, 100 + count)
    ]


@pytest.fixture(name="open_place")
def _open_place() -> Iterator[Callable[[OddApi], Project]]:
    """Yield a function that makes a folder; its settings give an API little time."""
    places: list[Any] = []

    def open_place(api: OddApi, **choices: object) -> Project:
        quick = {
            "preflight": "auto",
            "rate_per_s": 1_000,
            "settle_s": 0.05,
            "wait_base_s": 0.01,
            "max_wait_s": 0.05,
        }
        opened = make_project(
            base_url=api.url, attempts=2, read_timeout_s=5, **{**quick, **choices}
        )
        places.append(opened)
        return opened.__enter__()

    yield open_place
    for each in places:
        each.__exit__(None, None, None)


@dataclass
class Listener(SilentObserver):
    """Keeps what it hears."""

    stages: list[str] = field(default_factory=list)

    def on_stage(self, sentence: str) -> None:
        """Keep it."""
        self.stages.append(sentence)


def beside(project: Project) -> Project:
    """Return the workspace with another folder for its lists, so that earlier runs keep theirs."""
    folder = project.folder / "more"
    folder.mkdir(exist_ok=True)
    return Project(folder, project.settings)


def run_again(project: Project, people: list[dict[str, str]], **choices: object) -> RunReport:
    """Plan with what the ledger knows, and send."""
    settings = project.settings.model_copy(update=choices)
    with open_history(settings) as history:
        plan = history.exclude_known(project.plan(people), settings)
    return deliver(plan, settings, OPTIONS)


def first_fails(reply: Reply, *, accepted: bool = True) -> Callable[[OddApi, Body], Reply]:
    """Return a reply that ends the first request like this, and accepts the others."""

    def on_create(api: OddApi, body: Body) -> Reply:
        if len(api.bodies) == 1:
            if accepted:
                api.accept(body)
            return reply
        return accepts(api, body)

    return on_create


def always(reply: Reply, *, accepted: bool) -> Callable[[OddApi, Body], Reply]:
    """Return a reply that ends every request like this."""

    def on_create(api: OddApi, body: Body) -> Reply:
        if accepted:
            api.accept(body)
        return reply

    return on_create


def hides(*names: str) -> Callable[[OddApi, Body], Body]:
    """Show conversations without these fields."""
    return lambda _, each: {name: value for name, value in each.items() if name not in names}


def changes(**how: Callable[[Any], Any]) -> Callable[[OddApi, Body], Body]:
    """Show some fields with other values."""
    return lambda _, each: {k: how[k](v) if k in how else v for k, v in each.items()}


def local_time(text: str) -> str:
    """Return a time of a zone that it does not name."""
    return (datetime.fromisoformat(text) - timedelta(hours=5)).replace(tzinfo=None).isoformat()


EMPTY = answer(200, {"data": [], "nextToken": None})
TITLE = "the title 'Interview for Chef' must not be repeated, it is a duplicate"


def some_of_the_list(api: OddApi, part: slice) -> Reply:
    """Return a list that ends too early, newest first, and does not say so."""
    return answer(200, {"data": api.conversations[part][::-1], "nextToken": None})


def nested_list(api: OddApi) -> Reply:
    """Return a list of objects that have the conversations."""
    data = [{"conversation": each} for each in api.conversations]
    return answer(200, {"data": data, "nextToken": None})


def forgets(own_id: str) -> Callable[[OddApi, Body], Body]:
    """Show one conversation without its person, as after a request to be forgotten."""
    personal = ("externalId", "participantPhoneNumber", "participantEmailAddress")
    return lambda _, each: {
        name: None if each["id"] == own_id and name in personal else value
        for name, value in each.items()
    }


LOST_ANSWERS: dict[str, OddApi] = {
    "504 to every POST, and an empty list": OddApi(
        always(answer(504), accepted=True), on_list=lambda _: EMPTY
    ),
    "one lost, and an empty list": OddApi(first_fails(CUT), on_list=lambda _: EMPTY),
    "one lost, and a list with an error": OddApi(
        first_fails(CUT),
        on_list=lambda _: answer(200, {"data": [], "error": "x", "nextToken": None}),
    ),
    "one lost, and a list with hasMore": OddApi(
        first_fails(CUT),
        on_list=lambda _: answer(200, {"data": [], "hasMore": True, "nextToken": None}),
    ),
    "one lost, and a list with 206": OddApi(
        first_fails(CUT), on_list=lambda _: answer(206, {"data": [], "nextToken": None})
    ),
    "one lost, and a list without an end": OddApi(
        first_fails(CUT), on_list=lambda _: answer(200, {"data": []})
    ),
    "one lost, and a list that leaves it out": OddApi(
        first_fails(CUT),
        on_list=lambda api: answer(200, {"data": api.conversations[3:], "nextToken": None}),
    ),
    "one lost, and phones without plus": OddApi(
        first_fails(CUT), hides("externalId"), lambda api: api.whole_list()
    ),
    "one lost, and masked phones": OddApi(
        first_fails(CUT),
        lambda _, each: {**each, "externalId": None, "participantPhoneNumber": "+1 ••• 00"},
    ),
    "one lost, no externalId, bare phones": OddApi(
        first_fails(CUT),
        lambda _, each: {
            **each,
            "externalId": None,
            "participantPhoneNumber": str(each["participantPhoneNumber"])[1:],
        },
    ),
    "one lost, and local times": OddApi(
        first_fails(CUT), changes(createdAt=local_time, externalId=lambda _: None)
    ),
    "one lost, and our clock is ten minutes ahead": OddApi(
        first_fails(CUT), hides("externalId"), ahead=-timedelta(minutes=10)
    ),
    "one lost, our clock ahead, and no Date": OddApi(
        first_fails(CUT), hides("externalId"), ahead=-timedelta(minutes=10), shows_date=False
    ),
    "one lost, and a list of the newest five": OddApi(
        first_fails(CUT), on_list=lambda api: some_of_the_list(api, slice(-5, None))
    ),
    "one lost, and a list of the oldest five, without it": OddApi(
        first_fails(CUT), on_list=lambda api: some_of_the_list(api, slice(1, 6))
    ),
    "one lost, and its conversation is anonymous now": OddApi(first_fails(CUT), forgets("c-1")),
    "one lost, and a list of nested conversations": OddApi(first_fails(CUT), on_list=nested_list),
    "one lost, and externalIds in capitals": OddApi(
        first_fails(CUT), changes(externalId=lambda text: str(text).upper())
    ),
    "one lost, and externalIds that are cut": OddApi(
        first_fails(CUT), changes(externalId=lambda text: str(text)[:8])
    ),
    "503 with Retry-After to one": OddApi(first_fails(answer(503, {}, retry_after="0"))),
}


@pytest.mark.parametrize("name", LOST_ANSWERS)
def test_a_lost_answer_contacts_nobody_twice(open_place: Callable[..., Project], name: str) -> None:
    """Nor does a second run; who is not known to be there is doubtful, and the code says so."""
    template = LOST_ANSWERS[name]
    api = OddApi(
        template.on_create,
        template.show,
        template.on_list,
        ahead=template.ahead,
        shows_date=template.shows_date,
    )
    with serve_odd_api(api):
        project = open_place(api)
        report = run_again(project, rows(8))
        again = resume(report.run, project.settings, OPTIONS)
        run_again(project, rows(8))
    assert max(Counter(api.contacted).values()) == 1
    known = again.states.get(State.CREATED, 0) + again.states.get(State.DOUBTFUL, 0)
    assert known == 8
    if again.states.get(State.DOUBTFUL):
        assert Exit.DOUBTFUL in {report.exit_code, again.exit_code}


def test_an_honest_list_with_a_witness_settles_absence(open_place: Callable[..., Project]) -> None:
    """What never arrived goes again, once, and everybody is contacted exactly once."""
    api = OddApi(first_fails(CUT, accepted=False))
    with serve_odd_api(api):
        # So slow that each has an intent of its own time, and the first one has later witnesses.
        report = run_again(open_place(api, concurrency=1, rate_per_s=30), rows(5))
    assert report.states == {State.CREATED: 5}
    assert sorted(Counter(api.contacted).values()) == [1] * 5
    assert report.exit_code == Exit.OK


def test_the_last_row_waits_for_a_witness(open_place: Callable[..., Project]) -> None:
    """Without a later conversation it stays doubtful; a later run brings one, and it goes again."""

    def last_is_cut(api: OddApi, body: Body) -> Reply:
        return CUT if len(api.bodies) == 3 else accepts(api, body)

    api = OddApi(last_is_cut)
    with serve_odd_api(api):
        # So slow that the last row's intent is later than the others'.
        project = open_place(api, concurrency=1, rate_per_s=30)
        report = run_again(project, rows(3))
        assert report.states == {State.CREATED: 2, State.DOUBTFUL: 1}
        assert report.exit_code == Exit.DOUBTFUL
        run_again(beside(project), rows(4)[3:])
        settled = resume(report.run, project.settings, OPTIONS)
    assert settled.states == {State.CREATED: 3}
    assert sorted(Counter(api.contacted).values()) == [1] * 4


def test_an_absent_row_goes_again_only_so_often(open_place: Callable[..., Project]) -> None:
    """After that a person decides."""

    def eats_one(api: OddApi, body: Body) -> Reply:
        return CUT if body["phoneNumber"].endswith("100") else accepts(api, body)

    api = OddApi(eats_one)
    with serve_odd_api(api):
        project = open_place(api, concurrency=1)
        report = run_again(project, rows(3))
        run_again(beside(project), rows(5)[3:])
        resume(report.run, project.settings, OPTIONS)
        run_again(beside(project), rows(7)[5:])
        settled = reconcile(report.run, project.settings, OPTIONS)
    eaten = [body for body in api.bodies if body["phoneNumber"].endswith("100")]
    assert len(eaten) == 2
    assert "max_resends: 1" in settled.findings.outcomes[0].message


def test_many_doubts_stop_a_run(open_place: Callable[..., Project]) -> None:
    """It looks them up, and if nothing can be settled it ends with 5 and says what to do."""
    api = OddApi(always(answer(504), accepted=True), on_list=lambda _: EMPTY)
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(40))
    assert len(api.bodies) == 10
    assert report.exit_code == Exit.DOUBTFUL
    assert "importer resolve" in report.stopped
    assert report.states == {State.DOUBTFUL: 10, State.PLANNED: 30}


def test_a_run_goes_on_once_doubts_are_settled(open_place: Callable[..., Project]) -> None:
    """504 to everybody, but the list is honest: all are created, each contacted once."""
    api = OddApi(always(answer(504), accepted=True))
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(25))
    assert report.states == {State.CREATED: 25}
    assert sorted(Counter(api.contacted).values()) == [1] * 25
    assert api.asked >= 3


UNBELIEVABLE: dict[str, Reply] = {
    "success is false": answer(200, {"success": False}),
    "ok is false": answer(200, {"ok": False, "id": "c-1"}),
    "errors": answer(200, {"errors": [{"message": "no"}]}),
    "status error": answer(200, {"status": "error"}),
    "an id and an error": answer(201, {"id": "c-1", "error": "campaign closed"}),
    "an empty 200": answer(200),
    "204": answer(204),
    "202": answer(202),
    "somebody else's phone": answer(200, {"id": "c-9", "participantPhoneNumber": "+442079460018"}),
    "another externalId": answer(200, {"id": "c-9", "externalId": "ext-of-another"}),
    "another organization": answer(200, {"id": "c-9", "organizationId": "other"}),
    "a result that failed": answer(200, {"id": "c-1", "result": "FAILED"}),
    "a nested outcome": answer(200, {"data": {"id": "c-1", "outcome": "refused"}}),
    "created is false": answer(201, {"id": "c-1", "created": False}),
    "failures": answer(200, {"id": "c-1", "failures": [{"reason": "no channel"}]}),
    "an old one of nobody": answer(200, {"id": "c-9", "createdAt": "2026-01-01T00:00:00Z"}),
}


@pytest.mark.parametrize("name", UNBELIEVABLE)
def test_a_success_without_proof_is_doubtful(open_place: Callable[..., Project], name: str) -> None:
    """It fails the canary: of 200 rows three are sent."""
    api = OddApi(always(UNBELIEVABLE[name], accepted=False), on_list=lambda _: EMPTY)
    with serve_odd_api(api):
        project = open_place(api, canary=3, concurrency=1)
        report = run_again(project, rows(200))
    assert len(api.bodies) == 3
    assert report.states == {State.DOUBTFUL: 3, State.PLANNED: 197}
    assert report.exit_code in {Exit.HELD, Exit.DOUBTFUL}
    assert report.stopped


def test_one_id_for_every_row(open_place: Callable[..., Project]) -> None:
    """One conversation belongs to one submission."""

    def same_id(api: OddApi, body: Body) -> Reply:
        return answer(201, {**api.accept(body), "id": "c-1"})

    api = OddApi(same_id, hides("externalId"), lambda _: EMPTY)
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(6))
    assert report.states == {State.CREATED: 1, State.DOUBTFUL: 5}
    assert report.exit_code == Exit.DOUBTFUL


@pytest.mark.parametrize("status", [200, 409])
def test_the_conversation_of_another_row_proves_no_duplicate(
    open_place: Callable[..., Project], status: int
) -> None:
    """The row is not lost in silence: an error refused it, and a success may have sent it."""

    def on_create(api: OddApi, body: Body) -> Reply:
        if len(api.bodies) == 1:
            return accepts(api, body)
        old = {"id": "c-1", "createdAt": "2026-01-01T00:00:00Z"}
        return answer(status, {"conversationId": "c-1", "error": "exists"} if status > 400 else old)

    api = OddApi(on_create)
    with serve_odd_api(api):
        project = open_place(api, reconcile=False, concurrency=1)
        report = run_again(project, rows(3))
        run_again(project, rows(3))
    state = State.DOUBTFUL if status == 200 else State.REJECTED
    assert report.states == {State.CREATED: 1, state: 2}
    assert report.exit_code is (Exit.DOUBTFUL if status == 200 else Exit.REJECTED)
    assert len(api.bodies) == 3


def test_an_api_without_ids_needs_a_setting(open_place: Callable[..., Project]) -> None:
    """The doubt names it, and with it the rows are created."""
    api = OddApi(always(answer(204), accepted=True), on_list=lambda _: EMPTY)
    with serve_odd_api(api):
        project = open_place(api, canary=1)
        assert "created_without_id" in run_again(project, rows(2)).stopped
        report = run_again(project, rows(9)[2:], created_without_id=True)
    assert report.states == {State.CREATED: 7}


def test_an_existing_conversation_is_a_duplicate(open_place: Callable[..., Project]) -> None:
    """It is this person's and older than our request, on the API's own clock."""

    def existing(_: OddApi, body: Body) -> Reply:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        return answer(
            200,
            {
                "id": f"c-{body['phoneNumber']}",
                "participantPhoneNumber": body["phoneNumber"],
                "createdAt": yesterday.isoformat(),
            },
        )

    api = OddApi(existing)
    with serve_odd_api(api):
        report = run_again(open_place(api), rows(3))
    assert report.states == {State.DUPLICATE: 3}


NO_DUPLICATES: dict[str, Reply] = {
    "a campaign's title": answer(400, {"error": "meeting of campaign 'Duplicate of Sales' is bad"}),
    "a title of ours that is repeated": answer(422, {"error": TITLE}),
    "409 retry later": answer(409, {"error": "retry later"}),
    "a word": answer(422, {"error": "duplicate key in the JSON"}),
}


@pytest.mark.parametrize("name", NO_DUPLICATES)
def test_a_word_is_no_duplicate(open_place: Callable[..., Project], name: str) -> None:
    """The row is rejected, counts for the guards, and the exit code says so."""
    api = OddApi(always(NO_DUPLICATES[name], accepted=False))
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(30))
    assert report.states == {State.REJECTED: 10, State.PLANNED: 20}
    assert report.exit_code == Exit.HELD


def with_number(reply: Reply, number: int) -> Reply:
    """Return the answer with another id each time."""
    return reply[0], reply[1].replace(b"c-7", b"c-%d" % number), reply[2]


@pytest.mark.parametrize(
    "reply",
    [
        answer(409, {"error": "exists", "conversationId": "c-7"}),
        answer(422, {"error": "Conversation already exists for this candidate"}),
    ],
)
def test_a_proved_duplicate(open_place: Callable[..., Project], reply: Reply) -> None:
    """By its id, or by a whole phrase."""
    api = OddApi(lambda api, _: with_number(reply, len(api.bodies)))
    with serve_odd_api(api):
        report = run_again(open_place(api), rows(3))
    assert report.states == {State.DUPLICATE: 3}
    assert report.exit_code == Exit.OK


def conflict(api: OddApi, body: Body) -> Reply:
    """Return a conflict for the first person, and a new conversation for the others."""
    if body["phoneNumber"] == "+12025550100":
        return answer(409, {"error": "Conflict"})
    return answer(201, api.accept(body))


def has_already(**shown: object) -> OddApi:
    """Return an API that lists an older conversation and answers conflict to its person."""
    api = OddApi(conflict)
    older = {"externalId": "of-another-system", "phoneNumber": "+12025550100"}
    api.accept({**older, "campaignId": GOOD["campaign"]})
    api.conversations[0] |= {"createdAt": "2026-01-01T00:00:00Z", **shown}
    return api


def test_the_list_proves_a_duplicate(open_place: Callable[..., Project]) -> None:
    """A bare 409 is no proof, but the list shows this person's conversation in this campaign."""
    api = has_already()
    with serve_odd_api(api):
        report = run_again(open_place(api), rows(3))
    assert report.states == {State.DUPLICATE: 1, State.CREATED: 2}
    assert report.exit_code == Exit.OK


@pytest.mark.parametrize(
    "shown",
    [
        {"participantPhoneNumber": "+12025550199"},
        {"participantPhoneNumber": "*******0100"},
        {"campaignId": "camp-other"},
        {"organizationId": "org-other"},
        {"id": None},
        {"campaignId": None},
    ],
)
def test_the_list_proves_no_duplicate(
    open_place: Callable[..., Project], shown: dict[str, object]
) -> None:
    """Another person, campaign or organization, or one that cannot be told: still rejected."""
    api = has_already(**shown)
    with serve_odd_api(api):
        report = run_again(open_place(api), rows(3))
    assert report.states == {State.REJECTED: 1, State.CREATED: 2}
    assert report.exit_code == Exit.REJECTED


def test_a_held_run_learns_which_rows_are_duplicates(open_place: Callable[..., Project]) -> None:
    """Ten conflicts in a row stop it; the list shows those people, and `resume` goes on."""

    def exists(api: OddApi, body: Body) -> Reply:
        if len(api.bodies) > 10:
            return accepts(api, body)
        api.accept({**body, "externalId": f"older-{len(api.bodies)}"})
        api.conversations[-1] |= {"createdAt": "2026-01-01T00:00:00Z"}
        return answer(409, {"error": "Conflict"})

    api = OddApi(exists)
    with serve_odd_api(api):
        project = open_place(api, concurrency=1)
        report = run_again(project, rows(12))
        assert report.states == {State.DUPLICATE: 10, State.PLANNED: 2}
        assert report.exit_code == Exit.HELD
        assert "10 of them are duplicates; `importer resume` continues" in report.stopped
        again = resume(report.run, project.settings, OPTIONS)
    assert again.states == {State.DUPLICATE: 10, State.CREATED: 2}
    assert again.exit_code == Exit.OK


def test_the_conversation_of_another_round_proves_no_duplicate(
    open_place: Callable[..., Project],
) -> None:
    """It belongs to the first round's submission, so it is not counted as this one's."""
    api = OddApi(accepts)
    with serve_odd_api(api):
        project = open_place(api)
        assert run_again(project, rows(2)).states == {State.CREATED: 2}
        api.on_create = always(answer(409, {"error": "Conflict"}), accepted=False)
        report = run_again(project, rows(2), round="second")
    assert report.states == {State.REJECTED: 2}


CAMPAIGN_REFUSALS: dict[str, Reply] = {
    "not found": answer(404, {"error": "Campaign not found"}),
    "not active": answer(400, {"error": "campaign is not active"}),
    "archived": answer(422, {"message": ["The campaign has been archived."]}),
    "a code": answer(409, {"code": "CAMPAIGN_ARCHIVED"}),
    "no words at all": answer(404),
}


@pytest.mark.parametrize("name", CAMPAIGN_REFUSALS)
def test_a_campaign_that_is_refused(open_place: Callable[..., Project], name: str) -> None:
    """Its rows are left and need no flag; those of another campaign go on."""
    reply: list[Reply] = [CAMPAIGN_REFUSALS[name]]

    def one_is_closed(api: OddApi, body: Body) -> Reply:
        return reply[0] if reply and body["campaignId"] == "closed" else accepts(api, body)

    api = OddApi(one_is_closed)
    people = [*rows(20, campaign="closed"), *rows(5, campaign="open")]
    with serve_odd_api(api):
        project = open_place(api, concurrency=1)
        report = run_again(project, people)
        assert report.states == {State.UNSENT: 20, State.CREATED: 5}
        assert len([body for body in api.bodies if body["campaignId"] == "closed"]) <= 2
        assert report.exit_code == Exit.SETUP
        assert "Campaign closed" in report.stopped
        reply.clear()
        mended = resume(report.run, project.settings, OPTIONS)
    assert mended.states == {State.CREATED: 25}
    assert mended.exit_code == Exit.OK


def test_a_draft_is_found_before_the_first_post(open_place: Callable[..., Project]) -> None:
    """`GET /campaigns/{id}` says so; nothing is sent to it."""
    api = OddApi(
        accepts,
        on_campaign=lambda _, name: answer(
            200, {"id": name, "campaignStatus": "DRAFT" if name == "c-draft" else "LIVE"}
        ),
    )
    people = [*rows(3, campaign="c-draft"), *rows(3, campaign="c-live")]
    with serve_odd_api(api):
        project = open_place(api)
        report = run_again(project, people)
        assert {body["campaignId"] for body in api.bodies} == {"c-live"}
        assert report.states == {State.UNSENT: 3, State.CREATED: 3}
        off = run_again(project, people, preflight="off")
    assert off.states == {State.CREATED: 3}


def test_an_api_that_does_not_answer_the_question(open_place: Callable[..., Project]) -> None:
    """`auto` says so and goes on; `required` refuses."""
    api = OddApi(accepts)
    listener = Listener()
    with serve_odd_api(api):
        project = open_place(api)
        with pytest.raises(Exception, match="preflight: auto"):
            run_again(project, rows(2), preflight="required")
        assert not api.bodies
        plan = project.plan(rows(2))
        deliver(plan, project.settings, OPTIONS, listener)
    assert any("does not say whether campaign" in stage for stage in listener.stages)
    assert len(api.bodies) == 2


def test_campaigns_by_an_external_id_cannot_be_looked_up(
    open_place: Callable[..., Project],
) -> None:
    """`auto` says so once and goes on; `required` refuses, and sends nothing."""
    api, listener = OddApi(accepts), Listener()
    people = [{**each, "campaign": "", "external_campaign": "req-7"} for each in rows(3)]
    with serve_odd_api(api):
        project = open_place(api)
        with pytest.raises(SettingsError, match="externalCampaignId"):
            run_again(project, people, preflight="required")
        assert not api.bodies
        report = deliver(project.plan(people), project.settings, OPTIONS, listener)
    assert report.states == {State.CREATED: 3}
    assert sum("externalCampaignId" in stage for stage in listener.stages) == 1


def test_two_people_under_one_external_id(open_place: Callable[..., Project]) -> None:
    """The conversation of the first is no proof for the second."""

    def second_is_cut(api: OddApi, body: Body) -> Reply:
        return CUT if len(api.bodies) == 2 else accepts(api, {**body, "externalId": "one-for-all"})

    api = OddApi(second_is_cut, hides("participantPhoneNumber", "externalId"))
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(4))
    assert report.states.get(State.DOUBTFUL) == 1
    assert report.exit_code == Exit.DOUBTFUL


def test_a_quota_that_will_not_come_back_today(open_place: Callable[..., Project]) -> None:
    """The run ends instead of crawling; nothing is lost."""
    api = OddApi(always(answer(429, {}, retry_after="40000"), accepted=False))
    with serve_odd_api(api):
        report = run_again(open_place(api, concurrency=1), rows(30))
    assert len(api.bodies) == 1
    assert report.exit_code == Exit.SETUP
    assert "quota" in report.stopped


def test_request_ids_are_kept_for_doubtful_rows(open_place: Callable[..., Project]) -> None:
    """The API's own, else ours, which every request carries."""

    def gone(api: OddApi, body: Body) -> Reply:
        del body
        return answer(504, None, x_amzn_requestid="amzn-7") if len(api.bodies) == 1 else CUT

    api = OddApi(gone, on_list=lambda _: EMPTY)
    with serve_odd_api(api):
        project = open_place(api, concurrency=1, extra_headers={"x-tenant": "t-1"})
        run_again(project, rows(2))
        with Ledger.open(project.settings.ledger, create=False) as ledger:
            ids = {each.request_id for each in ledger.doubts.list()}
    posted = [each for each in api.headers if "content-length" in each]
    assert len({each["x-request-id"] for each in api.headers}) == len(api.headers)
    assert all(each["x-tenant"] == "t-1" for each in api.headers)
    assert ids == {"amzn-7", posted[1]["x-request-id"]}


def test_a_skewed_clock_is_told(open_place: Callable[..., Project]) -> None:
    """More than a minute is worth a word; conversations are still believed."""
    api = OddApi(accepts, ahead=-timedelta(minutes=10))
    listener = Listener()
    with serve_odd_api(api):
        project = open_place(api)
        report = deliver(project.plan(rows(2)), project.settings, OPTIONS, listener)
    assert report.states == {State.CREATED: 2}
    assert any("behind this machine" in stage for stage in listener.stages)


def test_statuses_are_read_from_the_api_of_the_ledger_alone(
    open_place: Callable[..., Project],
) -> None:
    """Another API knows none of its conversations; it is not asked."""
    api, other = OddApi(accepts), OddApi(accepts)
    with serve_odd_api(api), serve_odd_api(other):
        project = open_place(api)
        run_again(project, rows(2))
        elsewhere = project.settings.model_copy(update={"base_url": f"{other.url}/v2"})
        with pytest.raises(LedgerError):
            refresh(None, elsewhere, OPTIONS)
        assert refresh(None, project.settings, OPTIONS).asked == 2
    assert not other.asked
    assert api.asked
