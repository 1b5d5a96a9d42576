"""The pages beside the lists: nights, held files, who did what, sessions, help, and health."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeVar

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from importer.errors import ImporterError
from importer.nightly.inbox import InboxSettings, sha256_of
from importer.nightly.release import release_file
from importer.planning.identity import key_file
from importer.report.metrics import render_metrics_of_ledger
from importer.report.night_report import ENDING_MEANING, FileEnding
from importer.settings.secrets import Secrets
from importer.web.access import Role, record_event, require_role
from importer.web.held_files import (
    HeldFile,
    RemoteFile,
    RemoteInboxState,
    find_held_everywhere,
)
from importer.web.pages import (
    person_of,
    refuse,
    render,
    render_fragment,
    see_other,
    site_of,
    with_form,
    words_of,
)
from importer.web.sign_in import METRICS
from schemas.codes import WORDS, Code, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from markdown_it.token import Token
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger import Ledger
    from importer.ledger.page_people import AuditEvent
    from importer.web.pages import Site


_NIGHTS: Final = 60
_EVENTS: Final = 100
_RUNS: Final = 30

ACTIONS: Final = {
    "signed-in": "signed in",
    "signed-out": "signed out",
    "session-ended": "ended somebody's session",
    "file-released": "released a held file",
    "audit-exported": "exported the audit trail",
    "list-uploaded": "uploaded a list",
    "list-changed": "changed the choices of a list",
    "list-deleted": "deleted a list",
    "columns-chosen": "chose what the columns are",
    "cell-corrected": "corrected a cell",
    "row-left-out": "left a row out",
    "rows-corrected": "took over corrected rows",
    "approval-asked": "asked for approval",
    "approval-given": "approved a list",
    "approval-declined": "declined a list",
    "unusual-confirmed": "confirmed that an unusual list is right",
    "sending-started": "started conversations",
    "sending-pause": "paused sending",
    "sending-stop": "stopped sending",
    "sending-continued": "went on with sending",
    "refused-sent-again": "sent refused rows again",
    "doubt-sent": "said that a doubtful row was sent",
    "doubt-not-sent": "said that a doubtful row was not sent",
}
"""Action -> what a person did; an action that is not here is shown as it is called."""


# ---- nights --------------------------------------------------------------------------------------


def show_nights(request: Request) -> Response:
    """List the nights, and the files that wait for a person."""
    require_role(person_of(request), Role.OPERATOR)
    site = site_of(request)
    held, away = find_held_everywhere(site.ledger)
    return render(
        request,
        "nights.html.j2",
        nights=site.ledger.nights.list(_NIGHTS),
        held=[(each, _why(site.ledger, each)) for each in held],
        remote=[site.remote.of(inbox) for inbox in away],
        busy=site.remote.is_busy,
    )


def show_remote_status(request: Request) -> Response:
    """Show the fragment that the browser polls while a remote inbox is being read."""
    require_role(person_of(request), Role.OPERATOR)
    remote = site_of(request).remote
    answer = render_fragment(request, "remote_status.html.j2", busy=remote.is_busy)
    if not remote.is_busy:
        answer.headers["x-reload"] = "1"
    return answer


def look_into_form(request: Request, form: FormData) -> Response:
    """Look which files of an inbox elsewhere are held; this takes a while, so nobody waits."""
    del form
    site = site_of(request)
    require_role(person_of(request), Role.OPERATOR)
    site.remote.look(_remote_inbox(request).inbox)
    return see_other("/nights")


def _remote_inbox(request: Request) -> RemoteInboxState:
    """Return the inbox elsewhere that an address names; 404 if there is none."""
    site = site_of(request)
    for inbox in find_held_everywhere(site.ledger)[1]:
        found = site.remote.of(inbox)
        if found.id == request.path_params["inbox"]:
            return found
    raise HTTPException(404)


_File = TypeVar("_File", HeldFile, RemoteFile)


def _find_held(request: Request, files: Iterable[_File]) -> _File:
    """Return the held file that an address names; refuse one that is not held any more."""
    file = next((each for each in files if each.id == request.path_params["id"]), None)
    if file is None:
        refuse(
            request,
            "This file is not held any more.",
            "A night or a colleague has taken it. Look at the list of nights.",
            status=409,
        )
    return file


def release_remote_form(request: Request, form: FormData) -> Response:
    """Release a held file of an inbox elsewhere."""
    del form
    person, site = person_of(request), site_of(request)
    require_role(person, Role.OPERATOR)
    found = _remote_inbox(request)
    file = _find_held(request, found.files)
    site.remote.release(
        found.inbox, file, lambda: record_event(site.ledger, person, "file-released")
    )
    return see_other("/nights")


def _why(ledger: Ledger, held: HeldFile) -> str:
    """Return why a night put a file aside."""
    try:
        sha256 = sha256_of(held.path)
    except OSError:  # a night or a colleague has just taken it
        return ""
    known = ledger.nights.last(sha256, (FileEnding.HELD, FileEnding.FAILED))
    return "" if known is None else known.reason


def show_night(request: Request) -> Response:
    """Show how each file of a night ended."""
    require_role(person_of(request), Role.OPERATOR)
    ledger = site_of(request).ledger
    wanted = request.path_params["id"]
    night = next((each for each in ledger.nights.list() if each.id == wanted), None)
    if night is None:
        raise HTTPException(404)
    files = sorted(ledger.nights.of_night(night.id), key=lambda each: each.position)
    meanings = {ending.value: meaning for ending, meaning in ENDING_MEANING.items()}
    return render(request, "night_page.html.j2", night=night, files=files, meanings=meanings)


def release_form(request: Request, form: FormData) -> Response:
    """Release a held file: the next night starts with it."""
    del form
    person, site = person_of(request), site_of(request)
    require_role(person, Role.OPERATOR)
    file = _find_held(request, find_held_everywhere(site.ledger)[0])
    settings = InboxSettings(file.root, site.settings.file, site.settings.flags)
    release_file(file.path, settings, datetime.now(UTC))
    record_event(site.ledger, person, "file-released")
    return see_other("/nights")


# ---- who did what --------------------------------------------------------------------------------


def show_history(request: Request) -> Response:
    """Show operators all runs, and everybody what they did themselves."""
    person, ledger = person_of(request), site_of(request).ledger
    events = ledger.audit.of_person(person.name, person.email, _EVENTS)
    runs = ledger.runs.list(_RUNS) if person.may(Role.OPERATOR) else ()
    return render(
        request,
        "history.html.j2",
        events=_worded(events),
        runs=[(run, ledger.runs.states(run.id)) for run in runs],
    )


def show_audit(request: Request) -> Response:
    """Show what everybody did, newest first."""
    require_role(person_of(request), Role.AUDITOR, Role.OPERATOR)
    given = request.query_params.get("before", "")
    before = int(given) if given.isdecimal() and len(given) < 16 else None  # noqa: PLR2004 - digits
    events = site_of(request).ledger.audit.newest(_EVENTS + 1, before=before)
    older = events[_EVENTS - 1].number if len(events) > _EVENTS else None
    return render(request, "audit.html.j2", events=_worded(events[:_EVENTS]), before=older)


def _worded(events: tuple[AuditEvent, ...]) -> list[tuple[AuditEvent, str]]:
    return [(each, ACTIONS.get(each.action, each.action.replace("-", " "))) for each in events]


def export_audit(request: Request) -> Response:
    """Return the audit trail as JSON lines, oldest first."""
    person, ledger = person_of(request), site_of(request).ledger
    require_role(person, Role.AUDITOR, Role.OPERATOR)
    record_event(ledger, person, "audit-exported")

    def lines() -> Iterator[str]:
        for event in ledger.audit.all():
            values = {**asdict(event), "at": event.at.isoformat()}
            yield f"{json.dumps(values, ensure_ascii=False)}\n"

    headers = {"content-disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)


# ---- sessions ------------------------------------------------------------------------------------


def show_sessions(request: Request) -> Response:
    """Show who is signed in."""
    require_role(person_of(request), Role.OPERATOR)
    sessions = site_of(request).ledger.sessions.list()
    return render(request, "sessions.html.j2", sessions=sessions)


def end_session_form(request: Request, form: FormData) -> Response:
    """End somebody's session."""
    del form
    person, ledger = person_of(request), site_of(request).ledger
    require_role(person, Role.OPERATOR)
    wanted = request.path_params["id"]
    found = [each.id for each in ledger.sessions.list() if each.id[:16] == wanted]
    if not found:
        raise HTTPException(404)
    ledger.sessions.end(found)
    record_event(ledger, person, "session-ended")
    return see_other("/sessions")


FIRST: Final = ("page", "spreadsheets", "codes", "templates", "guarantees")
"""The documents that recruiters need, in the order of the page; the others follow."""

_NOT_ID: Final = re.compile(r"[^\w]+")
_OURS: Final = re.compile(r"([a-z]+)\.md(#[\w-]+)?")
_ELSEWHERE: Final = re.compile(r"https://")


@dataclass(frozen=True, slots=True)
class HelpDocument:
    """A document of the importer.

    Attributes:
        name: as in its address.
        title: the first heading of the page.
        summary: the first sentence of the page, as plain text.
        html: the rest; made from Markdown that came with the program, without any HTML of its own.
    """

    name: str
    title: str
    summary: str
    html: Markup


@cache
def help_documents() -> dict[str, HelpDocument]:
    """Return the documents by name, those for recruiters first."""
    folder = files("importer") / "docs"
    texts = {
        each.name.removesuffix(".md"): each.read_text("utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".md")
    }
    order = [*(name for name in FIRST if name in texts), *sorted(texts.keys() - set(FIRST))]
    return {name: _document(name, texts[name], texts.keys()) for name in order}


def _document(name: str, text: str, known: Sequence[str] | object) -> HelpDocument:
    """Render a document."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL))
    title, summary = name, ""
    for position, token in enumerate(tokens):
        if token.type == "inline":
            _mend_links(token, known)
        if token.type == "heading_open":
            said = tokens[position + 1].content
            token.attrSet("id", _NOT_ID.sub("-", said.lower()).strip("-"))
            if token.tag == "h1":
                title = said
        elif token.type == "tr_open":
            _name_row(token, tokens[position + 2])
        elif token.type == "paragraph_open" and not summary:
            summary = _plain(tokens[position + 1])
        elif token.type == "table_open":
            token.attrSet("class", "rows")
    body = tokens[3:] if tokens[:1] and tokens[0].tag == "h1" else tokens
    html = parser.renderer.render(body, parser.options, {})
    return HelpDocument(name, title, summary, Markup(html))  # noqa: S704 - rendered without HTML


def _name_row(row: Token, first: Token) -> None:
    """Give a row of a table the code or setting of its first cell as its address."""
    parts = first.children or []
    if len(parts) == 1 and parts[0].type == "code_inline":
        row.attrSet("id", _NOT_ID.sub("-", parts[0].content).strip("-"))


def _mend_links(inline: Token, known: object) -> None:
    """Point links to documents at their pages; unlink other files, which are not served."""
    kept = []
    is_open = False
    for token in inline.children or []:
        if token.type == "image":
            continue
        if token.type == "link_open":
            target = str(token.attrGet("href") or "")
            ours = _OURS.fullmatch(target)
            if ours is not None and ours[1] in known:  # type: ignore[operator]  # a set of names
                token.attrSet("href", f"/help/{ours[1]}{ours[2] or ''}")
            elif not _ELSEWHERE.match(target) and not target.startswith("#"):
                is_open = True
                continue
        elif token.type == "link_close" and is_open:
            is_open = False
            continue
        kept.append(token)
    inline.children = kept


def _plain(inline: Token) -> str:
    """Return the first sentence of a paragraph, without marks."""
    parts = [" " if each.type == "softbreak" else each.content for each in inline.children or []]
    return re.split(r"(?<=[.:]) ", "".join(parts))[0].rstrip(":")


def show_help(request: Request) -> Response:
    """List the documents."""
    documents = help_documents()
    return render(request, "help.html.j2", documents=documents.values())


def show_messages(request: Request) -> Response:
    """Show every message about a list in plain words and the reader's language."""
    words = words_of(request)
    found = [
        (code, *words.problem(code, "…", "…"), Severity(WORDS[code].severity)) for code in Code
    ]
    return render(request, "messages.html.j2", messages=found, error=Severity.ERROR)


def show_document(request: Request) -> Response:
    """Show a document."""
    documents = help_documents()
    document = documents.get(request.path_params["name"])
    if document is None:
        raise HTTPException(404)
    return render(request, "document.html.j2", document=document)


async def show_alive(request: Request) -> Response:
    """Answer as long as the process does."""
    del request
    return PlainTextResponse("ok\n")


def show_ready(request: Request) -> Response:
    """Say whether lists can be accepted and sent; reveal nothing to strangers."""
    found = _examine(site_of(request))
    well = all(found.values())
    checks = {name: "ok" if is_well else "not ok" for name, is_well in found.items()}
    answer = {"status": "ready" if well else "not ready", "checks": checks}
    return JSONResponse(answer, 200 if well else 503)


def _examine(site: Site) -> Mapping[str, bool]:
    """Return what must work, and whether it does."""
    settings = site.settings
    folder, store = site.workbench.folder.absolute(), site.workbench.store
    place = next(each for each in (folder, *folder.parents) if each.exists())
    return {
        "ledger": _works(lambda: site.ledger.key_id is not None or True),
        "key": _works(lambda: _has_key(site)),
        "uploads": place.is_dir()
        and os.access(place, os.W_OK | os.X_OK)
        and (store is None or store.answers()),
        "disk": _works(lambda: _has_room(place, settings.max_bytes)),
    }


def _works(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (ImporterError, OSError):
        return False


def _has_key(site: Site) -> bool:
    """Whether the ledger's key can be read, or will be made with the first list."""
    if Secrets.read().importer_hmac_key is not None or site.ledger.key_id is None:
        return True
    return os.access(key_file(site.settings), os.R_OK)


def _has_room(place: Path, needed: int) -> bool:
    """Whether another list of the largest size fits on the disk."""
    return shutil.disk_usage(place).free > needed


def show_metrics(request: Request) -> Response:
    """Return the numbers of the ledger in Prometheus's text format."""
    require_role(person_of(request), Role.OPERATOR, Role.AUDITOR)
    text = render_metrics_of_ledger(site_of(request).ledger)
    return Response(text, media_type="text/plain; version=0.0.4")


ROUTES: Final = [
    Route("/nights", show_nights),
    Route("/nights/far/status", show_remote_status),
    Route("/nights/far/{inbox}/look", with_form(look_into_form), methods=["POST"]),
    Route("/nights/far/{inbox}/{id}/release", with_form(release_remote_form), methods=["POST"]),
    Route("/nights/{id}", show_night),
    Route("/held/{id}/release", with_form(release_form), methods=["POST"]),
    Route("/history", show_history),
    Route("/audit", show_audit),
    Route("/audit.jsonl", export_audit),
    Route("/sessions", show_sessions),
    Route("/sessions/{id}/end", with_form(end_session_form), methods=["POST"]),
    Route("/help", show_help),
    Route("/help/messages", show_messages),
    Route("/help/{name}", show_document),
    Route("/health/live", show_alive),
    Route("/health/ready", show_ready),
    Route(METRICS, show_metrics),
]
