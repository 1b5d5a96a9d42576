"""A machine under test: the importer's command line, which freezes itself at a named point.

The environment says what is special about it:

- `MACHINE`: its name; no other machine can tell whether its processes have ended. Only its parent,
  here the adversary, may note that.
- `MACHINE_FREEZE`: `POINT:COUNT`; it stops itself (SIGSTOP) the COUNTth time that it gets to POINT.
- `MACHINE_CLOCK_S`: seconds that its time of day is wrong.
- `MACHINE_MUTATION`: a defence that it lacks; the proof must notice.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POINTS: Final = (
    *("permit", "intent", "check", "header", "last-check", "write", "settle", "claim", "renew"),
)
"""After the permit, the intent, the first check, the header, the last check, and the whole request;
before the end of an attempt is written; after a claim; before the lease is renewed."""


def main(arguments: Sequence[str]) -> None:
    """Run the command line on this machine."""
    faulthandler.register(signal.SIGUSR1)  # all threads, for a run that does not end
    _pretend()
    point, _, count = os.environ.get("MACHINE_FREEZE", "").partition(":")
    if point:
        _freeze_at(point, int(count))
    mutation = os.environ.get("MACHINE_MUTATION", "")
    if mutation:
        MUTATIONS[mutation]()
    skew_s = float(os.environ.get("MACHINE_CLOCK_S", "0"))
    from importer.cli.main import main as importer  # noqa: PLC0415

    if skew_s:
        _skew(skew_s)
    importer(list(arguments))


def _send_without_check() -> None:
    from importer.ledger.lease import Lease  # noqa: PLC0415

    Lease.may_leave = lambda self, key: True  # type: ignore[method-assign]  # noqa: ARG005


def _settle_by_run() -> None:
    from importer.ledger.shares import RunShare  # noqa: PLC0415

    RunShare._is_present = (  # type: ignore[method-assign]
        lambda self, before, attempt: attempt is not None and before.run == self._run
    )


def _resend_without_known_death() -> None:
    from importer.ledger import doubts  # noqa: PLC0415

    doubts._find_frozen = lambda connection, keys: {}  # noqa: ARG005


def _use_late_permits() -> None:
    from importer.sending.shared_rate import SharedRate  # noqa: PLC0415

    async def confirm(self: Any, permitted_at: float) -> float:
        del self
        return permitted_at

    SharedRate.confirm = confirm  # type: ignore[method-assign]


MUTATIONS: Final[dict[str, Callable[[], None]]] = {
    "no-check": _send_without_check,
    "settle-by-run": _settle_by_run,
    "resend-without-known-death": _resend_without_known_death,
    "late-permits": _use_late_permits,
}
"""Name -> takes a defence away."""


def _pretend() -> None:
    """Make this process one of another machine."""
    from importer.ledger import senders  # noqa: PLC0415

    name = os.environ.get("MACHINE", "")
    if name:
        facts = (name, f"id of {name}", f"boot of {name}", f"pid:[{name}]")
        senders._read_machine_facts = lambda: facts  # type: ignore[assignment]


_STEPS: Final = {
    "header": "send_request_headers.complete",
    "last-check": "send_request_body.started",
    "write": "send_request_body.complete",
}


class _Countdown:
    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self) -> None:
        """Stop this process once, when it is time."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


def _freeze_at(point: str, count: int) -> None:
    """Stop at a point: wrap what ends or begins there."""
    from importer.ledger.lease import Lease  # noqa: PLC0415
    from importer.ledger.shares import RunShare  # noqa: PLC0415
    from importer.ledger.writer import LedgerWriter  # noqa: PLC0415
    from importer.sending import client, worker  # noqa: PLC0415

    freeze = _Countdown(count)
    if point == "permit":
        _after_async(worker._Worker, "_permit", freeze)
    elif point == "intent":
        _after_async(LedgerWriter, "intend", freeze)
    elif point == "check":
        _after(Lease, "may_leave", freeze)
    elif point == "claim":
        _after(RunShare, "claim", freeze)
    elif point == "renew":
        _before(Lease, "_renew", freeze)
    elif point == "settle":
        _before(LedgerWriter, "settle", freeze)
    else:
        _after_step(client._LeaseCheck, _STEPS[point], freeze)


def _after(owner: Any, name: str, freeze: _Countdown) -> None:
    real = getattr(owner, name)

    def wrapped(*given: Any, **named: Any) -> Any:
        done = real(*given, **named)
        freeze()
        return done

    setattr(owner, name, wrapped)


def _before(owner: Any, name: str, freeze: _Countdown) -> None:
    real = getattr(owner, name)

    def wrapped(*given: Any, **named: Any) -> Any:
        freeze()
        return real(*given, **named)

    setattr(owner, name, wrapped)


def _after_async(owner: Any, name: str, freeze: _Countdown) -> None:
    real = getattr(owner, name)

    async def wrapped(*given: Any, **named: Any) -> Any:
        done = await real(*given, **named)
        freeze()
        return done

    setattr(owner, name, wrapped)


def _after_step(owner: Any, step: str, freeze: _Countdown) -> None:
    real = owner.__call__

    async def wrapped(self: Any, name: str, info: Any) -> None:
        await real(self, name, info)
        if name.endswith(step):
            freeze()

    owner.__call__ = wrapped


def _skew(seconds: float) -> None:
    """Make the time of day wrong; the clock of the machine's uptime is right."""
    import time  # noqa: PLC0415

    import time_machine  # noqa: PLC0415

    time_machine.travel(time.time() + seconds, tick=True).start()
