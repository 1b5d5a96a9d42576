"""`{name}` is ours and looked up by name alone; `{{...}}` is the API's and is never touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.planning.placeholders import compile_value, fill, find_misspelled, fold_name, names_in

if TYPE_CHECKING:
    from importer.model import Json

VALUES = {"job_title": "Engineer", "first_name": "Ada", "straße": "Hauptstraße 1", "none": None}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{job_title}", "Engineer"),
        ("for {job_title}, {first_name}!", "for Engineer, Ada!"),
        ("{straße}", "Hauptstraße 1"),
        ("{job_title}{first_name}", "EngineerAda"),
        ("{{MEETING_URL}}", "{{MEETING_URL}}"),
        ("{{job_title}}", "{{job_title}}"),
        ("{{{job_title}}}", "{{{job_title}}}"),
        ("{{ job_title }} {job_title}", "{{ job_title }} Engineer"),
        ("{{A}}{job_title}{{B}}", "{{A}}Engineer{{B}}"),
        ("{unknown} {job_title}", "{unknown} Engineer"),
        ("{none}", "{none}"),
        ("{}", "{}"),
        ("{ job_title }", "{ job_title }"),
        ("{job_title.upper}", "{job_title.upper}"),
        ("{job_title[0]}", "{job_title[0]}"),
        ("{job_title!r}", "{job_title!r}"),
        ("{job_title:>9}", "{job_title:>9}"),
        ("100 % {", "100 % {"),
        ("no braces", "no braces"),
    ],
)
def test_a_text_is_filled_in(text: str, filled: str) -> None:
    """Names are looked up and nothing more; what is no name stays as it is."""
    assert fill(text, VALUES) == filled


def test_placeholders_stand_anywhere_and_types_stay() -> None:
    """Texts inside lists and mappings are filled; numbers, booleans, null and keys are not."""
    value: Json = {"{job_title}": ["{job_title}", 45, True, None, {"a": [1.5, "x {first_name}"]}]}
    assert json.dumps(fill(value, VALUES)) == json.dumps(
        {"{job_title}": ["Engineer", 45, True, None, {"a": [1.5, "x Ada"]}]}
    )


def test_a_lone_placeholder_stays_text() -> None:
    """A value of digits does not become a number."""
    assert fill({"duration": "{minutes}"}, {"minutes": "45"}) == {"duration": "45"}


def test_a_value_is_filled_in_once() -> None:
    """Braces that come from a spreadsheet are not looked up again."""
    assert fill("{job_title}", {"job_title": "{first_name}", "first_name": "Ada"}) == "{first_name}"


def test_names_are_found_in_order() -> None:
    """The API's tokens and what is no name are not among them."""
    assert names_in("{b} {{c}} {a} {a.b} {b}") == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{Job Title}", [("{Job Title}", "job_title")]),
        ("{Job_Title}", [("{Job_Title}", "job_title")]),
        ("{job-title} {first_name}", [("{job-title}", "job_title")]),
        ("{manager.email}", [("{manager.email}", "manager_email")]),
        ("{job_title:>9}", [("{job_title:>9}", "job_title_9")]),
        ("{job_title} {{Job Title}} {} { x } {a, b}", []),
        ('{"a": 1}', []),
    ],
)
def test_what_only_looks_like_a_placeholder_is_found(
    text: str, found: list[tuple[str, str]]
) -> None:
    """Nobody should be sent the words `{Job Title}`."""
    assert find_misspelled(text) == found


def test_a_header_folds_to_its_placeholder() -> None:
    """As a spreadsheet's header becomes a name, so does what somebody wrote in braces."""
    assert fold_name(" Hiring Manager-Email ") == "hiring_manager_email"


WORDS = st.text("ab{}_ ", max_size=12)
TREES = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
FOUND = st.dictionaries(st.sampled_from(["a", "b", "ab", "_"]), st.text("xy", max_size=3))


@given(WORDS, WORDS, st.text("ab_ ", max_size=5), FOUND)
def test_a_double_brace_is_never_touched(
    before: str, after: str, inside: str, values: dict[str, str]
) -> None:
    """Whatever stands around `{{...}}`, it comes out as it went in."""
    token = f"{{{{{inside}}}}}"
    filled = fill(f"{before} {token} {after}", values)
    assert isinstance(filled, str)
    assert token in filled


@given(TREES, FOUND)
def test_the_compiled_way_is_the_same_as_the_plain_one(
    value: object, values: dict[str, str]
) -> None:
    """A compiled template gives what `fill` gives, and leaves the template as it was."""
    before = json.dumps(value)
    filler = compile_value(value)  # type: ignore[arg-type] # any JSON
    expected = fill(value, values)  # type: ignore[arg-type] # any JSON
    assert json.dumps(value if filler is None else filler(values)) == json.dumps(expected)
    assert json.dumps(value) == before


@given(TREES)
def test_without_values_nothing_changes(value: object) -> None:
    """Filling in nothing gives the template itself, key for key."""
    assert json.dumps(fill(value, {})) == json.dumps(value)  # type: ignore[arg-type] # any JSON
