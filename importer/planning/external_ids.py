"""The externalId of a submission: the candidate id unless it names the person, and part of the key.

The ledger stores it, and reconciliation looks for it in the API's list.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

import polars as pl

from schemas.columns import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping


KEY_DIGITS: Final = 16
"""Hex digits of the submission's key in an externalId: 64 bits, so that no two are alike."""

_NO_ID: Final = "imp"
_EDGES: Final = "-_.:/ "
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_WORD: Final = re.compile(r"[^\W_]+")
_SHORT: Final = 3  # characters; a shorter name counts only as a word of its own
_PHONE_DIGITS: Final = 7
_OF_PERSON: Final = (
    *("candidate_id", "phone_number", "email", "first_name", "last_name", "full_name"),
)


def external_id(pattern: str, row: Mapping[str, str | None], key: str) -> str:
    """Return the externalId of a submission; part of the submission's key makes it unique.

    A candidate id that contains a name, phone or e-mail of its row is left out, because the ledger
    stores the externalId.

    Args:
        pattern: setting `external_id`, such as `{candidate_id}-{key}`.
        row: canonical columns, tidy.
        key: the key of the submission.
    """
    own = (row["candidate_id"] or "").strip()
    if not own or _is_personal(own, row):
        own = _without_own_id(pattern)
    text = pattern.replace("{candidate_id}", own).replace("{key}", key[:KEY_DIGITS])
    return text.strip(_EDGES)


def _without_own_id(pattern: str) -> str:
    """Return what an externalId has instead of a candidate id."""
    return "" if pattern.replace("{candidate_id}", "").strip(_EDGES) != "{key}" else _NO_ID


def external_ids(frame: pl.DataFrame, pattern: str) -> pl.Series:
    """Return `external_id` of each row; one by one only if the candidate id may name the person.

    Args:
        frame: rows with their submission keys.
        pattern: as there.
    """
    own = pl.col("candidate_id").fill_null("").str.strip_chars(" ")
    parts = {"{candidate_id}": pl.col("own"), "{key}": pl.col(KEY).str.head(KEY_DIGITS)}
    pieces = (parts.get(piece, pl.lit(piece)) for piece in _PARTS.split(pattern))
    rows = frame.select(
        pl.when(own == "").then(pl.lit(_without_own_id(pattern))).otherwise(own).alias("own"),
        KEY,
        clear=(own == "") | _is_short_number(),
    )
    whole = rows.select(pl.concat_str(pieces).str.strip_chars(_EDGES).alias("id")).to_series()
    unclear = (~rows["clear"]).arg_true()
    if not unclear.len():
        return whole
    others = frame[unclear].select(KEY, *_OF_PERSON)
    doubted = others.select(_may_be_personal().alias("doubted")).to_series()
    if not doubted.any():
        return whole
    made_singly = [
        external_id(pattern, row, row[KEY]) for row in others.filter(doubted).iter_rows(named=True)
    ]
    return whole.scatter(unclear.filter(doubted), made_singly)


_PARTS: Final = re.compile(r"(\{candidate_id\}|\{key\})")


def _is_short_number() -> pl.Expr:
    """Whether a candidate id is a short number, perhaps after a letter, and the row's texts plain.

    Then `_is_personal` is false: every word of the names and the mailbox have two letters in a row,
    which are not in the id, and its digits are fewer than those of a phone that are compared.
    """
    names = [pl.col(name).fill_null("Ada").str.contains(_LONG_WORDS) for name in _NAMES]
    return (
        pl.col("candidate_id").str.contains(_SHORT_NUMBER).fill_null(value=False)
        & pl.all_horizontal(names)
        & pl.col("full_name").is_null()
        & pl.col("email").fill_null("ada@").str.contains(_PLAIN_MAILBOX)
    )


_NAMES: Final = ("first_name", "last_name")
_SHORT_NUMBER: Final = rf"^[A-Za-z]?[ ._/:-]*(?:[0-9][ ._/:-]*){{1,{_PHONE_DIGITS - 1}}}$"
_PLAIN_MAILBOX: Final = "^[A-Za-z0-9._%+-]*[A-Za-z]{2}[A-Za-z0-9._%+-]*@"
_LATIN: Final = "[A-Za-zÀ-ÖØ-öø-ľŁ-ňŊ-ɏ]{2,}"  # none of them folds to a sign
_LONG_WORDS: Final = rf"^{_LATIN}(?:[ '’.-]+{_LATIN})*$"


def _may_be_personal() -> pl.Expr:
    """Whether `_is_personal` may be true of a candidate id, or there is none; in bulk.

    A row is certain if its texts are plain, and the id has no `@` or `+`, and contains neither a
    word of the names, nor the letters and digits before the `@` of the e-mail, nor the end of the
    phone.
    """
    text = pl.col("candidate_id").str.to_lowercase()
    signs = text.str.replace_all(r"[^a-z0-9]", "")
    address = pl.col("email").fill_null("").str.to_lowercase()
    local = address.str.splitn("@", 2).struct.field("field_0")
    mailbox = local.str.replace_all(r"[^a-z0-9]", "")
    phone = pl.col("phone_number").fill_null("").str.replace_all(r"[^0-9]", "")
    words = [
        _plain_words(name).str.splitn(" ", 2).struct.field(part).fill_null("")
        for name in _NAMES
        for part in ("field_0", "field_1")
    ]
    plain = (
        text.str.contains(r"^[a-z0-9 ._/:-]*[a-z0-9][a-z0-9 ._/:-]*$")
        & pl.all_horizontal(word.str.contains(_PLAIN_WORD) for word in words)
        & pl.col("full_name").is_null()
        & local.str.contains(r"^[a-z0-9._%+-]*$")
    )
    parts = [
        *((text, word, 1) for word in words),
        (signs, mailbox, _SHORT),
        (signs.str.replace_all(r"[a-z]", ""), phone.str.tail(_PHONE_DIGITS), _PHONE_DIGITS),
    ]
    contains = pl.any_horizontal(
        (part.str.len_bytes() >= shortest) & whole.str.contains(part, literal=True)
        for whole, part, shortest in parts
    )
    return (~plain | contains).fill_null(value=True)


_PLAIN_WORD: Final = "^[a-złøđæœ]*$"
"""A word that `_fold` leaves as it is; the letters beyond ASCII are in no plain candidate id."""


def _plain_words(name: str) -> pl.Expr:
    """Return a name's words as `_fold` does if they are plain, with blanks between them."""
    folded = pl.col(name).fill_null("").str.to_lowercase().str.replace_all("ß", "ss", literal=True)
    return folded.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.replace_all("['’ -]", " ")


def _is_personal(text: str, row: Mapping[str, str | None]) -> bool:
    """Whether a candidate id identifies a person: an address, or a name or phone of the row."""
    if "@" in text or text.startswith("+"):
        return True
    folded = _fold(text)
    words = set(_WORD.findall(folded))
    names = " ".join(row[column] or "" for column in ("first_name", "last_name", "full_name"))
    for name in _WORD.findall(_fold(names)):
        if name in words or (len(name) >= _SHORT and name in folded):
            return True
    mailbox = "".join(_WORD.findall(_fold((row["email"] or "").partition("@")[0])))
    if len(mailbox) >= _SHORT and mailbox in "".join(_WORD.findall(folded)):
        return True
    digits, phone = _NOT_DIGITS.sub("", text), _NOT_DIGITS.sub("", row["phone_number"] or "")
    return len(phone) >= _PHONE_DIGITS and phone[-_PHONE_DIGITS:] in digits


def _fold(text: str) -> str:
    """Return a text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))
