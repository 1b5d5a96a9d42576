"""Files of a list for a spreadsheet program: rows to fix, the corrected list, and fixed rows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response

from importer.errors import UsageError
from importer.ledger.records import ListState
from importer.loader import load
from importer.report.export import delimiter_of, original_cells, write_csv, write_workbook
from importer.report.rejected_rows import require_writer, write_rejected
from importer.web.access import record_event
from importer.web.correction_pages import note_correction
from importer.web.pages import (
    find_list,
    find_own_list,
    name_of,
    person_of,
    refuse,
    see_other,
    site_of,
)
from importer.web.wording import with_plain_words
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from importer.ledger.records import UploadedList
    from importer.model import Table


TYPES: Final = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_ROW_HEADER: Final = "_row"
_MOST_FIXED: Final = 100_000


def send_file(name: str, ending: str, write: Callable[[Path], object]) -> Response:
    """Write a file that only we can read, send it, and delete it.

    Args:
        name: the name of the download, without its ending.
        ending: `csv` or `xlsx`.
        write: writes it to a path.
    """
    handle, made = tempfile.mkstemp(suffix=f".{ending}")  # mode 0600
    os.close(handle)
    path = Path(made)
    try:
        write(path)
    except BaseException:  # raised again; also at Ctrl-C no file of people stays behind
        path.unlink(missing_ok=True)
        raise
    return FileResponse(
        path,
        media_type=TYPES[ending],
        filename=f"{name}.{ending}",
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


def ending_of(request: Request) -> str:
    """Return the ending that a download's address asks for; refuse what cannot be written."""
    ending = str(request.path_params["ending"])
    if ending not in TYPES:
        refuse(request, "There is no such file.", "Go back to the start page.", 404)
    try:
        require_writer(Path(f"list.{ending}"))
    except UsageError:
        refuse(request, "XLSX files cannot be written here.", "Download the CSV file instead.")
    return ending


def rows_to_fix(request: Request) -> Response:
    """Serve the rows that need fixing, with what is wrong."""
    known, ending = find_list(request), ending_of(request)
    plan = site_of(request).workbench.plan(known)
    name = f"{_stem(request, known)}-to-fix"
    return send_file(name, ending, lambda path: write_rejected(plan, (path,), with_plain_words))


def corrected_list(request: Request) -> Response:
    """Serve the list with its corrections, in its own columns and order."""
    known, ending = find_list(request), ending_of(request)
    table = site_of(request).workbench.plan(known).tables[0]
    cells = original_cells(table).drop(ROW)

    def write(path: Path) -> None:
        with path.open("wb") as out:
            if ending == "csv":
                write_csv(cells, out, delimiter_of([table.source]))
            else:
                write_workbook([cells], out)

    return send_file(f"{_stem(request, known)}-corrected", ending, write)


def _stem(request: Request, known: UploadedList) -> str:
    return Path(site_of(request).workbench.name_of(known)).stem or "list"


async def take_fixed(request: Request) -> Response:
    """Take the fixed rows: their cells replace the cells of the list."""
    await run_in_threadpool(find_own_list, request)
    async with request.form(max_files=1, max_fields=10, max_part_size=64_000) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            refuse(request, "No file was chosen.", "Go back and choose the file.")
        return await run_in_threadpool(_take, request, file)


def _take(request: Request, file: UploadFile) -> Response:
    known, site = find_own_list(request), site_of(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        refuse(request, "This list cannot be corrected any more.", "Sending has begun.", 423)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"fixed{Path(file.filename or '').suffix[:10]}"
        with path.open("wb") as out:
            while chunk := file.file.read(1 << 20):
                out.write(chunk)
        fixed = load(str(path), site.workbench.settings_for(known))
    cells = _differences(request, known, fixed)
    if not cells:
        refuse(request, "This file corrects nothing.", "Correct its cells, save it, and try again.")
    site.workbench.correct_cells(known, cells, name_of(person_of(request)))
    record_event(site.ledger, person_of(request), "rows-corrected", list_id=known.id)
    note_correction(request, known)
    return see_other(f"/lists/{known.id}")


def _differences(request: Request, known: UploadedList, fixed: Table) -> dict[tuple[int, str], str]:
    """Return the cells of a fixed file that differ from the cells of the list."""
    if _ROW_HEADER not in fixed.returned.columns:
        refuse(
            request,
            "This file has no column “_row”, so nobody knows which rows it corrects.",
            "Download the rows to fix, correct them, keep that column, and upload the file.",
        )
    table = site_of(request).workbench.plan(known).tables[0]
    now = table.frame
    headers = [name for name in fixed.frame.columns if name in now.columns and name != ROW]
    with_rows = fixed.frame.join(fixed.returned, on=ROW, how="left", maintain_order="left")
    both = with_rows.select(
        pl.col(_ROW_HEADER).str.strip_chars().cast(pl.UInt32, strict=False).alias(ROW),
        *(pl.col(name).alias(f"new {name}") for name in headers),
    ).join(now.select(ROW, *headers), on=ROW, how="inner")
    found: dict[tuple[int, str], str] = {}
    for line in both.head(_MOST_FIXED).iter_rows(named=True):
        for name in headers:
            value = str(line[f"new {name}"] or "").strip()
            if value != str(line[name] or "").strip():
                found[int(line[ROW]), name] = value
    return found
