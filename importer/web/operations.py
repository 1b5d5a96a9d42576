"""The pages of those who look after the importer: nights, held files, who did what, sessions."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from importer.nightly.inbox import sha256_of
from importer.nightly.inbox_settings import InboxSettings
from importer.nightly.release import release_file
from importer.report.night_report import ENDING_MEANING, FileEnding
from importer.web import health, help_pages
from importer.web.access import Role, demand, record_event
from importer.web.held_files import HeldFile, find_held_everywhere
from importer.web.pages import person_of, refuse, render, see_other, site_of, with_form

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger import Ledger
    from importer.ledger.page_people import AuditEvent


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
    "sending-started": "started conversations",
    "sending-pause": "paused sending",
    "sending-stop": "stopped sending",
    "sending-continued": "went on with sending",
    "refused-sent-again": "sent refused rows again",
    "doubt-sent": "said that a doubtful row was sent",
    "doubt-not-sent": "said that a doubtful row was not sent",
}
"""Action -> what a person did; an action that is not here stands for itself."""


# ---- nights --------------------------------------------------------------------------------------


def show_nights(request: Request) -> Response:
    """List the nights, and the files that wait for a person."""
    demand(person_of(request), Role.OPERATOR)
    site = site_of(request)
    held, away = find_held_everywhere(site.ledger)
    return render(
        request,
        "nights.html.j2",
        nights=site.ledger.nights.list(_NIGHTS),
        held=[(each, _why(site.ledger, each)) for each in held],
        away=away,
    )


def _why(ledger: Ledger, held: HeldFile) -> str:
    """Why a night put a file aside, in its own words."""
    try:
        sha256 = sha256_of(held.path)
    except OSError:  # a night or a colleague has just taken it
        return ""
    known = ledger.nights.last(sha256, (FileEnding.HELD, FileEnding.FAILED))
    return "" if known is None else known.reason


def show_night(request: Request) -> Response:
    """Show how each file of a night ended."""
    demand(person_of(request), Role.OPERATOR)
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
    demand(person, Role.OPERATOR)
    held = {each.id: each for each in find_held_everywhere(site.ledger)[0]}
    file = held.get(request.path_params["id"])
    if file is None:
        refuse(
            request,
            "This file is not held any more.",
            "A night or a colleague has taken it. Look at the list of nights.",
            status=409,
        )
    settings = InboxSettings(file.root, site.settings.file, site.settings.flags)
    release_file(file.path, settings, datetime.now(UTC))
    record_event(site.ledger, person, "file-released")
    return see_other("/nights")


# ---- who did what --------------------------------------------------------------------------------


def show_history(request: Request) -> Response:
    """Show the runs to those who look after them, and to everybody what they did themselves."""
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
    demand(person_of(request), Role.AUDITOR, Role.OPERATOR)
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
    demand(person, Role.AUDITOR, Role.OPERATOR)
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
    demand(person_of(request), Role.OPERATOR)
    sessions = site_of(request).ledger.sessions.list()
    return render(request, "sessions.html.j2", sessions=sessions)


def end_session_form(request: Request, form: FormData) -> Response:
    """End somebody's session."""
    del form
    person, ledger = person_of(request), site_of(request).ledger
    demand(person, Role.OPERATOR)
    wanted = request.path_params["id"]
    found = [each.id for each in ledger.sessions.list() if each.id[:16] == wanted]
    if not found:
        raise HTTPException(404)
    ledger.sessions.end(found)
    record_event(ledger, person, "session-ended")
    return see_other("/sessions")


ROUTES: Final = [
    Route("/nights", show_nights),
    Route("/nights/{id}", show_night),
    Route("/held/{id}/release", with_form(release_form), methods=["POST"]),
    Route("/history", show_history),
    Route("/audit", show_audit),
    Route("/audit.jsonl", export_audit),
    Route("/sessions", show_sessions),
    Route("/sessions/{id}/end", with_form(end_session_form), methods=["POST"]),
    *help_pages.ROUTES,
    *health.ROUTES,
]
