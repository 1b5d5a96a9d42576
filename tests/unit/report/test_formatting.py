"""Numbers, lists and values are said as a person would."""

from __future__ import annotations

import shlex

import pytest

from importer.languages import number
from importer.report.formatting import (
    GivenFlags,
    duration,
    elapsed,
    file_format,
    free_name,
    number_list,
    plain,
    quantity,
    release_command,
    size,
)
from importer.settings import load_settings


def test_numbers_are_grouped_and_nouns_agree() -> None:
    """One row, two rows, a thousand rows."""
    assert [quantity(n, "row") for n in (0, 1, 2, 1200)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "1,200 rows",
    ]
    assert quantity(2, "person", "people") == "2 people"
    assert number(1234567) == "1,234,567"


def test_long_lists_say_how_many_are_left_out() -> None:
    """Twelve are shown, and the total may be larger than what is at hand."""
    assert number_list([14, 27]) == "14, 27"
    assert number_list(range(1, 15)).endswith("11, 12 and 2 more")
    assert number_list([14, 27], total=2000) == "14, 27 and 1,998 more"


@pytest.mark.parametrize(
    ("seconds", "result"),
    [
        (0, "under a minute"),
        (60, "about a minute"),
        (61, "about 2 minutes"),
        (3600, "about 1 hour"),
        (3660, "about 1 hour 1 minute"),
        (7260, "about 2 hours 1 minute"),
    ],
)
def test_durations_are_rounded_up(seconds: float, result: str) -> None:
    """Nobody waits longer than was said."""
    assert duration(seconds) == result


@pytest.mark.parametrize(
    ("seconds", "result"),
    [(0.84, "0.8 s"), (42, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_time_that_is_over_is_exact(seconds: float, result: str) -> None:
    """What was measured is said as it is."""
    assert elapsed(seconds) == result


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\u202e", "\x07", "\x9b31m", "\u2066"])
def test_no_value_commands_a_terminal(hostile: str) -> None:
    """Escape sequences and direction marks are gone, the words stay."""
    shown = plain(f"a{hostile}b")
    assert shown[0] == "a"
    assert shown[-1] == "b"
    assert not set(hostile[:1]) & set(shown)


def test_values_are_cut_and_stay_in_a_line() -> None:
    """A cut is shown as such."""
    assert plain("a\nb") == "a b"
    assert plain("x" * 100, 10) == "x" * 9 + "…"
    assert plain("García-Müller 🙂") == "García-Müller 🙂"


def test_sizes_have_a_unit_that_fits() -> None:
    """One byte, kilobytes, megabytes, gigabytes."""
    assert [size(n) for n in (1, 999, 12_300, 5_000_000, 2_500_000_000)] == [
        "1 byte",
        "999 bytes",
        "12 KB",
        "5 MB",
        "2.5 GB",
    ]


def test_files_say_how_they_were_read() -> None:
    """Text by encoding and delimiter, a workbook by sheet, an unread file not at all."""
    assert file_format("utf-8", ";", None, 1) == "utf-8, semicolon"
    assert file_format("cp1252", "\t", None, 4) == "cp1252, tab, header in row 4"
    assert file_format("", "", "Candidates", 1) == "sheet Candidates"
    assert file_format("", "", None, 1) == ""


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
    """A word replaces it, as nights of older versions have it."""
    assert release_command(None, "held/a b.csv") == "importer release INBOX/held/a b.csv"


def test_a_name_that_no_terminal_should_get() -> None:
    """It is shown with gaps, and so is none that could be pasted."""
    result = release_command("/srv/inbox", "held/a\x1b[2J\n.csv")
    assert "\x1b" not in result
    assert "\n" not in result


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
    result = GivenFlags.of(load_settings(None, {"ledger": url, "retry_rejected": True}))
    again = " --ledger 'postgresql://importer:***@db/importer' --retry-rejected"
    assert result.text_for("run") == again


def test_a_released_file_needs_the_settings_of_the_night() -> None:
    """The flags that the night was given come after the file."""
    given = GivenFlags.of(load_settings(None, {"ledger": "sqlite:///a.db", "rate_per_s": 2.0}))
    result = release_command("/srv/inbox", "held/a.csv", given.text_for("release"))
    assert result == "importer release /srv/inbox/held/a.csv --ledger sqlite:///a.db"


def test_an_output_is_no_input() -> None:
    """Whatever folder the input is in."""
    assert free_name("results.csv", ["a.csv"]) == "results.csv"
    assert free_name("results.csv", ["in/results.csv", "results-2.csv"]) == "results-3.csv"
