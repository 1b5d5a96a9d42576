"""A night as one page that works offline and links what was written about each file."""

from __future__ import annotations

import os.path
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from importer.report.files import replacing
from importer.report.html import environment
from importer.report.night import ENDING_MEANING
from importer.report.night_text import rows_in_words
from importer.report.wording import elapsed

if TYPE_CHECKING:
    from pathlib import Path

    from importer.report.night import FileReport, NightReport


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
    with replacing(path) as out:
        for part in (
            environment()
            .get_template("night.html.j2")
            .generate(
                night=night, endings=ENDING_MEANING, rows=rows_in_words, links=links, took=took
            )
        ):
            out.write(part)
