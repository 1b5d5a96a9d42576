"""Addresses: what surrounds them goes, and email-validator's answer stands."""

from __future__ import annotations

import random
import unicodedata

import polars as pl
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.normalise.emails import find_typos, read_emails, validate_by_parts, validate_one


def read(*cells: str | None) -> list[tuple[str | None, str | None]]:
    """Return address and fault of some cells."""
    return read_emails(pl.Series("email", cells, dtype=pl.String)).rows()


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada.Lovelace@Example.COM", "Ada.Lovelace@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("ada+jobs_2@mail.example.co.uk", "ada+jobs_2@mail.example.co.uk"),
        ("Info@Example.com", "info@example.com"),
        ("mailto:ada@example.com", "ada@example.com"),
        ("MAILTO: ada@example.com?subject=Hi", "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ('"Lovelace, Ada" <mailto:ada@example.com>;', "ada@example.com"),
        ("ada @ example.com", "ada@example.com"),
        ("ada@example .com", "ada@example.com"),
        ("ada@example. com", "ada@example.com"),
        ("ada@example.com.", "ada@example.com"),
        ("ada@example.com;", "ada@example.com"),
        ("'ada@example.com'", "ada@example.com"),
        ("(ada@example.com),", "ada@example.com"),
        ("ada@example.com>.", "ada@example.com"),
        ("ada@example.com (work)", "ada@example.com"),
        ("ada@example.com work", "ada@example.com"),
        ("ada@example.com [privat]", "ada@example.com"),
        ("Work: ada@example.com", "ada@example.com"),
        ("[ada@example.com](mailto:ada@example.com)", "ada@example.com"),
        ("[Ada](mailto:ada@example.com?subject=x)", "ada@example.com"),
        ("ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ada@example.com"),
        ("ada@example。com", "ada@example.com"),
        ("jürgen@müller.example.org", "jürgen@müller.example.org"),
        ("ada@xn--mller-kva.example.org", "ada@müller.example.org"),
    ],
)
def test_addresses_are_found_in_what_surrounds_them(cell: str, address: str) -> None:
    """Links, display names, stray blanks, punctuation, full-width characters."""
    assert read(cell) == [(address, None)]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("ada", "no @"),
        ("-", "no @"),
        ("ada@example.com, bob@example.com", "more than one @"),
        ("ada@example.com bob@example.com", "more than one @"),
        ("ada@example.com / office", "space"),
        ("ada lovelace@example.com", "space"),
        ("ada@example.com. Thanks", "space"),
        ("ada@example.com (old)", "space"),
        ("[bob@example.com](mailto:ada@example.com)", "more than one @"),
        ("@example.com", "before the @"),
        ("ada@", "after the @"),
        ("ada..l@example.com", "dot"),
        (".ada@example.com", "dot"),
        ("ada.@example.com", "dot"),
        ("ada@localhost", "ending such as .com"),
        ("ada@example.test", "reserved"),
        ("ada@my-host.local", "reserved"),
        ("ada@exam_ple.com", "character"),
        ("ada@-example.com", "character"),
        ("ada@example.c0m1", "character"),
        ("ada(at)example.com", "no @"),
        ("a" * 65 + "@example.com", "too long"),
    ],
)
def test_what_is_no_address_says_why(cell: str, fault: str) -> None:
    """The reason is in plain words, and the address is not in it."""
    [(address, detail)] = read(cell)
    assert address is None
    assert detail is not None
    assert fault in detail
    assert cell not in detail


def test_a_column_keeps_its_rows() -> None:
    """Good, bad and empty cells stay where they are."""
    cells = ["ada@example.com", None, "x", "Bob@Example.org", "mailto:cy@example.com"]
    assert [address for address, _ in read(*cells)] == [
        "ada@example.com",
        None,
        None,
        "Bob@example.org",
        "cy@example.com",
    ]
    assert read(None) == [(None, None)]


_LOCAL = st.text(st.sampled_from("aB1._-+'!#/=?^`{|}~ü"), min_size=1, max_size=70)
_LABEL = st.text(st.sampled_from("aZ09-ü"), min_size=1, max_size=66)
_DOMAIN = st.lists(_LABEL | st.sampled_from(["example", "com", "test", "xn--mller-kva", "info"]))


@settings(deadline=None)
@given(local=_LOCAL | st.sampled_from(["Info", "SALES"]), labels=_DOMAIN)
@example(local="a" * 64, labels=["b" * 63, "com"])
@example(local="a" * 65, labels=["b" * 63, "com"])
@example(local="a", labels=["ab--c", "com"])
@example(local="a", labels=["x", "1a"])
@example(local="a", labels=["x", "a1"])
@example(local="a", labels=["x", "0-z"])
@example(local="Postmaster", labels=["Example", "Com"])
def test_the_answer_is_the_librarys(local: str, labels: list[str]) -> None:
    """In bulk or one by one: right or wrong, and the same normal form."""
    written = f"{local}@{'.'.join(labels)}".strip("'`.!?")
    [(address, detail)] = read(written)
    try:
        expected = validate_email(written, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        assert address is None
        assert detail
    else:
        assert (address, detail) == (expected, None)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_reading_twice_is_reading_once(cell: str) -> None:
    """An address that was read is read again as itself, and no text breaks the reading."""
    [(address, detail)] = read(cell)
    assert (address is None) == (detail is not None)
    if address is not None:
        assert read(address) == [(address, None)]


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("ada@gmial.com", "@gmail.com"),
        ("ada@gmai.com", "@gmail.com"),
        ("ada@gmaill.com", "@gmail.com"),
        ("ada@gmail.con", "@gmail.com"),
        ("ada@gmail.co", "@gmail.com"),
        ("ada@hotmial.com", "@hotmail.com"),
        ("ada@yaho.com", "@yahoo.com"),
        ("ada@outlok.com", "@outlook.com"),
        ("ada@example.con", ".com"),
        ("ada@example.ogr", ".org"),
    ],
)
def test_a_likely_slip_names_what_may_be_meant(address: str, meant: str) -> None:
    """One letter, or an ending that does not exist."""
    assert find_typos(pl.Series([address])).to_list() == [f"perhaps {meant} is meant"]


@pytest.mark.parametrize(
    "address",
    [
        "ada@gmail.com",
        "ada@mail.com",
        "ada@ymail.com",
        "ada@yahoo.com.br",
        "ada@hotmail.fr",
        "ada@example.com",
        "ada@example.co",
        "ada@gmx.at",
        None,
    ],
)
def test_other_domains_are_no_slips(address: str | None) -> None:
    """Real providers look alike."""
    assert find_typos(pl.Series([address, None], dtype=pl.String)).to_list() == [None, None]


_LETTERS = "äöüßéèñçøåłŁİıſÅÉ名前иванЁмариαλήםיתعربไทย한글がｶ"
_SIGNS = (
    "\u0301\u0338\u0327\u093f\u200d\u00ad\u00a0\u2028\u0378\ue000\ud7fc"
    '😀€½²ª℡Å\u0344\u1100\u1161<"\\ ,.'
)
_DOMAINS = (
    *(
        "example.com",
        "Example.COM",
        "info.example.com",
        "münchen.example.com",
        "MÜNCHEN.example.com",
    ),
    *(
        "xn--mnchen-3ya.example.com",
        "straße.example.com",
        "例え.テスト.com",
        "example.com-",
        "a..com",
    ),
    *(
        "-example.com",
        "exa_mple.com",
        "ab--c.com",
        "xn--a.com",
        "localhost",
        "example.123",
        "bücher.test",
    ),
    *("example.com.", "a\u0301.com", "\u0301a.com", "☃.com", "ﬁ.com", "עברית.com", "1עב.com"),
    *(
        "ä" * 63 + ".com",
        "a" * 64 + ".com",
        ("ä" * 40 + ".") * 5 + "com",
        ("a" * 60 + ".") * 4 + "com",
    ),
    *("ex\u200dample.com", "example\u3002com", "exam\uff0eple.com", "Ⅷ.com", "Å.com", "a@b.com"),
)
_BEFORE = ("ada", "info", "Sales", "o'brien+x", "a.b", ".a", "a.", "a..b", "x" * 60, "-", "SALEſ")


def test_verdicts_in_bulk_are_those_of_the_library() -> None:
    """On addresses of letters and signs of every kind, in every domain, long and short."""
    chance = random.Random(5)
    addresses = {f"{before}@{domain}" for before in _BEFORE for domain in _DOMAINS}
    while len(addresses) < 12_000:
        kinds = _LETTERS * 3 + _SIGNS if chance.random() < 0.3 else _LETTERS
        before = list(
            chance.choice(_BEFORE) + "".join(chance.choices(kinds, k=chance.choice([0, 1, 2, 9])))
        )
        if chance.random() < 0.2:
            before.append(chr(chance.randrange(0x80, 0x20000) & ~0x800 or 0x80))
        chance.shuffle(before)
        text = "".join(before).encode("utf-8", "ignore").decode()
        if chance.random() < 0.1:
            text = unicodedata.normalize(chance.choice(["NFD", "NFKD", "NFKC"]), text)
        addresses.add(f"{text}@{chance.choice(_DOMAINS)}")
    asked = pl.Series(sorted(address for address in addresses if address.count("@") == 1))
    verdicts = validate_by_parts(asked)
    assert verdicts["email"].equals(asked)
    sure = verdicts.filter("sure")
    for address, right, wrong, _ in sure.iter_rows():
        assert (right, wrong) == validate_one(address), address
    assert sure.height > asked.len() / 2
    assert sure["right"].null_count() > 1_000


def test_every_letter_before_the_at_is_judged_as_by_the_library() -> None:
    """Each sign of the basic plane: first, and after a letter."""
    signs = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    for shape in ("{}@example.com", "a{}@example.com"):
        verdicts = validate_by_parts(pl.Series([shape.format(sign) for sign in signs]))
        sure = verdicts.filter("sure").sample(3_000, seed=2)
        for address, right, wrong, _ in sure.iter_rows():
            assert (right, wrong) == validate_one(address), address
