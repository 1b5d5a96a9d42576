"""The language of a request: what the reader chose on the page, else what the browser prefers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse

from importer.languages import LANGUAGES, choose_language, use_language
from importer.web.request_checks import own_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


COOKIE: Final = "language"
SWITCH: Final = "/language/"
_YEAR_S: Final = 31_536_000


def preferred(accepted: str) -> list[str]:
    """Return the languages of an `Accept-Language` header, the preferred one first."""
    offers = []
    for part in accepted.lower().split(",")[:20]:
        name, _, quality = part.strip().partition(";")
        weight = quality.strip().removeprefix("q=") or "1"
        with_weight = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0
        if name and with_weight:
            offers.append((-with_weight, name))
    return [name for _, name in sorted(offers, key=lambda each: each[0])]


class ReaderLanguage:
    """ASGI middleware: answers in the reader's language, and remembers the one that they chose.

    It holds no secret and needs no session, so it works before anybody has signed in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose the language of a request, or answer the switch itself."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        wanted = request.url.path.removeprefix(SWITCH)
        if request.method == "POST" and request.url.path.startswith(SWITCH) and wanted in LANGUAGES:
            await _switch(request, wanted)(scope, receive, send)
            return
        chosen = request.cookies.get(COOKIE, "")
        accepted = preferred(request.headers.get("accept-language", ""))
        with use_language(choose_language([chosen, *accepted])):
            await self._app(scope, receive, send)


def _switch(request: Request, wanted: str) -> RedirectResponse:
    """Send the browser back to the page where it was, with a cookie that names the language."""
    back = request.query_params.get("back", "/")
    answer = RedirectResponse(own_path(back), status_code=303)
    if urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host"):
        answer.set_cookie(
            COOKIE,
            wanted,
            max_age=_YEAR_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
    return answer
