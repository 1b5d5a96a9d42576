"""Check the setup of nightly imports: settings, credentials, templates, ledger, folders, clock."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from importer.errors import ImporterError
from importer.ledger import Ledger
from importer.loader.files import readable_name
from importer.model import MaybeSent, NotSent
from importer.nightly.inbox import (
    FAILED,
    HELD,
    PAGE_SUFFIXES,
    WORKING,
    InboxFolders,
    is_importable,
)
from importer.nightly.notifications import (
    MessageRefused,
    NotDelivered,
    try_mail,
    try_webhook,
)
from importer.nightly.ownership import LocalFolder, check_owner, describe_owner, short_id
from importer.planning.history import open_history, refuse_shared_folder
from importer.planning.placeholders import texts
from importer.planning.template_files import Templates
from importer.report.formatting import GivenFlags, plain, release_command
from importer.sending.campaigns import (
    NOT_BY_EXTERNAL_ID,
    CampaignRows,
    CampaignVerdict,
    check_campaigns,
)
from importer.sending.client import Client
from importer.sending.rate_limiter import RateLimiter
from importer.sending.responses import is_2xx
from importer.settings.page_settings import WEBHOOK_SECRET, WebhookSettings
from importer.settings.yaml_files import format_path
from schemas.templates import is_example

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from importer.nightly.inbox import InboxSettings
    from importer.nightly.remote.storage import Store
    from importer.settings import Settings


_LONGEST = 200


def list_unreleased(root: Path, ending: str) -> list[str]:
    """List the files in `held/` or `failed/` of a local inbox, by relative path; raise OSError."""
    place = root / ending
    if not place.is_dir():
        return []
    files = [path for path in (*place.glob("*"), *place.glob("*/*")) if path.is_file()]
    return sorted(
        _without_pages(readable_name(path.relative_to(root).as_posix()) for path in files)
    )


def list_unreleased_remote(store: Store, ending: str) -> list[str]:
    """List the files in `held/` or `failed/` of a remote inbox; raise RemoteFault."""
    found = []
    for each in store.list_folder(ending):
        if each.folder:
            inside = store.list_folder(f"{ending}/{each.name}")
            found += [f"{ending}/{each.name}/{file.name}" for file in inside if not file.folder]
        else:
            found.append(f"{ending}/{each.name}")
    return sorted(_without_pages(found))


def describe_unreleased(inbox: str, ending: str, files: Sequence[str], flags: str = "") -> str:
    """Say in a sentence what a person must do with these files.

    Args:
        inbox: folder or address.
        ending: `held` or `failed`.
        files: paths relative to the inbox; at least one.
        flags: for the command that releases one.
    """
    n = len(files)
    if ending == HELD:
        command = release_command(inbox, files[0], flags)
        if n == 1:
            return f"1 file is held; look at it, then `{command}`"
        return f"{n:,} files are held; look at them, then `{command}` and so on"
    where = plain(f"{inbox}/{files[0]}", _LONGEST)
    if n == 1:
        return f"1 file is in {FAILED}/; correct it and upload it again: {where}"
    return f"{n:,} files are in {FAILED}/; correct them and upload them again: {where} and so on"


def _without_pages(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths that are not pages about other files."""
    for path in paths:
        name = path.rpartition("/")[2]
        if is_importable(name) and not name.endswith(PAGE_SUFFIXES):
            yield path


_MIN_FREE_BYTES: Final = 500_000_000
_WRITTEN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time is wrong: this program did not exist then."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        subject: the thing that was checked.
        ok: whether it works.
        message: the state of the check, or what is wrong and what to do.
        warning: whether it works, but a person should know something about it.
    """

    subject: str
    ok: bool
    message: str
    warning: bool = False


class _CheckFailed(Exception):
    """A check failed; the text says what is wrong and what to do."""


def examine(
    inbox_settings: InboxSettings, now: datetime, remote: Sequence[Finding] = (), address: str = ""
) -> list[Finding]:
    """Run every check; a failed check does not stop the others.

    Args:
        inbox_settings: the inbox and its settings.
        now: UTC.
        remote: findings about a remote inbox, whose settings were fetched; empty for a local one.
        address: the address of that inbox.
    """
    found = [run_check("settings", lambda: _settings(inbox_settings))]
    ok = found[0].ok
    if ok and not remote and inbox_settings.root.is_dir():
        found.append(
            run_check(
                "ownership",
                lambda: describe_ownership(
                    LocalFolder(inbox_settings.root), inbox_settings.ledger()
                ),
            )
        )
    found += remote or [
        run_check("inbox", lambda: _inbox(inbox_settings.root)),
        *find_unreleased(
            str(inbox_settings.root),
            partial(list_unreleased, inbox_settings.root),
            release_flags(inbox_settings),
        ),
    ]
    if not ok:
        return found
    folders = [""] + [folder for folder in _subfolders(inbox_settings.root) if folder]
    for folder in folders:
        at = f" of {folder}" if folder else ""
        settings_found = run_check(f"settings{at}", partial(_campaign, inbox_settings, folder))
        if folder:
            found.append(settings_found)
        if not settings_found.ok:
            continue
        settings = inbox_settings.load(folder)
        found.append(run_check(f"templates{at}", partial(_templates, settings)))
        found.append(run_check(f"ledger{at}", partial(_ledger, settings, now)))
        own = LocalFolder(
            inbox_settings.root / folder, f"{address or inbox_settings.root}/{folder}"
        )
        if folder and (settings.ledger != inbox_settings.ledger() or own.is_marked()):
            found.append(
                run_check(f"ownership{at}", partial(describe_ownership, own, settings.ledger))
            )
    main = inbox_settings.load()
    if remote:
        desk = main.desk / ".importer-doctor" if main.desk.is_dir() else main.desk
        found.append(run_check("staging folder", lambda: _writable(desk)))
    found.append(run_check("credentials", lambda: _credentials(main)))
    if found[-1].ok:
        found.append(run_check("service", lambda: _service(main)))
        if found[-1].ok:
            names = {*folders, *main.folders}
            found += _ask_for_campaigns(inbox_settings, sorted(names))
    events = run_check("events", partial(_events, main))
    found += [events] if events.message else []
    found.append(run_check("clock", lambda: _clock(now)))
    found.append(_sending_hours(main))
    found += _rehearsal(main)
    return [*found, *_try_messages(main)]


def _try_messages(settings: Settings) -> list[Finding]:
    """Check mail, webhook, log file and metrics file."""
    found = []
    if settings.log_file is not None:
        found.append(run_check("log file", partial(_appendable, settings.log_file)))
    if settings.metrics_file is not None:
        found.append(run_check("metrics file", partial(_replaceable, settings.metrics_file)))
    if settings.mail_to:
        found.append(run_check("mail", partial(_message, lambda: try_mail(settings))))
    webhook = run_check("webhook", partial(_message, try_webhook))
    return [*found, webhook] if webhook.message else found


def _message(attempt: Callable[[], str]) -> str:
    """Check that a message can be sent."""
    try:
        return attempt()
    except (NotDelivered, MessageRefused) as exc:
        raise _CheckFailed(f"The night's message cannot be sent ({exc}).") from exc


def _appendable(path: Path) -> str:
    """Check that a file can be appended to, without changing it."""
    if not path.exists():
        folder = next(each for each in path.absolute().parents if each.is_dir())
        _writable(folder / path.name)  # a night makes the folders between
        return f"{path} can be written"
    with path.open("ab"):
        return f"{path} can be appended to"


def _replaceable(path: Path) -> str:
    """Check that a file can be replaced."""
    if path.is_dir():
        raise _CheckFailed(f"{path} is a folder; name a file in it.")
    return _writable(path)


def run_check(subject: str, check: Callable[[], str]) -> Finding:
    """Make one check; a failure becomes a finding."""
    try:
        return Finding(subject, ok=True, message=check())
    except ImporterError as exc:
        return Finding(subject, ok=False, message=str(exc))
    except _CheckFailed as exc:
        return Finding(subject, ok=False, message=str(exc))
    except OSError as exc:
        return Finding(subject, ok=False, message=f"{exc.strerror or exc}: {exc.filename}.")


def release_flags(inbox_settings: InboxSettings) -> str:
    """Return the flags that `importer release` needs for these settings; none if they are wrong."""
    try:
        return GivenFlags.of(inbox_settings.main()).text_for("release")
    except ImporterError:
        return ""


def find_unreleased(
    inbox: str, files_of: Callable[[str], list[str]], flags: str = ""
) -> list[Finding]:
    """Report files that earlier nights left for a person; empty if there are none.

    Args:
        inbox: folder or address.
        files_of: lists the files in `held/` or `failed/`, relative to the inbox.
        flags: for the command that releases one.
    """

    def message(ending: str) -> str:
        files = files_of(ending)
        return describe_unreleased(inbox, ending, files, flags) if files else ""

    found = [run_check(ending, partial(message, ending)) for ending in (HELD, FAILED)]
    return [replace(each, warning=True) for each in found if each.message]


def describe_ownership(place: LocalFolder, ledger_url: str) -> str:
    """Say which ledger a folder belongs to; raise ConfigurationError if it is not ours."""
    if not place.is_marked():
        return describe_owner(None)
    with ledger_to_read(ledger_url) as ledger:
        return describe_owner(check_owner(place, ledger))


@contextmanager
def ledger_to_read(url: str) -> Iterator[Ledger | None]:
    """Open a ledger for reading; None if it does not exist yet. Raise LedgerError."""
    ledger = Ledger.open_existing(url)
    with ledger or nullcontext():
        yield ledger


def _subfolders(root: Path) -> Iterator[str]:
    if root.is_dir():
        yield from (path.name for path in InboxFolders(root).list_subfolders())


def _settings(inbox_settings: InboxSettings) -> str:
    file = inbox_settings.load().file
    return f"read from {file}" if file is not None else "no importer.yaml; defaults apply"


def _campaign(inbox_settings: InboxSettings, folder: str) -> str:
    settings = inbox_settings.load(folder)
    return f"campaign {settings.campaign or settings.external_campaign or 'as the rows say'}"


def _inbox(root: Path) -> str:
    if root.is_file():
        raise _CheckFailed(f"{root} is a file; name its folder.")
    if not root.is_dir():
        raise _CheckFailed(f"There is no folder {root}; make it.")
    working = root / WORKING
    devices = {path.stat().st_dev for path in (root, working) if path.exists()}
    devices |= {(root / folder).stat().st_dev for folder in _subfolders(root)}
    if len(devices) > 1:
        raise _CheckFailed(
            f"{root} spans several file systems, so files cannot be claimed in one step."
        )
    for folder in ("", *_subfolders(root)):
        _writable(root / folder / ".doctor")
    passed_over = InboxFolders(root).explain_skipped()
    if passed_over:
        raise _CheckFailed(" ".join(passed_over))
    free = shutil.disk_usage(root).free
    if free < _MIN_FREE_BYTES:
        raise _CheckFailed(f"Only {free // 1_000_000} MB are free at {root}; make room.")
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
        raise _CheckFailed(f"There is no meeting template in {settings.templates}.")
    read = [templates.meeting(name) for name in sorted(meetings)]
    read += [templates.participants(name) for name in sorted(participants)]
    for wanted, known in ((settings.meeting, meetings), (settings.participants, participants)):
        if wanted is not None and wanted not in known:
            raise _CheckFailed(f"There is no template {wanted}, which the settings name.")
    examples = [
        f"{template.path} has the example {text} at {format_path(path)}"
        for template in read
        for path, text in texts(template.value)
        if is_example(text)
    ]
    if examples and settings.contacts_people:
        raise _CheckFailed(f"{'; '.join(examples)}. Enter your own.")
    return f"{len(meetings)} for meetings, {len(participants)} for participants"


def _ledger(settings: Settings, now: datetime) -> str:
    refuse_shared_folder(settings)
    ledger = Ledger.open_existing(settings.ledger)
    if ledger is None:
        if settings.ledger_file is not None:
            _writable(settings.ledger_file)
        return "none yet; the first night makes it"
    with ledger:
        newest = ledger.runs.list(limit=1)
        doubtful, own = len(ledger.doubts.list()), short_id(ledger.id)
        risk = ledger.find_risk()
    if risk is not None:
        raise _CheckFailed(risk)
    if newest and newest[0].started > now:
        raise _CheckFailed("Its newest run began in the future, so the clock is slow; set it.")
    with open_history(settings):
        pass
    return f"whole; {doubtful} doubtful; its id is {own}"


def _events(settings: Settings) -> str:
    """Check what receiving the API's events needs; empty if nothing is set up for it."""
    if settings.webhook_key() is None:
        given = sorted(settings.model_fields_set & set(WebhookSettings.model_fields))
        if given:
            raise _CheckFailed(f"`{given[0]}` is set, but {WEBHOOK_SECRET} is not; set it, too.")
        return ""
    form = f"{WEBHOOK_SECRET} is set, signatures are in {settings.webhook_signature}"
    with ledger_to_read(settings.ledger) as ledger:
        counts = None if ledger is None else ledger.events.counts()
    if counts is None or counts.newest is None:
        return f"{form}; none was received yet"
    last = f"{form}; the last one came at {counts.newest:%Y-%m-%d %H:%M} UTC"
    return f"{last}, {counts.waiting} wait to be applied" if counts.waiting else last


def _credentials(settings: Settings) -> str:
    settings.credentials()
    if settings.rehearsal:
        return "a rehearsal needs none, and those that are set were not tried"
    return "are set"


def _service(settings: Settings) -> str:
    async def ask() -> int:
        async with Client(settings, settings.credentials()) as client:
            return (await client.conversations()).response.status

    try:
        status = asyncio.run(ask())
    except (NotSent, MaybeSent) as exc:
        raise _CheckFailed(f"{settings.base_url} does not answer ({exc}).") from exc
    if status in {401, 403}:
        raise _CheckFailed(f"{settings.base_url} refuses the credentials (HTTP {status}).")
    if not is_2xx(status):
        raise _CheckFailed(f"{settings.base_url} answers with HTTP {status}.")
    return f"{settings.base_url} answers"


def _ask_for_campaigns(inbox_settings: InboxSettings, folders: Iterable[str]) -> list[Finding]:
    """Check each campaign that the settings of these subfolders name."""
    named: dict[tuple[str, str], Settings] = {}
    found: list[Finding] = []
    for folder in folders:
        with suppress(ImporterError):  # another finding says what is wrong
            settings = inbox_settings.load(folder)
            if settings.preflight == "off":
                continue
            if settings.campaign is not None:
                named.setdefault((settings.campaign, settings.conversation), settings)
            elif settings.external_campaign is not None:
                subject = f"campaign {settings.external_campaign}"
                ok = settings.preflight != "required"
                found.append(Finding(subject, ok=ok, message=NOT_BY_EXTERNAL_ID, warning=True))
    for (campaign, _), settings in named.items():
        found.append(_ask_for_campaign(campaign, settings))
    return list(dict.fromkeys(found))


def _ask_for_campaign(campaign: str, settings: Settings) -> Finding:
    """Ask the API about one campaign."""
    subject = f"campaign {campaign}"

    async def ask() -> CampaignVerdict:
        async with Client(settings, settings.credentials()) as client:
            verdicts = await check_campaigns(
                [CampaignRows(campaign, 0, 0, 0)],
                client=client,
                limiter=RateLimiter(settings.rate_per_s),
                settings=settings,
            )
        return verdicts[campaign]

    try:
        verdict = asyncio.run(ask())
    except ImporterError as error:
        return Finding(subject, ok=False, message=str(error))
    if verdict.refused:
        return Finding(subject, ok=False, message=f"Nothing can be sent to it. {verdict.refused}")
    if verdict.unknown:
        message = f"the API does not say whether it can be sent to ({verdict.unknown})"
        return Finding(subject, ok=True, message=message, warning=True)
    return Finding(subject, ok=True, message="the API accepts it")


def _sending_hours(settings: Settings) -> Finding:
    """Warn if people would be contacted at any hour."""
    if settings.send_between is None:
        message = (
            "people are contacted at any hour, even at night; set `send_between:` and `timezone:`"
        )
        return Finding("hours", ok=True, message=message, warning=True)
    hours = f"{settings.send_between} {settings.timezone}"
    message = f"{hours}; a rehearsal does not wait for them" if settings.rehearsal else hours
    return Finding("hours", ok=True, message=message)


def _rehearsal(settings: Settings) -> list[Finding]:
    """Warn if a night contacts nobody."""
    message = "nobody is contacted; delete `rehearsal: true` from importer.yaml to go live"
    found = Finding("rehearsal", ok=True, message=message, warning=True)
    return [found] if settings.rehearsal else []


def _clock(now: datetime) -> str:
    if now < _WRITTEN_AT:
        raise _CheckFailed(f"It shows {now:%Y-%m-%d}, which is in the past; set it.")
    return f"{now:%Y-%m-%d %H:%M} UTC"
