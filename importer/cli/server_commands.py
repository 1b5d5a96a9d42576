"""`importer serve`, `webhooks` and `sandbox`: what runs until Ctrl-C.

Each command imports its server when it starts: the sandbox does without the page.
"""

from __future__ import annotations

import signal
from pathlib import Path

import click

from importer.cli.options import read_settings, settings_flags
from importer.errors import CredentialsError
from importer.languages import translate, translate_filled
from importer.sandbox.personalities import PERSONALITIES
from importer.settings.page_settings import WEBHOOK_SECRET
from importer.settings.secrets import Secrets
from importer.settings.settings import FLAGS


@click.command(short_help="Serve the page for recruiters, in the browser.")
@settings_flags(*FLAGS["serve"])
def serve(*, config: Path | None, **flags: object) -> None:
    """Serve the page on which recruiters upload lists, correct them, send them and watch them.

    On its own it can be opened only on this machine, with a link that works once and is printed
    here. For a team, put it behind the proxy that signs your people in; `importer explain page`
    shows how. It stops on Ctrl-C or SIGTERM after the requests under way.
    """
    from importer.web.page_server import serve_page  # noqa: PLC0415 - heavy

    settings = read_settings(config, flags)
    serve_page(settings, settings.credentials(), say=_say)


@click.command(short_help="Receive the events that the API sends.")
@settings_flags(*FLAGS["webhooks"])
def webhooks(*, config: Path | None, **flags: object) -> None:
    """Receive the API's events, so that opt-outs, failures and meetings are known at once.

    Every event is in the ledger before it is answered. `importer serve` receives events, too; this
    command is for those who do not run the page. It needs POPP_WEBHOOK_SECRET and an existing
    ledger, listens on this machine unless --listen says more, and stops on Ctrl-C or SIGTERM.
    `importer explain webhooks` has the details.
    """
    from importer.web.webhook_receiver import receive_webhooks  # noqa: PLC0415 - heavy

    settings = read_settings(config, flags)
    receive_webhooks(settings, say=_say, signals=(signal.SIGINT, signal.SIGTERM))


def _say(sentence: str) -> None:
    """Print a sentence on standard output, in the reader's language."""
    click.echo(translate_filled(sentence))


class SandboxCommand(click.Command):
    """The command with its personalities below the options of its help, one a line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the personalities."""
        with formatter.section(translate("Personalities (--behave)")):
            for each in PERSONALITIES.values():
                name = each.name + (f":{each.argument.upper()}" if each.argument else "")
                default = translate(" [default: {value}]", value=each.default)
                about = translate(each.description) + (default if each.default else "")
                formatter.write(f"{'':{formatter.current_indent}}{name}: {about}\n")


@click.command(cls=SandboxCommand, short_help="Run a local mock of the API.")
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
    help="Write accepted conversations to this file, one JSON line each; read at start.",
)
@click.option(
    "--faults",
    default="",
    metavar="SPEC",
    help="What fails and how often, for example 422:0.5,reset-after:0.01; see above.",
)
@click.option(
    "--behave",
    default="",
    metavar="NAME,...",
    help="Personalities: how the API behaves, for example lagging-list,no-external-id; see below.",
)
@click.option(
    "--no-duplicate-check",
    is_flag=True,
    help="Accept a second conversation with the same person in the same campaign.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Send signed events there, on this machine; the secret is POPP_WEBHOOK_SECRET.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the faults repeatable.")
def sandbox(
    *,
    port: int,
    journal: Path | None,
    faults: str,
    behave: str,
    no_duplicate_check: bool,
    webhook: str | None,
    seed: int,
) -> None:
    """Run a local mock of the API over real HTTP on this machine. It contacts nobody.

    It is as strict as the API is known to be and can keep a journal of every conversation that it
    accepted, so you can rehearse a nightly import. Stop it with Ctrl-C.

    Faults are a list of NAME:SHARE: 422:0.5 refuses half of the requests. Names: 400 to 599,
    reset, unread, close, stall, late, slow, half-header, half-body, wrong-length, garbage,
    not-json, html, empty, no-id, redirect, huge, list-loop, list-lag, optout, undelivered; and
    limit:NUMBER for requests per second. -before or -after: the conversation is not, or is,
    accepted; with list- or get- before the name, listing or reading fails instead of creating.
    """
    from importer.sandbox.server import SandboxOptions  # noqa: PLC0415 - heavy
    from importer.sandbox.server import serve as serve_sandbox  # noqa: PLC0415 - heavy

    secret = None if webhook is None else Secrets.read().popp_webhook_secret
    if webhook is not None and secret is None:
        raise CredentialsError(
            f"{WEBHOOK_SECRET} is not set, so events cannot be signed.",
            f"Type `export {WEBHOOK_SECRET}=...` with the secret that the receiver has.",
        )
    options = SandboxOptions(
        port=port,
        journal=journal,
        faults=faults,
        behave=behave,
        duplicate_check=not no_duplicate_check,
        seed=seed,
        webhook=(webhook, secret.get_secret_value().encode()) if webhook and secret else None,
    )
    serve_sandbox(options, lambda url: click.echo(translate("Sandbox ready at {url}", url=url)))
