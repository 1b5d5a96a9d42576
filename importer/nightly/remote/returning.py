"""Gives back to a remote inbox what a night made on its desk; the last steps of `inbox`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from importer.ledger import Ledger
from importer.nightly.inbox import DONE, FAILED, HELD, NIGHTS, digest
from importer.nightly.names import WRITTEN
from importer.nightly.remote.faults import RemoteFault, RemoteStopped
from importer.report.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from importer.nightly.remote.store import Store
    from importer.nightly.stopping import Clock


def carry_back(
    desk: Path, store: Store, ledger: str, clock: Clock, first: Callable[[], None]
) -> None:
    """Puts every ending of a desk to its inbox, ends its claim, and clears the desk of it.

    Args:
        desk: with the folders of an inbox.
        store: the door to the inbox.
        ledger: URL of the ledger that has the claims.
        clock: the time of their end.
        first: called before anything is put there; what it raises keeps it from being put.

    Raises:
        RemoteFault: something stays on the desk, for the next night; the rest was given back.
    """
    fault: RemoteFault | None = None
    waiting, away = 0, False
    for file in _endings(desk):
        if away:
            waiting += 1
            continue
        try:
            first()
            _carry(file, desk, store, ledger, clock)
        except RemoteFault as exc:
            fault, waiting = exc, waiting + 1
            away = exc.passing and not store.answers()
    if fault is not None:
        files = counted(waiting, "file is", "files are")
        kind = RemoteStopped if isinstance(fault, RemoteStopped) else RemoteFault
        raise kind(
            f"{files} not given back to {store.address} yet: {fault.message}",
            f"{fault.fix} They lie in {desk}, and the next night begins with them.",
            passing=fault.passing,
        )


def left_on_desk(desk: Path) -> frozenset[str]:
    """Hex sha256 of every file that came to its end on a desk and was not given back."""
    return frozenset(digest(file) for file in _endings(desk))


def _endings(desk: Path) -> list[Path]:
    """What lies in the folders of endings, but for the pages about a file that lies there too."""
    found = [
        path
        for place in (DONE, HELD, FAILED, NIGHTS)
        for path in sorted((desk / place).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    pages = {page for file in found for page in _pages(file)}
    return [file for file in found if file not in pages]


def _pages(file: Path) -> list[Path]:
    beside = (file.with_name(file.name + suffix) for suffix in WRITTEN)
    return [page for page in beside if page.is_file()]


def _carry(file: Path, desk: Path, store: Store, ledger: str, clock: Clock) -> None:
    sha256, pages = digest(file), _pages(file)
    path = _path_there(file, desk, store, sha256)
    for page in pages:
        store.put(page, path + page.name.removeprefix(file.name))
    store.put(file, path)
    with Ledger.open(ledger) as opened:
        for claim in opened.claims.open(str(store.address)):
            if claim.sha256 != sha256 or _at_work(desk / claim.place, sha256):
                continue
            if claim.path != path:
                store.remove(claim.path, claim.version)
            opened.claims.returned(claim, clock.now())
        known = opened.nights.last(sha256)
        if known is not None and known.run is not None:
            opened.nights.moved(known.run, sha256, f"{store.address}/{path}")
    for each in (*pages, file):
        each.unlink(missing_ok=True)
    with suppress(OSError):  # folders that something is left in
        for folder in file.relative_to(desk).parents[:-1]:
            (desk / folder).rmdir()


def _at_work(path: Path, sha256: str) -> bool:
    """Whether a claimed file still lies where it was brought to: its own end is yet to come."""
    return path.is_file() and digest(path) == sha256


def _path_there(file: Path, desk: Path, store: Store, sha256: str) -> str:
    """The file's path in the inbox; another one where another file has it."""
    wanted = path = file.relative_to(desk).as_posix()
    number = 1
    while (found := store.entry(path)) is not None:
        if found.size == file.stat().st_size and store.digest(path) == sha256:
            break  # ours, from a night that was cut off
        number += 1
        stem, dot, suffix = wanted.rpartition(".")
        path = f"{stem}-{number}{dot}{suffix}" if stem else f"{wanted}-{number}"
    return path
