"""`importer nightly`, `release` and `doctor`: the import that nobody watches."""

from __future__ import annotations

import json
from pathlib import Path

import click

from importer.cli.options import settings_flags
from importer.errors import Exit
from importer.nightly.doctor import examine
from importer.nightly.morning import tell
from importer.nightly.night import play
from importer.nightly.places import Places
from importer.nightly.release import inbox_of
from importer.nightly.release import release as let_go
from importer.nightly.stopping import Stop, SystemClock
from importer.report.night_text import json_of, text_of

_FOLDER = click.Path(file_okay=False, path_type=Path)
_WHEN = ("quiet_s", "timezone", "send_between", "deadline", "grace_s", "log_file", "metrics_file")


def _said(flags: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in flags.items() if value is not None}


@click.command(short_help="Import what has arrived in a folder, unattended.")
@click.argument("inbox", type=_FOLDER)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the night is summed up on standard output.",
)
@settings_flags("ledger", "base_url", "rate_per_s", "concurrency", *_WHEN)
def nightly(inbox: Path, *, form: str, config: Path | None, **flags: object) -> int:
    """Import every new file of INBOX and of its subfolders, once, and end.

    Imported files go to done/, odd ones to held/ until `importer release`, unreadable ones to
    failed/. What a crash or the deadline leaves is the next night's first work.
    """
    root = inbox.resolve()
    places, clock = Places(root, config, _said(flags)), SystemClock()
    settings = places.settings()
    stop = Stop(settings.grace_s)
    with stop.on_signals():
        night = play(places, clock, stop)
        faults = tell(night, settings, root, stop.wait, stop.asked)
    if form == "json":
        click.echo(json.dumps(json_of(night, faults), ensure_ascii=False))
    else:
        click.echo(text_of(night, faults), nl=False)
    return night.exit_code


@click.command(short_help="Let go of a file that a night held.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@settings_flags("ledger")
def release(file: Path, *, config: Path | None, **flags: object) -> None:
    """Let go of FILE, which lies in held/ or failed/: the next night begins with it.

    No guard holds it again; whom the ledger knows as contacted is left out as ever.
    """
    clock = SystemClock()
    moved = let_go(file, Places(inbox_of(file)[0], config, _said(flags)), clock.now())
    click.echo(f"{file} is released; the next night begins with {moved}.", err=True)


@click.command(short_help="Try everything that a night needs, and say what is wrong.")
@click.argument("inbox", type=_FOLDER)
@settings_flags("ledger", "base_url")
def doctor(inbox: Path, *, config: Path | None, **flags: object) -> int:
    """Try settings, credentials, templates, ledger, folders and clock for a night in INBOX.

    It sends one harmless question to the API and writes nothing but a file that it deletes again.
    """
    findings = examine(Places(inbox.resolve(), config, _said(flags)), SystemClock().now())
    for finding in findings:
        click.echo(f"{'ok   ' if finding.well else 'WRONG'} {finding.what}: {finding.said}")
    return Exit.OK if all(finding.well for finding in findings) else Exit.SETUP
