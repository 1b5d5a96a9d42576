"""Lists that commands put into the queue: their files, their settings, and their plans.

A list's files are in `uploads:`, where every machine finds them: uploads/<id>/list/<name>. Each
machine prepares a list's plan once, and keeps it as desk/plans/<hash>.plan for as long as the list
is being sent. Both are people's data, and only their owner can read them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from importer.atomic_file import sync_folder, write_durably
from importer.deliver import begin_run, prepare_again
from importer.errors import SettingsError, UsageError, describe_fault
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import QUEUE, WORKING
from importer.loader import expand
from importer.model import Plan
from importer.settings import load_settings
from importer.work.upload_store import (
    file_name,
    folder_of_uploads,
    make_list_folder,
    new_id,
    open_upload_store,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import Run, UploadedList
    from importer.model import Json
    from importer.settings import Credentials, Settings


_LOG: Final = logging.getLogger(__name__)

_NOT_SHARED: Final = frozenset(
    {"ledger", "rehearsal", "base_url", "templates", "new_ledger", "rate_per_s"}
)
"""Settings of the command line that each machine has for itself, or all have in common."""

_STANDARD_INPUT: Final = "-"
_RESUMABLE: Final = frozenset({ListState.PAUSED, ListState.STOPPED})


class QueuedLists:
    """Puts lists into the ledger's queue, and finds what a worker needs to send them.

    Args:
        settings: say where uploads are kept.
        ledger: open for writing, on a server.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._store = open_upload_store(settings)
        self._folder = folder_of_uploads(settings, self._store)

    # ---- putting in --------------------------------------------------------------------------

    def put_in(self, plan: Plan, files: Sequence[str], credentials: Credentials, by: str) -> str:
        """Begin a run and queue its list; return the id of the run. Nothing is sent here.

        Args:
            plan: the plan as it was shown.
            files: as they were given to `prepare`.
            credentials: name the organization.
            by: who puts it in.

        Raises:
            UsageError: a file cannot be kept in `uploads:`.
            LedgerError: the ledger fails, or another process plans.
            RemoteFault: the store of `uploads:` does not answer.
        """
        ledger, list_id = self._ledger, new_id()
        names = expand(files)
        for name in names:
            _require_plain_file(name)
        ledger.lists.add(list_id, QUEUE)
        for name in names:
            self._copy_to_uploads(list_id, Path(name))
        choices: dict[str, Json] = {
            "by": by,
            "flags": _shared_flags(self._settings),
            "since": ledger.now().isoformat(),
        }
        with ledger.lock("importer run --queue", lease_s=self._settings.lease_s):
            run, _, _ = begin_run(
                plan,
                self._settings,
                credentials,
                ledger,
                lambda connection, run: ledger.lists.put_in(connection, list_id, run, choices),
            )
        return run

    def put_in_night(self, inbox: str, flags: Mapping[str, object], by: str) -> str:
        """Queue a night of an inbox; return the id of its list.

        Args:
            inbox: the folder, or the address.
            flags: the flags of the command line.
            by: who puts it in.
        """
        ledger, list_id = self._ledger, new_id()
        ledger.lists.add(list_id, QUEUE)
        kept = {name: value for name, value in flags.items() if name not in _NOT_SHARED}
        choices: dict[str, Json] = {"by": by, "inbox": inbox, "flags": _to_json(kept)}
        states = {ListState.UPLOADING}
        ledger.lists.change(list_id, states, state=ListState.QUEUED.value, choices=choices)
        return list_id

    def _copy_to_uploads(self, list_id: str, path: Path) -> None:
        """Copy a file to `uploads:`."""
        folder = make_list_folder(self._folder, list_id)
        target = folder / file_name(path.name)
        number = 1
        while target.exists():
            number += 1
            target = folder / file_name(f"{path.stem} {number}{path.suffix}")
        part = target.with_name(f"{new_id()}.part")
        with (
            path.open("rb") as given,
            os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
        ):
            shutil.copyfileobj(given, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        part.rename(target)
        sync_folder(folder)
        if self._store is not None:
            self._store.save(target)

    # ---- working on --------------------------------------------------------------------------

    def settings_for(self, known: UploadedList, run: Run) -> Settings:
        """Return the settings of a list: this machine's, with what its command and run say.

        Raises:
            SettingsError: a flag means nothing here, as in an older version.
        """
        given = self._settings
        flags = known.choices.get("flags")
        named = dict(flags) if isinstance(flags, dict) else {}
        settings = load_settings(given.config or given.file, {**given.flags, **named})
        shaping = set(given.shaping()) & set(run.settings)
        return settings.model_copy(update={name: run.settings[name] for name in shaping})

    def plan_of(self, known: UploadedList, run: Run, settings: Settings) -> Plan:
        """Return the plan of a list, prepared again unless this machine has it.

        Raises:
            UsageError: a file is gone; or the templates or settings here are not those with which
                the list was put in.
            SettingsError: plans cannot be kept in `desk:`.
            RemoteFault: the store of `uploads:` does not answer.
        """
        folder = self._settings.folder / self._settings.desk / "plans"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise SettingsError(
                f"The folder {folder} cannot be used: {error.strerror}.",
                "Set `desk:` to a folder of this user.",
            ) from error
        kept = folder / f"{run.plan_hash}.plan"
        with FileLock(kept.with_suffix(".lock"), mode=0o600):
            found = read_plan(kept)
            if found is not None and found.hash == run.plan_hash:
                return found
            plan = _drop_rows(prepare_again(run, settings, self._copies(known)))
            kept.unlink(missing_ok=True)
            write_durably(kept, pickle.dumps(plan, protocol=5), mode=0o600)
            return plan

    def _copies(self, known: UploadedList) -> dict[str, str]:
        """Return the files of a list by their sha256."""
        if self._store is not None:
            self._store.fetch(known.id)
        found: dict[str, str] = {}
        with suppress(FileNotFoundError):
            for path in (self._folder / known.id / "list").iterdir():
                if path.suffix != ".part":
                    with path.open("rb") as file:
                        found[hashlib.file_digest(file, "sha256").hexdigest()] = str(path)
        return found

    # ---- pausing and tidying -----------------------------------------------------------------

    def find(self, run_id: str) -> UploadedList:
        """Return the list that a run sends, by the run's id or its beginning.

        Raises:
            UsageError: there is no such run, or no command put it into the queue.
        """
        run = self._ledger.runs.find(run_id)
        known = self._ledger.lists.find_by_run(run.id)
        if known is None or known.owner != QUEUE:
            raise UsageError(
                f"Run {run.id} is not in the queue.",
                "Ctrl-C pauses it where it was started, and `importer resume` continues it; a "
                "list of the page is paused on the page.",
            )
        return known

    def pause(self, run_id: str, *, for_good: bool = False) -> UploadedList:
        """Pause or stop a list; requests under way finish.

        Raises:
            UsageError: there is no such list, or it is not being sent.
        """
        state = ListState.STOPPED if for_good else ListState.PAUSED
        states = WORKING | {ListState.PAUSED} if for_good else WORKING
        return self._change(run_id, states, state=state.value, message="", start_at=None)

    def resume(self, run_id: str) -> UploadedList:
        """Let a paused or stopped list go on, and try again what was given up.

        Raises:
            UsageError: there is no such list, or it is neither paused nor stopped.
        """
        known = self.find(run_id)
        choices = {**known.choices, "since": self._ledger.now().isoformat()}
        found = self._change(
            run_id,
            _RESUMABLE,
            state=ListState.QUEUED.value,
            message="",
            start_at=None,
            choices=choices,
            counts={},
        )
        if found.run is not None:
            self._ledger.restart_guards(found.run)
        return found

    def _change(self, run_id: str, states: frozenset[ListState], **values: object) -> UploadedList:
        known = self.find(run_id)
        found = self._ledger.lists.change(known.id, states, None, **values)
        if found is None:
            raise UsageError(
                f"The list of run {known.run} is {known.state.value}.",
                "`importer jobs` shows the lists that have not ended.",
            )
        return found

    def delete_old(self) -> None:
        """Delete the files of old lists, and the plans that no list needs."""
        keep = timedelta(days=self._settings.keep_uploads_days)
        now = self._ledger.now()
        for known in self._ledger.lists.list(owner=QUEUE, limit=10_000):
            age = now - known.changed_at
            unfinished = known.state is ListState.UPLOADING
            if known.state in WORKING or age < (timedelta(days=1) if unfinished else keep):
                continue
            if self._ledger.lists.change(
                known.id, {known.state}, known.version, state=ListState.DELETED.value, name=""
            ):
                shutil.rmtree(self._folder / known.id, ignore_errors=True)
                if self._store is not None:
                    self._store.delete(known.id)
        if self._store is not None:
            self._store.delete_leftovers(self._ledger.lists)
        working = self._ledger.lists.list(owner=QUEUE, states=WORKING, limit=10_000)
        needed = {
            self._ledger.runs.find(each.run).plan_hash for each in working if each.run is not None
        }
        for path in (self._settings.folder / self._settings.desk / "plans").glob("*"):
            with suppress(OSError):
                old = now.timestamp() - path.stat().st_mtime > timedelta(hours=1).total_seconds()
                if path.stem not in needed and old:
                    path.unlink()

    def close(self) -> None:
        """Close the connection to the store."""
        if self._store is not None:
            self._store.close()


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A list of the queue, as `importer jobs` shows it.

    Attributes:
        run: the id of its run, or the inbox of a night.
        state: where it is on its way.
        left: rows that can still be sent.
        by: who put it in.
        message: why it waits or has stopped.
    """

    run: str
    state: ListState
    left: int
    by: str
    message: str


def read_listed(ledger: Ledger) -> list[ListedRun]:
    """Return the lists and nights of the queue that have not ended, oldest first."""
    states = WORKING | _RESUMABLE
    found = [
        ListedRun(
            run=str(known.choices.get("inbox", "")) if known.run is None else known.run,
            state=known.state,
            left=0
            if known.run is None
            else ledger.submissions.count_sendable(known.run, since_of(known)),
            by=str(known.choices.get("by", "")),
            message=known.message,
        )
        for known in ledger.lists.list(owner=QUEUE, states=states)
    ]
    return found[::-1]


def since_of(known: UploadedList) -> datetime:
    """Return when a list was put in or resumed last, UTC."""
    since = known.choices.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else known.uploaded_at


def _require_plain_file(name: str) -> None:
    if name == _STANDARD_INPUT:
        raise UsageError(
            "A list from standard input cannot be put into the queue.", "Save it as a file first."
        )
    if not Path(name).is_file():
        raise UsageError(
            f"{name} is in an archive, which cannot be put into the queue.", "Unpack it first."
        )


def _shared_flags(settings: Settings) -> dict[str, Json]:
    """Return the flags of the command line that every machine must know."""
    return _to_json(
        {name: value for name, value in settings.flags.items() if name not in _NOT_SHARED}
    )


def _to_json(flags: Mapping[str, Any]) -> dict[str, Json]:
    return {
        name: str(v) if isinstance(v, Path) else v for name, v in flags.items() if v is not None
    }


def read_plan(path: Path) -> Plan | None:
    """Return a plan that this machine keeps; None if it is missing, damaged or not ours.

    A pickle can run any code, so a file that another user could have written is not read.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                _LOG.warning("a plan in `desk:` is not this user's own file; it is made again")
                return None
            found = pickle.load(file)  # noqa: S301 - only we could write it
    except OSError:
        return None
    except Exception as error:  # noqa: BLE001 - a damaged or older pickle may raise anything
        _LOG.warning(
            "a plan in `desk:` cannot be read; it is made again: %s", describe_fault(error)
        )
        return None
    return found if isinstance(found, Plan) else None


def _drop_rows(plan: Plan) -> Plan:
    """Return a plan with what is needed to send it, and nothing else."""
    return replace(
        plan,
        tables=(),
        rows=plan.rows.clear(),
        problems=plan.problems.clear(),
        known=plan.known.clear(),
    )
