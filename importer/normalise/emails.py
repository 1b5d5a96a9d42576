"""E-mail addresses: plain ones are checked in bulk, unusual ones by email-validator.

The answers are email-validator's (strict, without asking the network). What surrounds an address
goes: `mailto:`, angle brackets and a display name, quotes, punctuation, blanks around the @,
full-width characters. What could be two different addresses is refused, never guessed.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl
from email_validator import (
    SPECIAL_USE_DOMAIN_NAMES,
    EmailNotValidError,
    validate_email,
)
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

EMAIL: Final = "email"
DETAIL: Final = "detail"

_ATOM: Final = r"[A-Za-z0-9_!#$%&'*+/=?^`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS: Final = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:[A-Za-z0-9][A-Za-z0-9-]*)?[A-Za-z]$"
_PLAIN: Final = (
    r"^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z0-9]*[a-z]$"
)
_PLAIN_BYTES: Final = 64  # no part of so short an address can be too long
_RESERVED: Final = rf"(?i)[@.](?:{'|'.join(map(re.escape, SPECIAL_USE_DOMAIN_NAMES))})$"
_WIDE: Final = [*map(chr, range(0xFF01, 0xFF5F)), "。", "｡", "﹫"]
_NARROW: Final = [*map(chr, range(0x21, 0x7F)), ".", ".", "@"]
_AROUND: Final = " ,;:<>()[]\"'“”„‘’«»`"
_ROLE: Final = rf"(?i)^(?:{'|'.join(map(re.escape, CASE_INSENSITIVE_MAILBOX_NAMES))})@"


def addresses(cells: pl.Series) -> pl.DataFrame:
    """The addresses and what is wrong with the others.

    Args:
        cells: tidy text.

    Returns:
        As many rows as cells: `email` (domain in lower case; null where a cell is empty or
        refused) and `detail` (why it was refused, without the address; else null).
    """
    cells = cells.alias(EMAIL)
    unusual = (~_plain(cells)).fill_null(value=False).arg_true()
    blank = pl.Series(DETAIL, [None], dtype=pl.String)
    if not unusual.len():
        return pl.DataFrame([cells, blank.new_from_index(0, cells.len())])
    judged = _judged(_bare(cells.gather(unusual)))
    return pl.DataFrame(
        [
            cells.clone().scatter(unusual, judged[EMAIL]),
            blank.new_from_index(0, cells.len()).scatter(unusual, judged[DETAIL]),
        ]
    )


def _plain(cells: pl.Series) -> pl.Series:
    """Whether a cell is an address as it stands, at one cheap look."""
    text = pl.col(EMAIL)
    plain = (
        text.str.contains(_PLAIN)
        & (text.str.len_bytes() <= _PLAIN_BYTES)
        & ~(text.str.contains(_RESERVED) | text.str.contains(_ROLE))
    )
    return cells.to_frame().select(plain).to_series()


def _bare(cells: pl.Series) -> pl.Series:
    """The same cells without what people and programs write around an address."""
    if (cells.str.len_bytes() != cells.str.len_chars()).any():
        cells = cells.str.replace_many(_WIDE, _NARROW)
    if cells.str.contains("<", literal=True).any():
        cells = cells.str.replace(r"^[^<>]*<([^<>]*@[^<>]*)>[\s.,;]*$", "${1}").str.strip_chars(" ")
    if cells.str.contains(":", literal=True).any():
        cells = cells.str.replace(r"^(?i:mailto:\s*)+([^?]*)(?:\?.*)?$", "${1}")
    cells = cells.str.strip_chars_start(_AROUND).str.strip_chars_end(_AROUND + ".!?")
    if cells.str.contains(" ", literal=True).any():
        cells = cells.str.replace(r"\s*@\s*", "@")
        cells = cells.str.replace(r"^([^@\s]+@[^@\s.]+)\s*\.\s*([^@\s.]+)$", "${1}.${2}")
    return cells


def _judged(cells: pl.Series) -> pl.DataFrame:
    """Bare addresses with the verdict: what ASCII can say in bulk, the rest one by one."""
    text = pl.col(EMAIL)
    local, domain = text.str.extract(r"^(.*)@", 1), text.str.extract(r"@([^@]*)$", 1)
    ascii_only = text.str.len_bytes() == text.str.len_chars()
    clear = ascii_only & (text.str.len_bytes() <= _PLAIN_BYTES) & ~text.str.contains("--")
    refused = (
        pl.when(~text.str.contains("@", literal=True))
        .then(pl.lit("it has no @"))
        .when(text.str.count_matches("@", literal=True) > 1)
        .then(pl.lit("it has more than one @"))
        .when(text.str.contains(r"\s"))
        .then(pl.lit("there is a blank in it"))
        .when(text.str.starts_with("@"))
        .then(pl.lit("nothing stands before the @"))
        .when(text.str.ends_with("@"))
        .then(pl.lit("nothing stands after the @"))
        .when(text.str.contains(r"\.\.|^\.|\.@|@\."))
        .then(pl.lit("a dot stands where it must not"))
        .when(~domain.str.contains(".", literal=True))
        .then(pl.lit("the part after the @ has no ending such as .com"))
        .when(text.str.contains(_RESERVED))
        .then(pl.lit("its domain is not in public use"))
        .when(ascii_only & ~text.str.contains(_ADDRESS))
        .then(pl.lit("a character stands where it must not"))
    )
    written = (
        pl.when(text.str.contains(_ROLE)).then(local.str.to_lowercase()).otherwise(local)
        + pl.lit("@")
        + domain.str.to_lowercase()
    )
    frame = cells.to_frame().with_columns(refused.alias(DETAIL), clear.alias("clear"))
    asked = frame.filter(pl.col(DETAIL).is_null() & ~pl.col("clear"))[EMAIL].drop_nulls().unique()
    frame = frame.with_columns(pl.when(pl.col(DETAIL).is_null()).then(written).alias("written"))
    if asked.len():
        frame = _with_answers(frame, asked)
    return frame.select(
        pl.when(pl.col(DETAIL).is_null()).then(pl.col("written")).alias(EMAIL), DETAIL
    )


def _with_answers(frame: pl.DataFrame, asked: pl.Series) -> pl.DataFrame:
    """The verdicts with email-validator's answers for the addresses in `asked`."""
    said = [_asked(address) for address in asked]
    answers = pl.DataFrame(
        {EMAIL: asked, "right": [yes for yes, _ in said], "wrong": [no for _, no in said]},
        schema_overrides={"right": pl.String(), "wrong": pl.String()},
    )
    return frame.join(answers, on=EMAIL, how="left", maintain_order="left").with_columns(
        pl.coalesce(DETAIL, "wrong").alias(DETAIL),
        pl.coalesce("right", "written").alias("written"),
    )


def _asked(address: str) -> tuple[str | None, str | None]:
    """What email-validator makes of an address: its normal form, or what is wrong with it."""
    try:
        checked = validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError as exc:
        return None, _in_our_words(str(exc))
    return checked.normalized, None


def _in_our_words(reason: str) -> str:
    """The library's sentence as the end of ours, without anything of the address."""
    reason = re.sub(r"[:(].*", "", reason.strip().rstrip("."), flags=re.DOTALL).strip()
    return reason[:1].lower() + reason[1:]
