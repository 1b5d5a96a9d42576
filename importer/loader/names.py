"""The files that the user means: names, folders, patterns and `-`."""

from __future__ import annotations

import glob
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import UsageError
from importer.loader.archive import SUFFIXES, spreadsheets
from importer.loader.content import STDIN

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOUND: Final = (*SUFFIXES, ".zip", *(f"{suffix}.gz" for suffix in SUFFIXES))
_TEMPORARY: Final = ("~$", ".", "_")


def expand(names: Sequence[str]) -> list[str]:
    """The files behind the names, each once: those given, in order; those found, by name.

    A folder stands for the spreadsheets directly in it, a pattern (`*`, `?`, `[]`, `**`) for the
    spreadsheets that it matches, an archive of several for each of them (`lists.zip/march.csv`).
    A name that is none of these stays, whether the file exists or not.

    Raises:
        UsageError: there is no name, or a folder or pattern has no spreadsheet.
    """
    found: dict[str, None] = {}
    for name in names:
        for file in _behind(name):
            found.update(dict.fromkeys(_members(file) or [file]))
    if not found:
        raise UsageError("No file was given.", "Name a spreadsheet, a folder, a pattern or `-`.")
    return list(found)


def spoken(name: str) -> str:
    """A name as text: what of it is none (the system allows any bytes) becomes U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _behind(name: str) -> list[str]:
    if name == STDIN:
        return [name]
    if Path(name).is_dir():
        files = sorted(str(path) for path in Path(name).iterdir() if _is_spreadsheet(path))
    elif glob.has_magic(name) and not Path(name).exists():
        matches = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 (absolute patterns)
        files = sorted(str(path) for path in matches if _is_spreadsheet(path))
    else:
        return [name]
    if not files:
        raise UsageError(
            f"There is no spreadsheet in {name}.",
            f"Spreadsheets end in {', '.join(SUFFIXES)}, or in one of these and .gz or .zip.",
        )
    return files


def _members(name: str) -> list[str]:
    """The spreadsheets in an archive that has several, else nothing."""
    if not name.lower().endswith(".zip") or not Path(name).is_file():
        return []
    try:
        with zipfile.ZipFile(name) as archive:
            members = spreadsheets(archive)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []  # reading it will say what is wrong
    return [f"{name}/{member}" for member in members] if len(members) > 1 else []


def _is_spreadsheet(path: Path) -> bool:
    """Whether a file that was found, not named, is one to read."""
    name = path.name.lower()
    if name.startswith(_TEMPORARY) or not path.is_file():
        return False
    return name.endswith(_FOUND)
