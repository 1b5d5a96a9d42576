"""A night opens its ledger once, and reads recent opt-outs into it before it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import Exit
from importer.nightly.clock import StopSignal
from importer.nightly.inbox import InboxFolders, LocalInbox, OpenLedgers
from importer.nightly.night import run_night
from tests.support.night_setup import NightSetup, candidate_list

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from importer.report.night_report import NightReport
    from importer.sandbox.server import Sandbox


def play_later(setup: NightSetup, sandbox: Sandbox, more: str = "") -> NightReport:
    """Return a night after the first person opted out: the list of another campaign has three."""
    setup.add_file("first.csv", candidate_list(0, 2))
    setup.night()
    assert sandbox.conversations.set_status(str(sandbox.journal[0]["id"]), "OPTED_OUT")
    setup.settings(sandbox.base_url, f"campaign: camp-acme\n{more}")
    setup.add_file("second.csv", candidate_list(0, 3))
    return setup.night()


def test_a_night_reads_opt_outs_before_it_sends(setup: NightSetup, sandbox: Sandbox) -> None:
    """Without `importer refresh`: who opted out since is not contacted in another campaign."""
    night = play_later(setup, sandbox)
    assert night.rows["created"] == 2
    assert night.rows["rejected"] == 1
    assert night.exit_code is Exit.REJECTED


def test_it_can_be_told_not_to(setup: NightSetup, sandbox: Sandbox) -> None:
    """Then the night knows the opt-outs that `importer refresh` has read."""
    assert play_later(setup, sandbox, "refresh_before: false\n").rows["created"] == 3


def test_it_opens_each_ledger_once(setup: NightSetup, sandbox: Sandbox) -> None:
    """Nothing of a night opens the ledger of the settings by itself: it is not even there."""
    real = f"sqlite:///{setup.workspace.folder}/real.db"
    setup.settings(
        sandbox.base_url, "ledger: sqlite:////nowhere/importer.db\nhmac_key_file: importer.key\n"
    )

    class Moved(OpenLedgers):
        def get(self, url: str) -> Ledger:
            assert url == "sqlite:////nowhere/importer.db"
            return super().get(real)

    for name, first in (("a.csv", 0), ("b.csv", 2), ("acme/c.csv", 4)):
        setup.add_file(name, candidate_list(first, 2))
    with Moved(setup.inbox_settings.ledger()) as ledgers:
        inbox = LocalInbox(InboxFolders(setup.inbox), ledgers)
        night = run_night(inbox, setup.inbox_settings, setup.clock, StopSignal(0.0))
        assert len(ledgers.all()) == 1
    assert night.rows["created"] == 6
    assert night.exit_code is Exit.OK
