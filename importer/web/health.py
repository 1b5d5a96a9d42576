"""What machines ask the page: is it alive, can it work, and what are its numbers."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from importer.errors import ImporterError
from importer.ledger.records import ListState
from importer.model import State
from importer.planning.identity import key_file
from importer.settings.secrets import Secrets
from importer.web.access import Role, demand
from importer.web.pages import person_of, site_of
from importer.web.sign_in import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from importer.ledger import Ledger
    from importer.web.pages import Site


async def show_alive(request: Request) -> Response:
    """Answer as long as the process does."""
    del request
    return PlainTextResponse("ok\n")


def show_ready(request: Request) -> Response:
    """Say whether lists can be taken and sent; nothing that helps a stranger."""
    found = _examine(site_of(request))
    well = all(found.values())
    checks = {name: "ok" if is_well else "not ok" for name, is_well in found.items()}
    answer = {"status": "ready" if well else "not ready", "checks": checks}
    return JSONResponse(answer, 200 if well else 503)


def _examine(site: Site) -> Mapping[str, bool]:
    """What must work, and whether it does."""
    settings = site.settings
    place = next(each for each in (settings.uploads, *settings.uploads.parents) if each.exists())
    return {
        "ledger": _works(lambda: site.ledger.key_fingerprint is not None or True),
        "key": _works(lambda: _has_key(site)),
        "uploads": place.is_dir() and os.access(place, os.W_OK | os.X_OK),
        "disk": _works(lambda: _has_room(place, settings.max_bytes)),
    }


def _works(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (ImporterError, OSError):
        return False


def _has_key(site: Site) -> bool:
    """Whether the ledger's key can be read, or is made by the first list."""
    if Secrets.read().importer_hmac_key is not None or site.ledger.key_fingerprint is None:
        return True
    return os.access(key_file(site.settings), os.R_OK)


def _has_room(place: Path, needed: int) -> bool:
    """Whether another list of the largest size fits on the disk."""
    return shutil.disk_usage(place).free > needed


def show_metrics(request: Request) -> Response:
    """Return the numbers of the page in Prometheus's text format."""
    demand(person_of(request), Role.OPERATOR, Role.AUDITOR)
    text = render_page_metrics(site_of(request).ledger)
    return Response(text, media_type="text/plain; version=0.0.4")


def render_page_metrics(ledger: Ledger) -> bytes:
    """The page's metrics: counts, nothing of a person."""
    registry = CollectorRegistry()
    submissions = Gauge(
        "importer_submissions", "Submissions by state.", ["state"], registry=registry
    )
    counts = ledger.submissions.count_states()
    for state in State:
        submissions.labels(state.value).set(counts.get(state, 0))
    lists = Gauge("importer_lists", "Uploaded lists by state.", ["state"], registry=registry)
    found = ledger.lists.count_states()
    for each in ListState:
        lists.labels(each.value).set(found.get(each, 0))
    sessions = Gauge("importer_page_sessions", "People who are signed in.", registry=registry)
    sessions.set(len(ledger.sessions.list()))
    return generate_latest(registry)


ROUTES: Final = [
    Route("/health/live", show_alive),
    Route("/health/ready", show_ready),
    Route(METRICS, show_metrics),
]
