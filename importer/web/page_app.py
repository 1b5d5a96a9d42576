"""The page as one ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute

    from importer.ledger import Ledger
    from importer.settings import Credentials, Settings


def create_app(
    settings: Settings,
    credentials: Credentials,
    *,
    ledger: Ledger,
    middleware: Sequence[Middleware] = (),
    more_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the page."""
    del settings, credentials, ledger
    return Starlette(routes=list(more_routes), middleware=list(middleware))
