"""Two addresses that reach the same mailbox are the same one."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import mailbox, mailboxes

DOMAINS = st.sampled_from(["gmail.com", "GoogleMail.com", "outlook.com", "b\u00fc.de"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.COM"),
        ("ada.lovelace@gmail.com", "adalovelace@gmail.com"),
        ("ada.lovelace+jobs@googlemail.com", "adalovelace@gmail.com"),
        ("ada+jobs@outlook.com", "ada@outlook.com"),
        ("ada@xn--bcher-kva.example", "ada@b\u00fccher.example"),
        (" ada@example.com ", "ada@example.com"),
    ],
)
def test_one_mailbox(one: str, other: str) -> None:
    """Case, IDN, and the dots and tags of providers that ignore them."""
    assert mailbox(one) == mailbox(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada.lovelace@example.com", "adalovelace@example.com"),
        ("ada+jobs@example.com", "ada@example.com"),
        ("ada.b@outlook.com", "adab@outlook.com"),
        ("+jobs@gmail.com", "@gmail.com"),
        ("ada@notgmail.com", "a.da@notgmail.com"),
        ("ada@gmail.com", "ada@outlook.com"),
    ],
)
def test_two_mailboxes(one: str, other: str) -> None:
    """Other providers may give them to two people."""
    assert mailbox(one) != mailbox(other)


def test_what_is_no_domain_is_compared_as_it_is() -> None:
    """The API's list may show anything."""
    assert mailbox("ada@xn--\u00fc") == "ada@xn--\u00fc"
    assert mailbox("Ada") == "ada"


@given(st.text("aB.+_-\u00e9", min_size=1), DOMAINS)
def test_bulk_gives_the_same(local: str, domain: str) -> None:
    """Rows are compared in bulk, the API's list one by one."""
    address = f"{local}@{domain}"
    bulk = pl.DataFrame({"email": [address, None]}).select(mailboxes(pl.col("email"))).to_series()
    assert bulk.to_list() == [mailbox(address), None]
