"""`importer nightly`, `release` and `doctor`: the import that nobody watches."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from importer.cli.options import settings_flags
from importer.errors import Exit
from importer.nightly.clock import Stop, SystemClock
from importer.nightly.doctor import belonging, examine, left, left_there, tried
from importer.nightly.inbox_settings import InboxSettings
from importer.nightly.night import play
from importer.nightly.notifications import page_given_back, tell
from importer.nightly.ownership import Folder
from importer.nightly.release import inbox_of
from importer.nightly.release import release as let_go
from importer.nightly.remote.address import is_remote
from importer.nightly.remote.remote_inbox import (
    opened,
    opened_remote,
    release_remote,
    rooted,
    try_remote,
)
from importer.report.night_report import json_of, text_of
from importer.settings.settings import FLAGS


def _said(flags: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in flags.items() if value is not None}


@click.command(short_help="Import the files that have arrived in a folder, unattended.")
@click.argument("inbox")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the night is summed up on standard output.",
)
@settings_flags(*FLAGS["nightly"])
def nightly(inbox: str, *, form: str, config: Path | None, **flags: object) -> int:
    """Import every new file of INBOX and of its subfolders, once, and end.

    INBOX is a folder, or lies elsewhere: s3://bucket/inbox, gs://, az:// or sftp://user@host/inbox.

    Imported files go to done/, odd ones to held/ until `importer release`, unreadable ones to
    failed/. What a crash or the deadline leaves is the next night's first work.
    """
    places, clock = rooted(inbox, InboxSettings(Path(), config, _said(flags))), SystemClock()
    stop = Stop(places.load().grace_s)
    with stop.on_signals():
        place = opened(inbox, places, clock, stop)
        night = play(places, clock, stop, place)
        faults = tell(night, places.load(), places.root, stop.wait, stop.asked)
        faults += page_given_back(place, clock.now())
    if form == "json":
        click.echo(json.dumps(json_of(night, faults), ensure_ascii=False))
    else:
        click.echo(text_of(night, faults), nl=False)
    return night.exit_code


@click.command(short_help="Release a held file for the next night.")
@click.argument("file")
@settings_flags(*FLAGS["release"])
def release(file: str, *, config: Path | None, **flags: object) -> None:
    """Let go of FILE, which lies in held/ or failed/: the next night begins with it.

    No guard holds it again; whom the ledger knows as contacted is left out as ever.
    """
    places, clock = InboxSettings(Path(), config, _said(flags)), SystemClock()
    if is_remote(file):
        stop = Stop(0.0)
        with stop.on_signals():
            moved = release_remote(file, places, clock, stop)
    else:
        held = Path(file)
        moved = let_go(held, replace(places, root=inbox_of(held)[0]), clock.now())
    click.echo(f"{file} is released; the next night begins with {moved}.", err=True)


@click.command(short_help="Check the setup of nightly imports.")
@click.argument("inbox")
@settings_flags(*FLAGS["doctor"])
def doctor(inbox: str, *, config: Path | None, **flags: object) -> int:
    """Try settings, credentials, templates, ledger, folders and clock for a night in INBOX.

    It sends one harmless question to the API and writes nothing but a file that it deletes again.
    """
    places, clock = InboxSettings(Path(), config, _said(flags)), SystemClock()
    if is_remote(inbox):
        with TemporaryDirectory() as folder:  # the desk stays as it is
            desk = Folder(rooted(inbox, places).root)
            places = replace(places, root=Path(folder))
            far = opened_remote(inbox, places, clock, Stop(0.0))
            remote = [tried("inbox", lambda: try_remote(far))]
            if remote[0].well:
                remote += left(far.name, partial(left_there, far.store))
                far.store.close()
            if desk.marked():
                remote.append(tried("mark of the desk", lambda: belonging(desk, far.ledger)))
            findings = examine(places, clock.now(), remote, far.name)
    else:
        findings = examine(rooted(inbox, places), clock.now())
    for finding in findings:
        click.echo(f"{'ok   ' if finding.well else 'WRONG'} {finding.what}: {finding.said}")
    return Exit.OK if all(finding.well for finding in findings) else Exit.SETUP
