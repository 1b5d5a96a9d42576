"""YAML is read as YAML 1.2, and each mistake is told with its row and column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import SettingsError, TemplateError
from importer.settings.yaml_files import MAX_BYTES, Mistake, format_path, parse, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def said(text: str) -> str:
    """Return what reading a text is refused with; empty when it is not."""
    try:
        parse(text, TemplateError, "f.yaml").refuse((), TemplateError)
    except TemplateError as refused:
        return refused.message
    return ""


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("09:30", "09:30"),
        ("1:30:00", "1:30:00"),
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("45", 45),
        ("-7", -7),
        ("007", 7),
        ("0o14", 12),
        ("0x1F", 31),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1e999", "1e999"),
        ('"45"', "45"),
        ("'true'", "true"),
        ("!!str 45", "45"),
        ("+44 20 7946 0018", "+44 20 7946 0018"),
        ("|\n  two\n  rows\n", "two\nrows\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    """Clock times, NO and dates stay text; numbers and booleans are what they look like."""
    read = parse(f"key: {written}", TemplateError, "f.yaml").value
    assert read == {"key": value}
    assert isinstance(read, dict)
    assert type(read["key"]) is type(value)


def test_a_directive_for_yaml_1_1_changes_nothing() -> None:
    """A file cannot ask for the old meaning of `no`."""
    assert parse("%YAML 1.1\n---\na: no\n", TemplateError, "f").value == {"a": "no"}


def test_keys_are_text_as_written() -> None:
    """A key that looks like a number or a boolean is still a key."""
    assert parse("{1: a, true: b, ~: c}", TemplateError, "f").value == {
        "1": "a",
        "true": "b",
        "~": "c",
    }


def test_an_alias_repeats_its_anchor() -> None:
    """Anchors and aliases work, and keys are in the order of the file."""
    read = parse("z: &days [1, 2]\na: *days\n", TemplateError, "f").value
    assert json.dumps(read) == '{"z": [1, 2], "a": [1, 2]}'


def test_an_anchor_may_be_used_again() -> None:
    """The last anchor of a name counts, without a warning."""
    assert parse("a: &x 1\nb: &x 2\nc: *x", TemplateError, "f").value == {"a": 1, "b": 2, "c": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: a tab cannot indent; use spaces."),
        ("a: b: c\n", "f.yaml:1:5: a `:` is not allowed here: check the indentation"),
        ("a: 1\n b: 2\n", "f.yaml:2:3: a `:` is not allowed here"),
        ('a: 1\nb: "x\n', "f.yaml:2:4: the quotation mark that opens here is not closed."),
        ("a: [1\nb: 2", "f.yaml:1:4: the `[` that opens here is not closed"),
        ("a: {b: 1", "f.yaml:1:4: the `{` that opens here is not closed"),
        ("a: *x\n", "f.yaml:1:4: the alias (`*`) has no anchor"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: the file contains a second document (after `---`)"),
        ("a: @x\n", "f.yaml:1:4: the text begins with a special character"),
        ("a:\n  - 1\n b: 2\n", "f.yaml:3:2: the indentation does not match"),
        ("a: 1\nb\n", "f.yaml:2:1: a `:` is missing after the key that opens here"),
        ("a: \x01\n", "f.yaml:1:4: an invisible control character; remove it."),
        ("[" * 5000, "f.yaml: the file cannot be read as YAML."),
        ("a: {{X}}\n", "f.yaml:1:4: a: a key must be plain text"),
        ("a: !secret x\n", "f.yaml:1:4: a: tags (`!`) are not supported; remove it"),
        ("a: !!binary aGk=\n", "f.yaml:1:4: a: tags (`!`) are not supported; remove it"),
        ("a: .inf\n", "f.yaml:1:4: a: JSON has no such number; put it in quotes"),
        ("a: -.INF\n", "f.yaml:1:4: a: JSON has no such number"),
        ("<<: {a: 1}\n", "f.yaml:1:1: <<: YAML 1.2 has no merge key; write the keys out"),
        ("a: &x [*x]\n", "is nested too deeply, or too large"),
    ],
)
def test_what_is_no_plain_yaml_is_told_with_its_place(text: str, message: str) -> None:
    """Every fault of syntax is `file:row:column:` and one plain sentence."""
    assert message in said(text)


def test_a_duplicate_key_is_told_where_it_stands_again() -> None:
    """All duplicates of a file are told at once, nested ones by their whole path."""
    assert said("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").splitlines() == [
        "f.yaml:4:3: b.c: the key is in row 3 already",
        "f.yaml:5:1: a: the key is in row 1 already",
    ]


def test_a_bomb_of_aliases_ends_in_a_message() -> None:
    """Ten levels of ten aliases each are ten thousand million values, and are not unfolded."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "is nested too deeply, or too large" in said("\n".join(rows))


def test_positions_of_mistakes_fall_back_to_the_part_around_them() -> None:
    """A key that is missing is told at the mapping that lacks it."""
    document = parse("a:\n  - b: 1\n    c: x\n", TemplateError, "f.yaml")
    assert document.describe(Mistake(("a", 0, "c"), "wrong")) == "f.yaml:3:8: a[0].c: wrong"
    assert document.describe(Mistake(("a", 0, "c"), "no", at_key=True)) == "f.yaml:3:5: a[0].c: no"
    assert document.describe(Mistake(("a", 0, "d", 7), "gone")) == "f.yaml:2:5: a[0].d[7]: gone"
    assert document.describe(Mistake((), "all of it")) == "f.yaml:1:1: all of it"


def test_a_path_is_spelled_as_people_write_it() -> None:
    """Keys are joined by dots, list positions are in brackets."""
    assert format_path(("openHours", 0, "days", 2)) == "openHours[0].days[2]"
    assert format_path((0, "email")) == "[0].email"
    assert format_path(()) == ""


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    """The exception is the one that the caller asked for."""
    with pytest.raises(SettingsError, match=r"nothing\.yaml: there is no such file\."):
        read_yaml(tmp_path / "nothing.yaml", SettingsError)


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    """Whatever the system refuses ends in a message too."""
    with pytest.raises(TemplateError, match=r"x: the file cannot be read: Is a directory\."):
        read_yaml(tmp_path, TemplateError, "x")


def test_a_file_that_is_not_utf8_is_told_where(tmp_path: Path) -> None:
    """The row and column of the first byte that is not UTF-8 are named."""
    file = tmp_path / "f.yaml"
    file.write_bytes("a: 1\nb: München".encode("cp1252"))
    with pytest.raises(TemplateError, match=r"f:2:5: the file is not UTF-8 text"):
        read_yaml(file, TemplateError, "f")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Windows editors put one there; rows may end in CRLF as well."""
    file = tmp_path / "f.yaml"
    file.write_bytes("\ufeffa: 1\r\nb: 2\r\n".encode())
    document = read_yaml(file, TemplateError, "f")
    assert document.value == {"a": 1, "b": 2}
    assert document.values[("b",)] == (2, 4)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """Somebody who gives a spreadsheet as settings learns so at once."""
    file = tmp_path / "f.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(TemplateError, match="more than 1,000,000 bytes"):
        read_yaml(file, TemplateError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn"))),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text("abcxyz_", min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_whatever_json_says_yaml_reads_the_same(value: object) -> None:
    """JSON is YAML 1.2: values, types and the order of keys come back as they were."""
    read = parse(json.dumps(value, ensure_ascii=False), TemplateError, "f")
    assert read.mistakes == ()
    assert json.dumps(read.value) == json.dumps(value)


@given(st.text(max_size=60))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    """Any text is either read or refused with a message that begins with the file."""
    message = said(text)
    assert not message or message.startswith("f.yaml")
