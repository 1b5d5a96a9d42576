"""What the name of a file in an inbox tells, and under which name it is kept."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from importer.loader.names import spoken

SETTINGS: Final = "importer.yaml"
MARKER: Final = ".done"
_UNFINISHED: Final = (".part", ".filepart", ".partial", ".tmp", ".crdownload", ".swp")
_HIDDEN: Final = (".", "~$")
WRITTEN: Final = (".check.html", ".rejected.csv", ".results.csv")
"""What a night writes beside a file."""

_LONGEST: Final = 200
_SUFFIX: Final = 20
"""Bytes of a name that is kept, and characters of its end."""


def may_be_taken(name: str) -> bool:
    """Whether a file of this name is for us, and not hidden, unfinished or of another kind."""
    lower = name.lower()
    return not (
        lower.startswith(_HIDDEN) or lower.endswith((*_UNFINISHED, MARKER, "~")) or name == SETTINGS
    )


def kept_name(name: str) -> str:
    """The name that a claimed file is kept under.

    It is text, whatever the bytes were, and leaves room for the names of the pages beside it.
    """
    text = spoken(name).replace("\N{REPLACEMENT CHARACTER}", "_")
    path = PurePath(text)
    stem, suffix = path.stem, path.suffix[:_SUFFIX]
    while len(f"{stem}{suffix}".encode()) > _LONGEST:
        stem = stem[:-1]
    return f"{stem}{suffix}"
