"""What earlier nights left for a person in `held/` and `failed/`, and the words for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from importer.errors import ImporterError
from importer.ledger import Ledger
from importer.loader.files import readable_name
from importer.model import MaybeSent, NotSent
from importer.nightly.inbox import FAILED, HELD, WORKING, WRITTEN, Inbox, may_be_taken
from importer.nightly.ownership import Folder, belongs, looked, looking_at, short
from importer.planning.history import looking
from importer.planning.template_files import Templates
from importer.report.formatting import plain, quantity, release_command
from importer.sending.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from importer.nightly.inbox_settings import InboxSettings
    from importer.nightly.remote.storage import Store
    from importer.settings import Settings


_LONGEST = 200


def left_here(root: Path, ending: str) -> list[str]:
    """Paths, relative to an inbox of this machine, of the files that ended so; raises OSError."""
    place = root / ending
    if not place.is_dir():
        return []
    files = [path for path in (*place.glob("*"), *place.glob("*/*")) if path.is_file()]
    return sorted(_files(readable_name(path.relative_to(root).as_posix()) for path in files))


def left_there(store: Store, ending: str) -> list[str]:
    """The same of a remote inbox; raises RemoteFault."""
    found = []
    for each in store.listed(ending):
        if each.folder:
            inside = store.listed(f"{ending}/{each.name}")
            found += [f"{ending}/{each.name}/{file.name}" for file in inside if not file.folder]
        else:
            found.append(f"{ending}/{each.name}")
    return sorted(_files(found))


def in_words(inbox: str, ending: str, files: Sequence[str]) -> str:
    """What a person does with such files.

    Args:
        inbox: folder or address.
        ending: `held` or `failed`.
        files: paths relative to the inbox; at least one.
    """
    first, them = files[0], "it" if len(files) == 1 else "them"
    more = "" if len(files) == 1 else " and so on"
    count = quantity(len(files), "file is", "files are")
    if ending == HELD:
        return f"{count} held; look at {them}, then `{release_command(inbox, first)}`{more}"
    where = plain(f"{inbox}/{first}", _LONGEST)
    return f"{count} in {FAILED}/; mend {them} and send {them} again: {where}{more}"


def _files(paths: Iterable[str]) -> Iterator[str]:
    """Those that are no pages about others."""
    for path in paths:
        name = path.rpartition("/")[2]
        if may_be_taken(name) and not name.endswith(WRITTEN):
            yield path


_ROOM: Final = 500_000_000
_BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that goes right is before this program was written."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing.

    Attributes:
        what: was tried.
        well: it works.
        said: how it stands, or what is wrong and what to do.
    """

    what: str
    well: bool
    said: str


class _Wrong(Exception):
    """Something does not work; the text says what and what to do."""


def examine(
    places: InboxSettings, now: datetime, remote: Sequence[Finding] = (), address: str = ""
) -> list[Finding]:
    """Tries everything; what is wrong with one thing hides no other.

    Args:
        places: the inbox and its settings.
        now: UTC.
        remote: what was found out about an inbox that lies elsewhere, whose settings lie here;
            nothing for one of this machine.
        address: of that inbox.
    """
    found = [tried("settings", lambda: _settings(places))]
    well = found[0].well
    if well and not remote and places.root.is_dir():
        found.append(tried("mark", lambda: belonging(Folder(places.root), places.ledger())))
    found += remote or [
        tried("inbox", lambda: _inbox(places.root)),
        *left(str(places.root), partial(left_here, places.root)),
    ]
    if not well:
        return found
    folders = [""] + [folder for folder in _subfolders(places.root) if folder]
    for folder in folders:
        at = f" of {folder}" if folder else ""
        settings_found = tried(f"settings{at}", partial(_said, places, folder))
        if folder:
            found.append(settings_found)
        if not settings_found.well:
            continue
        settings = places.load(folder)
        found.append(tried(f"templates{at}", partial(_templates, settings)))
        found.append(tried(f"ledger{at}", partial(_ledger, settings, now)))
        own = Folder(places.root / folder, f"{address or places.root}/{folder}")
        if folder and (settings.ledger != places.ledger() or own.marked()):
            found.append(tried(f"mark{at}", partial(belonging, own, settings.ledger)))
    main = places.load()
    if remote:
        desk = main.desk / ".importer-doctor" if main.desk.is_dir() else main.desk
        found.append(tried("desk", lambda: _writable(desk)))
    found.append(tried("credentials", lambda: _credentials(main)))
    if found[-1].well:
        found.append(tried("service", lambda: _service(main)))
    found.append(tried("clock", lambda: _clock(now)))
    found += [
        tried(name, partial(_writable, path))
        for name, path in (("log file", main.log_file), ("metrics file", main.metrics_file))
        if path is not None
    ]
    return found


def tried(what: str, attempt: Callable[[], str]) -> Finding:
    """Tries one thing; whatever is wrong with it is found out, and not raised."""
    try:
        return Finding(what, well=True, said=attempt())
    except ImporterError as exc:
        return Finding(what, well=False, said=str(exc))
    except _Wrong as exc:
        return Finding(what, well=False, said=str(exc))
    except OSError as exc:
        return Finding(what, well=False, said=f"{exc.strerror or exc}: {exc.filename}.")


def left(inbox: str, files_of: Callable[[str], list[str]]) -> list[Finding]:
    """What earlier nights left for a person, which is nothing wrong; nothing where all is done.

    Args:
        inbox: folder or address.
        files_of: the paths of files that ended so, relative to the inbox.
    """

    def said(ending: str) -> str:
        files = files_of(ending)
        return in_words(inbox, ending, files) if files else ""

    found = [tried(ending, partial(said, ending)) for ending in (HELD, FAILED)]
    return [each for each in found if each.said]


def belonging(place: Folder, ledger: str) -> str:
    """To which ledger a folder belongs; raises ConfigurationError where that is another one."""
    if not place.marked():
        return belongs(None)
    with looking_at(ledger) as opened:
        return belongs(looked(place, opened))


def _subfolders(root: Path) -> Iterator[str]:
    if root.is_dir():
        yield from (path.name for path in Inbox(root).folders())


def _settings(places: InboxSettings) -> str:
    file = places.load().file
    return f"read from {file}" if file is not None else "no importer.yaml; the defaults are taken"


def _said(places: InboxSettings, folder: str) -> str:
    settings = places.load(folder)
    return f"campaign {settings.campaign or settings.external_campaign or 'as the rows say'}"


def _inbox(root: Path) -> str:
    if root.is_file():
        raise _Wrong(f"{root} is a file; name the folder that it lies in.")
    if not root.is_dir():
        raise _Wrong(f"There is no folder {root}; make it.")
    working = root / WORKING
    devices = {path.stat().st_dev for path in (root, working) if path.exists()}
    devices |= {(root / folder).stat().st_dev for folder in _subfolders(root)}
    if len(devices) > 1:
        raise _Wrong(f"{root} spans several file systems, so files cannot be claimed at once.")
    for folder in ("", *_subfolders(root)):
        _writable(root / folder / ".doctor")
    passed_over = Inbox(root).passed_over()
    if passed_over:
        raise _Wrong(" ".join(passed_over))
    free = shutil.disk_usage(root).free
    if free < _ROOM:
        raise _Wrong(f"Only {free // 1_000_000} MB are free at {root}; make room.")
    return f"{root} can be written to"


def _writable(path: Path) -> str:
    trial = path.with_name(f".importer-doctor-{os.getpid()}")
    trial.write_bytes(b"")
    trial.unlink()
    return f"{path} can be written"


def _templates(settings: Settings) -> str:
    templates = Templates(settings.templates)
    meetings = {path.stem for path in settings.templates.glob("meetings/*.y*ml")}
    participants = {path.stem for path in settings.templates.glob("participants/*.y*ml")}
    if not meetings and settings.conversation == "auto-schedule":
        raise _Wrong(f"There is no meeting template in {settings.templates}.")
    for name in sorted(meetings):
        templates.meeting(name)
    for name in sorted(participants):
        templates.participants(name)
    for wanted, known in ((settings.meeting, meetings), (settings.participants, participants)):
        if wanted is not None and wanted not in known:
            raise _Wrong(f"There is no template {wanted}, which the settings name.")
    return f"{len(meetings)} for meetings, {len(participants)} for participants"


def _ledger(settings: Settings, now: datetime) -> str:
    ledger = Ledger.open_existing(settings.ledger)
    if ledger is None:
        if settings.ledger_file is not None:
            _writable(settings.ledger_file)
        return "none yet; the first night makes it"
    with ledger:
        newest = ledger.runs.list(limit=1)
        doubtful, own = len(ledger.doubts.list()), short(ledger.id)
    if newest and newest[0].started > now:
        raise _Wrong("Its newest run began later than now: the clock stands before it.")
    with looking(settings):
        pass
    return f"whole; {doubtful} doubtful; its id is {own}"


def _credentials(settings: Settings) -> str:
    settings.credentials()
    return "are set"


def _service(settings: Settings) -> str:
    async def ask() -> int:
        async with Client(settings, settings.credentials()) as client:
            return (await client.conversations()).response.status

    try:
        status = asyncio.run(ask())
    except (NotSent, MaybeSent) as exc:
        raise _Wrong(f"{settings.base_url} does not answer ({exc}).") from exc
    if status in {401, 403}:
        raise _Wrong(f"{settings.base_url} refuses the credentials (HTTP {status}).")
    if not 200 <= status < 300:  # noqa: PLR2004
        raise _Wrong(f"{settings.base_url} answers with HTTP {status}.")
    return f"{settings.base_url} answers"


def _clock(now: datetime) -> str:
    if now < _BUILT:
        raise _Wrong(f"It shows {now:%Y-%m-%d}, which is over; set it.")
    return f"{now:%Y-%m-%d %H:%M} UTC"
