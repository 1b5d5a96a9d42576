"""What earlier nights left for a person in `held/` and `failed/`, and the words for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.loader.names import spoken
from importer.nightly.inbox import FAILED, HELD
from importer.nightly.names import WRITTEN, may_be_taken
from importer.report.commands import release_command
from importer.report.wording import counted, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from importer.nightly.remote.store import Store

_LONGEST = 200


def left_here(root: Path, ending: str) -> list[str]:
    """Paths, relative to an inbox of this machine, of the files that ended so; raises OSError."""
    place = root / ending
    if not place.is_dir():
        return []
    files = [path for path in (*place.glob("*"), *place.glob("*/*")) if path.is_file()]
    return sorted(_files(spoken(path.relative_to(root).as_posix()) for path in files))


def left_there(store: Store, ending: str) -> list[str]:
    """The same of a remote inbox; raises RemoteFault."""
    found = []
    for each in store.listed(ending):
        if each.folder:
            inside = store.listed(f"{ending}/{each.name}")
            found += [f"{ending}/{each.name}/{file.name}" for file in inside if not file.folder]
        else:
            found.append(f"{ending}/{each.name}")
    return sorted(_files(found))


def in_words(inbox: str, ending: str, files: Sequence[str]) -> str:
    """What a person does with such files.

    Args:
        inbox: folder or address.
        ending: `held` or `failed`.
        files: paths relative to the inbox; at least one.
    """
    first, them = files[0], "it" if len(files) == 1 else "them"
    more = "" if len(files) == 1 else " and so on"
    count = counted(len(files), "file is", "files are")
    if ending == HELD:
        return f"{count} held; look at {them}, then `{release_command(inbox, first)}`{more}"
    where = plain(f"{inbox}/{first}", _LONGEST)
    return f"{count} in {FAILED}/; mend {them} and send {them} again: {where}{more}"


def _files(paths: Iterable[str]) -> Iterator[str]:
    """Those that are no pages about others."""
    for path in paths:
        name = path.rpartition("/")[2]
        if may_be_taken(name) and not name.endswith(WRITTEN):
            yield path
