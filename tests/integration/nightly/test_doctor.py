"""The doctor mentions what earlier nights left for a person, and finds nothing wrong with it."""

from __future__ import annotations

import json
import shlex
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.mail import mail_server
from tests.support.night_setup import NightSetup, candidate_list
from tests.support.odd_api import OddApi, accepts, serve_odd_api
from tests.support.remote_inboxes import RemoteNightSetup, make_remote_setup
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import RemoteFiles

ODD = candidate_list(0, 1) + "Ada,,Chef\n" * 3


def lines(setup: NightSetup, inbox: str, about: str) -> list[str]:
    """Return what the doctor says about one thing."""
    result = setup.workspace("doctor", inbox)
    assert result.code == Exit.OK, result.out
    found = (line.partition(f" {about}: ") for line in result.out.splitlines())
    return [what for label, mark, what in found if mark and label.strip() in {"ok", "warn"}]


def test_nothing_is_left(setup: NightSetup) -> None:
    """Then nothing is said of it, also where a night imported something."""
    setup.add_file("good.csv", candidate_list(0, 2))
    assert (lines(setup, "inbox", "held"), lines(setup, "inbox", "failed")) == ([], [])
    setup.night()
    assert (lines(setup, "inbox", "held"), lines(setup, "inbox", "failed")) == ([], [])


def test_held_and_failed_files(setup: NightSetup) -> None:
    """Each file counts once, without its pages, with the command for the first of them."""
    setup.add_file("acme corp/b.csv", ODD)
    setup.add_file("letter.txt", "dear all\n")
    setup.night()
    (held,) = lines(setup, "inbox", "held")
    command = held.split("`")[1]
    assert held == f"1 file is held; look at it, then `{command}`"
    wanted = f"{setup.inbox}/held/acme corp/b.csv"
    assert shlex.split(command) == ["importer", "release", wanted]
    assert lines(setup, "inbox", "failed") == [
        f"1 file is in failed/; correct it and upload it again: {setup.inbox}/failed/letter.txt"
    ]
    setup.clock.time += timedelta(days=1)
    setup.add_file("a.csv", ODD + "Ada,12345,Chef\n")
    setup.add_file("note.txt", "dear none\n")
    setup.night()
    (held,) = lines(setup, "inbox", "held")
    assert held.startswith("2 files are held; look at them, then `importer release ")
    assert held.endswith("/held/a.csv` and so on")
    (failed,) = lines(setup, "inbox", "failed")
    assert failed.startswith("2 files are in failed/; correct them and upload them again: ")


def test_in_an_inbox_elsewhere(remote: RemoteFiles, tmp_path: Path, sandbox: Sandbox) -> None:
    """By the address, which is what releases them."""
    setup: RemoteNightSetup = make_remote_setup(tmp_path, remote, sandbox)
    setup.add_remote_file("a.csv", ODD)
    setup.add_remote_file("acme/b.csv", ODD + "Ada,12345,Chef\n")
    setup.add_remote_file("letter.txt", "dear all\n")
    setup.night()
    (held,) = lines(setup, remote.address, "held")
    command = f"importer release {remote.address}/held/a.csv"
    assert held == f"2 files are held; look at them, then `{command}` and so on"
    (failed,) = lines(setup, remote.address, "failed")
    assert failed.endswith(f": {remote.address}/failed/letter.txt")
    assert setup.workspace(*shlex.split(command)[1:]).code == Exit.OK
    (mark,) = lines(setup, remote.address, "ownership of the staging folder")
    assert "it belongs to this ledger" in mark


@pytest.mark.parametrize("folder", ["held", "failed"])
def test_hidden_files_are_not_counted(setup: NightSetup, folder: str) -> None:
    """Nobody has to look at those of other programs."""
    for name in (".DS_Store", "a.csv.part", "a.csv.check.html"):
        setup.add_file(f"{folder}/{name}", "x")
    assert lines(setup, "inbox", folder) == []


def find(setup: NightSetup, about: str) -> tuple[str, str]:
    """Return state and message of one finding."""
    result = setup.workspace("doctor", "inbox", "--format", "json")
    found = {each["what"]: each for each in json.loads(result.out)["findings"]}
    assert (result.code == Exit.OK) is all(each["state"] != "wrong" for each in found.values())
    return found[about]["state"], found[about]["message"]


def test_the_mail_server_is_tried_without_a_mail(setup: NightSetup, sandbox: Sandbox) -> None:
    """Connected, greeted and left; one that is gone, or cannot encrypt, is a fault."""
    with mail_server() as post:
        about = f"mail_to: [ops@example.com]\nsmtp: {post.address}\n"
        setup.settings(sandbox.base_url, f"{about}smtp_security: none\n")
        state, message = find(setup, "mail")
        assert (state, post.mails) == ("ok", [])
        assert "no mail was sent to ops@example.com" in message
        assert post.greetings
        setup.settings(sandbox.base_url, about)
        state, message = find(setup, "mail")
        assert state == "wrong"
        assert "starttls" in message
    setup.settings(sandbox.base_url, f"{about}smtp_security: none\n")
    assert find(setup, "mail") == (
        "wrong",
        "The night's message cannot be sent (ConnectionRefusedError).",
    )


def test_nothing_is_posted_to_the_webhook(setup: NightSetup) -> None:
    """A connection and no request; the address is a secret, and so is not shown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/services/secret"
        workspace = Workspace(
            setup.workspace.folder, {**setup.workspace.env, "IMPORTER_WEBHOOK_URL": url}
        )
        result = workspace("doctor", "inbox")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b""
    (line,) = (line for line in result.out.splitlines() if "webhook" in line)
    assert line == (
        "ok    webhook: 127.0.0.1 answers; a night will post its message there, but nothing was "
        "posted now"
    )
    gone = workspace("doctor", "inbox")
    assert "WRONG webhook" in gone.out
    assert "secret" not in gone.out


def test_log_and_metrics_file_are_tried(setup: NightSetup, sandbox: Sandbox) -> None:
    """What they hold stays; a folder in their place is a fault."""
    log = setup.workspace.write("log.jsonl", "{}\n")
    setup.settings(sandbox.base_url, "log_file: log.jsonl\nmetrics_file: made.prom\n")
    assert find(setup, "log file")[0] == find(setup, "metrics file")[0] == "ok"
    assert log.read_text() == "{}\n"
    assert not (setup.workspace.folder / "made.prom").exists()
    (setup.workspace.folder / "made.prom").mkdir()
    log.unlink()
    log.mkdir()
    assert find(setup, "log file")[0] == find(setup, "metrics file")[0] == "wrong"


@pytest.mark.parametrize("words", [("nightly", "inbox"), ("release", "inbox/held/a.csv")])
def test_a_refused_ledger_is_not_made(setup: NightSetup, words: tuple[str, ...]) -> None:
    """The inbox belongs to another one."""
    setup.add_file("a.csv", ODD)
    setup.night()
    before = set(setup.workspace.files())
    result = setup.workspace(*words, "--ledger", "sqlite:///other.db")
    assert result.code == Exit.SETUP
    assert "does not exist yet" in result.error
    assert {name for name in setup.workspace.files() if "other" in name} == set()
    assert before <= set(setup.workspace.files())


def test_each_campaign_that_the_settings_name_is_looked_up(
    setup: NightSetup, sandbox: Sandbox
) -> None:
    """Those of `folders:` too, once each; a draft is a fault, and so is one that is unknown."""
    folders = {"acme": {"campaign": "camp-draft"}, "beta": {"campaign": "camp-42"}}
    setup.settings(sandbox.base_url, f"preflight: auto\nfolders: {json.dumps(folders)}")
    result = setup.workspace("doctor", "inbox")
    assert result.code == Exit.SETUP
    messages = [line for line in result.out.splitlines() if " campaign camp-" in line[:24]]
    assert messages == [
        "ok    campaign camp-42: the API accepts it",
        "WRONG campaign camp-draft: Nothing can be sent to it. It is DRAFT, not live.",
    ]
    off = setup.workspace("doctor", "inbox", "--preflight", "off")
    assert off.code == Exit.OK
    assert sandbox.journal == []


@pytest.mark.parametrize(("preflight", "state"), [("auto", "warning"), ("required", "wrong")])
def test_a_campaign_by_its_external_id(
    setup: NightSetup, sandbox: Sandbox, preflight: str, state: str
) -> None:
    """The API cannot be asked for it, which only `required` finds wrong."""
    setup.settings(
        sandbox.base_url, f"preflight: {preflight}\ncampaign: null\nexternal_campaign: req-7"
    )
    assert find(setup, "campaign req-7")[0] == state


def test_an_api_that_does_not_show_campaigns(setup: NightSetup) -> None:
    """A warning; a fault if the settings require an answer."""
    with serve_odd_api(OddApi(accepts)) as api:
        setup.settings(api.url, "preflight: auto")
        state, message = find(setup, "campaign camp-42")
        assert (state, "HTTP 404" in message) == ("warning", True)
        setup.settings(api.url, "preflight: required")
        assert find(setup, "campaign camp-42")[0] == "wrong"


def test_the_secret_of_events_is_checked(setup: NightSetup) -> None:
    """Nothing is said without one; a setting without the secret, or a short secret, is wrong."""

    def result(**environment: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            found = setup.workspace("doctor", "inbox")
            return found.code, found.out

    assert lines(setup, "inbox", "events") == []
    code, words = result(POPP_WEBHOOK_SECRET="short")
    assert (code, "can be guessed" in words) == (Exit.SETUP, True)
    code, words = result(IMPORTER_WEBHOOK_SIGNATURE="base64")
    assert (code, "`webhook_signature` is set, but" in words) == (Exit.SETUP, True)
    code, words = result(POPP_WEBHOOK_SECRET="a secret that nobody guesses")
    assert (code, "none was received yet" in words) == (Exit.OK, True)
