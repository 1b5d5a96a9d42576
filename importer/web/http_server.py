"""An HTTP server on a socket; it finishes the requests under way when it stops."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError, UsageError

try:
    import uvicorn
except ImportError as exc:
    message = f"The server needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from importer.settings.page_settings import PageSettings


READY_S: Final = 20.0
"""Seconds within which a server starts, and within which it ends."""

_MOST_CONNECTIONS: Final = 500


class HttpServer:
    """An application on a socket.

    Args:
        app: answers the requests.
        listener: a socket that listens already.
        grace_s: seconds that requests under way have when it stops.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, grace_s: float) -> None:
        self._listener = listener
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
                timeout_graceful_shutdown=max(1, round(grace_s)),
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
        """Return once it accepts connections."""
        if not self._ready.wait(READY_S):
            raise ConfigurationError("The server did not start.")


class _Server(uvicorn.Server):
    """uvicorn with a callback for when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        self._on_ready()


@contextlib.contextmanager
def in_thread(server: HttpServer, name: str) -> Iterator[None]:
    """Run a server in a thread of this process until the context ends."""
    thread = threading.Thread(target=server.run, name=name, daemon=True)
    thread.start()
    try:
        server.wait_until_ready()
        yield
    finally:
        server.stop()
        thread.join(READY_S)


@contextlib.contextmanager
def ignored_after(*signals: signal.Signals) -> Iterator[None]:
    """Ignore the signals that uvicorn raises again after it has stopped."""
    before = {each: signal.signal(each, lambda *_: None) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def listen(settings: PageSettings) -> socket.socket:
    """Open the socket that the setting `listen` names.

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


def url_of(listener: socket.socket) -> str:
    """Return the address of a socket, without a path."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
