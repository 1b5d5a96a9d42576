"""The one gate for exceptions of the database: each becomes one clear sentence."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from importer.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY = ("is busy", "Another process is writing to it; try again when that has ended.")
_FULL = ("cannot be written: the disk is full", "Make room, then run `importer resume`.")
_READONLY = ("cannot be written", "Give yourself write access to the file and its folder.")
_BROKEN = (
    "is damaged",
    "Restore it from a backup; do not start with an empty one, or people are contacted twice.",
)
_DISK = (
    "cannot be read or written: its disk reports an error",
    "Make room, or mend the disk. If the file is lost, restore a backup; never start an empty one.",
)
_NONE = (
    "is no ledger: the file is not a SQLite database",
    "Correct `ledger:` in importer.yaml, or restore the file from a backup.",
)
_CLOSED = ("cannot be opened", "Check that the path exists and that you may write there.")
_AWAY = (
    "cannot be reached",
    "Check the URL under `ledger:`, and that the database server is running.",
)
_OTHER = ("refused a statement", "This is a fault of importer; please report it.")

_WORDS: Final[tuple[tuple[str, tuple[str, str]], ...]] = (
    ("file is not a database", _NONE),
    ("malformed", _BROKEN),
    ("ioerr_shmsize", _FULL),  # how SQLite says it where it cannot make room to share memory in
    ("disk i/o error", _DISK),
    ("database or disk is full", _FULL),
    ("no space left", _FULL),
    ("locked", _BUSY),
    ("busy", _BUSY),
    ("readonly", _READONLY),
    ("read-only", _READONLY),
    ("unable to open", _CLOSED),
    ("connection failed", _AWAY),
    ("could not connect", _AWAY),
    ("server closed the connection", _AWAY),
    ("terminating connection", _AWAY),
    ("could not translate host name", _AWAY),
    ("failed to resolve host", _AWAY),
)
"""What drivers say, in lower case -> what we say. The first hit counts."""


def explained(name: str, error: SQLAlchemyError) -> LedgerError:
    """What a database's exception means, without the values of the statement.

    Args:
        name: the ledger for a person: its file, or its URL without the password.
        error: as SQLAlchemy raised it.
    """
    original = getattr(error, "orig", None) or error
    said = f"{original} {getattr(original, 'sqlite_errorname', '')}".casefold()
    what, fix = next((words for mark, words in _WORDS if mark in said), _OTHER)
    if what is _OTHER[0]:
        what = f"{what} ({type(original).__name__})"
    return LedgerError(f"The ledger {name} {what}.", fix)


@contextmanager
def gate(name: str) -> Iterator[None]:
    """Lets nothing of the database's exceptions through but a LedgerError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise explained(name, error) from error
