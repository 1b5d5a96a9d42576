"""Commands that a report gives to a person, ready to be pasted into a shell."""

from __future__ import annotations

import shlex
from typing import Final

from importer.report.wording import plain

_MOST: Final = 300


def release_command(inbox: str | None, place: str) -> str:
    """What lets go of a held file.

    It can be pasted where it is known where the file lies and its name can be shown as it is;
    else INBOX stands for the inbox, or a gap for what no terminal should get.

    Args:
        inbox: folder or address; None where nobody wrote it down.
        place: of the file, relative to the inbox.
    """
    path = f"{inbox or 'INBOX'}/{place}"
    if inbox and plain(path, len(path)) == path:
        return f"importer release {shlex.quote(path)}"
    return f"importer release {plain(path, _MOST)}"
