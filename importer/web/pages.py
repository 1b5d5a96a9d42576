"""Pages: templates are filled in, in the reader's language, and sent with an ETag if polled."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from importer.errors import ImporterError
from importer.languages import LANGUAGES, number
from importer.ledger.records import ListState
from importer.report.formatting import plain, size
from importer.settings.values import is_loopback
from importer.web.access import Role, csrf_token
from importer.web.wording import WORDING
from importer.work.upload_store import ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger import Ledger
    from importer.ledger.records import UploadedList
    from importer.settings import Credentials, Settings
    from importer.web.access import Person
    from importer.web.held_files import RemoteInboxes
    from importer.web.jobs import Jobs, KnownCampaigns
    from importer.web.wording import Wording
    from importer.work.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Site:
    """The objects that every page needs; `request.app.state.site`.

    Attributes:
        settings: the settings of the server; they decide everything dangerous.
        credentials: the credentials of the API.
        ledger: open for writing, as long as the server runs.
        workbench: the workbench, which has the lists.
        jobs: checks and sends them.
        campaigns: the known campaigns of the API.
        remote: held files of inboxes elsewhere.
    """

    settings: Settings
    credentials: Credentials
    ledger: Ledger
    workbench: Workbench
    jobs: Jobs
    campaigns: KnownCampaigns
    remote: RemoteInboxes

    @property
    def host(self) -> str:
        """The host of the API."""
        return urlsplit(self.settings.base_url).hostname or ""

    @property
    def is_rehearsal(self) -> bool:
        """Whether nobody is contacted, because the API is a sandbox on this machine."""
        return self.settings.rehearsal or is_loopback(self.host)


def site_of(request: Request) -> Site:
    """Return what every page needs."""
    return cast("Site", request.app.state.site)


def person_of(request: Request) -> Person:
    """Return the person who sent the request."""
    return cast("Person", request.state.person)


def words_of(request: Request) -> Wording:
    """Return the texts in the reader's language."""
    del request  # its language is the context's
    return WORDING


_OK: Final = 200
_TEMPLATES: Final = Path(__file__).parent / "templates"


def _environment() -> Environment:
    """Return the template environment: it escapes everything, and unknown names are errors."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, size=size)
    return environment


ENVIRONMENT: Final = _environment()


def render_text(request: Request, template: str, here: str, **values: object) -> str:
    """Return a template of the page, filled in, as HTML.

    Args:
        request: for which it is.
        template: the name of the template.
        here: the path to return to after a change of the language.
        values: the values of the template.
    """
    site, words = site_of(request), words_of(request)
    person = getattr(request.state, "person", None)
    token = csrf_token(request) if person is not None else ""
    return ENVIRONMENT.get_template(template).render(
        _=words,
        counted=words.count,
        number=number,
        languages=LANGUAGES,
        moment=partial(words.moment, zone=ZoneInfo(site.settings.timezone)),
        zone=site.settings.timezone.rpartition("/")[2].replace("_", " "),
        site=site,
        person=person,
        me="" if person is None else name_of(person),
        roles=Role,
        path=request.url.path,
        here=here,
        csrf=Markup('<input type="hidden" name="csrf" value="{}">').format(token),
        csrf_token=token,
        **values,
    )


def render(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """Return a page."""
    here = "/"  # an error page does not reveal its address
    if request.method == "GET" and status == _OK:
        here = f"{request.url.path}?{request.url.query}".rstrip("?")
    return HTMLResponse(render_text(request, template, here, **values), status_code=status)


def render_fragment(request: Request, template: str, **values: object) -> Response:
    """Return a part of a page that is polled; 304 if the reader has it already."""
    text = render_text(request, template, "/", **values)
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "no-cache, private"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(text, headers=headers)


def see_other(path: str) -> Response:
    """Redirect the browser, as after every change."""
    return RedirectResponse(path, status_code=303)


class Refused(ImporterError):
    """A request is refused; the text tells the person why.

    Args:
        message: what is wrong.
        fix: what to do.
        status: the HTTP status.
    """

    def __init__(self, message: str, fix: str = "", status: int = 400) -> None:
        super().__init__(message, fix)
        self.status = status


def refuse(
    request: Request, text: str, fix: str = "", status: int = 400, **values: object
) -> NoReturn:
    """Show a page with these texts, in the reader's language, and do nothing else."""
    words = words_of(request)
    raise Refused(words(text, **values), words(fix, **values), status)


def name_of(person: Person) -> str:
    """Return a person's name in the ledger: the e-mail address, else the user name."""
    return person.email or person.name


def find_list(request: Request) -> UploadedList:
    """Return the list of a page's address; one that this person may not see does not exist."""
    list_id = str(request.path_params["id"])
    known = site_of(request).ledger.lists.find(list_id) if ID.fullmatch(list_id) else None
    if (
        known is None
        or known.state is ListState.UPLOADING
        or not may_see(person_of(request), known)
    ):
        raise HTTPException(404)
    return known


def may_see(person: Person, known: UploadedList) -> bool:
    """Whether a person may see a list: their own, one that waits for approval, or as operator."""
    if known.owner == name_of(person) or person.may(Role.OPERATOR):
        return True
    return person.may(Role.APPROVER) and known.state is ListState.WAITING


def find_own_list(request: Request) -> UploadedList:
    """Return a list that this person may change: their own, or any as operator."""
    known, person = find_list(request), person_of(request)
    if known.owner != name_of(person) and not person.may(Role.OPERATOR):
        raise HTTPException(404)
    return known


_LONGEST_NUMBER: Final = 8


def number_of(text: str) -> int | None:
    """Return a number that somebody typed or an address names; None if it is none."""
    text = text.strip()
    return int(text) if re.fullmatch(rf"[0-9]{{1,{_LONGEST_NUMBER}}}", text) else None


_FORM: Final = {"max_files": 0, "max_fields": 500, "max_part_size": 64_000}


def with_form(
    page: Callable[[Request, FormData], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that reads the form of a request, and then works in a thread."""

    @wraps(page)
    async def endpoint(request: Request) -> Response:
        async with request.form(**_FORM) as form:
            return await run_in_threadpool(page, request, form)

    return endpoint


def text_of(form: FormData, name: str, most: int = 10_000) -> str:
    """Return a field of a form, tidy; empty if it is missing or no text."""
    value = form.get(name)
    return unicodedata.normalize("NFC", value.strip())[:most] if isinstance(value, str) else ""
