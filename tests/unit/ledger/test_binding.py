"""A ledger belongs to one API and one organization, from its first run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError

if TYPE_CHECKING:
    from importer.ledger import Ledger

API = "https://api.example.com/v1"


def test_it_is_bound_once(ledger: Ledger) -> None:
    """To what it is first used with; the same again is nothing new."""
    assert not ledger.check_binding(API, "h1", "f1")
    ledger.bind(API, "h1", "f1")
    ledger.bind(API, "h1", "f1")
    assert ledger.check_binding(API, "h1", "f1")


def test_another_api_is_refused(ledger: Ledger) -> None:
    """Both are named, and what to do."""
    ledger.bind(API, "h1", "f1")
    with pytest.raises(LedgerError, match=r"belongs to the API at https://api\.example\.com/v1"):
        ledger.bind("http://127.0.0.1", "h1", "f1")
    assert ledger.check_binding(API, "h1", "f1")


@pytest.mark.parametrize(("folded", "nearly"), [("f2", False), ("f1", True)])
def test_another_organization_is_refused(ledger: Ledger, folded: str, *, nearly: bool) -> None:
    """And whether it is the same but for case or blanks."""
    ledger.bind(API, "h1", "f1")
    with pytest.raises(LedgerError, match="another organization") as caught:
        ledger.bind(API, "h2", folded)
    assert ("capitals or blanks" in caught.value.fix) == nearly


def test_the_key_is_noted(ledger: Ledger) -> None:
    """Before its file is made; the newest counts."""
    assert ledger.key_id is None
    for key_id in ("one", "two"):
        ledger.note_key(key_id)
        assert ledger.key_id == key_id
