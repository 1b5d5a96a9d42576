"""`importer check`: show what would be sent, what would not, and how to fix it.

It has a module of its own because it must start fast: neither SQLAlchemy nor httpx is imported.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from importer.cli.options import (
    OUT_FILE,
    Output,
    check_outputs,
    confirm,
    is_quiet,
    messages,
    read_settings,
    settings_flags,
    tell,
)
from importer.errors import Exit
from importer.languages import translate
from importer.loader import expand
from importer.planning.history import open_history
from importer.planning.payload import payload_lines
from importer.prepare import prepare
from importer.report import export, terminal, view
from importer.report.exit_codes import exit_of_plan
from importer.report.formatting import rejected_paths
from importer.report.rejected_rows import require_writer, write_rejected
from importer.settings.settings import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _may_replace(paths: Iterable[Path]) -> bool:
    """Ask before a file in which somebody may have corrected rows is replaced; scripts may."""
    there = [str(path) for path in paths if path.exists()]
    if not there or not sys.stdin.isatty():
        return True
    question = translate(
        "Replace {files}, with whatever was corrected there?", files=", ".join(there)
    )
    return confirm(question)


@click.command(short_help="Check spreadsheets without sending anything.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What standard output gets: a summary, or everything as JSON and the summary on standard "
    "error.",
)
@click.option("--report", type=OUT_FILE, help="Write a report to this HTML file.")
@click.option(
    "--rejected",
    type=OUT_FILE,
    help="Write the rejected rows to this CSV or XLSX file; of several inputs, to one file each.",
)
@click.option(
    "--payloads", type=OUT_FILE, help="Write the request body of each ready row, as JSON lines."
)
@click.option("--show-values", is_flag=True, help="Show phones, e-mails and names unmasked.")
@settings_flags(*FLAGS["check"])
def check(
    files: tuple[str, ...],
    *,
    form: str,
    report: Path | None,
    rejected: Path | None,
    payloads: Path | None,
    show_values: bool,
    config: Path | None,
    **flags: object,
) -> int:
    """Check spreadsheets: show what would be sent, what would not, and how to fix it.

    FILE is a spreadsheet, a folder or a pattern; - is standard input. Nothing is sent, and only
    the files that you name are written.
    """
    settings = read_settings(config, flags)
    if report or rejected or payloads:
        names = expand(files)
        to_fix = rejected_paths(rejected, names) if rejected else None
        if rejected is not None:
            require_writer(rejected)
        outputs = {"--report": report, "--rejected": to_fix, "--payloads": payloads}
        check_outputs(outputs, names, settings)
        if not _may_replace(to_fix or ()):
            tell("Nothing was checked or written.")
            return Exit.HELD
    with open_history(settings) as history:
        plan = prepare(files, settings, history, whole=payloads is not None)
    shown = view.plan_view(plan, settings, identity=history.identity, created_at=datetime.now(UTC))
    written: dict[str, tuple[Path, ...]] = {}
    names = [table.source.name for table in plan.tables]
    try:
        if report is not None:
            from importer.report import html  # noqa: PLC0415 (Jinja is slow, and often not needed)

            html.write_page(shown, report)
            written["report"] = (report,)
        if rejected is not None:
            written["rejected"] = write_rejected(plan, rejected_paths(rejected, names))
        if payloads is not None:
            lines = payload_lines(plan, history.identity, settings, names)
            export.write_payloads(lines, payloads)
            written["payloads"] = (payloads,)
    finally:  # the summary is shown even if a file cannot be written
        console = Output(quiet=is_quiet()) if form == "text" else messages()
        terminal.print_plan(console, shown, show_values=show_values, written=written)
    if form == "json":
        export.write_plan_json(shown, sys.stdout)
    return exit_of_plan(plan)
