"""`importer nightly`, `release` and `doctor`: unattended imports."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from importer.cli.options import (
    is_quiet,
    is_verbose,
    json_format,
    naming_settings,
    settings_flags,
    tell,
    tell_settings,
)
from importer.cli.queue_following import put_night_in_queue, wait_for_night
from importer.errors import Exit, SettingsError
from importer.languages import translate, translate_filled, translate_word
from importer.nightly.clock import StopSignal, SystemClock
from importer.nightly.doctor import (
    Finding,
    describe_ownership,
    examine,
    find_unreleased,
    ledger_to_read,
    list_unreleased_remote,
    release_flags,
    run_check,
)
from importer.nightly.inbox import InboxSettings, OpenLedgers
from importer.nightly.night import run_night
from importer.nightly.notifications import notify, upload_page
from importer.nightly.ownership import LocalFolder, describe_owner
from importer.nightly.release import find_inbox, release_file
from importer.nightly.remote.address import is_remote
from importer.nightly.remote.remote_inbox import (
    RemoteInbox,
    locate,
    open_inbox,
    open_remote,
    probe,
    release_remote_file,
)
from importer.report.export import ending_json, write_json
from importer.report.night_report import night_json, night_text
from importer.settings.settings import FLAGS
from importer.work.queue_checks import examine_queue
from importer.work.worker_pool import require_workable

if TYPE_CHECKING:
    from importer.model import Json
    from importer.settings import Settings


def _given(flags: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in flags.items() if value is not None}


@click.command(short_help="Import the files that have arrived in a folder, unattended.")
@click.argument("inbox")
@click.option("--queue", is_flag=True, help="Let a worker (`importer work`) run this night.")
@click.option(
    "--wait/--no-wait", default=True, help="With --queue: wait until the worker is done, or not."
)
@json_format
@settings_flags(*FLAGS["nightly"])
def nightly(
    inbox: str, *, queue: bool, wait: bool, form: str, config: Path | None, **flags: object
) -> int:
    """Import every new file of INBOX and of its subfolders, once, and end.

    INBOX is a folder, or an address: s3://bucket/inbox, gs://, az:// or sftp://user@host/inbox.

    Imported files go to done/, unusual ones to held/ until `importer release`, unreadable ones to
    failed/. The next night begins with what a crash or the deadline leaves. With -q nothing is
    printed if nothing needs a person.
    """
    inbox_settings = locate(inbox, InboxSettings(Path(), config, _given(flags)))
    main, clock = inbox_settings.load(), SystemClock()
    tell_settings(main, config)
    if queue:
        return _put_in_queue(inbox, main, _given(flags), wait=wait)
    stop = StopSignal(main.grace_s)
    with (
        naming_settings(main),
        stop.on_signals(),
        OpenLedgers(inbox_settings.ledger(), new=main.new_ledger) as ledgers,
    ):
        place = open_inbox(inbox, inbox_settings, ledgers, clock, stop)
        night = run_night(place, inbox_settings, clock, stop, tell, least=_least_event())
        settings = inbox_settings.load()
        faults = notify(night, settings, inbox_settings.root, stop.wait, stop.requested)
        faults += upload_page(place, clock.now())
    if form == "json":
        click.echo(json.dumps(night_json(night, faults), ensure_ascii=False))
    elif not is_quiet() or night.exit_code or night.todo or faults or night.rehearsal:
        click.echo(night_text(night, faults), nl=False)
    return night.exit_code


def _put_in_queue(inbox: str, settings: Settings, flags: dict[str, object], *, wait: bool) -> int:
    """Put a night into the queue; its message is the worker's to send."""
    require_workable(settings)
    place = inbox if is_remote(inbox) else str(Path(inbox).absolute())
    list_id = put_night_in_queue(place, settings, flags)
    if wait:
        return wait_for_night(list_id, settings)
    tell(translate("The night is in the queue. `importer jobs` shows how far it is."))
    return Exit.OK


@click.command(short_help="Release a held file for the next night.")
@click.argument("file")
@settings_flags(*FLAGS["release"])
def release(file: str, *, config: Path | None, **flags: object) -> None:
    """Release FILE, which is in held/ or failed/, for the next run of `importer nightly`.

    No guard holds it again. As always, people who were contacted before are left out.
    """
    inbox_settings, clock = InboxSettings(Path(), config, _given(flags)), SystemClock()
    main = inbox_settings.main()
    tell_settings(main, config)
    with naming_settings(main):
        if is_remote(file):
            stop = StopSignal(0.0)
            with stop.on_signals(), OpenLedgers(main.ledger) as ledgers:
                released = release_remote_file(file, inbox_settings, ledgers, clock, stop)
        else:
            root, _ = find_inbox(Path(file))
            released = release_file(Path(file), replace(inbox_settings, root=root), clock.now())
    said = translate(
        "{file} is released; the next night begins with {path}.", file=file, path=released.path
    )
    tell(f"{said} {translate_filled(released.note)}".rstrip())


@click.command(short_help="Check the setup of nightly imports.")
@click.argument("inbox")
@json_format
@settings_flags(*FLAGS["doctor"])
def doctor(inbox: str, *, form: str, config: Path | None, **flags: object) -> int:
    """Check settings, credentials, templates, ledger, folders and clock for a night in INBOX.

    It sends one harmless request to the API, connects to the mail server and the webhook without
    sending a message, and writes nothing but files that it deletes again.
    """
    inbox_settings, clock = InboxSettings(Path(), config, _given(flags)), SystemClock()
    if is_remote(inbox):
        findings = _examine_remote(inbox, inbox_settings, clock)
    else:
        findings = examine(locate(inbox, inbox_settings), clock.now())
    with suppress(SettingsError):  # another finding says what is wrong
        findings += examine_queue(inbox_settings.main())
    code = Exit.OK if all(finding.ok for finding in findings) else Exit.SETUP
    if form == "json":
        found: list[Json] = [
            {"what": each.subject, "state": _state(each), "message": each.message}
            for each in findings
        ]
        write_json({**ending_json(code), "inbox": inbox, "findings": found}, sys.stdout)
        return code
    words = {state: translate_word(word) for state, word in _STATE_WORDS.items()}
    labels = {state: word.ljust(max(map(len, words.values()))) for state, word in words.items()}
    for finding in findings:
        if is_quiet() and _state(finding) == "ok":
            continue
        label = labels[_state(finding)]
        subject = translate_filled(finding.subject)
        click.echo(f"{label} {subject}: {translate_filled(finding.message)}")
    return code


def _least_event() -> int:
    """Return from which level on events go to standard error.

    A person at a terminal reads the summary, and cron mails whatever -q leaves.
    """
    only_worries = is_quiet() or (sys.stderr.isatty() and not is_verbose())
    return logging.WARNING if only_worries else logging.NOTSET


_STATE_WORDS: Final = {"wrong": "WRONG", "warning": "warn", "ok": "ok"}


def _state(finding: Finding) -> str:
    if not finding.ok:
        return "wrong"
    return "warning" if finding.warning else "ok"


def _examine_remote(inbox: str, inbox_settings: InboxSettings, clock: SystemClock) -> list[Finding]:
    """Return the findings about a remote inbox; its staging folder stays as it is."""
    url = inbox_settings.main().ledger
    staging = LocalFolder(locate(inbox, inbox_settings).root)
    with TemporaryDirectory() as folder:
        settings = replace(inbox_settings, root=Path(folder), remote=True)
        far = open_remote(inbox, settings, OpenLedgers(url), clock, StopSignal(0.0))
        try:
            remote = [run_check("inbox", lambda: _try_remote(far, url))]
            if remote[0].ok:
                remote += find_unreleased(
                    far.name,
                    partial(list_unreleased_remote, far.store),
                    release_flags(inbox_settings),
                )
        finally:
            far.store.close()
        if staging.is_marked():
            remote.append(
                run_check(
                    "ownership of the staging folder", lambda: describe_ownership(staging, url)
                )
            )
        return examine(settings, clock.now(), remote, far.name)


def _try_remote(inbox: RemoteInbox, ledger_url: str) -> str:
    """Use the inbox in every way that a night does, without opening the ledger for writing."""
    with ledger_to_read(ledger_url) as ledger:
        owner = describe_owner(inbox.check_owner(ledger))
    probe(inbox)
    return f"{inbox.name} can be listed, read, written to and deleted from; {owner}"
