"""Delimiters are found by headers that we know and by even rows."""

from __future__ import annotations

import pytest

from importer.loader.delimited import Dialect, detect_dialect


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        ("Phone,Name\n1,Ada\n", ","),
        ("Phone;Name\n1;Lovelace, Ada\n", ";"),
        ("Phone\tName\tNote\n1\tA\ta,b;c|d\n", "\t"),
        ("Phone|Name\n1|Ada; Grace\n", "|"),
        ("Name;Salary\nAda;1,5\nGrace;2,5\n", ";"),
        ('"Phone";"Name, first";"x"\n"1";"a,b,c,d";""\n', ";"),
        ("Email\nada@example.com\n", ","),
        ("Phone~Name\n1~Ada\n", "~"),
        ("Id~Person : Full Name: First~Person : Email\n1~Ada~a@example.org\n", "~"),
        ("Phone#Name\n1#Lovelace, Ada\n", "#"),
        ("Phone\x1fName\n1\x1fAda\n", "\x1f"),
        ("Phone: mobile,Name\n10:30,Ada\n", ","),
        ("Full name\nLovelace, Ada\nHopper, Grace\n", ";"),
        ("a;b;c\n1;2,5;3\n", ";"),
        ("Phone,Email;Name\n1,a@example.org;Ada\n", ","),
        ("Email;Candidate, Phone, First name\na@example.org;1\nb@example.org;2\n", ";"),
        ("Email,Candidate; Phone; First name\na@example.org,1\nb@example.org,2\n", ","),
        ("Email\tCandidate| Phone| First name\na@example.org\t1\nb@example.org\t2\n", "\t"),
        ("Email|Candidate\tPhone\tFirst name\na@example.org|1\nb@example.org|2\n", "|"),
        ("List, of candidates, for Leeds\nPhone;Name\n1;Ada\n", ";"),
    ],
)
def test_delimiter(head: str, delimiter: str) -> None:
    """The delimiter of the table counts, not that of its texts."""
    assert detect_dialect(head, {}) == Dialect(delimiter)


@pytest.mark.parametrize("result", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_says_it(result: str, end: str) -> None:
    """`sep=;` is believed, whatever the rest looks like."""
    assert detect_dialect(f"{result}{end}a,b,c{end}1,2,3{end}", {}) == Dialect(";", declared=True)


def test_headers_of_the_settings_are_known() -> None:
    """An override tells the delimiter, too."""
    head = "Tel, mobile|Who, exactly\n1|Ada\n"
    assert detect_dialect(
        head, {"Tel, mobile": "phone_number", "Who, exactly": "full_name"}
    ) == Dialect("|")
