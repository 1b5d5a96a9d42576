"""Doubts of an earlier night are settled by a later one, which says how everything stands."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.report.night_report import FileEnding
from tests.support.night_setup import NightSetup, candidate_list, make_night_setup
from tests.support.odd_api import CUT, Body, OddApi, Reply, accepts, answer, serve_odd_api
from tests.support.workspace import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Nights = tuple[NightSetup, OddApi]


def without_organization(_: OddApi, conversation: Body) -> Body:
    """Return a conversation as the API shows it."""
    return {name: value for name, value in conversation.items() if name != "organizationId"}


def third_is_cut(*, accepted: bool) -> Callable[[OddApi, Body], Reply]:
    """Return a reply that loses the connection at the third request."""

    def on_create(api: OddApi, body: Body) -> Reply:
        if len(api.bodies) != 3:
            return accepts(api, body)
        if accepted:
            api.accept(body)
        return CUT

    return on_create


def shows_nobody(_: OddApi) -> Reply:
    """Return a list that lags behind."""
    return answer(200, {"data": [], "nextToken": None})


def listed_after(requests: int) -> Callable[[OddApi], Reply]:
    """Return a list that lags until this many requests to create were made."""

    def on_list(api: OddApi) -> Reply:
        return api.whole_list() if len(api.bodies) > requests else shows_nobody(api)

    return on_list


@pytest.fixture(name="nights")
def _nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """Yield an inbox, and an API that loses the third request."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    api = OddApi(third_is_cut(accepted=False), without_organization)
    with serve_odd_api(api):
        yield make_night_setup(tmp_path, api.url, "concurrency: 1\nrefresh_before: false"), api


def once_each(api: OddApi, count: int) -> bool:
    """Whether this many people were contacted, each of them once."""
    contacted = Counter(api.contacted)
    return len(contacted) == count == contacted.total()


def a_doubtful_night(setup: NightSetup) -> None:
    """Import a list; its last row is doubtful."""
    setup.add_file("a.csv", candidate_list(0, 3))
    night = setup.night()
    assert (night.exit_code, night.doubtful_open) == (Exit.DOUBTFUL, 1)
    setup.clock.time += timedelta(days=1)


def test_what_was_proved_absent_goes_in_the_next_night(nights: Nights) -> None:
    """A later list brings the proof, and the night sends the row of the earlier one."""
    setup, api = nights
    a_doubtful_night(setup)
    setup.add_file("b.csv", candidate_list(10, 2))
    night = setup.night()
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert any("were sent now" in note for note in night.notes)
    assert once_each(api, 5)
    setup.clock.time += timedelta(days=1)
    assert setup.night().notes == ()


def test_what_cannot_go_is_named_with_its_command(nights: Nights) -> None:
    """The file is gone, so a person has to put it back; no night ends well until then."""
    setup, api = nights
    a_doubtful_night(setup)
    (done,) = setup.inbox.glob("done/*/a.csv")
    text = done.read_text()
    done.unlink()
    setup.add_file("b.csv", candidate_list(10, 2))
    for _ in range(2):
        night = setup.night()
        assert night.exit_code == Exit.SETUP
        (note,) = [note for note in night.notes if "importer resume" in note]
        setup.clock.time += timedelta(days=1)
    done.write_text(text)
    assert setup.workspace(*note.split("`")[1].split()[1:], "--yes").code == Exit.OK
    assert setup.night().exit_code == Exit.OK
    assert once_each(api, 5)


def test_a_list_without_new_people_looks_up_doubts(nights: Nights) -> None:
    """The list of the API has caught up, and shows the conversation."""
    setup, api = nights
    api.on_create, api.on_list = third_is_cut(accepted=True), shows_nobody
    a_doubtful_night(setup)
    api.on_list = OddApi.whole_list
    setup.add_file("again.csv", candidate_list(0, 3) + "\n")
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE]
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert once_each(api, 3)


def test_a_list_without_new_people_stays_doubtful(nights: Nights) -> None:
    """If the lookup settles nothing, the exit code says so."""
    setup, api = nights
    api.on_list = shows_nobody
    a_doubtful_night(setup)
    setup.add_file("again.csv", candidate_list(0, 3) + "\n")
    night = setup.night()
    assert (night.exit_code, night.doubtful_open) == (Exit.DOUBTFUL, 1)
    assert once_each(api, 2)


def test_the_exit_code_is_that_of_the_end(nights: Nights) -> None:
    """What was doubtful after the first list was found after the second."""
    setup, api = nights
    api.on_create, api.on_list = third_is_cut(accepted=True), listed_after(3)
    setup.add_file("a.csv", candidate_list(0, 3))
    setup.add_file("b.csv", candidate_list(10, 2))
    night = setup.night()
    assert len(night.files) == 2
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert night.rows["created"] == 5
    assert once_each(api, 5)
