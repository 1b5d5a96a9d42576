"""The pages of a run: progress, pause, stop and continue; then results and doubtful rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from starlette.exceptions import HTTPException

from importer.deliver import report_of
from importer.errors import UsageError
from importer.ledger.records import ListState
from importer.loader import open_read
from importer.model import State
from importer.report.export import write_workbook
from importer.report.formatting import duration
from importer.report.outcomes import OUTCOMES, PROGRESS_MEANING
from importer.report.results import (
    as_text,
    read_result_rows,
    reread_files,
    results_frames,
    save_results,
    view_results,
)
from importer.report.tasks import instruction
from importer.web.access import Role, record_event, require_role
from importer.web.list_files import ending_of, send_file
from importer.web.pages import (
    find_own_list,
    may_see,
    name_of,
    number_of,
    person_of,
    refuse,
    render,
    render_fragment,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from importer.web.wording import TASKS
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from importer.ledger.records import Run, SubmissionRecord, UploadedList
    from importer.web.wording import Wording


PAGE: Final = 100
_CODES: Final = frozenset(each.value for each in Code)
_LIVE: Final = frozenset({ListState.QUEUED, ListState.SENDING})
_ENDED: Final = frozenset({ListState.PAUSED, ListState.STOPPED, ListState.DONE})
"""States of lists that can continue.

A finished list has open rows if a person decided that a doubtful row was not sent.
"""

MEANING: Final[Mapping[str, tuple[str, str]]] = {
    "created": ("conversations started", "good"),
    "duplicate": ("had this conversation already", "done"),
    "rejected": ("refused or to fix, nobody was contacted", "fix"),
    "doubtful": ("perhaps sent: a person has to find out", "check"),
    "unsent": ("could not be sent, nobody was contacted", "rest"),
    "planned": ("not sent yet", "rest"),
    "sending": ("on the way", "done"),
    "duplicate-in-file": ("the same person as an earlier row", "rest"),
    "already-imported": ("contacted before, not contacted again", "done"),
}
"""Status of a row -> what it means to a recruiter, and its colour."""


def _find(request: Request) -> tuple[Run, UploadedList | None]:
    """Return the run of a page's address, and its list; 404 if this person may not see it."""
    site, person = site_of(request), person_of(request)
    try:
        run = site.ledger.runs.find(str(request.path_params["run"]))
    except UsageError:
        raise HTTPException(404) from None
    if run.id != request.path_params["run"]:
        raise HTTPException(404)
    list_id = site.workbench.list_of(run)
    known = None if list_id is None else site.ledger.lists.find(list_id)
    if not person.may(Role.OPERATOR) and (known is None or not may_see(person, known)):
        raise HTTPException(404)
    return run, known


@dataclass(frozen=True, slots=True)
class RunProgress:
    """The progress of a run.

    Attributes:
        parts: what, how many and colour of each state.
        done: how many have ended.
        total: how many there are to send.
        left: how long the rest takes, in words; empty if unknown.
        stage: what else takes time.
        newest: the last ones that ended, each with the masked person and the state.
    """

    parts: list[tuple[str, int, str]]
    done: int
    total: int
    left: str
    stage: str
    newest: list[tuple[str, str]]


def _run_progress(request: Request, run: Run, known: UploadedList | None) -> RunProgress:
    site, words = site_of(request), words_of(request)
    progress = site.jobs.progress_of(known) if known is not None else None
    follows = progress is not None or site.settings.ledger_file is None  # a worker may send it
    live = known is not None and known.state in _LIVE and follows
    states = site.ledger.runs.states(run.id, live=live)
    counts = site.ledger.runs.counts(run.id)
    parts = [
        (_meaning(words, state), states[state], MEANING[state.value][1])
        for state in State
        if states.get(state) and state.value in MEANING
    ]
    for number, status in (
        (counts.already_imported, "already-imported"),
        (counts.duplicates, "duplicate-in-file"),
    ):
        parts.append((words(MEANING[status][0]), number, MEANING[status][1]))
    parts.append((words("left behind: to fix"), counts.rejected, "fix"))
    total = sum(states.values())
    waiting = sum(states.get(state, 0) for state in (State.PLANNED, State.UNSENT, State.SENDING))
    rate = site.settings.rate_per_s
    newest = []
    if live and progress is not None:
        ended = site.ledger.submissions.records([key for key, _ in progress.newest])
        newest = [
            (ended[key].masked, _meaning(words, state))
            for key, state in reversed(progress.newest)
            if key in ended and state.value in MEANING
        ]
    return RunProgress(
        parts=[each for each in parts if each[1]],
        done=total - waiting,
        total=total,
        left=words(duration(waiting / rate)) if live and waiting else "",
        stage=words(progress.stage) if live and progress is not None else "",
        newest=newest,
    )


def _meaning(words: Wording, state: State) -> str:
    """Return what a state of a submission means."""
    if state is State.REJECTED:
        return words("refused by the service, nobody was contacted")
    return words(MEANING[state.value][0])


def run_page(request: Request) -> Response:
    """Show a run: its progress while it is being sent, and its results afterwards."""
    run, known = _find(request)
    site, person = site_of(request), person_of(request)
    rejected_by_api = site.ledger.runs.states(run.id).get(State.REJECTED, 0)
    mine = known is not None and (known.owner == name_of(person) or person.may(Role.OPERATOR))
    return render(
        request,
        "run.html.j2",
        run=run,
        known=known,
        name=site.workbench.name_of(known) if known is not None else _names(run),
        run_progress=_run_progress(request, run, known),
        live=known is not None and known.state in _LIVE,
        halted=known is not None and known.state in _ENDED,
        may_change=mine and person.may(Role.SENDER),
        refused=rejected_by_api,
        kept=site.workbench.has_file(known.id) if known is not None else False,
    )


def _names(run: Run) -> str:
    return ", ".join(source.name for source in run.sources) or run.id


def run_status(request: Request) -> Response:
    """Show the part of a run's page that is polled."""
    run, known = _find(request)
    live = known is not None and known.state in _LIVE
    answer = render_fragment(
        request,
        "progress.html.j2",
        run=run,
        known=known,
        run_progress=_run_progress(request, run, known),
        live=live,
    )
    if not live:
        answer.headers["x-reload"] = "1"
    return answer


# ---- results -------------------------------------------------------------------------------------


def results_page(request: Request) -> Response:
    """Show the result of each row, with filters."""
    run, known = _find(request)
    site, words = site_of(request), words_of(request)
    view = view_results(site.ledger, run, report_of(site.ledger, run))
    query = request.query_params
    state = query.get("state", "") if query.get("state") in MEANING else ""
    progress = query.get("progress", "") if query.get("progress") in PROGRESS_MEANING else ""
    wanted = number_of(query.get("row", ""))
    chosen = [pl.col("status") == state] if state else []
    chosen += [pl.col("progress") == progress] if progress else []
    chosen += [pl.col(ROW) == wanted] if wanted is not None else []
    page = max(number_of(query.get("page", "")) or 1, 1)
    here, total = _find_lines(read_result_rows(site.ledger, run), chosen, page)
    pages = max(1, math.ceil(total / PAGE))
    if page > pages:
        page = pages
        here, _ = _find_lines(read_result_rows(site.ledger, run), chosen, page)
    return render(
        request,
        "results.html.j2",
        run=run,
        known=known,
        name=site_of(request).workbench.name_of(known) if known is not None else _names(run),
        states=[
            (key, words(MEANING[key][0]), count) for key, count in view.totals.items() if count
        ],
        progresses=list(view.progress.items()),
        progress_meaning=PROGRESS_MEANING,
        meaning={key: words(text) for key, (text, _) in MEANING.items()}
        | {"created": words("conversation started")},
        colours={key: colour for key, (_, colour) in MEANING.items()},
        rows=[_worded(line, words) for line in here.rename({ROW: "row"}).to_dicts()],
        state=state,
        progress=progress,
        wanted=wanted,
        several=len(run.sources) > 1,
        page=page,
        pages=pages,
        total=total,
    )


def _find_lines(
    lines: Iterable[pl.DataFrame], chosen: Sequence[pl.Expr], page: int
) -> tuple[pl.DataFrame, int]:
    """Return one page of the lines that were chosen, and how many there are in all."""
    start, total, found = (page - 1) * PAGE, 0, [OUTCOMES.to_frame()]
    for frame in lines:
        fit = frame.filter(*chosen) if chosen else frame
        first = max(start - total, 0)
        found.append(fit.slice(first, max(start + PAGE - total - first, 0)))
        total += fit.height
    return pl.concat(found), total


def _worded(line: dict[str, Any], words: Wording) -> dict[str, Any]:
    """Return a result with its reason in a recruiter's words, and `help` for its paragraph."""
    code, said = str(line["code"] or ""), str(line["message"] or "")
    text = words(said)
    for each in TASKS:
        text = text.replace(instruction(each), words.task(each, ""))
    return {**line, "message": text, "help": code if code in _CODES else ""}


def results_file(request: Request) -> Response:
    """Send the results as a spreadsheet: the columns of the list, then ours."""
    run, known = _find(request)
    ending, site = ending_of(request), site_of(request)
    settings = site.settings if known is None else site.workbench.settings_for(known)
    sources = run.sources
    if known is not None and site.workbench.has_file(known.id):
        sources = site.workbench.sources_of(known, run)
    files = reread_files(sources, partial(open_read, settings=settings))
    names, lines = [each.name for each in run.sources], read_result_rows(site.ledger, run)

    def write(path: Path) -> None:
        if ending == "csv":
            shown = view_results(site.ledger, run, report_of(site.ledger, run))
            save_results(shown, lines, files, path)
            return
        with path.open("wb") as out:
            write_workbook(map(as_text, results_frames(names, lines, files)), out)

    return send_file(f"results-{run.id}", ending, write)


# ---- pause, stop, go on --------------------------------------------------------------------------


def halt(request: Request, form: FormData) -> Response:
    """Pause or stop a list; requests under way finish."""
    known, site = find_own_list(request), site_of(request)
    require_role(person_of(request), Role.SENDER, Role.OPERATOR)
    wish = "pause" if text_of(form, "wish") == "pause" else "stop"
    wished = site.ledger.lists.change(known.id, _LIVE, wish=wish, start_at=None)
    if wished is not None:
        record_event(
            site.ledger,
            person_of(request),
            f"sending-{wish}",
            list_id=known.id,
            run=known.run or "",
        )
        site.jobs.halt(known.id)
        site.jobs.wake()
    return see_other(f"/runs/{known.run}" if known.run else f"/lists/{known.id}")


def go_on(request: Request, form: FormData) -> Response:
    """Continue a list that was paused or stopped, or send the refused rows again."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    require_role(person, Role.SENDER)
    retry = text_of(form, "retry") == "1"
    if not site.workbench.has_file(known.id):
        refuse(request, "The file of this list was deleted.", "Upload the list again.", 410)
    values: dict[str, object] = {"choices": {**known.choices, "retry": True}} if retry else {}
    begun = site.ledger.lists.change(
        known.id,
        _ENDED,
        known.version,
        state=ListState.QUEUED.value,
        wish="",
        message="",
        start_at=None,
        run=None if retry else known.run,
        **values,
    )
    if begun is not None:
        action = "refused-sent-again" if retry else "sending-continued"
        record_event(site.ledger, person, action, list_id=known.id, run=known.run or "")
        site.jobs.wake()
    return see_other(f"/runs/{known.run}" if known.run and not retry else f"/lists/{known.id}")


# ---- doubtful rows -------------------------------------------------------------------------------


def _doubts(request: Request) -> list[SubmissionRecord]:
    """Return the doubtful rows that this person may settle: of their lists, or all as operator."""
    site, person = site_of(request), person_of(request)
    found = site.ledger.doubts.list()
    if person.may(Role.OPERATOR):
        return list(found)
    mine = set()
    for run_id in {each.run for each in found}:
        list_id = site.workbench.list_of(site.ledger.runs.find(run_id))
        known = None if list_id is None else site.ledger.lists.find(list_id)
        if known is not None and known.owner == name_of(person):
            mine.add(run_id)
    return [each for each in found if each.run in mine]


def doubts_page(request: Request) -> Response:
    """Show the doubtful rows, with what is known about each."""
    return render(
        request,
        "doubts.html.j2",
        doubts=_doubts(request)[:200],
        looking=site_of(request).jobs.is_looking_up,
    )


def look_up(request: Request, form: FormData) -> Response:
    """Look up the doubtful rows in the list of the service again."""
    del form
    require_role(person_of(request), Role.SENDER, Role.OPERATOR)
    site_of(request).jobs.look_up()
    return see_other("/doubts")


def settle(request: Request, form: FormData) -> Response:
    """Settle a doubtful row as a person decides; "not sent" lets it be sent again."""
    site, person = site_of(request), person_of(request)
    require_role(person, Role.SENDER, Role.OPERATOR)
    key = str(request.path_params["key"])
    found = next((each for each in _doubts(request) if each.key == key), None)
    if found is None:
        return see_other("/doubts")  # it was settled meanwhile
    answer, reason = text_of(form, "answer"), text_of(form, "reason", 200)
    conversation = text_of(form, "conversation", 200)
    if answer not in {"sent", "not-sent"} or not reason:
        refuse(request, "Say how you know.", "Go back and fill in the reason.")
    if site.settings.approval == "required" and _started(request, found) == name_of(person):
        refuse(request, "A second person has to settle this row.", "Ask a colleague.", 403)
    with site.ledger.lock("importer serve", site.settings.ledger_wait_s):
        site.ledger.doubts.resolve(
            found.run,
            found.row,
            sent=answer == "sent",
            by=f"{name_of(person)}: {reason}",
            conversation_id=conversation or None,
            source=found.source_name or None,
        )
    record_event(
        site.ledger,
        person,
        "doubt-sent" if answer == "sent" else "doubt-not-sent",
        run=found.run,
        row=found.row,
    )
    return see_other("/doubts")


def _started(request: Request, doubt: SubmissionRecord) -> str:
    """Return the owner of the list of a doubtful row; empty if there is none."""
    site = site_of(request)
    list_id = site.workbench.list_of(site.ledger.runs.find(doubt.run))
    known = None if list_id is None else site.ledger.lists.find(list_id)
    return "" if known is None else known.owner


halt_form, go_on_form = with_form(halt), with_form(go_on)
settle_form, look_up_form = with_form(settle), with_form(look_up)
