"""`importer check`: what a run would do, without sending anything."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from importer.cli.options import read_settings, settings_flags
from importer.loader import expand
from importer.planning.history import looking
from importer.planning.payload import submissions
from importer.preflight import exit_of_plan
from importer.prepare import prepare
from importer.report import export, html, json_report, terminal, view
from importer.report.atomic_file import check_outputs
from importer.report.export import write_payloads
from importer.settings.settings import FLAGS

OUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(short_help="Check spreadsheets without sending anything.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="text: a summary on standard error; json: everything on standard output as well.",
)
@click.option("--report", type=OUT_FILE, help="Write a report to this HTML file.")
@click.option("--rejected", type=OUT_FILE, help="Write the rejected rows to this CSV file.")
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
    outputs = {"--report": report, "--rejected": rejected, "--payloads": payloads}
    if any(outputs.values()):
        check_outputs(outputs, expand(files), settings)
    with looking(settings) as look:
        plan = prepare(files, settings, look, whole=payloads is not None)
    shown = view.plan_view(plan, settings, identity=look.identity, created_at=datetime.now(UTC))
    terminal.print_plan(Console(stderr=True), shown, show_values=show_values)
    if report is not None:
        html.write_page(shown, report)
    if rejected is not None:
        export.write_rejected(plan, rejected)
    if payloads is not None:
        names = [table.source.name for table in plan.tables]
        write_payloads(submissions(plan, look.identity, settings), names, payloads)
    if form == "json":
        json_report.write_plan_json(shown, sys.stdout)
    return exit_of_plan(plan)
