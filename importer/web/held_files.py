"""Files that nights have put aside, for the people who look after the importer."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from importer.nightly.inbox import FAILED, HELD, PAGE_SUFFIXES, is_regular
from importer.nightly.remote.address import is_remote

if TYPE_CHECKING:
    from importer.ledger import Ledger


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that a night put aside until a person looks at it.

    Attributes:
        id: names it in an address without its name, 32 hex characters.
        root: its inbox.
        path: of the file.
        folder: subfolder of the inbox; empty for the inbox itself.
        ending: `held` or `failed`.
    """

    id: str
    root: Path
    path: Path
    folder: str
    ending: str


def find_held_everywhere(ledger: Ledger) -> tuple[list[HeldFile], list[str]]:
    """Return the held files of every inbox on this machine, and the inboxes that are elsewhere."""
    inboxes = ledger.nights.inboxes()
    away = [inbox for inbox in inboxes if is_remote(inbox)]
    return [file for inbox in inboxes if inbox not in away for file in find_held(inbox)], away


def find_held(inbox: str | Path) -> list[HeldFile]:
    """Return the files in `held/` and `failed/` of an inbox on this machine, by path."""
    root, found = Path(inbox), []
    for ending in (HELD, FAILED):
        for path in sorted((*(root / ending).glob("*"), *(root / ending).glob("*/*"))):
            if path.name.endswith(PAGE_SUFFIXES) or not is_regular(path):
                continue
            folder = "" if path.parent.name == ending else path.parent.name
            named = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
            found.append(HeldFile(named, root, path, folder, ending))
    return found
