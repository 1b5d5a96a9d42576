"""`importer sandbox`: a stand-in for the API, to rehearse on without contacting anybody."""

from __future__ import annotations

from pathlib import Path

import click

from importer.sandbox.server import serve


@click.command(short_help="Serve a stand-in for the API, to rehearse on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep every accepted conversation here, one JSON line each; read again at start.",
)
@click.option(
    "--faults",
    default="",
    metavar="SPEC",
    help="What goes wrong and how often, such as 422:0.5,reset-after:0.01; see above.",
)
@click.option(
    "--no-duplicate-check",
    is_flag=True,
    help="Accept the same person and campaign again, as no duplicate check would.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the faults repeatable.")
def sandbox(
    *, port: int, journal: Path | None, faults: str, no_duplicate_check: bool, seed: int
) -> None:
    """Serve a stand-in for the API over real HTTP on this machine; it contacts nobody.

    It is as strict as the API is known to be and keeps a journal of every conversation that it
    accepted, so a nightly import can be rehearsed on it. Stop it with Ctrl-C.

    Faults are NAME:SHARE, as many as you like: 422:0.5 refuses half of the requests. Names: 400 to
    599, reset, unread, close, stall, late, slow, half-header, half-body, wrong-length, garbage,
    not-json, html, empty, no-id, redirect, huge, list-loop, list-lag, optout, undelivered; and
    limit:NUMBER for requests a second. -before or -after: the conversation is not, or is, accepted;
    list- or get- before a name: listing or reading fails, not creating.
    """
    serve(
        port=port,
        journal=journal,
        faults=faults,
        duplicate_check=not no_duplicate_check,
        seed=seed,
        on_ready=lambda url: click.echo(f"Sandbox ready at {url}", err=False),
    )
