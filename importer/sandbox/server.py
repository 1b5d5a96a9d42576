"""The sandbox as a server on loopback: blocking for the command line, in a thread for tests."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


try:
    import uvicorn

    from importer.sandbox.sandbox import Sandbox
    from importer.sandbox.wire import Door
except ImportError as exc:
    message = f"The sandbox needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install 'importer[web]'") from exc


HOST: Final = "127.0.0.1"
"""The only address that the sandbox listens on: rehearsals stay on this machine."""

READY_S: Final = 20.0


class _Server(uvicorn.Server):
    """uvicorn that tells when it accepts connections."""

    def __init__(self, sandbox: Sandbox, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app,
                http=Door,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                log_level=logging.CRITICAL,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells."""
        await super().startup(sockets)
        self._on_ready()


def serve(
    *,
    port: int,
    journal: Path | None,
    faults: str,
    duplicate_check: bool,
    seed: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serves the sandbox until the process is told to stop.

    Args:
        port: TCP port on loopback; 0 takes a free one.
        journal: JSON lines of the accepted conversations; read first, so that they survive.
        faults: as in `importer.sandbox.faults`.
        duplicate_check: whether a repeated person and campaign is answered with 409.
        seed: of the faults.
        on_ready: gets the base URL once the sandbox accepts.

    Raises:
        UsageError: the port is taken, or the faults are not understood.
        ConfigurationError: the journal cannot be read or written.
    """
    sandbox = Sandbox(journal=journal, faults=faults, duplicate_check=duplicate_check, seed=seed)
    with contextlib.closing(sandbox), _listening(port) as listener:
        sandbox.base_url = _url(listener)
        server = _Server(sandbox, lambda: on_ready(sandbox.base_url))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextlib.contextmanager
def running(
    *,
    port: int = 0,
    journal: Path | None = None,
    faults: str = "",
    duplicate_check: bool = True,
    seed: int = 0,
) -> Iterator[Sandbox]:
    """A sandbox in a thread of this process, for as long as the context lasts.

    Every argument means what it means to `serve`, and the same errors are raised.
    """
    sandbox = Sandbox(journal=journal, faults=faults, duplicate_check=duplicate_check, seed=seed)
    with contextlib.closing(sandbox), _listening(port) as listener:
        sandbox.base_url = _url(listener)
        ready = threading.Event()
        server = _Server(sandbox, ready.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        thread.start()
        try:
            if not ready.wait(READY_S):
                raise ConfigurationError("The sandbox did not start.")
            yield sandbox
        finally:
            server.should_exit = True
            thread.join(READY_S)


def _listening(port: int) -> socket.socket:
    """A socket that listens on loopback.

    Raises:
        UsageError: the port is taken or not allowed.
    """
    # With the protocol said, asyncio turns Nagle's algorithm off; else each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as exc:
        listener.close()
        message = f"Port {port} of {HOST} cannot be taken ({exc.strerror})."
        raise UsageError(message, "Give another --port, or 0 for a free one.") from exc
    listener.listen(2048)
    return listener


def _url(listener: socket.socket) -> str:
    """The base URL at a listening socket."""
    return f"http://{HOST}:{listener.getsockname()[1]}/v1"
