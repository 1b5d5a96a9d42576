"""The server of the page: refuses to be open to strangers, and finishes what it has begun."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from importer.errors import ConfigurationError, SettingsError, UsageError
from importer.ledger import Ledger
from importer.settings.values import is_loopback

try:
    import uvicorn
    from starlette.middleware import Middleware

    from importer.web.access import AccessControl
    from importer.web.operations import ROUTES
    from importer.web.page_app import create_app
    from importer.web.request_checks import USUAL_PACE, Origins, Pace
    from importer.web.sign_in import SignInLinks
except ImportError as exc:
    message = f"The page needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.settings import Credentials, Settings


_MOST_CONNECTIONS: Final = 500
_READY_S: Final = 20.0


class PageServer:
    """The page of one installation on a socket.

    Args:
        settings: of the server.
        credentials: of the API.
        ledger: open for writing.
        say: prints a line for the person at the terminal.
        pace: how slowly a body may arrive.

    Attributes:
        url: where people find the page.
        address: where it listens.
        links: the one-time links of `auth: link`.
        routes: what is served.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        ledger: Ledger,
        say: Callable[[str], None],
        pace: Pace = USUAL_PACE,
    ) -> None:
        self._listener = _listen(settings)
        port = self._listener.getsockname()[1]
        origins = Origins.of(settings, port)
        self.address = f"http://{_bracketed(settings.listen_host)}:{port}"
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
            pace=pace,
        )
        app = create_app(
            settings, credentials, ledger=ledger, middleware=[access], more_routes=ROUTES
        )
        self.routes = app.routes
        self._ready = threading.Event()
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                log_config=None,
                log_level=logging.CRITICAL,
                access_log=False,
                proxy_headers=False,  # a trusted proxy is known by the address of its connection
                server_header=False,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=max(1, round(settings.grace_s)),
                limit_concurrency=_MOST_CONNECTIONS,
            ),
            self._ready.set,
        )

    def run(self) -> None:
        """Serve until the process receives SIGINT or SIGTERM, or `stop` is called."""
        with contextlib.closing(self._listener):
            self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Let the requests under way finish, then end `run`."""
        self._server.should_exit = True

    def wait_until_ready(self) -> None:
        """Return once the page can be opened."""
        if not self._ready.wait(_READY_S):
            raise ConfigurationError("The page did not start.")


class _Server(uvicorn.Server):
    """uvicorn with a callback for when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        self._on_ready()


def serve_page(settings: Settings, credentials: Credentials, *, say: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM, then finish the requests under way.

    Args:
        settings: of the server.
        credentials: of the API.
        say: prints a line for the person at the terminal.

    Raises:
        SettingsError: the page would be open to strangers.
        UsageError: the port is taken.
        LedgerError: the ledger cannot be opened.
    """
    refuse_strangers(settings)
    with (
        Ledger.open(settings.ledger, new=settings.new_ledger) as ledger,
        _ignored_after(signal.SIGINT, signal.SIGTERM),
    ):
        server = PageServer(settings, credentials, ledger, say)
        rehearses = settings.rehearsal or is_loopback(urlsplit(settings.base_url).hostname or "")
        note = " This is a rehearsal: nobody is contacted." if rehearses else ""
        say(f"The page is at {server.url}.{note}")
        if settings.auth == "link":
            server.links.renew()
        server.run()
        say("The page has stopped.")


@contextlib.contextmanager
def start_page(
    settings: Settings,
    credentials: Credentials,
    *,
    say: Callable[[str], None] = lambda line: None,  # noqa: ARG005 - prints nothing
    pace: Pace = USUAL_PACE,
) -> Iterator[PageServer]:
    """Serve the page in a thread of this process until the context ends.

    Arguments and errors are those of `serve_page`.
    """
    refuse_strangers(settings)
    with Ledger.open(settings.ledger) as ledger:
        server = PageServer(settings, credentials, ledger, say, pace)
        thread = threading.Thread(target=server.run, name="page", daemon=True)
        thread.start()
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.stop()
            thread.join(_READY_S)


@contextlib.contextmanager
def _ignored_after(*signals: signal.Signals) -> Iterator[None]:
    """Let uvicorn end in good order: it raises the signals again once it has stopped."""
    before = {each: signal.signal(each, lambda *_: None) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def refuse_strangers(settings: Settings) -> None:
    """Raise SettingsError if other machines could use the page without signing in."""
    if settings.auth == "link" and not is_loopback(settings.listen_host):
        raise SettingsError(
            f"listen: {settings.listen} can be reached from other machines, and `auth: link` is "
            "for one person on this one.",
            "Set `listen: 127.0.0.1:8766`, or `auth: proxy-header`; see `importer explain page`.",
        )
    if settings.auth == "link":
        return
    missing = [
        name for name in ("trusted_proxies", "page_url", "roles") if not getattr(settings, name)
    ]
    if missing:
        raise SettingsError(
            f"auth: {settings.auth} needs {' and '.join(f'`{name}`' for name in missing)}.",
            "Add it to importer.yaml; `importer explain page` has an example.",
        )


def _listen(settings: Settings) -> socket.socket:
    """Open the socket of the page.

    Raises:
        UsageError: the port is taken or not allowed.
    """
    host = settings.listen_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.listen_port))
    except OSError as exc:
        listener.close()
        raise UsageError(
            f"Port {settings.listen_port} on {host} is not available ({exc.strerror}).",
            "Give another port with --listen, or 0 for a free one.",
        ) from exc
    listener.listen(1024)
    return listener


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
