"""The pages of those who look after the importer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import escape

from importer.ledger import Ledger
from importer.ledger.nights import NightFile
from importer.nightly.inbox import sha256_of
from importer.web.operations import help_documents
from schemas.codes import Code
from tests.unit.web.test_access import HOST, TEAM, token_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.unit.web.conftest import OpenPage

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return an inbox with a held file, and one in a subfolder that could not be read."""
    return make_inbox(tmp_path)


def make_inbox(folder: Path) -> Path:
    """Make an inbox below a folder."""
    root = folder / "inbox"
    for each in ("held", "failed/acme"):
        (root / each).mkdir(parents=True)
    (root / "held" / "Ada <b>Lovelace.csv").write_text("first_name\nAda\n", "utf-8")
    (root / "held" / "Ada <b>Lovelace.csv.check.html").write_text("a page", "utf-8")
    (root / "failed" / "acme" / "list.csv").write_bytes(b"\x00")
    return root


def note_night(ledger: Ledger, inbox: Path) -> None:
    """Write a night that held the file."""
    file = inbox / "held" / "Ada <b>Lovelace.csv"
    ledger.nights.begin("night-20261122-020000", NOW, str(inbox))
    ledger.nights.write(
        NightFile(
            night="night-20261122-020000",
            position=0,
            folder="",
            name=file.name,
            sha256=sha256_of(file),
            at=NOW,
            ending="held",
            reason="It has 4 times as many rows as usual.",
        )
    )
    ledger.nights.end("night-20261122-020000", 6, NOW)


def test_a_held_file_says_why_and_is_released(page: OpenPage, inbox: Path) -> None:
    """Without its name in an address; the trail says who did it."""
    with Ledger.open(page.settings.ledger) as ledger:
        note_night(ledger, inbox)
    with page.signed_in() as visitor:
        start = visitor.get("/").text
        assert "Files that a night has put aside" in start
        assert "The last night did not end well" not in start, "held files are counted apart"
        text = visitor.get("/nights").text
        assert "It has 4 times as many rows as usual." in text
        assert "Ada &lt;b&gt;Lovelace.csv" in text
        assert "acme/list.csv" in text
        assert "check.html" not in text
        (action, *others) = [part.split('"')[0] for part in text.split('action="')[1:]]
        actions = [each for each in (action, *others) if each.startswith("/held/")]
        assert len(actions) == 2
        answer = visitor.post(actions[0], data={"csrf": token_of(visitor)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nights")
        assert (inbox / "working" / "Ada <b>Lovelace.csv").exists()
        assert visitor.post(actions[0], data={"csrf": token_of(visitor)}).status_code == 409
        night = visitor.get("/nights/night-20261122-020000").text
        assert "It has 4 times as many rows as usual." in night
        assert "Lovelace" not in night, "the ledger masks names"
        assert visitor.get("/nights/night-1").status_code == 404
        assert "released a held file" in visitor.get("/history").text
        assert "released a held file" in visitor.get("/audit").text
        lines = visitor.get("/audit.jsonl").text.splitlines()
        actions = [json.loads(line)["action"] for line in lines]
        assert actions == ["signed-in", "file-released", "audit-exported"]


def test_every_code_has_an_address(page: OpenPage) -> None:
    """So that a message can lead to its explanation."""
    with page.signed_in() as visitor:
        text = visitor.get("/help/codes").text
        for code in Code:
            assert f'id="{code.value}"' in text
        index = visitor.get("/help").text
        for name, document in help_documents().items():
            assert f'href="/help/{name}"' in index
            answer = visitor.get(f"/help/{name}")
            assert answer.status_code == 200
            assert escape(document.title) in answer.text
        messages = visitor.get("/help/messages").text
        for code in Code:
            assert f'id="{code.value}"' in messages
        assert "--" not in messages.split("<main")[1], "no flag is for a recruiter"
        assert visitor.get("/help/..%2f..%2fimporter.yaml").status_code == 404
        assert visitor.get("/help/no-such").status_code == 404


def test_links_between_documents_lead_somewhere() -> None:
    """To pages of the help, to the open web, or nowhere at all."""
    for document in help_documents().values():
        for part in document.html.split('href="')[1:]:
            target = part.split('"')[0]
            if target.startswith("/help/"):
                name, _, anchor = target.removeprefix("/help/").partition("#")
                assert not anchor or f'id="{anchor}"' in help_documents()[name].html, target
            else:
                assert target.startswith(("https://", "#")), target


def test_machines_are_told_whether_it_works(
    page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under any address, without signing in; numbers need a token or a role."""
    with page.visitor() as probe:
        host = {"host": "10.1.2.3:8766"}
        assert probe.get("/health/live", headers=host).text == "ok\n"
        answer = probe.get("/health/ready", headers=host)
        assert answer.json() == {
            "status": "ready",
            "checks": {"ledger": "ok", "key": "ok", "uploads": "ok", "disk": "ok"},
        }
        assert probe.get("/metrics").status_code == 303
        bearer = {"authorization": "Bearer t0ken"}
        assert probe.get("/metrics", headers=bearer).status_code == 303
        monkeypatch.setenv("IMPORTER_METRICS_TOKEN", "t0ken")
        answer = probe.get("/metrics", headers=bearer)
        assert 'importer_submissions{state="created"} 0.0' in answer.text
        assert 'importer_lists{state="open"} 0.0' in answer.text
        assert probe.get("/metrics", headers={"authorization": "Bearer x"}).status_code == 303
        assert probe.get("/audit", headers=bearer).status_code == 303


def test_a_session_can_be_ended(page: OpenPage) -> None:
    """By an operator; the other browser has to sign in again."""
    with page.signed_in() as visitor, page.signed_in() as other:
        lines = re.findall(r"<tr><td.*?</tr>", visitor.get("/sessions").text, re.DOTALL)
        assert len(lines) == 2
        (line,) = [each for each in lines if ">you<" not in each]
        theirs = line.split('action="/sessions/')[1].split('"')[0]
        data = {"csrf": token_of(visitor)}
        assert visitor.post(f"/sessions/{theirs}", data=data).status_code == 303
        assert other.get("/").headers["location"] == "/sign-in"
        assert visitor.get("/").status_code == 200
        assert visitor.post("/sessions/0000/end", data=data).status_code == 404


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("/nights", {"operator"}),
        ("/nights/x", {"operator"}),
        ("/sessions", {"operator"}),
        ("/audit", {"operator", "auditor"}),
        ("/audit.jsonl", {"operator", "auditor"}),
        ("/metrics", {"operator", "auditor"}),
        ("/history", {"uploader", "sender", "approver", "operator", "auditor"}),
        ("/help", {"uploader", "sender", "approver", "operator", "auditor"}),
    ],
)
def test_pages_of_operation_need_their_role(
    open_page: Callable[..., AbstractContextManager[OpenPage]], path: str, roles: set[str]
) -> None:
    """Everybody else is told who to ask."""
    every = ("uploader", "sender", "approver", "operator", "auditor")
    team: dict[str, Any] = {**TEAM, "roles": {role: [role] for role in every}}
    with open_page(**team) as page, page.visitor(**HOST) as visitor:
        for role in every:
            answer = visitor.get(path, headers={"x-forwarded-user": role})
            assert (answer.status_code != 403) == (role in roles), role
