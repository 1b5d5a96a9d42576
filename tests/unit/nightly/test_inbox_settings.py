"""What a file of settings in an inbox may say, and what belongs into the main one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import SettingsError
from importer.nightly.inbox_settings import Places

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, below: str) -> Path:
    """Main settings, and an inbox with settings for one client."""
    (folder / "importer.yaml").write_text("base_url: https://api.example.org/v1\ncampaign: main\n")
    (folder / "inbox" / "acme").mkdir(parents=True)
    (folder / "inbox" / "acme" / "importer.yaml").write_text(below)
    return folder / "inbox"


def test_a_client_has_settings_of_its_own(tmp_path: Path) -> None:
    """Over the main ones, for its files alone; here it may keep a ledger and templates, too."""
    inbox = written(
        tmp_path, "campaign: acme\nledger: sqlite:///../../acme.db\ntemplates: theirs\n"
    )
    places = Places(inbox, tmp_path / "importer.yaml")
    assert places.settings("acme").campaign == "acme"
    ledger = places.settings("acme").ledger_file
    assert ledger is not None
    assert ledger.resolve() == tmp_path / "acme.db"
    assert places.settings("other").campaign == places.settings().campaign == "main"


@pytest.mark.parametrize("key", ["base_url: https://example.com/v1", "hmac_key_file: key"])
def test_no_client_says_where_secrets_go(tmp_path: Path, key: str) -> None:
    """The message names file, row and column."""
    places = Places(written(tmp_path, f"campaign: acme\n{key}\n"), tmp_path / "importer.yaml")
    with pytest.raises(SettingsError, match=r"importer\.yaml:2:1: .* belongs into the main"):
        places.settings("acme")
    assert places.settings("other").base_url == "https://api.example.org/v1"


@pytest.mark.parametrize("key", ["ledger: sqlite:///acme.db", "templates: theirs"])
def test_an_inbox_elsewhere_knows_nothing_of_this_machine(tmp_path: Path, key: str) -> None:
    """Its claims are in one ledger, and only its files are fetched."""
    inbox = written(tmp_path, f"{key}\n")
    with pytest.raises(SettingsError, match="belongs into the main settings"):
        Places(inbox, tmp_path / "importer.yaml", elsewhere=True).settings("acme")


@pytest.mark.parametrize("ledger", ["inbox/importer.db", "inbox/acme/../importer.db"])
def test_the_ledger_never_lies_in_the_inbox(tmp_path: Path, ledger: str) -> None:
    """A night would take it for a list, and the next one would know nobody."""
    inbox = written(tmp_path, "")
    (tmp_path / "importer.yaml").write_text(f"ledger: sqlite:///{ledger}\n")
    with pytest.raises(SettingsError, match="lies in the inbox"):
        Places(inbox, tmp_path / "importer.yaml").settings()


def test_a_client_keeps_no_ledger_in_the_inbox(tmp_path: Path) -> None:
    """Where a path that does not leave its folder would put it."""
    places = Places(written(tmp_path, "ledger: sqlite:///a.db\n"), tmp_path / "importer.yaml")
    with pytest.raises(SettingsError, match="lies in the inbox"):
        places.settings("acme")
    assert places.settings("other").ledger_file == tmp_path / "importer.db"


@pytest.mark.parametrize("key", ["hmac_key_file: inbox/key", "log_file: inbox/log.jsonl"])
def test_nothing_of_ours_lies_in_the_inbox(tmp_path: Path, key: str) -> None:
    """Nor behind a link that leads there."""
    inbox = written(tmp_path, "")
    (tmp_path / "importer.yaml").write_text(f"{key}\n")
    (tmp_path / "link").symlink_to(inbox)
    for root in (inbox, tmp_path / "link"):
        with pytest.raises(SettingsError, match="lies in the inbox"):
            Places(root, tmp_path / "importer.yaml").settings()
