"""The ledger in the hands of one process, for as long as it works."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from importer.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def held(
    url: str,
    command: str,
    wait_s: float = 0.0,
    *,
    create: bool = False,
    on_commit: Callable[[str], None] | None = None,
) -> Iterator[Ledger]:
    """Opens the ledger and holds it; what a crash left open in it is doubtful from now on.

    Args:
        url: of SQLAlchemy.
        command: what we do, for whoever comes second.
        wait_s: how long to wait for another holder, seconds.
        create: make it where there is none yet.
        on_commit: as for `Ledger.open`.

    Raises:
        LedgerError: there is none, it cannot be opened, or another process holds it.
    """
    with (
        Ledger.open(url, create=create, on_commit=on_commit) as ledger,
        ledger.hold(command, wait_s),
    ):
        ledger.recover()
        yield ledger
