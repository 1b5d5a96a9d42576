"""A night as one page that works offline and links what was written about each file."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from importer.atomic_file import replace_file
from importer.report.formatting import elapsed
from importer.report.html import environment
from importer.report.night_report import ENDING_MEANING, FileEnding, rows_in_words
from importer.report.outcomes import OUTCOME_MEANING

if TYPE_CHECKING:
    from pathlib import Path

    from importer.report.night_report import FileReport, NightReport


_KINDS: Final = {
    FileEnding.FAILED: "task fix",
    FileEnding.HELD: "task check",
    FileEnding.WAITING: "task check",
}
"""How a file looks on the page: those that need a person stand out."""

_PARTS: Final = {
    "created": "good",
    "rejected": "fix",
    "doubtful": "check",
    "unsent": "check",
    "planned": "rest",
}
"""Word of `outcomes.OUTCOME_MEANING` -> colour of its part; the others are settled."""


@dataclass(frozen=True, slots=True)
class NightShare:
    """A part of the night's rows."""

    kind: str
    count: int
    label: str


def _shares(night: NightReport) -> list[NightShare]:
    rows = night.rows
    return [
        NightShare(_PARTS.get(word, "done"), rows[word], word.replace("-", " "))
        for word in OUTCOME_MEANING
        if rows[word]
    ]


def write_night(night: NightReport, path: Path, root: Path) -> None:
    """Writes the page.

    Args:
        night: what it did.
        path: of the page.
        root: the inbox; the places in `night` are relative to it.

    Raises:
        ImporterError: the file cannot be written.
    """
    way = PurePosixPath(os.path.relpath(root, path.parent))

    def links(file: FileReport) -> list[tuple[str, str]]:
        found = [("the file", file.place), *file.pages] if file.place else list(file.pages)
        return [(label, quote(str(way / place))) for label, place in found]

    took = elapsed(night.took_s)
    with replace_file(path) as out:
        for part in (
            environment()
            .get_template("night.html.j2")
            .generate(
                night=night,
                endings=ENDING_MEANING,
                kinds=_KINDS,
                shares=_shares(night),
                rows=rows_in_words,
                links=links,
                took=took,
            )
        ):
            out.write(part)
