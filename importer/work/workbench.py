"""The workbench: uploaded lists on disk, checked with their corrections, and their newest plans.

The page has one, and so has each worker that sends lists of the page.

uploads/<id>/list/<name as the person knows it>          the file, mode 0600, never changed
uploads/<id>/list/<name>.corrections.jsonl               the corrections, which are people's data
uploads/<id>/people.parquet                              keyed hashes of the people who are ready

If `uploads` is the address of a store, the first two are there, and these are working copies.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from importer.atomic_file import sync_folder, write_durably
from importer.errors import InputError
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import UNSENT
from importer.loader import expand
from importer.loader.corrections import (
    ENDING,
    Correction,
    append_corrections,
    corrections_file,
    read_corrections,
)
from importer.nightly.anomalies import describe_file, find_anomalies
from importer.planning.history import bind_history, open_history
from importer.planning.identity import HASH_DIGITS
from importer.planning.template_files import TemplateKind, Templates
from importer.prepare import prepare
from importer.problems import file_errors
from importer.work.hours import local_zones
from importer.work.upload_store import (
    ID,
    file_name,
    folder_of_uploads,
    make_list_folder,
    open_upload_store,
)
from schemas.columns import PERSON, ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import Run, SourceFile, UploadedList
    from importer.loader.corrections import Corrections
    from importer.model import Plan
    from importer.settings import Credentials, Settings


_KEPT: Final = 8
"""Plans that are kept in memory."""

_FRESH_S: Final = 600.0
"""Seconds after which a plan is made again, because the ledger or the templates may differ."""

PIECE: Final = 4_000_000
"""Bytes of a long list that are checked at once; a person who waits sees each step."""

_CANARY: Final = 3
_MOST_COMPARED: Final = 500


@dataclass(frozen=True, slots=True)
class ListSummary:
    """The ledger's record of a check: numbers and names of columns, and the hash of the plan."""

    counts: dict[str, Any]
    plan_hash: str


@dataclass(slots=True)
class CheckProgress:
    """The progress of the check of a list.

    Attributes:
        size: bytes of the list.
        rows: how many were checked.
        read: bytes that were read, about.
    """

    size: int
    rows: int = 0
    read: int = 0

    @property
    def percent(self) -> int | None:
        """The percentage of the list that was checked; None while unknown."""
        return min(99, 100 * self.read // max(self.size, 1)) if self.read else None

    def note(self, rows: int) -> None:
        """Note that another piece was checked, and how many rows that makes."""
        self.rows, self.read = rows, self.read + PIECE


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """People of a list who are also in another list that is not sent yet."""

    list: UploadedList
    people: int


class Workbench:
    """Checks uploaded lists, corrects them, and keeps their newest plans at hand.

    Args:
        settings: the settings of the server.
        credentials: the credentials of the API.
        ledger: open for writing.
        kept: most plans that are kept in memory.
    """

    def __init__(
        self, settings: Settings, credentials: Credentials, ledger: Ledger, kept: int = _KEPT
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._ledger = ledger
        self._kept = kept
        self._plans: OrderedDict[str, tuple[object, float, Plan]] = OrderedDict()
        self._busy: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self.checking: dict[str, CheckProgress] = {}
        self.store = open_upload_store(settings)
        self.folder = folder_of_uploads(settings, self.store)

    def templates(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the meetings, and of the people to meet."""
        known = Templates(self._settings.templates)
        return known.names(TemplateKind.MEETING), known.names(TemplateKind.PARTICIPANTS)

    # ---- files -------------------------------------------------------------------------------

    def folder_of(self, list_id: str) -> Path:
        """Return the folder of a list."""
        if not ID.fullmatch(list_id):
            raise InputError("This is no list.")
        return self.folder / list_id

    def path_of(self, list_id: str) -> Path:
        """Return the file of a list.

        Raises:
            InputError: it is gone.
        """
        if self.store is not None:
            self.store.fetch(list_id)
        found = self._file(list_id)
        if found is None:
            raise InputError("The file of this list was deleted.", "Upload it again.")
        return found

    def name_of(self, known: UploadedList) -> str:
        """Return the name of a list's file as the person knows it, masked if the file is gone."""
        found = self._file(known.id)
        return known.name if found is None else found.name

    def _file(self, list_id: str) -> Path | None:
        with suppress(OSError):
            for path in (self.folder_of(list_id) / "list").iterdir():
                if not path.name.endswith((ENDING, ".part")):
                    return path
        return None

    def has_file(self, list_id: str) -> bool:
        """Whether the file of a list is still here."""
        if self._file(list_id) is None and self.store is not None:
            self.store.fetch(list_id)
        return self._file(list_id) is not None

    def list_of(self, run: Run) -> str | None:
        """Return the id of the list that a run sends; None if the run is not of the page.

        The file may be in another folder on the machine that began the run.
        """
        for source in run.sources:
            for folder, name in pairwise(Path(source.path or "").parts):
                if name == "list" and ID.fullmatch(folder):
                    return folder
        return None

    def sources_of(self, known: UploadedList, run: Run) -> tuple[SourceFile, ...]:
        """Return the files of a run of a list, with the paths that they have on this machine.

        Raises:
            InputError: the file is gone.
        """
        names = expand([str(self.path_of(known.id))])
        return tuple(
            replace(source, path=name) for source, name in zip(run.sources, names, strict=False)
        )

    def place_for(self, list_id: str) -> Path:
        """Make the folder for a list's file, only for us, and return it."""
        return make_list_folder(self.folder, self.folder_of(list_id).name)

    def keep(self, part: Path, name: str) -> Path:
        """Give a complete upload its name; it replaces an earlier one under this id."""
        folder = part.parent
        for path in folder.iterdir():
            if path != part:
                path.unlink()
        path = part.rename(folder / file_name(name))
        sync_folder(folder)
        if self.store is not None:
            self.store.save(path)
            self.store.delete(folder.parent.name, keep=path.name)
        return path

    def delete(self, list_id: str) -> None:
        """Delete a list's file, its corrections and the hashes of its people."""
        with self._lock:
            self._plans.pop(list_id, None)
        shutil.rmtree(self.folder_of(list_id), ignore_errors=True)
        if self.store is not None:
            self.store.delete(list_id)

    def delete_old(self) -> list[str]:
        """Delete the files of lists that are old or unfinished; return the ids of the lists."""
        keep = timedelta(days=self._settings.keep_uploads_days)
        now, gone = self._ledger.now(), []
        hopeless = (ListState.UPLOADING, ListState.UPLOADED)
        for known in self._ledger.lists.list(limit=10_000):
            age = now - known.changed_at
            busy = known.state in {ListState.QUEUED, ListState.SENDING}
            if busy or age < (timedelta(days=1) if known.state in hopeless else keep):
                continue
            states = set(ListState) - {ListState.QUEUED, ListState.SENDING}
            if self._ledger.lists.change(
                known.id, states, known.version, state=ListState.DELETED.value, name=""
            ):
                self.delete(known.id)
                gone.append(known.id)
        if self.store is not None:
            self.store.delete_leftovers(self._ledger.lists)
        return gone

    def drop_copies(self) -> None:
        """Delete the working copies of lists that were deleted on another machine."""
        if self.store is None or not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            found = self._ledger.lists.find(folder.name) if ID.fullmatch(folder.name) else None
            if found is not None and found.state is ListState.DELETED:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Close the connection to the store."""
        if self.store is not None:
            self.store.close()

    # ---- checking ----------------------------------------------------------------------------

    def settings_for(self, known: UploadedList) -> Settings:
        """Return the settings of a list: the server's, with the choices of its owner."""
        choices = known.choices
        chosen: dict[str, object] = {
            name: choices[name]
            for name in ("campaign", "meeting", "participants")
            if choices.get(name)
        }
        if choices.get("country"):
            chosen["default_country"] = choices["country"]
        if "campaign" in chosen:
            chosen["external_campaign"] = None
        columns = choices.get("columns")
        if isinstance(columns, dict) and columns:
            chosen["columns"] = {**self._settings.columns, **columns}
        if choices.get("retry"):
            chosen["retry_rejected"] = True
        chosen["canary"] = self._settings.canary or _CANARY
        return self._settings.model_copy(update=chosen)

    def plan(
        self, known: UploadedList, *, fresh: bool = False, progress: CheckProgress | None = None
    ) -> Plan:
        """Return what a list would send now, with its corrections.

        Args:
            known: the list.
            fresh: make it again, even if nothing of the list has changed.
            progress: the progress, which is kept up to date.

        Raises:
            ImporterError: it cannot be made.
        """
        with self.busy_with(known.id):
            path = self.path_of(known.id)
            corrections = read_corrections(path)
            seen = (json.dumps(known.choices, sort_keys=True), corrections.digest)
            with self._lock:
                kept = self._plans.get(known.id)
            if kept and not fresh and kept[0] == seen and time.monotonic() - kept[1] < _FRESH_S:
                return kept[2]
            settings = self.settings_for(known)
            names = expand([str(path)])
            if len(names) > 1:
                raise InputError(
                    "The file is an archive of several lists.", "Upload the lists one by one."
                )
            with open_history(settings, self._ledger) as history:
                on_rows = None if progress is None else progress.note
                plan = prepare(names, settings, history, piece=PIECE, on_rows=on_rows)
            table = plan.tables[0]
            plan = replace(
                plan, tables=(replace(table, source=replace(table.source, name=path.name)),)
            )
            with self._lock:
                self._plans[known.id] = (seen, time.monotonic(), plan)
                self._plans.move_to_end(known.id)
                while len(self._plans) > self._kept:
                    self._plans.popitem(last=False)
            return plan

    def busy_with(self, list_id: str) -> threading.Lock:
        """Return the lock of a list, to be held while its files change."""
        with self._lock:
            return self._busy.setdefault(list_id, threading.Lock())

    def summary(self, plan: Plan, corrections: Corrections) -> ListSummary:
        """Return what the ledger keeps of a check."""
        counts = plan.counts
        campaigns = sorted({each.campaign or each.external_campaign for each in plan.groups})
        return ListSummary(
            {
                "read": counts.read + len(corrections.out),
                "ready": counts.ready,
                "rejected": counts.rejected,
                "duplicates": counts.duplicates,
                "already_imported": counts.already_imported,
                "left_out": len(corrections.out),
                "unusable": file_errors(plan).height,
                "campaigns": campaigns,
                "facts": describe_file(plan, plan),
            },
            plan.hash,
        )

    def check(self, known: UploadedList) -> ListSummary:
        """Check a list from scratch, and keep the hashes of its people.

        Raises:
            ImporterError: it cannot be checked.
        """
        self.checking[known.id] = progress = CheckProgress(known.size)
        try:
            return self._check(known, progress)
        finally:
            self.checking.pop(known.id, None)

    def _check(self, known: UploadedList, progress: CheckProgress) -> ListSummary:
        plan = self.plan(known, fresh=True, progress=progress)
        if "columns" not in known.choices:
            columns, by = self._ledger.lists.columns_for(self.headers_hash(plan))
            if columns:
                choices = {**known.choices, "columns": columns, "columns_by": by}
                changed = self._ledger.lists.change(
                    known.id, {ListState.CHECKING}, known.version, choices=choices
                )
                if changed is not None:
                    return self._check(changed, CheckProgress(0))
        self.keep_people(known, plan)
        return self.summary(plan, read_corrections(self.path_of(known.id)))

    def find_unusual(self, known: UploadedList) -> list[str]:
        """Return how a list differs from those that were sent before it for the same campaigns."""
        facts, campaigns = known.counts.get("facts"), known.counts.get("campaigns")
        if not facts or not campaigns:
            return []
        sent = self._ledger.lists.list(states=list(ListState), limit=_MOST_COMPARED)
        earlier = [
            each.counts["facts"]
            for each in sent
            if each.run is not None
            and each.id != known.id
            and each.counts.get("campaigns") == campaigns
            and each.counts.get("facts")
        ][: self._settings.guard_files]
        return find_anomalies(facts, earlier, self._settings)

    # ---- people ------------------------------------------------------------------------------

    def ensure_key(self) -> None:
        """Make the key of the ledger's hashes, if there is none yet.

        Raises:
            LedgerError: another process holds the ledger, or it belongs to somebody else.
        """
        if self._ledger.key_id is not None:
            return
        with self._ledger.lock("importer serve", self._settings.ledger_wait_s):
            bind_history(self._ledger, self._settings, self._credentials.organization_id)

    def keep_people(self, known: UploadedList, plan: Plan) -> None:
        """Keep the keyed hashes of the people of a list, to find them in other lists."""
        with open_history(self.settings_for(known), self._ledger) as history:
            persons = history.identity.persons(plan.frame).alias(PERSON)
        zones = local_zones(plan, self._settings).select("west", "east")
        out = io.BytesIO()
        zones.insert_column(0, persons).write_parquet(out)
        write_durably(self._people_file(known.id), out.getvalue())

    def _people_file(self, list_id: str) -> Path:
        return self.folder_of(list_id) / "people.parquet"

    def ensure_people(self, known: UploadedList) -> pl.DataFrame | None:
        """Return `people`; make its file first if it is missing here."""
        if self.people(known) is None and self.has_file(known.id):
            self.keep_people(known, self.plan(known))
        return self.people(known)

    def people(self, known: UploadedList) -> pl.DataFrame | None:
        """Return keyed hash and time zones of the people who are ready; None if gone."""
        try:
            found = pl.read_parquet(self._people_file(known.id))
        except (OSError, pl.exceptions.PolarsError):
            return None
        return found.with_columns(pl.col(PERSON).str.head(HASH_DIGITS))  # older files: 64

    def elsewhere(self, known: UploadedList) -> list[Elsewhere]:
        """Return the other unsent lists that hold people of this one, with their number."""
        mine = self.people(known)
        found = []
        for other in self._ledger.lists.list(states=UNSENT, limit=1_000):
            if other.id == known.id or mine is None:
                continue
            theirs = self.people(other)
            if theirs is not None and (shared := mine.join(theirs, on=PERSON, how="semi").height):
                found.append(Elsewhere(other, shared))
        return found

    def contacted_before(self, known: UploadedList, days: int = 90) -> int:
        """Count people of a list who were contacted in the last days, for any campaign."""
        mine = self.people(known)
        if mine is None:
            return 0
        since = datetime.now(UTC) - timedelta(days=days)
        return len(self._ledger.submissions.contacted(mine[PERSON].unique(), since))

    # ---- corrections -------------------------------------------------------------------------

    def corrections(self, known: UploadedList) -> Corrections:
        """Return the corrections of a list."""
        return read_corrections(self.path_of(known.id))

    def correct(
        self,
        known: UploadedList,
        row: int,
        by: str,
        *,
        seen: int,
        header: str = "",
        value: str | None = None,
        out: bool = False,
    ) -> bool:
        """Correct a cell, or leave a row out; it is on disk when this returns.

        Args:
            known: the list.
            row: spreadsheet row.
            by: who corrects it.
            seen: number of the row's newest correction that this person saw.
            header: the header of the cell; empty for the whole row.
            value: the value of the cell; None takes the correction back.
            out: leave the row out.

        Returns:
            False if a colleague has changed the row meanwhile; then nothing is written.
        """
        with self.busy_with(known.id):
            path = self.path_of(known.id)
            corrections = read_corrections(path)
            if corrections.seqs.get(row, 0) != seen:
                return False
            at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            number = len(corrections.lines) + 1
            self._append(path, [Correction(number, row, header, value, out, by, at)])
        return True

    def _append(self, path: Path, new: Sequence[Correction]) -> None:
        append_corrections(path, new)
        if self.store is not None:
            self.store.save(corrections_file(path))

    def correct_cells(
        self, known: UploadedList, cells: Mapping[tuple[int, str], str | None], by: str
    ) -> None:
        """Correct many cells at once, regardless of earlier corrections.

        Args:
            known: the list.
            cells: row and header -> the value from now on; None takes a correction back.
            by: who corrects them.
        """
        with self.busy_with(known.id):
            path = self.path_of(known.id)
            first = len(read_corrections(path).lines) + 1
            at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            self._append(
                path,
                [
                    Correction(number, row, header, value, out=False, by=by, at=at)
                    for number, ((row, header), value) in enumerate(cells.items(), first)
                ],
            )

    # ---- columns -----------------------------------------------------------------------------

    def headers_hash(self, plan: Plan) -> str:
        """Return a hash of the set of headers of a list."""
        table = plan.tables[0]
        headers = sorted({*table.mapping, *table.extra, *table.ignored} - {ROW})
        return hashlib.sha256(json.dumps(headers).encode("utf-8", "surrogatepass")).hexdigest()
