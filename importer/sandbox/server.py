"""The sandbox as a server on loopback: blocking for the command line, threaded for tests."""

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
    from importer.sandbox.wire import TransportProtocol
except ImportError as exc:
    message = f"The sandbox needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc


HOST: Final = "127.0.0.1"
"""The only address the sandbox listens on, so rehearsals stay on this machine."""

READY_S: Final = 20.0


class _Server(uvicorn.Server):
    """uvicorn with a callback for when it accepts connections."""

    def __init__(self, sandbox: Sandbox, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app,
                http=TransportProtocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                log_level=logging.CRITICAL,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,  # the sandbox sends its own, which a personality may change
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        self._on_ready()


def serve(
    *,
    port: int,
    journal: Path | None,
    faults: str,
    behave: str = "",
    duplicate_check: bool,
    seed: int,
    on_ready: Callable[[str], None],
) -> None:
    """Serve the sandbox until the process receives SIGINT or SIGTERM.

    Args:
        port: TCP port on loopback; 0 takes a free one.
        journal: JSON lines of the accepted conversations, read at start; None keeps no file.
        faults: specification as in `importer.sandbox.faults`.
        behave: specification as in `importer.sandbox.personalities`.
        duplicate_check: answer 409 for a second conversation with a person in a campaign.
        seed: of the faults.
        on_ready: called with the base URL once the sandbox accepts connections.

    Raises:
        UsageError: the port is taken, or the faults or personalities are invalid.
        ConfigurationError: the journal cannot be read or written.
    """
    sandbox = Sandbox(
        journal=journal, faults=faults, behave=behave, duplicate_check=duplicate_check, seed=seed
    )
    with contextlib.closing(sandbox), _listen(port) as listener:
        sandbox.base_url = _url(listener)
        server = _Server(sandbox, lambda: on_ready(sandbox.base_url))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextlib.contextmanager
def start_sandbox(
    *,
    port: int = 0,
    journal: Path | None = None,
    faults: str = "",
    behave: str = "",
    duplicate_check: bool = True,
    seed: int = 0,
) -> Iterator[Sandbox]:
    """Run a sandbox in a thread of this process until the context ends.

    Arguments and errors are those of `serve`.
    """
    sandbox = Sandbox(
        journal=journal, faults=faults, behave=behave, duplicate_check=duplicate_check, seed=seed
    )
    with contextlib.closing(sandbox), _listen(port) as listener:
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


def _listen(port: int) -> socket.socket:
    """Open a socket that listens on loopback.

    Raises:
        UsageError: the port is taken or not allowed.
    """
    # asyncio turns Nagle's algorithm off only if the protocol is given; it costs 40 ms per answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as exc:
        listener.close()
        message = f"Port {port} on {HOST} is not available ({exc.strerror})."
        raise UsageError(message, "Give another --port, or 0 for a free one.") from exc
    listener.listen(2048)
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}/v1"
