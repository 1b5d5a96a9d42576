"""What is written beside a file once it is through: its check, its rejected rows, its results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from importer.errors import ImporterError
from importer.ledger import Ledger
from importer.loader import load
from importer.pipeline import report_of
from importer.report import html, spreadsheets, view
from importer.report.results import reread, save_results

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from importer.model import Plan
    from importer.settings import Settings

Page = tuple[str, "Path"]


def write_pages(
    plan: Plan | None, run: str | None, target: Path, settings: Settings, made: datetime
) -> tuple[list[Page], list[str]]:
    """Writes what can be written, and says of the rest why not: an import never fails for it.

    Args:
        plan: of the file, without whom earlier runs dealt with; None where there is none.
        run: that imported it, or None.
        target: where the file itself will lie; the pages lie beside it.
        settings: of its subfolder.
        made: UTC.

    Returns:
        Label and path of each page, and a sentence for each that could not be written.
    """
    pages: list[Page] = []
    faults: list[str] = []

    def attempt(label: str, suffix: str, write: Callable[[Path], None]) -> None:
        path = target.with_name(target.name + suffix)
        try:
            write(path)
        except (ImporterError, OSError) as exc:
            faults.append(exc.message if isinstance(exc, ImporterError) else str(exc.strerror))
        except Exception as exc:  # noqa: BLE001 - people were written to; no page changes that
            faults.append(f"{path.name} could not be made ({type(exc).__name__}).")
        else:
            pages.append((label, path))

    if plan is not None:
        shown = view.of_plan(plan, settings, made=made)
        attempt("what was checked", ".check.html", lambda path: html.write(shown, path))
        if plan.counts.rejected:
            attempt(
                "rejected rows",
                ".rejected.csv",
                lambda path: spreadsheets.write_rejected(plan, path),
            )
    if run is not None:
        attempt("results", ".results.csv", lambda path: _results(run, settings, path))
    return pages, faults


def _results(run: str, settings: Settings, path: Path) -> None:
    with Ledger.open(settings.ledger, create=False) as ledger:
        found = ledger.run(run)
        names = [source.name for source in found.sources]
        shown = view.of_run(report_of(ledger, found), ledger.outcomes(found.id), names)
    save_results(shown, reread(found.sources, partial(load, settings=settings)), path)
