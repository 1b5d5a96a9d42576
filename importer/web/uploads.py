"""The start page, and uploads of lists, which are streamed to disk, hashed and limited."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from importer.errors import Exit, TemplateError
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import UNSENT
from importer.masking import mask_file_name
from importer.model import State
from importer.nightly.remote.backends import RemoteFault
from importer.normalise.countries import CODES
from importer.planning.template_files import Templates
from importer.report.formatting import size
from importer.report.html import facts
from importer.report.view import GroupView
from importer.web.access import Role, record_event, require_role
from importer.web.held_files import find_held_everywhere
from importer.web.pages import (
    find_own_list,
    name_of,
    person_of,
    refuse,
    render,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from importer.web.wording import in_brackets
from importer.work.upload_store import ID, new_id
from schemas.columns import BY_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger.records import UploadedList
    from importer.web.pages import Site


MOST_OPEN: Final = 100
"""Lists that a person may have open at once."""

_CHUNK: Final = 1 << 20
_MOST_CAMPAIGNS: Final = 500
_FORM_BYTES: Final = 200_000
_CHOICES: Final = ("campaign", "meeting", "participants")


_FAILED_NIGHT: Final = frozenset({Exit.USAGE, Exit.INPUT, Exit.SETUP, Exit.INTERRUPTED})
"""Exit codes of a night that somebody has to look at; held files and doubts are counted apart."""


def start_page(request: Request) -> Response:
    """Show what this page does, the newest lists, and what waits for a person."""
    site, person = site_of(request), person_of(request)
    everybody = person.may(Role.OPERATOR)
    lists = site.ledger.lists.list(owner=None if everybody else name_of(person), limit=50)
    shown = [each for each in lists if each.state is not ListState.UPLOADING]
    return render(
        request,
        "start.html.j2",
        lists=[(each, site.workbench.name_of(each)) for each in shown],
        several=len({each.owner for each in shown}) > 1,
        waiting=list(_waiting(request)),
    )


def _waiting(request: Request) -> Iterator[tuple[int, str, str]]:
    """Yield what waits for this person: the number in words, and the address."""
    site, person, words = site_of(request), person_of(request), words_of(request)
    if person.may(Role.OPERATOR):
        doubts = len(site.ledger.doubts.list())
        if doubts:
            yield doubts, words("Rows that may or may not have been sent"), "/doubts"
        held, away = find_held_everywhere(site.ledger)
        count = len(held) + sum(site.remote.of(inbox).waiting for inbox in away)
        if count:
            yield count, words("Files that a night has put aside"), "/nights"
        for night in site.ledger.nights.list(1):
            if night.exit_code in _FAILED_NIGHT:
                yield 1, words("The last night did not end well"), f"/nights/{night.id}"
    if person.may(Role.APPROVER):
        for approval in site.ledger.lists.approvals():
            known = site.ledger.lists.find(approval.list)
            if (
                known is not None
                and known.state is ListState.WAITING
                and known.plan_hash == approval.plan_hash
                and known.owner != name_of(person)
            ):
                text = words("A list of {owner} waits for your approval", owner=known.owner)
                yield known.counts.get("ready", 0), text, f"/lists/{known.id}/send"


# ---- a new list ----------------------------------------------------------------------------------


def new_list_page(request: Request) -> Response:
    """Show the form for a new list."""
    require_role(person_of(request), Role.UPLOADER)
    site = site_of(request)
    meetings, participants = site.workbench.templates()
    settings = site.settings
    said = site.campaigns.look()
    names = {*site.ledger.submissions.campaigns(), *filter(None, [settings.campaign]), *said.titles}
    return render(
        request,
        "upload.html.j2",
        id=new_id(),
        meetings=[(name, list(_facts(site, name, ""))) for name in meetings],
        participants=[(name, list(_facts(site, "", name))) for name in participants],
        campaigns=[(name, said.titles.get(name, "")) for name in sorted(names)[:_MOST_CAMPAIGNS]],
        campaigns_unknown=bool(said.unknown),
        chosen={
            "campaign": settings.campaign or "",
            "meeting": settings.meeting or _only(meetings),
            "participants": settings.participants or _only(participants),
        },
        most=size(settings.max_bytes),
    )


def _only(names: tuple[str, ...]) -> str:
    """Return the only name; empty if a person has to choose."""
    return names[0] if len(names) == 1 else ""


def _facts(site: Site, meeting: str, participants: str) -> Iterator[tuple[str, str]]:
    """Yield what a template says, in words; nothing if it cannot be read."""
    templates = Templates(site.settings.templates)
    try:
        said = templates.meeting(meeting).value if meeting else {}
        people = templates.participants(participants).value if participants else []
    except TemplateError:
        return
    group = GroupView(
        campaign="",
        meeting=meeting,
        participants=participants,
        rows=0,
        bindings={},
        meeting_configuration=said if isinstance(said, dict) else {},
        meeting_participants=tuple(people) if isinstance(people, list) else (),
    )
    title = group.meeting_configuration.get("title")
    if title:
        yield "Title", in_brackets(str(title))
    for label, text in facts(group):
        yield label, in_brackets(text)


def example_list(request: Request) -> Response:
    """Serve an empty list with the columns that a meeting and people to meet need."""
    site = site_of(request)
    require_role(person_of(request), Role.UPLOADER)
    templates = Templates(site.settings.templates)
    needed: dict[str, None] = {}
    try:
        for name, read in (
            (request.query_params.get("meeting", ""), templates.meeting),
            (request.query_params.get("participants", ""), templates.participants),
        ):
            if name:
                needed.update(dict.fromkeys(sorted(read(name).placeholders)))
    except TemplateError:
        refuse(request, "There is no meeting with this name.", "Go back and choose another one.")
    first = ("first_name", "last_name", "phone_number", "email", "country")
    names = [*first, *(name for name in needed if name not in BY_NAME or name not in first)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(
        name.replace("_", " ").capitalize() for name in dict.fromkeys(names)
    )
    headers = {"content-disposition": 'attachment; filename="candidates.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv", headers=headers)


# ---- receiving a file ----------------------------------------------------------------------------


async def receive_file(request: Request) -> Response:
    """Take the raw bytes of a file, as the script of the page sends them."""
    site, person = site_of(request), person_of(request)
    require_role(person, Role.UPLOADER)
    list_id = str(request.path_params["id"])
    _refuse_long(request, site, int(request.headers.get("content-length") or 0))
    known = await run_in_threadpool(_begin, request, list_id)
    name = unquote(request.headers.get("x-file-name", "list"))
    try:
        await _store(request, known, name, request.stream())
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    return PlainTextResponse("", 201)


def _begin(request: Request, list_id: str) -> UploadedList:
    """Make the list of an upload, or find it if this is another try."""
    site, person = site_of(request), person_of(request)
    if not ID.fullmatch(list_id):
        raise HTTPException(404)
    if site.ledger.lists.count_open(name_of(person)) >= MOST_OPEN:
        refuse(
            request,
            "You have {n} lists that are not sent yet, and more are not possible.",
            "Send or delete some of them first.",
            n=MOST_OPEN,
        )
    known = site.ledger.lists.add(list_id, name_of(person))
    if known is None:
        raise HTTPException(404)
    return known


def _refuse_long(request: Request, site: Site, length: int) -> None:
    most = site.settings.max_bytes
    if length > most:
        refuse(
            request,
            "The file is too large: at most {most} are possible, and it has {has}.",
            "Split the list, and upload the parts one by one.",
            413,
            most=size(most),
            has=size(length),
        )


async def _store(
    request: Request, known: UploadedList, name: str, chunks: AsyncIterator[bytes]
) -> None:
    """Write a file while it arrives; give it its name when it is complete and on disk."""
    site = site_of(request)
    folder = await run_in_threadpool(site.workbench.place_for, known.id)
    part = folder / f"{new_id()}.part"
    digest, length = hashlib.sha256(), 0
    opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(opened, "wb", buffering=_CHUNK) as file:
            async for chunk in chunks:
                length += len(chunk)
                _refuse_long(request, site, length)
                digest.update(chunk)
                await run_in_threadpool(file.write, chunk)
            await run_in_threadpool(_put_on_disk, file)
        if not length:
            refuse(request, "The file is empty.", "Choose another file.")
        values = {"sha256": digest.hexdigest(), "size": length}
        await run_in_threadpool(_keep, request, known.id, part, name, values)
    finally:
        part.unlink(missing_ok=True)


_COMING: Final = frozenset({ListState.UPLOADING, ListState.UPLOADED})


def _keep(
    request: Request, list_id: str, part: Path, name: str, values: Mapping[str, object]
) -> None:
    """Give a file that is whole its name, unless its list is being checked already."""
    site = site_of(request)
    with site.workbench.busy_with(list_id):
        known = site.ledger.lists.find(list_id)
        if known is None or known.state not in _COMING:
            refuse(
                request,
                "This list is being checked already, with the file that came first.",
                "Upload the other file as a new list.",
                409,
            )
        path = site.workbench.keep(part, name)
        state = ListState.UPLOADED.value
        site.ledger.lists.change(
            list_id, _COMING, None, state=state, name=mask_file_name(path.name), **values
        )


def _put_on_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def create_list(request: Request) -> Response:
    """Accept the form of a new list; its file comes with it, or was uploaded before."""
    site, person = site_of(request), person_of(request)
    require_role(person, Role.UPLOADER)
    length = int(request.headers.get("content-length") or 0)
    _refuse_long(request, site, max(0, length - _FORM_BYTES))
    async with request.form(max_files=1, max_fields=10, max_part_size=64_000) as form:
        list_id = text_of(form, "id")
        file = form.get("file")
        if isinstance(file, UploadFile) and file.filename:
            known = await run_in_threadpool(_begin, request, list_id)
            await _store(request, known, file.filename, _chunks(file))
        return await run_in_threadpool(_finish, request, list_id, form)


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(_CHUNK):
        yield chunk


def _finish(request: Request, list_id: str, form: FormData) -> Response:
    """Start the check of a list; its file is complete."""
    site, person = site_of(request), person_of(request)
    known = site.ledger.lists.find(list_id) if ID.fullmatch(list_id) else None
    if known is None or known.owner != name_of(person):
        refuse(request, "No file was chosen.", "Go back and choose the list to upload.")
    choices = {name: text_of(form, name, 200) for name in _CHOICES}
    _refuse_unknown(request, choices)
    with site.workbench.busy_with(list_id):
        site.ledger.lists.change(
            list_id,
            {ListState.UPLOADED},
            state=ListState.CHECKING.value,
            choices={name: value for name, value in choices.items() if value},
        )
    record_event(site.ledger, person, "list-uploaded", list_id=list_id)
    site.jobs.wake()
    return see_other(f"/lists/{list_id}")


def _refuse_unknown(request: Request, choices: dict[str, str]) -> None:
    meetings, participants = site_of(request).workbench.templates()
    known = {"meeting": meetings, "participants": participants}
    for name, names in known.items():
        if choices[name] and choices[name] not in names:
            refuse(request, "There is no meeting with this name.", "Choose another one.")


def choose(request: Request, form: FormData) -> Response:
    """Choose another campaign, meeting or people to meet for a list."""
    known, site = find_own_list(request), site_of(request)
    choices = {name: text_of(form, name, 200) for name in (*_CHOICES, "country")}
    _refuse_unknown(request, choices)
    if choices["country"] and choices["country"] not in CODES:
        refuse(request, "There is no such country.", "Choose another one.")
    kept = {name: value for name, value in known.choices.items() if name not in choices}
    changed = site.ledger.lists.change(
        known.id,
        {ListState.OPEN, ListState.WAITING, ListState.FAILED},
        state=ListState.CHECKING.value,
        choices={**kept, **{name: value for name, value in choices.items() if value}},
    )
    if changed is None:
        refuse(request, "This list cannot be changed any more.", "Sending has begun.", 423)
    record_event(site.ledger, person_of(request), "list-changed", list_id=known.id)
    site.jobs.wake()
    return see_other(f"/lists/{known.id}")


def delete_list(request: Request, form: FormData) -> Response:
    """Delete a list's file and corrections now."""
    del form
    known, site = find_own_list(request), site_of(request)
    states = set(ListState) - {ListState.QUEUED, ListState.SENDING, ListState.PAUSED}
    gone = site.ledger.lists.change(
        known.id, states, state=ListState.DELETED.value, name="", message=""
    )
    if gone is None:
        refuse(
            request,
            "This list is being sent, so it cannot be deleted.",
            "Stop it first, or wait until it is done.",
            423,
        )
    record_event(site.ledger, person_of(request), "list-deleted", list_id=known.id)
    try:
        site.workbench.delete(known.id)
    except RemoteFault:
        refuse(
            request,
            "The list is deleted here, but the place where lists are kept does not answer now.",
            "It is deleted there, too, as soon as the place answers again.",
            503,
        )
    return see_other("/")


@dataclass(frozen=True, slots=True)
class SameContent:
    """Another list with the same content.

    Attributes:
        list: the list that was uploaded.
        started: how many conversations it started; None if it was not sent.
        may_open: whether this person may look at it.
    """

    list: UploadedList
    started: int | None
    may_open: bool


def same_content(request: Request, known: UploadedList) -> list[SameContent]:
    """Return other lists with the same content, newest first; deleted ones only if sent."""
    site, person = site_of(request), person_of(request)
    found = site.ledger.lists.list(
        sha256=known.sha256,
        states={
            *UNSENT,
            ListState.DONE,
            ListState.STOPPED,
            ListState.SENDING,
            ListState.DELETED,
        },
    )
    mine = name_of(person)
    return [
        SameContent(
            each,
            None if each.run is None else site.ledger.runs.states(each.run).get(State.CREATED, 0),
            (each.owner == mine or person.may(Role.OPERATOR)) and each.state != ListState.DELETED,
        )
        for each in found
        if each.id != known.id and (each.run is not None or each.state != ListState.DELETED)
    ][:5]


choose_form, delete_form = with_form(choose), with_form(delete_list)
