"""Nights of `importer nightly`, their files, and the claims on files of remote inboxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, func, insert, or_, select, update

from importer.ledger.database import dialect_insert
from importer.ledger.tables import claims, night_files, nights, run_sources, runs
from importer.masking import mask_file_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from importer.ledger.database import Database


_TICK: Final = timedelta(microseconds=1)
_NEWEST: Final = (
    night_files.c.at.desc(),
    night_files.c.night.desc(),
    night_files.c.position.desc(),
)


@dataclass(frozen=True, slots=True)
class NightFile:
    """A file's ending in one night.

    Attributes:
        night: the id of the night.
        position: the position of the file in the night; night and position identify the record.
        folder: subfolder of the inbox; empty for the inbox itself.
        name: the name of the file; the ledger masks it if it may contain a person's name.
        sha256: hex digest of its bytes.
        at: UTC; when this was written.
        ending: how it ended; a value of `importer.report.night_report.FileEnding`.
        run: the run that imported it, or None.
        reason: one sentence for a person; no personal data.
        facts: what later files of the folder are compared with.
    """

    night: str
    position: int
    folder: str
    name: str
    sha256: str
    at: datetime
    ending: str
    run: str | None = None
    reason: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Night:
    """A night as the ledger knows it.

    Attributes:
        id: such as `night-20261122-020000`.
        started: UTC.
        ended: UTC; None while it runs, or if it was interrupted.
        exit_code: how its process ended; None until then.
        inbox: folder or address that its files came from; None if not recorded.
    """

    id: str
    started: datetime
    ended: datetime | None
    exit_code: int | None
    inbox: str | None = None


class Nights:
    """Read and write nights. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, night: str, now: datetime, inbox: str | None = None) -> None:
        """Write that a night started, and in which inbox; a known night continues."""

        def write(connection: Connection) -> None:
            connection.execute(delete(nights).where(nights.c.id == night))
            connection.execute(insert(nights), {"id": night, "started_at": now, "inbox": inbox})

        self._database.write("night", write, counted=True)

    def end(self, night: str, exit_code: int, now: datetime) -> None:
        """Write that a night ended, and how."""
        ended = update(nights).where(nights.c.id == night)
        self._database.write(
            "night-end", lambda c: c.execute(ended.values(ended_at=now, exit_code=exit_code))
        )

    def knows(self, night: str) -> bool:
        """Whether this ledger was used in a night."""
        wanted = select(nights.c.id).where(nights.c.id == night)
        return self._database.read(lambda c: c.scalar(wanted) is not None)

    def list(self, limit: int | None = None) -> tuple[Night, ...]:
        """Return the nights, newest first."""
        wanted = select(nights).order_by(nights.c.started_at.desc(), nights.c.id.desc())
        return self._database.read(
            lambda c: tuple(Night(*row) for row in c.execute(wanted.limit(limit)))
        )

    def inboxes(self) -> tuple[str, ...]:
        """Return every inbox that a night has used, sorted."""
        wanted = select(nights.c.inbox).where(nights.c.inbox.is_not(None)).distinct()
        return self._database.read(lambda c: tuple(sorted(c.scalars(wanted))))

    def write(self, file: NightFile) -> None:
        """Write how a file ended, replacing its earlier record of this night.

        Its time is made later than in every other record of this content, so that the newest
        record is always the one written last, even if the clock was set back.
        """
        of_file = and_(night_files.c.night == file.night, night_files.c.position == file.position)
        same = select(night_files.c.at).where(night_files.c.sha256 == file.sha256)
        values = {name: getattr(file, name) for name in NightFile.__slots__}
        masked = mask_file_name(file.name)
        reason = file.reason.replace(file.name, masked) if file.name else file.reason
        values |= {"name": masked, "reason": reason}

        def write(connection: Connection) -> None:
            connection.execute(delete(night_files).where(of_file))
            newest = connection.scalar(same.order_by(night_files.c.at.desc()).limit(1))
            at = file.at if newest is None else max(file.at, newest + _TICK)
            connection.execute(insert(night_files), {**values, "at": at, "facts": dict(file.facts)})

        self._database.write("night-file", write)

    def last(
        self, sha256: str, endings: Collection[str] = (), run: str | None = None
    ) -> NightFile | None:
        """Return the newest record of a content, under any name.

        Args:
            sha256: the SHA-256 of the content.
            endings: only records with these endings; any by default.
            run: only records of this run; any by default.
        """
        wanted = select(night_files).where(night_files.c.sha256 == sha256)
        if endings:
            wanted = wanted.where(night_files.c.ending.in_(list(endings)))
        if run is not None:
            wanted = wanted.where(night_files.c.run == run)
        found = self._files(wanted, 1)
        return found[0] if found else None

    def of_folder(self, folder: str, endings: Collection[str], limit: int) -> tuple[NightFile, ...]:
        """Return the newest records of a folder with one of these endings, newest first."""
        f = night_files.c
        return self._files(
            select(night_files).where(f.folder == folder, f.ending.in_(list(endings))), limit
        )

    def last_run_of(self, folder: str, inbox: str) -> datetime | None:
        """Return when a file of an inbox's subfolder was last sent; None if none was.

        A night without a recorded inbox counts, because it may have worked there.
        """
        f, n = night_files.c, nights.c
        there = or_(n.inbox == inbox, n.inbox.is_(None))
        wanted = (
            select(func.max(f.at))
            .join_from(night_files, nights, f.night == n.id)
            .where(f.folder == folder, f.run.is_not(None), there)
        )
        newest: datetime | None = self._database.read(lambda c: c.scalar(wanted))
        return newest

    def of_night(self, night: str) -> tuple[NightFile, ...]:
        """Return the records of one night, newest first."""
        return self._files(select(night_files).where(night_files.c.night == night), None)

    def runs_of(self, sha256: str) -> tuple[str, ...]:
        """Return the runs that had a file with this content, newest first."""
        wanted = (
            select(runs.c.id)
            .join_from(run_sources, runs, run_sources.c.run == runs.c.id)
            .where(run_sources.c.sha256 == sha256)
            .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        )
        return self._database.read(lambda c: tuple(dict.fromkeys(c.scalars(wanted))))

    def note_path(self, run: str, sha256: str, path: str) -> None:
        """Write where a file of a run is now."""
        s = run_sources.c
        there = update(run_sources).where(s.run == run, s.sha256 == sha256)
        there = there.values(path=mask_file_name(path))
        self._database.write("moved", lambda c: c.execute(there))

    def _files(self, wanted: Any, limit: int | None) -> tuple[NightFile, ...]:
        return self._database.read(
            lambda c: tuple(map(_file, c.execute(wanted.order_by(*_NEWEST).limit(limit))))
        )


def _file(row: Row[Any]) -> NightFile:
    return NightFile(**{name: getattr(row, name) for name in NightFile.__slots__})


def forget_nights(connection: Connection, before: datetime) -> None:
    """Remove file names and reasons from old nights."""
    connection.execute(
        update(night_files).where(night_files.c.at < before).values(name="", reason="")
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A file of a remote inbox that a night has taken.

    Attributes:
        inbox: the address of the inbox, without a password.
        path: the path of the file, relative to the inbox.
        version: distinguishes it from other files at the same path.
        claimed_at: UTC.
        holder: host and process that took it last.
        place: the path in the staging folder; empty before the file is fetched.
        sha256: hex digest of its bytes; empty before it is fetched.
        returned_at: UTC; when all results were back in the inbox; None until then.
    """

    inbox: str
    path: str
    version: str
    claimed_at: datetime
    holder: str
    place: str = ""
    sha256: str = ""
    returned_at: datetime | None = None


class Claims:
    """Read and write claims. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, inbox: str) -> tuple[Claim, ...]:
        """Return the unfinished claims of an inbox, by path."""
        c = claims.c
        wanted = (
            select(claims)
            .where(c.inbox == inbox, c.returned_at.is_(None))
            .order_by(c.path, c.version)
        )
        return self._database.read(
            lambda connection: tuple(map(_claim, connection.execute(wanted)))
        )

    def take(self, claim: Claim) -> bool:
        """Write a claim before its file is fetched; False if this version is claimed already.

        A finished claim may be taken again, because the same file was uploaded again.
        """
        values = {name: getattr(claim, name) for name in Claim.__slots__}

        def write(connection: Connection) -> bool:
            again = update(claims).where(_same(claim), claims.c.returned_at.is_not(None))
            if connection.execute(again.values(**values)).rowcount:
                return True
            new = dialect_insert(connection)(claims).values(**values).on_conflict_do_nothing()
            return connection.execute(new.returning(claims.c.path)).first() is not None

        return self._database.write("claim", write)

    def note_fetched(self, claim: Claim, place: str, sha256: str) -> None:
        """Write where in the staging folder a claimed file will be."""
        self._change(claim, place=place, sha256=sha256, holder=claim.holder)

    def note_returned(self, claim: Claim, now: datetime) -> None:
        """Write that all results of a claimed file are back in the inbox.

        If the file's name may be a person's, its claim is removed.
        """
        if mask_file_name(claim.path) == claim.path:
            self._change(claim, returned_at=now)
        else:
            self.drop(claim)

    def drop(self, claim: Claim) -> None:
        """Remove a claim, such as one whose file disappeared before it was fetched."""
        gone = delete(claims).where(_same(claim))
        self._database.write("claim-drop", lambda connection: connection.execute(gone))

    def _change(self, claim: Claim, **values: object) -> None:
        changed = update(claims).where(_same(claim)).values(**values)
        self._database.write("claim-change", lambda connection: connection.execute(changed))


def forget_claims(connection: Connection, before: datetime) -> None:
    """Remove claims finished before a time: a path may contain a name."""
    c = claims.c
    connection.execute(delete(claims).where(c.returned_at.is_not(None), c.returned_at < before))


def _same(claim: Claim) -> ColumnElement[bool]:
    c = claims.c
    return and_(c.inbox == claim.inbox, c.path == claim.path, c.version == claim.version)


def _claim(row: Row[Any]) -> Claim:
    return Claim(**{name: getattr(row, name) for name in Claim.__slots__})
