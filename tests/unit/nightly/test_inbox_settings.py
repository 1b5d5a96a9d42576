"""What a file of settings in an inbox may say, and what belongs into the main one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from importer.errors import SettingsError
from importer.nightly.inbox import InboxSettings
from importer.settings import Settings
from importer.settings.sources import ALLOWED_IN_INBOX
from schemas.codes import Code

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, below: str, main: str = "") -> InboxSettings:
    """Return main settings, and an inbox with settings for one client."""
    text = f"base_url: https://api.example.org/v1\ncampaign: main\n{main}"
    (folder / "importer.yaml").write_text(text)
    (folder / "inbox" / "acme").mkdir(parents=True)
    (folder / "inbox" / "acme" / "importer.yaml").write_text(below)
    return InboxSettings(folder / "inbox", folder / "importer.yaml")


READING = """\
external_campaign: REQ-1
meeting: m
participants: p
columns: {Tel: phone_number}
sheet: People
encoding: cp1252
fallback_encoding: cp1250
default_country: DE
severity: {phone-not-mobile: error}
"""


def test_an_inbox_says_how_its_lists_are_read_and_where_they_go(tmp_path: Path) -> None:
    """For the files of that folder alone; mappings are added to those of the main settings."""
    main = "columns: {Mob: phone_number}\nseverity: {email-shared: error}\n"
    settings = written(tmp_path, READING, main)
    found = settings.load("acme")
    assert (found.campaign, found.external_campaign) == (None, "REQ-1")
    assert (found.meeting, found.participants, found.sheet) == ("m", "p", "People")
    assert (found.encoding, found.fallback_encoding) == ("cp1252", "cp1250")
    assert found.default_country == "DE"
    assert found.columns == {"Mob": "phone_number", "Tel": "phone_number"}
    assert set(found.severity) == {Code.EMAIL_SHARED, Code.PHONE_NOT_MOBILE}
    assert set(READING.replace(":", " ").split()) & ALLOWED_IN_INBOX == ALLOWED_IN_INBOX - {
        "campaign"
    }
    assert settings.load("other").campaign == settings.load().campaign == "main"


@pytest.mark.parametrize("key", sorted(Settings.model_fields.keys() - ALLOWED_IN_INBOX))
def test_an_inbox_says_nothing_else(tmp_path: Path, key: str) -> None:
    """An uploader decides over no guard; the message names file, row and column."""
    settings = written(tmp_path, f"campaign: acme\n{key}: 1\n")
    with pytest.raises(SettingsError, match=rf"importer\.yaml:2:1: {key}: cannot be set in an"):
        settings.load("acme")
    assert settings.load("other").campaign == "main"


@pytest.mark.parametrize(
    ("main", "below"),
    [
        ("", "{phone-not-mobile: info}"),
        ("", "{phone-invalid: warning}"),
        ("severity: {phone-not-mobile: error}\n", "{phone-not-mobile: warning}"),
    ],
)
def test_an_inbox_makes_no_severity_laxer(tmp_path: Path, main: str, below: str) -> None:
    """Against the main settings, else against the table of codes."""
    settings = written(tmp_path, f"severity: {below}\n", main)
    with pytest.raises(
        SettingsError, match=r"importer\.yaml:1:\d+: severity\.phone.*: an inbox can"
    ):
        settings.load("acme")


def test_the_main_settings_say_anything_of_a_folder(tmp_path: Path) -> None:
    """It may keep a ledger and templates of its own; relative paths are the main file's."""
    main = "folders:\n  acme: {ledger: 'sqlite:///acme.db', templates: theirs, campaign: ours}\n"
    settings = written(tmp_path, "campaign: theirs\nsheet: People\n", main)
    found = settings.load("acme")
    assert found.ledger_file == tmp_path / "acme.db"
    assert found.templates == tmp_path / "theirs"
    assert (found.campaign, found.sheet) == ("ours", "People")
    assert settings.ledger() == settings.load("other").ledger == settings.load().ledger
    flagged = InboxSettings(settings.root, settings.config, {"campaign": "flag"})
    assert flagged.load("acme").campaign == "flag"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("{ledgr: x}", r"importer\.yaml:3:\d+: folders\.acme\.ledgr: there is no such key; did"),
        ("{folders: {}}", r"importer\.yaml:3:\d+: folders\.acme\.folders: there is no such key"),
        ("{rate_per_s: -1}", r"importer\.yaml:3:30: folders\.acme\.rate_per_s: must be greater"),
        ("[1]", r"importer\.yaml:3:17: folders\.acme: must be a mapping"),
    ],
)
def test_a_mistake_in_the_settings_of_a_folder_has_a_place(
    tmp_path: Path, result: str, message: str
) -> None:
    """As everywhere in that file."""
    with pytest.raises(SettingsError, match=message):
        written(tmp_path, "", f"folders: {{acme: {result}}}\n").load("acme")


def test_a_remote_inbox_has_one_ledger(tmp_path: Path) -> None:
    """Its claims are in it, whatever the folder."""
    main = "folders: {acme: {ledger: 'sqlite:///acme.db'}}\n"
    settings = replace(written(tmp_path, "", main), remote=True)
    with pytest.raises(SettingsError, match="a remote inbox has one ledger"):
        settings.load("acme")


def test_settings_in_an_inbox_are_a_plain_file(tmp_path: Path) -> None:
    """A link may lead anywhere, and its keys would be in the message."""
    settings = written(tmp_path, "")
    (tmp_path / "inbox" / "importer.yaml").symlink_to(tmp_path / "other.yaml")
    with pytest.raises(SettingsError, match="must be a plain file"):
        settings.load("acme")


@pytest.mark.parametrize("ledger", ["inbox/importer.db", "inbox/acme/../importer.db"])
def test_the_ledger_never_lies_in_the_inbox(tmp_path: Path, ledger: str) -> None:
    """A night would take it for a list, and the next one would know nobody."""
    inbox = written(tmp_path, "").root
    (tmp_path / "importer.yaml").write_text(f"ledger: sqlite:///{ledger}\n")
    with pytest.raises(SettingsError, match="is in the inbox"):
        InboxSettings(inbox, tmp_path / "importer.yaml").load()


def test_a_folder_keeps_no_ledger_in_the_inbox(tmp_path: Path) -> None:
    """A night would take it for a list."""
    main = "folders: {acme: {ledger: 'sqlite:///inbox/a.db'}}\n"
    settings = written(tmp_path, "", main)
    with pytest.raises(SettingsError, match="is in the inbox"):
        settings.load("acme")
    assert settings.load("other").ledger_file == tmp_path / "importer.db"


@pytest.mark.parametrize("key", ["hmac_key_file: inbox/key", "log_file: inbox/log.jsonl"])
def test_nothing_of_ours_lies_in_the_inbox(tmp_path: Path, key: str) -> None:
    """Nor behind a link that leads there."""
    inbox = written(tmp_path, "").root
    (tmp_path / "importer.yaml").write_text(f"{key}\n")
    (tmp_path / "link").symlink_to(inbox)
    for root in (inbox, tmp_path / "link"):
        with pytest.raises(SettingsError, match="is in the inbox"):
            InboxSettings(root, tmp_path / "importer.yaml").load()
