"""The server of the page; it does not start if strangers could use it."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from importer.errors import ConfigurationError, SettingsError
from importer.ledger import Ledger
from importer.settings.values import is_loopback
from importer.web.http_server import HttpServer, ignored_after, in_thread, listen, url_of

try:
    from starlette.middleware import Middleware

    from importer.web.access import AccessControl
    from importer.web.operations import ROUTES
    from importer.web.page_app import create_app
    from importer.web.request_checks import USUAL_PACE, Origins, Pace
    from importer.web.sign_in import CALLBACK, SignInLinks
    from importer.web.webhook_receiver import PATH, make_receiver, receive_beside
except ImportError as exc:
    message = f"The page needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.settings import Credentials, Settings


class PageServer:
    """The page of one installation on a socket.

    Args:
        settings: the settings of the server.
        credentials: the credentials of the API.
        ledger: open for writing.
        say: prints a line for the person at the terminal.
        pace: how slowly a body may arrive.

    Attributes:
        url: where people find the page.
        address: where it listens.
        links: the one-time links of `auth: link`.
        routes: what is served.
        receiver: the receiver of the API's events; None if there is no secret for it.
        http: the server itself.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        ledger: Ledger,
        say: Callable[[str], None],
        pace: Pace = USUAL_PACE,
    ) -> None:
        self.receiver = make_receiver(settings, ledger, say, pace)
        provider = None
        if settings.auth == "oidc":
            from importer.web.identity_provider import IdentityProvider  # noqa: PLC0415 - an extra

            provider = IdentityProvider(settings, f"{settings.page_url}{CALLBACK}")
        listener = listen(settings)
        origins = Origins.of(settings, listener.getsockname()[1])
        self.address = url_of(listener)
        self.url = settings.page_url or self.address
        self.links = SignInLinks(
            lambda path: say(f"Sign in with this link, which works once: {self.url}{path}")
        )
        access = Middleware(
            AccessControl,
            settings=settings,
            ledger=ledger,
            origins=origins,
            links=self.links,
            provider=provider,
            pace=pace,
        )
        page = create_app(
            settings, credentials, ledger=ledger, middleware=[access], more_routes=ROUTES
        )
        self.routes = page.routes
        app = page if self.receiver is None else receive_beside(page, self.receiver)
        self.http = HttpServer(app, listener, settings.grace_s)


def serve_page(settings: Settings, credentials: Credentials, *, say: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM, then finish the requests under way.

    Args:
        settings: the settings of the server.
        credentials: the credentials of the API.
        say: prints a line for the person at the terminal.

    Raises:
        SettingsError: the page would be open to strangers.
        UsageError: the port is taken.
        LedgerError: the ledger cannot be opened.
    """
    refuse_strangers(settings)
    with (
        Ledger.open(settings.ledger, new=settings.new_ledger) as ledger,
        ignored_after(signal.SIGINT, signal.SIGTERM),
    ):
        server = PageServer(settings, credentials, ledger, say)
        rehearses = settings.rehearsal or is_loopback(urlsplit(settings.base_url).hostname or "")
        note = " This is a rehearsal: nobody is contacted." if rehearses else ""
        say(f"The page is at {server.url}.{note}")
        if server.receiver is not None:
            say(f"Events of the API are received at {server.url}{PATH}.")
        if settings.auth == "link":
            server.links.renew()
        with server.receiver or contextlib.nullcontext():
            server.http.run()
        say("The page has stopped.")


@contextlib.contextmanager
def start_page(
    settings: Settings,
    credentials: Credentials,
    *,
    say: Callable[[str], None] = print,
    pace: Pace = USUAL_PACE,
) -> Iterator[PageServer]:
    """Serve the page in a thread of this process until the context ends.

    Arguments and errors: as for `serve_page`.
    """
    refuse_strangers(settings)
    with Ledger.open(settings.ledger) as ledger:
        server = PageServer(settings, credentials, ledger, say, pace)
        with server.receiver or contextlib.nullcontext(), in_thread(server.http, "page"):
            yield server


def refuse_strangers(settings: Settings) -> None:
    """Raise SettingsError if other machines could use the page without signing in."""
    if settings.auth == "link" and not is_loopback(settings.listen_host):
        raise SettingsError(
            f"listen: {settings.listen} can be reached from other machines, and `auth: link` is "
            "for one person on this one.",
            "Set `listen: 127.0.0.1:8766`, or `auth: proxy-header` or `auth: oidc`; see "
            "`importer explain page`.",
        )
    if settings.auth == "link":
        return
    of_method = ["trusted_proxies"]
    if settings.auth == "oidc":
        of_method = ["oidc_issuer", "oidc_client_id"]
    missing = [name for name in (*of_method, "page_url", "roles") if not getattr(settings, name)]
    if missing:
        raise SettingsError(
            f"auth: {settings.auth} needs {' and '.join(f'`{name}`' for name in missing)}.",
            "Add it to importer.yaml; `importer explain page` has an example.",
        )
