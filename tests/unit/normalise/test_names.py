"""Full names are split the way their writing says, letter by letter the same."""

from __future__ import annotations

import polars as pl
import pytest

from importer.normalise.names import find_name_faults, split_names


def split(name: str | None, last: str | None = None) -> tuple[str | None, str | None]:
    """Return first and last name of a full name."""
    cells = pl.Series([name], dtype=pl.String), pl.Series([last], dtype=pl.String)
    first, last, _ = split_names(*cells).row(0)
    return first, last


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("García Márquez, Gabriel", "Gabriel", "García Márquez"),
        ("Gabriel García Márquez", "Gabriel", "García Márquez"),
        ("van der Berg, Jan", "Jan", "van der Berg"),
        ("Lovelace，Ada", "Ada", "Lovelace"),
        ("Müller, Dr. Anna", "Anna", "Müller"),
        ("Dr. Anna Müller", "Anna", "Müller"),
        ("Frau Dr. Anna Müller", "Anna", "Müller"),
        ("Mrs Ada Lovelace", "Ada", "Lovelace"),
        ("Srta. María José Díaz", "María", "José Díaz"),
        ("Martin Luther King, Jr.", "Martin", "Luther King, Jr."),
        ("Ms. Ada Lovelace, PhD", "Ada", "Lovelace, PhD"),
        ("Khan, Md", "Md", "Khan"),
        ("Madonna", "Madonna", None),
        ("李小龙", "李小龙", None),
        ("王 小明", "小明", "王"),
        ("김 철수", "철수", "김"),
        ("DUPONT Jean", "Jean", "DUPONT"),
        ("LE GOFF Anne-Marie", "Anne-Marie", "LE GOFF"),
        ("O'BRIEN Mary", "Mary", "O'BRIEN"),
        ("JEAN DUPONT", "JEAN", "DUPONT"),
        ("Jean DUPONT", "Jean", "DUPONT"),
        ("JR Smith", "JR", "Smith"),
        ("M. Night Example", "M.", "Night Example"),
        ("Drake Smith", "Drake", "Smith"),
        ("Eng Wei Ling", "Eng", "Wei Ling"),
        ("Smith,", None, "Smith"),
        (", Ada", "Ada", None),
        ("Dr.", None, None),
        (None, None, None),
    ],
)
def test_splitting(name: str | None, first: str | None, last: str | None) -> None:
    """By comma, by capitals, by script, and else after the first word; titles belong to neither."""
    assert split(name) == (first, last)


@pytest.mark.parametrize(
    ("name", "last", "first"),
    [
        ("Gabriel José García Márquez", "García Márquez", "Gabriel José"),
        ("García Márquez, Gabriel", "García Márquez", "Gabriel"),
        ("Dr. Anna Maria Müller", "Müller", "Anna Maria"),
        ("Gabriel", "García", "Gabriel"),
    ],
)
def test_a_known_last_name_says_where_to_split(name: str, last: str, first: str) -> None:
    """What stands before a last name that the row gives is the first name."""
    assert split(name, last) == (first, last)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Ada {{link}}", "{ or }"),
        ("{first_name}", "{ or }"),
        ("Garc\ufffda", "lost"),
        ("ada@example.com", "e-mail address"),
        ("https://example.com/ada", "link"),
        ("www.example.com", "link"),
        ("bit.ly/abc", "link"),
        ("Win at Example.com", "link"),
        ("<b>Ada</b>", "< or >"),
        ("12345", "no letters"),
        ("???", "no letters"),
        ("Jos?", "question mark"),
        ("Ada\\n", "backslash"),
        ("AdaÂ", "garbled"),
        ("A" * 101, "101 characters"),
    ],
)
def test_what_cannot_be_sent_as_a_name(name: str, fault: str) -> None:
    """It would be sent to somebody's phone."""
    [result] = find_name_faults(pl.Series([name]))
    assert result is not None
    assert fault in result


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "O'Brien",
        "J.R. Smith",
        "Jo.de Vries",
        "St. James",
        "李小龙",
        "A" * 100,
        "Ada 😀",
        "X Æ A-12",
        "Dott.ssa Rossi",
        "María-José",
        None,
    ],
)
def test_names_of_people_are_names(name: str | None) -> None:
    """Dots, dashes, digits and pictures may be part of them."""
    assert find_name_faults(pl.Series([name], dtype=pl.String)).to_list() == [None]
