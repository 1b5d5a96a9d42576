"""Which e-mail addresses reach the same mailbox: in any case, dots and `+tags` where ignored."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

import polars as pl

_TAGGED: Final = (
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "proton.me",
    "protonmail.com",
    "pm.me",
    "fastmail.com",
    "fastmail.fm",
)
"""Providers that deliver `ada+jobs@` to `ada@`, as their help pages say."""

_TAG: Final = rf"^([^@+]+)\+[^@]*@({'|'.join(map(re.escape, _TAGGED))})$"
_DOTLESS: Final = r"@g(?:oogle)?mail\.com$"  # two names of one provider, which ignores dots
_DOTLESS_NAME: Final = "@gmail.com"


def mailbox(address: str) -> str:
    """The mailbox of an address; equal for two addresses that reach the same one.

    Args:
        address: in any case; its domain may be in Unicode or in `xn--` form.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    if "xn--" in domain:
        with suppress(UnicodeError):  # what is no such name is compared as it is
            domain = domain.encode().decode("idna")
    text = re.sub(_TAG, r"\1@\2", f"{local}@{domain}" if local else domain)
    if re.search(_DOTLESS, text):
        return text.rpartition("@")[0].replace(".", "") + _DOTLESS_NAME
    return text


def mailboxes(address: pl.Expr) -> pl.Expr:
    """`mailbox` in bulk, for clean addresses: their domains are in Unicode. Null stays null."""
    text = address.str.to_lowercase().str.replace(_TAG, "${1}@${2}")
    local = text.str.replace(_DOTLESS, "").str.replace_all(".", "", literal=True)
    dotless = pl.concat_str(local, pl.lit(_DOTLESS_NAME))
    return pl.when(text.str.contains(_DOTLESS)).then(dotless).otherwise(text)
