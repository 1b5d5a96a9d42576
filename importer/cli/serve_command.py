"""`importer serve`: the page on which recruiters upload, correct and send their lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from importer.cli.options import read_settings, settings_flags
from importer.settings.settings import FLAGS
from importer.web.page_server import serve_page

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Serve the page for recruiters, in the browser.")
@settings_flags(*FLAGS["serve"])
def serve(*, config: Path | None, **flags: object) -> None:
    """Serve the page on which recruiters upload lists, correct them, send them and watch them.

    On its own it can be opened only on this machine, with a link that works once and is printed
    here. For a team, put it behind the proxy that signs your people in; `importer explain page`
    shows how. It stops on Ctrl-C or SIGTERM after the requests under way.
    """
    settings = read_settings(config, flags)
    serve_page(settings, settings.credentials(), say=click.echo)
