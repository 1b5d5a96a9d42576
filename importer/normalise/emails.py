"""Read e-mail addresses: most of them in bulk, unusual ones by email-validator.

The verdicts are email-validator's (strict, without the network). Text around an address is
removed: `mailto:`, angle brackets and a display name, quotation marks, punctuation, spaces around
the @, full-width characters. A cell that may have two addresses is an error.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

import polars as pl
from email_validator import (
    SPECIAL_USE_DOMAIN_NAMES,
    EmailNotValidError,
    validate_email,
)
from email_validator.rfc_constants import (
    CASE_INSENSITIVE_MAILBOX_NAMES,
    EMAIL_MAX_LENGTH,
    LOCAL_PART_MAX_LENGTH,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EMAIL: Final = "email"
DETAIL: Final = "detail"

_ATOM_SIGNS: Final = r"A-Za-z0-9_!#$%&'*+/=?^`{|}~-"
_ATOM: Final = rf"[{_ATOM_SIGNS}]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS: Final = rf"^{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:[A-Za-z0-9][A-Za-z0-9-]*)?[A-Za-z]$"
_PLAIN: Final = (
    r"^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z0-9]*[a-z]$"
)
_SHORT_BYTES: Final = 64  # in an address this short no part can be too long
_RESERVED: Final = rf"(?i)[@.](?:{'|'.join(map(re.escape, SPECIAL_USE_DOMAIN_NAMES))})$"
_WIDE: Final = [*map(chr, range(0xFF01, 0xFF5F)), "。", "｡", "﹫"]
_NARROW: Final = [*map(chr, range(0x21, 0x7F)), ".", ".", "@"]
_AROUND: Final = " ,;:<>()[]\"'“”„‘’«»`"
_LINK: Final = r"^(?i:mailto:\s*)+"
_WELL_KNOWN: Final = (
    *("gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com"),
    *("hotmail.co.uk", "yahoo.co.uk", "btinternet.com", "protonmail.com"),
)
_NO_SLIPS: Final = frozenset({"mail.com", "email.com", "ymail.com"})
"""Real domains that look like typing errors."""
_COM_SLIPS: Final = ("con", "cmo", "ocm", "vom", "xom", "cpm", "cim", "comm", "coom")
_ENDING_SLIPS: Final = dict.fromkeys(_COM_SLIPS, "com") | {
    "nte": "net",
    "ogr": "org",
    "rog": "org",
}
"""Endings that no registry has -> the ending that is meant."""
_MARKDOWN: Final = r"^\[([^\[\]]*)\]\((?i:mailto:)?([^\s()?]+@[^\s()?]+)(?:\?[^\s()]*)?\)$"
_PLACE: Final = (
    r"(?:work|home|private|personal|office|business|main|primary|preferred|other|arbeit|privat"
    r"|geschäftlich|dienstlich|büro|travail|bureau|personnel|domicile|trabajo|oficina|lavoro"
    r"|ufficio|personale|casa|werk|thuis|privé|praca|dom|prywatny|służbowy|trabalho|pessoal)"
)
_PLACE_LABEL: Final = rf"^(?i)(?:e-?mail|mail|{_PLACE})(?: e-?mail)?\s*:\s*"
_REMARK: Final = rf"(?i)(@\S+?)[\s,;-]*(?:\({_PLACE}\)|\[{_PLACE}\]|\s{_PLACE})$"
_ROLE: Final = rf"(?i)^(?:{'|'.join(map(re.escape, CASE_INSENSITIVE_MAILBOX_NAMES))})@"


def read_emails(cells: pl.Series) -> pl.DataFrame:
    """Read addresses, and say what is wrong with cells that are not addresses.

    Args:
        cells: tidy text.

    Returns:
        As many rows as cells: `email` (domain in lower case; null if the cell is empty or
        refused) and `detail` (why it was refused, without the address; else null).
    """
    cells = cells.alias(EMAIL)
    emails, details = cells, pl.Series(DETAIL, [None], dtype=pl.String)
    details = details.new_from_index(0, cells.len())
    unusual = (~_is_plain(cells)).fill_null(value=False).arg_true()
    if unusual.len():
        bare = _unwrap(cells.gather(unusual))
        right = _is_valid(bare)
        emails = emails.clone().scatter(unusual.filter(right), _normal_form(bare.filter(right)))
        validated = _validate(bare.filter(~right))
        emails = emails.scatter(unusual.filter(~right), validated[EMAIL])
        details = details.scatter(unusual.filter(~right), validated[DETAIL])
    return pl.DataFrame([emails, details])


def find_typos(emails: pl.Series) -> pl.Series:
    """Return for each address with a likely typing error in its domain a hint, else null.

    Args:
        emails: the e-mails as `read_emails` returns them.
    """
    email = pl.col(emails.name)
    after = email.str.slice(email.str.find("@", literal=True) + 1)
    domains = emails.to_frame().select(after).to_series()
    meant = {
        domain: f"perhaps {right} is meant"
        for domain in domains.drop_nulls().unique()
        if (right := _meant_domain(domain)) is not None
    }
    if not meant:
        return pl.Series([None], dtype=pl.String).new_from_index(0, emails.len())
    return domains.replace_strict(meant, default=None, return_dtype=pl.String)


def correct_typo(email: str) -> str:
    """Return an address with the domain that is probably meant; empty if none is."""
    name, _, domain = email.strip().rpartition("@")
    meant = _meant_domain(domain.lower()) if name else None
    if meant is None:
        return ""
    return (
        f"{name}{meant}" if meant.startswith("@") else f"{name}@{domain.rpartition('.')[0]}{meant}"
    )


def _meant_domain(domain: str) -> str | None:
    """Return the well-known domain or ending that a domain is a likely misspelling of, or None."""
    if domain in _WELL_KNOWN or domain in _NO_SLIPS:
        return None
    for right in _WELL_KNOWN:
        if abs(len(domain) - len(right)) <= 1 and _is_slip(domain, right):
            return f"@{right}"
    name, _, ending = domain.rpartition(".")
    if name and ending in _ENDING_SLIPS:
        return f".{_ENDING_SLIPS[ending]}"
    return None


def _is_slip(typed: str, right: str) -> bool:
    """Whether one letter is wrong, missing or too many, or two are swapped."""
    start = 0
    while start < min(len(typed), len(right)) and typed[start] == right[start]:
        start += 1
    rest, other = typed[start:], right[start:]
    swapped = rest[:2] == other[:2][::-1] and rest[2:] == other[2:]
    return swapped or rest[1:] in {other[1:], other} or rest == other[1:]


def _is_plain(cells: pl.Series) -> pl.Series:
    """Whether a cell is an ordinary address that needs no change, by one cheap test."""
    text = pl.col(EMAIL)
    plain = (
        text.str.contains(_PLAIN)
        & (text.str.len_bytes() <= _SHORT_BYTES)
        & ~(text.str.contains(_RESERVED) | text.str.contains(_ROLE))
    )
    return cells.to_frame().select(plain).to_series()


def _is_valid(cells: pl.Series) -> pl.Series:
    """Whether a bare cell is an address for certain: ASCII, short, with an ordinary domain."""
    text = pl.col(EMAIL)
    right = (
        text.str.contains(_ADDRESS)
        & (text.str.len_bytes() <= _SHORT_BYTES)
        & ~(text.str.contains(_RESERVED) | text.str.contains("--", literal=True))
    )
    return cells.to_frame().select(right).to_series()


def _normal_form(cells: pl.Series) -> pl.Series:
    """Put valid addresses into normal form: domain and role names in lower case."""
    if not cells.str.contains("[A-Z]").any():
        return cells
    parts = cells.str.splitn("@", 2).struct.unnest()
    local, domain = parts.columns
    role = cells.str.contains(_ROLE)
    written = (
        pl.when(role).then(pl.col(local).str.to_lowercase()).otherwise(local),
        pl.col(domain).str.to_lowercase(),
    )
    return parts.select(pl.concat_str(*written, separator="@").alias(EMAIL)).to_series()


def _unwrap(cells: pl.Series) -> pl.Series:
    """Remove what people and programs write around an address."""
    if (cells.str.len_bytes() != cells.str.len_chars()).any():
        cells = cells.str.replace_many(_WIDE, _NARROW)
    if cells.str.contains(r"\]\(").any():
        cells = _open_links(cells)
    cells = cells.str.replace(_PLACE_LABEL, "").str.replace(_REMARK, "${1}")
    if cells.str.contains("<", literal=True).any():
        cells = cells.str.replace(r"^[^<>]*<([^<>]*@[^<>]*)>[\s.,;]*$", "${1}").str.strip_chars(" ")
    links = cells.str.contains(_LINK).arg_true()
    if links.len():
        targets = cells.gather(links).str.replace(_LINK, "").str.splitn("?", 2)
        cells = cells.clone().scatter(links, targets.struct.field("field_0"))
    cells = cells.str.strip_chars_start(_AROUND).str.strip_chars_end(_AROUND + ".!?")
    if cells.str.contains(" ", literal=True).any():
        cells = cells.str.replace(r"\s*@\s*", "@")
        cells = cells.str.replace(r"^([^@\s]+@[^@\s.]+)\s*\.\s*([^@\s.]+)$", "${1}.${2}")
    return cells


def _open_links(cells: pl.Series) -> pl.Series:
    """Replace `[text](mailto:ada@example.com)` by the address, unless the text is another one."""
    frame = cells.alias(EMAIL).to_frame()
    text = pl.col(EMAIL).str.extract(_MARKDOWN, 1)
    target = pl.col(EMAIL).str.extract(_MARKDOWN, 2)
    other = text.str.contains("@", literal=True) & (
        text.str.to_lowercase() != target.str.to_lowercase()
    )
    opened = pl.when(target.is_not_null() & ~other).then(target).otherwise(pl.col(EMAIL))
    return frame.select(opened.alias(EMAIL)).to_series()


def _validate(cells: pl.Series) -> pl.DataFrame:
    """Validate doubtful addresses: plain faults in bulk, the rest by email-validator."""
    text = pl.col(EMAIL)
    ascii_only = text.str.len_bytes() == text.str.len_chars()
    refused = (
        pl.when(~text.str.contains("@", literal=True))
        .then(pl.lit("it has no @"))
        .when(text.str.count_matches("@", literal=True) > 1)
        .then(pl.lit("it has more than one @"))
        .when(text.str.contains(r"\s"))
        .then(pl.lit("it contains a space"))
        .when(text.str.starts_with("@"))
        .then(pl.lit("there is nothing before the @"))
        .when(text.str.ends_with("@"))
        .then(pl.lit("there is nothing after the @"))
        .when(text.str.contains(r"\.\.|^\.|\.@|@\."))
        .then(pl.lit("it has a misplaced dot"))
        .when(~text.str.contains(r"@.*\."))
        .then(pl.lit("its domain has no ending such as .com"))
        .when(text.str.contains(_RESERVED))
        .then(pl.lit("its domain is reserved and receives no mail"))
        .when(ascii_only & ~text.str.contains(_ADDRESS))
        .then(pl.lit("it has a character that is not allowed there"))
    )
    frame = cells.to_frame().with_columns(refused.alias(DETAIL))
    asked = frame.filter(pl.col(DETAIL).is_null())[EMAIL].drop_nulls().unique()
    return _add_answers(frame, asked)


def _add_answers(frame: pl.DataFrame, asked: pl.Series) -> pl.DataFrame:
    """Add email-validator's verdicts on the addresses in `asked`."""
    answers = validate_by_parts(asked)
    said = [validate_one(address) for address in answers.filter(~pl.col("sure"))[EMAIL]]
    slow = answers.filter(~pl.col("sure")).with_columns(
        pl.Series("right", [yes for yes, _ in said], dtype=pl.String),
        pl.Series("wrong", [no for _, no in said], dtype=pl.String),
    )
    answers = pl.concat([answers.filter("sure"), slow])
    return frame.join(answers, on=EMAIL, how="left", maintain_order="left").select(
        pl.col("right").alias(EMAIL), pl.coalesce(DETAIL, "wrong").alias(DETAIL)
    )


def validate_by_parts(asked: pl.Series) -> pl.DataFrame:
    """Validate addresses by their parts: what precedes the @ in bulk, each domain once.

    Args:
        asked: distinct addresses with one @.

    Returns:
        `email`, and `right` and `wrong` as `validate_one` returns them; all of this is null if
        `sure` is false, because only email-validator can validate the whole address.
    """
    parts = (
        asked.alias(EMAIL)
        .to_frame()
        .with_columns(
            local=pl.col(EMAIL).str.extract("^([^@]*)@", 1),
            domain=pl.col(EMAIL).str.extract("@(.*)$", 1),
        )
    )
    local, whole = pl.col("local"), pl.col("local").str.len_bytes() + 1
    known = parts.filter(
        local.str.contains(_usual_local()) & (local.str.len_chars() <= LOCAL_PART_MAX_LENGTH),
        local == local.str.normalize("NFC"),
    )
    domains = _validate_domains(known["domain"].unique())
    known = known.join(domains, on="domain", maintain_order="left").filter(
        whole + pl.col("longest") <= EMAIL_MAX_LENGTH
    )
    is_role = local.str.to_lowercase().is_in(CASE_INSENSITIVE_MAILBOX_NAMES) & (
        local.str.len_bytes() == local.str.len_chars()
    )
    written = pl.when(is_role).then(local.str.to_lowercase()).otherwise(local)
    known = known.select(
        EMAIL,
        pl.concat_str(written, pl.lit("@"), "meant").alias("right"),
        pl.when(pl.col("meant").is_null()).then("wrong").alias("wrong"),
        sure=True,
    )
    return (
        parts.select(EMAIL)
        .join(known, on=EMAIL, how="left", maintain_order="left")
        .with_columns(pl.col("sure").fill_null(value=False))
    )


def _validate_domains(domains: pl.Series) -> pl.DataFrame:
    """Validate each domain by an address in it; leave out those that are too long for one.

    Returns:
        `domain`; `meant` (its normal form) or `wrong`; `longest` (bytes of its longest form).
    """
    rows: list[tuple[str, str | None, str | None, int]] = []
    for domain in domains:
        try:
            checked = validate_email(f"a@{domain}", check_deliverability=False, strict=True)
        except EmailNotValidError as exc:
            if "too long" not in str(exc):
                rows.append((domain, None, _reword(str(exc)), len(domain.encode())))
            continue
        forms = (domain, checked.domain, checked.ascii_domain)
        rows.append((domain, checked.domain, None, max(len(form.encode()) for form in forms)))
    return pl.DataFrame(
        rows,
        schema={"domain": pl.String, "meant": pl.String, "wrong": pl.String, "longest": pl.UInt32},
        orient="row",
    )


@cache
def _usual_local() -> str:
    """Return the pattern of what may precede the @, with the letters that Python's tables know.

    A mark such as an accent must not come first. Signs beyond U+FFFF are left to email-validator.
    """
    kinds = {sign: unicodedata.category(sign)[0] for sign in map(chr, range(0x80, 0x10000))}
    first = _as_ranges(sign for sign, kind in kinds.items() if kind in "LNPS")
    later = _as_ranges(sign for sign, kind in kinds.items() if kind in "LNPSM")
    atom = rf"[{later}{_ATOM_SIGNS}]"  # its hyphen must stay the last sign
    return rf"^[{first}{_ATOM_SIGNS}]{atom}*(?:\.{atom}+)*$"


def _as_ranges(signs: Iterable[str]) -> str:
    """Return sorted signs as ranges of a pattern's class."""
    found = []
    for _, run in groupby(enumerate(signs), lambda pair: ord(pair[1]) - pair[0]):
        places = [ord(sign) for _, sign in run]
        found.append(rf"\x{{{places[0]:X}}}-\x{{{places[-1]:X}}}")
    return "".join(found)


def validate_one(address: str) -> tuple[str | None, str | None]:
    """Ask email-validator for the normal form of an address, or for what is wrong with it."""
    try:
        checked = validate_email(address, check_deliverability=False, strict=True)
    except EmailNotValidError as exc:
        return None, _reword(str(exc))
    return checked.normalized, None


def _reword(reason: str) -> str:
    """Turn the library's sentence into the end of ours, without any part of the address."""
    reason = re.sub(r"[:(].*", "", reason.strip().rstrip("."), flags=re.DOTALL).strip()
    return reason[:1].lower() + reason[1:]
