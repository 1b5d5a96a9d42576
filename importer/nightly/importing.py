"""One claimed file: looked at, held or sent, whatever is in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from importer.errors import ConfigurationError, Exit, ImporterError
from importer.gates import exit_of_plan, unusable
from importer.ledger import Ledger
from importer.masks import scrub, scrub_name
from importer.nightly.belonging import folder_belongs
from importer.nightly.case import Case, Work
from importer.nightly.concluding import concluded, concluded_run
from importer.nightly.inbox import FAILED, digest, print_of
from importer.nightly.past import Past, past_of
from importer.nightly.sending import sent
from importer.nightly.unlike import Facts, facts_of, too_many_rejected, unlike
from importer.people import looking
from importer.pipeline import prepare
from importer.problems import in_words
from importer.report.night import Ending, FileReport

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Counts, Plan
    from importer.settings import Settings


def take(work: Work, folder: str, path: Path, position: int) -> FileReport:
    """Does with a claimed file whatever can be done now; never raises for one file's sake.

    Args:
        work: the night.
        folder: subfolder that it came from.
        path: where it lies, claimed.
        position: of the file in the night.
    """
    place = str(path.relative_to(work.inbox.root))
    report = FileReport(folder, scrub_name(path.name), "", Ending.WAITING, place=place)
    try:
        return _taken(work, folder, path, position)
    except FileNotFoundError:
        report = replace(report, ending=Ending.GONE, reason="It was taken away while it was read.")
    except ImporterError as error:  # of settings, templates, ledger or folders: not the file's
        report = replace(report, reason=scrub(str(error)), exit_code=error.exit_code)
    except OSError as error:
        reason = f"It cannot be read: {error.strerror}."
        report = replace(report, reason=reason, exit_code=Exit.SETUP)
    except asyncio.CancelledError:
        reason = "The grace was over before the API answered; what was under way is looked up next."
        report = replace(report, reason=reason, exit_code=Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - one file, whatever is in it, never stops the others
        report = _broken(work, report, path, error)
    work.log.warning(
        "file.left", folder=folder, ending=report.ending.value, exit_code=int(report.exit_code)
    )
    return report


def _broken(work: Work, report: FileReport, path: Path, error: Exception) -> FileReport:
    """A file that showed a fault of ours goes out of the way: no night stumbles over it again."""
    kind = type(error).__name__
    work.log.error("file.broken", folder=report.folder, cause=kind)
    reason = f"Something went wrong inside importer ({kind}); please report it."
    report = replace(report, ending=Ending.FAILED, reason=reason, exit_code=Exit.SETUP)
    try:
        moved = work.inbox.move(path, work.inbox.place(FAILED, report.folder), path.name)
    except ConfigurationError:
        return report
    return report if moved is None else replace(report, place=work.below(moved))


def _taken(work: Work, folder: str, path: Path, position: int) -> FileReport:
    settings = work.places.settings(folder)
    folder_belongs(work.inbox, folder, settings.ledger, work.places.ledger(), work.clock.now())
    before, sha256 = print_of(path), digest(path)
    with Ledger.open(settings.ledger) as ledger:
        past = past_of(ledger, sha256, folder, settings)
    case = Case(work, folder, path, position, settings, sha256, past)
    if past.imported and not past.ours:
        return concluded(case, Ending.SEEN, past.imported, Exit.OK)
    case.record(Ending.WAITING, run=past.run, facts=Facts(released=past.released))
    case.log.info("file.claimed", size=before[2], run=past.run)
    plan = prepare([str(path)], settings)
    if print_of(path) != before:
        work.inbox.give_back(path, folder)
        return case.said(Ending.GONE, "It changed while it was read, and waits again.", Exit.OK)
    return _checked(case, plan)


def _checked(case: Case, plan: Plan) -> FileReport:
    """Holds a file that cannot or should not be sent, and sends any other."""
    settings, past = case.settings, case.past
    with looking(settings) as look:
        known = look.applied_to(plan, settings)
    facts = facts_of(plan, known)
    case.log.info("file.checked", **_numbers(known.counts))
    if unusable(plan).height:
        problem = next(in_words(unusable(plan), plan.tables))
        reason = f"{problem.message} {problem.fix}"
        return concluded(case, Ending.FAILED, reason, Exit.INPUT, plan=known)
    if past.ours:  # the run was through, and only the moving was not
        return concluded_run(case, plan, past.report(settings), facts)
    reasons = _reasons_to_hold(past, facts, settings)
    if reasons:
        return concluded(case, Ending.HELD, reasons, Exit.HELD, plan=known)
    if past.run is None and not known.counts.ready:
        code = exit_of_plan(known)
        return concluded(case, Ending.DONE, "Nobody new is in it.", code, plan=known, facts=facts)
    return sent(case, plan if past.run else known, facts)


def _reasons_to_hold(past: Past, facts: Facts, settings: Settings) -> str:
    """Why a person should look first; empty where one did, or where sending has begun."""
    if past.released:
        return ""
    if past.run is not None:
        return past.held
    return " ".join([*too_many_rejected(facts, settings), *unlike(facts, past.last, settings)])


def _numbers(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "ready": counts.ready,
        "rejected": counts.rejected,
        "repeated": counts.duplicates,
        "already_imported": counts.already_imported,
    }
