"""What a report gives to be pasted does in a shell what it says."""

from __future__ import annotations

import shlex

import pytest

from importer.report.formatting import GivenFlags, release_command
from importer.settings import load_settings


@pytest.mark.parametrize(
    ("inbox", "place"),
    [
        ("/srv/inbox", "held/list.csv"),
        ("/srv/the inbox", "held/acme/Ada's list; rm -rf.csv"),
        ("/srv/inbox", 'held/$(reboot) `reboot` \\ " ü.csv'),
        ("s3://bucket/inbox", "held/list.csv"),
        ("sftp://importer@sftp.example.com:22/srv/inbox", "held/acme/list.csv"),
        ("/" + "long/" * 80 + "inbox", "held/list.csv"),
    ],
)
def test_it_can_be_pasted(inbox: str, place: str) -> None:
    """A shell gives the importer the very path, whatever is in it."""
    assert shlex.split(release_command(inbox, place)) == ["importer", "release", f"{inbox}/{place}"]


def test_a_plain_path_is_not_quoted() -> None:
    """It is read by people, too."""
    assert release_command("/srv/inbox", "held/a.csv") == "importer release /srv/inbox/held/a.csv"


def test_where_nobody_wrote_down_the_inbox() -> None:
    """A word stands in its place, as nights of older versions have it."""
    assert release_command(None, "held/a b.csv") == "importer release INBOX/held/a b.csv"


def test_a_name_that_no_terminal_should_get() -> None:
    """It is shown with gaps, and so is none that could be pasted."""
    said = release_command("/srv/inbox", "held/a\x1b[2J\n.csv")
    assert "\x1b" not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("run", " --ledger sqlite:///a.db --campaign 'camp 1' --base-url http://127.0.0.1:9/v1"),
        ("resume", " --ledger sqlite:///a.db --campaign 'camp 1' --base-url http://127.0.0.1:9/v1"),
        ("check", " --ledger sqlite:///a.db --campaign 'camp 1'"),
        ("results", " --ledger sqlite:///a.db"),
    ],
)
def test_what_was_said_is_said_again(command: str, again: str) -> None:
    """As far as the other command takes it: a rehearsal never leads to the real service."""
    flags = {
        "base_url": "http://127.0.0.1:9/v1",
        "ledger": "sqlite:///a.db",
        "campaign": "camp 1",
        "allow_recent": None,
    }
    assert GivenFlags.of(load_settings(None, flags)).text_for(command) == again


def test_a_switch_has_no_value_and_a_password_is_not_repeated() -> None:
    """What is shown on a terminal may be copied anywhere."""
    url = "postgresql://importer:secret@db/importer"
    said = GivenFlags.of(load_settings(None, {"ledger": url, "retry_rejected": True}))
    again = " --ledger 'postgresql://importer:***@db/importer' --retry-rejected"
    assert said.text_for("run") == again
