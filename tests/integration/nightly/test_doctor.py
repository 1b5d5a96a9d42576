"""The doctor mentions what earlier nights left for a person, and finds nothing wrong with it."""

from __future__ import annotations

import json
import shlex
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.desk import Desk
from tests.support.mail import mail_server
from tests.support.nights import Bed, people
from tests.support.odd_api import OddApi, accepts, serving_odd
from tests.support.remote_inboxes import FarBed, far_bed

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import Far

ODD = people(0, 1) + "Ada,,Chef\n" * 3


def lines(bed: Bed, inbox: str, about: str) -> list[str]:
    """What the doctor says about one thing."""
    said = bed.desk("doctor", inbox)
    assert said.code == Exit.OK, said.out
    found = (line.partition(f" {about}: ") for line in said.out.splitlines())
    return [what for label, mark, what in found if mark and label.strip() in {"ok", "warn"}]


def test_nothing_is_left(bed: Bed) -> None:
    """Then nothing is said of it, also where a night imported something."""
    bed.arrive("good.csv", people(0, 2))
    assert (lines(bed, "inbox", "held"), lines(bed, "inbox", "failed")) == ([], [])
    bed.night()
    assert (lines(bed, "inbox", "held"), lines(bed, "inbox", "failed")) == ([], [])


def test_held_and_failed_files(bed: Bed) -> None:
    """Each file counts once, without its pages, with the command for the first of them."""
    bed.arrive("acme corp/b.csv", ODD)
    bed.arrive("letter.txt", "dear all\n")
    bed.night()
    (held,) = lines(bed, "inbox", "held")
    command = held.split("`")[1]
    assert held == f"1 file is held; look at it, then `{command}`"
    wanted = f"{bed.inbox}/held/acme corp/b.csv"
    assert shlex.split(command) == ["importer", "release", wanted]
    assert lines(bed, "inbox", "failed") == [
        f"1 file is in failed/; correct it and upload it again: {bed.inbox}/failed/letter.txt"
    ]
    bed.clock.time += timedelta(days=1)
    bed.arrive("a.csv", ODD + "Ada,12345,Chef\n")
    bed.arrive("note.txt", "dear none\n")
    bed.night()
    (held,) = lines(bed, "inbox", "held")
    assert held.startswith("2 files are held; look at them, then `importer release ")
    assert held.endswith("/held/a.csv` and so on")
    (failed,) = lines(bed, "inbox", "failed")
    assert failed.startswith("2 files are in failed/; correct them and upload them again: ")


def test_in_an_inbox_elsewhere(far: Far, tmp_path: Path, sandbox: Sandbox) -> None:
    """By the address, which is what releases them."""
    bed: FarBed = far_bed(tmp_path, far, sandbox)
    bed.arrives("a.csv", ODD)
    bed.arrives("acme/b.csv", ODD + "Ada,12345,Chef\n")
    bed.arrives("letter.txt", "dear all\n")
    bed.night()
    (held,) = lines(bed, far.address, "held")
    command = f"importer release {far.address}/held/a.csv"
    assert held == f"2 files are held; look at them, then `{command}` and so on"
    (failed,) = lines(bed, far.address, "failed")
    assert failed.endswith(f": {far.address}/failed/letter.txt")
    assert bed.desk(*shlex.split(command)[1:]).code == Exit.OK
    (mark,) = lines(bed, far.address, "ownership of the staging folder")
    assert "it belongs to this ledger" in mark


@pytest.mark.parametrize("folder", ["held", "failed"])
def test_hidden_files_are_not_counted(bed: Bed, folder: str) -> None:
    """Nobody has to look at those of other programs."""
    for name in (".DS_Store", "a.csv.part", "a.csv.check.html"):
        bed.arrive(f"{folder}/{name}", "x")
    assert lines(bed, "inbox", folder) == []


def find(bed: Bed, about: str) -> tuple[str, str]:
    """State and message of one finding."""
    said = bed.desk("doctor", "inbox", "--format", "json")
    found = {each["what"]: each for each in json.loads(said.out)["findings"]}
    assert (said.code == Exit.OK) is all(each["state"] != "wrong" for each in found.values())
    return found[about]["state"], found[about]["message"]


def test_the_mail_server_is_tried_without_a_mail(bed: Bed, sandbox: Sandbox) -> None:
    """Connected, greeted and left; one that is gone, or cannot encrypt, is a fault."""
    with mail_server() as post:
        about = f"mail_to: [ops@example.com]\nsmtp: {post.address}\n"
        bed.settings(sandbox.base_url, f"{about}smtp_security: none\n")
        state, message = find(bed, "mail")
        assert (state, post.mails) == ("ok", [])
        assert "no mail was sent to ops@example.com" in message
        assert post.greetings
        bed.settings(sandbox.base_url, about)
        state, message = find(bed, "mail")
        assert state == "wrong"
        assert "starttls" in message
    bed.settings(sandbox.base_url, f"{about}smtp_security: none\n")
    assert find(bed, "mail") == (
        "wrong",
        "The night's message cannot be sent (ConnectionRefusedError).",
    )


def test_nothing_is_posted_to_the_webhook(bed: Bed) -> None:
    """A connection and no request; the address is a secret, and so is not shown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/services/secret"
        desk = Desk(bed.desk.folder, {**bed.desk.env, "IMPORTER_WEBHOOK_URL": url})
        said = desk("doctor", "inbox")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(100) == b""
    (line,) = (line for line in said.out.splitlines() if "webhook" in line)
    assert line == (
        "ok    webhook: 127.0.0.1 answers; a night will post its message there, but nothing was "
        "posted now"
    )
    gone = desk("doctor", "inbox")
    assert "WRONG webhook" in gone.out
    assert "secret" not in gone.out


def test_log_and_metrics_file_are_tried(bed: Bed, sandbox: Sandbox) -> None:
    """What they hold stays; a folder in their place is a fault."""
    log = bed.desk.write("log.jsonl", "{}\n")
    bed.settings(sandbox.base_url, "log_file: log.jsonl\nmetrics_file: made.prom\n")
    assert find(bed, "log file")[0] == find(bed, "metrics file")[0] == "ok"
    assert log.read_text() == "{}\n"
    assert not (bed.desk.folder / "made.prom").exists()
    (bed.desk.folder / "made.prom").mkdir()
    log.unlink()
    log.mkdir()
    assert find(bed, "log file")[0] == find(bed, "metrics file")[0] == "wrong"


@pytest.mark.parametrize("words", [("nightly", "inbox"), ("release", "inbox/held/a.csv")])
def test_a_refused_ledger_is_not_made(bed: Bed, words: tuple[str, ...]) -> None:
    """The inbox belongs to another one."""
    bed.arrive("a.csv", ODD)
    bed.night()
    before = set(bed.desk.files())
    said = bed.desk(*words, "--ledger", "sqlite:///other.db")
    assert said.code == Exit.SETUP
    assert "does not exist yet" in said.error
    assert {name for name in bed.desk.files() if "other" in name} == set()
    assert before <= set(bed.desk.files())


def test_each_campaign_that_the_settings_name_is_looked_up(bed: Bed, sandbox: Sandbox) -> None:
    """Those of `folders:` too, once each; a draft is a fault, and so is one that is unknown."""
    folders = {"acme": {"campaign": "camp-draft"}, "beta": {"campaign": "camp-42"}}
    bed.settings(sandbox.base_url, f"preflight: auto\nfolders: {json.dumps(folders)}")
    said = bed.desk("doctor", "inbox")
    assert said.code == Exit.SETUP
    told = [line for line in said.out.splitlines() if " campaign camp-" in line[:24]]
    assert told == [
        "ok    campaign camp-42: the API accepts it",
        "WRONG campaign camp-draft: Nothing can be sent to it. It is DRAFT, not live.",
    ]
    off = bed.desk("doctor", "inbox", "--preflight", "off")
    assert off.code == Exit.OK
    assert sandbox.journal == []


@pytest.mark.parametrize(("preflight", "state"), [("auto", "warning"), ("required", "wrong")])
def test_a_campaign_by_its_external_id(
    bed: Bed, sandbox: Sandbox, preflight: str, state: str
) -> None:
    """The API cannot be asked for it, which only `required` finds wrong."""
    bed.settings(
        sandbox.base_url, f"preflight: {preflight}\ncampaign: null\nexternal_campaign: req-7"
    )
    assert find(bed, "campaign req-7")[0] == state


def test_an_api_that_does_not_show_campaigns(bed: Bed) -> None:
    """A warning; a fault if the settings require an answer."""
    with serving_odd(OddApi(accepts)) as api:
        bed.settings(api.url, "preflight: auto")
        state, message = find(bed, "campaign camp-42")
        assert (state, "HTTP 404" in message) == ("warning", True)
        bed.settings(api.url, "preflight: required")
        assert find(bed, "campaign camp-42")[0] == "wrong"


def test_the_secret_of_events_is_checked(bed: Bed) -> None:
    """Nothing is said without one; a setting without the secret, or a short secret, is wrong."""

    def said(**environment: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            found = bed.desk("doctor", "inbox")
            return found.code, found.out

    assert lines(bed, "inbox", "events") == []
    code, words = said(POPP_WEBHOOK_SECRET="short")
    assert (code, "can be guessed" in words) == (Exit.SETUP, True)
    code, words = said(IMPORTER_WEBHOOK_SIGNATURE="base64")
    assert (code, "`webhook_signature` is set, but" in words) == (Exit.SETUP, True)
    code, words = said(POPP_WEBHOOK_SECRET="a secret that nobody guesses")
    assert (code, "none was received yet" in words) == (Exit.OK, True)
