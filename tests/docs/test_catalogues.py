"""Every text has its German, with the same placeholders, and no catalogue has one that is gone."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

import pytest

from importer.languages import FILLED, translate, translate_filled, use_language
from importer.report.terminal import QUOTING
from schemas.codes import WORDS, Code
from tests.docs.catalogues import (
    PLACE,
    ROOT,
    as_text,
    compiled,
    others,
    parse,
    path_of,
    read,
    updated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from babel.messages.catalog import Message

UPDATE = "run `python -m tests.docs.catalogues`, and translate what it names"
OF_THE_FILE = {
    Code.TOTALS_SKIPPED,
    Code.CELL_ERROR,
    Code.CAMPAIGN_SPELLING,
    Code.HEADER_MOVED,
}
"""Codes whose detail repeats the file, or is a number."""
FOR_MACHINES = {
    "report/metrics.py",
    "report/night_report.py",
    "sandbox/contract.py",
}
"""Modules with sentences that stay English: metrics, and the description of the mock API."""
PIECES = {
    "Gave up after 7 7.",
    "Gave up after 7 s.",
    "IMPORTER_OIDC_CLIENT_SECRET 7.",
    "The ledger 7 7.",
    "`7` of the 7 7 is 7.",
}
"""Sentences whose values are words; there is a pattern for each of their forms."""


def entries(name: str) -> Iterator[tuple[Message, list[str], list[str]]]:
    """Yield each text of a catalogue: the message, its English forms, its translated forms."""
    for message in read(name):
        if message.id:
            yield message, forms(message.id), forms(message.string)


def forms(text: object) -> list[str]:
    """Return the forms of a text: one, or one for one and one for many."""
    return [str(each or "") for each in (text if isinstance(text, tuple | list) else [text])]


@pytest.mark.parametrize("name", others())
def test_a_catalogue_has_the_texts_of_the_source(name: str) -> None:
    """None is missing, and none is gone from the source."""
    assert path_of(name).read_bytes() == as_text(updated(name)), UPDATE


@pytest.mark.parametrize("name", others())
def test_the_compiled_catalogue_is_the_readable_one(name: str) -> None:
    """What the program reads was made of what a person reads."""
    assert path_of(name).with_suffix(".mo").read_bytes() == compiled(read(name)), UPDATE


@pytest.mark.parametrize("name", others())
def test_every_text_is_translated(name: str) -> None:
    """No text is left in English for want of a translation."""
    assert [ids[0] for _, ids, strings in entries(name) if not all(strings)] == []


@pytest.mark.parametrize("name", others())
def test_placeholders_are_the_same(name: str) -> None:
    """A translation takes the values of its text; none is lost and none is made up."""
    wrong = [
        (ids[-1], text)
        for _, ids, strings in entries(name)
        for text in strings
        if set(PLACE.findall(text)) not in [set(PLACE.findall(each)) for each in ids]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", others())
def test_blanks_at_the_ends_are_the_same(name: str) -> None:
    """A piece that follows another keeps its blank."""
    wrong = [
        ids[0]
        for _, ids, strings in entries(name)
        for text in strings
        if (text[:1] == " ", text[-1:] == " ") != (ids[0][:1] == " ", ids[0][-1:] == " ")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", others())
def test_a_quoted_cell_follows_a_colon(name: str) -> None:
    """A terminal cuts these messages at the colon, so that a name is not shown."""
    with use_language(name):
        for code in QUOTING:
            assert translate(WORDS[code].message).partition(":")[2] == " {detail}.", code


@pytest.mark.parametrize("name", others())
def test_a_filled_pattern_finds_its_text(name: str) -> None:
    """Each pattern is found by the text that it makes, not a wider one before it."""
    with use_language(name):
        for message, ids, strings in entries(name):
            if message.context != FILLED:
                continue
            filled = PLACE.sub("7", ids[0])
            assert translate_filled(filled) == PLACE.sub("7", strings[0])


@pytest.mark.parametrize("name", others())
def test_no_detail_of_a_sample_or_of_the_corpus_is_left_in_english(name: str) -> None:
    """A detail that is new needs a pattern in the catalogue."""
    with use_language(name):
        left = {
            detail
            for code, detail in [*_details_of_corpus(), *_details_of_samples()]
            if code not in OF_THE_FILE and "`" not in detail and translate_filled(detail) == detail
        }
    assert left == set(), "add a pattern to the catalogue, with msgctxt `filled`"


@pytest.mark.parametrize("name", others())
def test_no_sentence_of_the_source_is_left_in_english(name: str) -> None:
    """What the core puts together needs a pattern, too, such as why a row stays doubtful."""
    with use_language(name):
        left = {
            sentence
            for sentence in set(_sentences())
            if translate(sentence) == sentence and translate_filled(sentence) == sentence
        }
    assert left - PIECES == set(), "add a pattern to the catalogue, with msgctxt `filled`"


def _sentences() -> Iterator[str]:
    """Yield every text in the source that is a sentence, with 7 for each of its values."""
    for path in sorted((ROOT / "importer").rglob("*.py")):
        if path.relative_to(ROOT / "importer").as_posix() in FOR_MACHINES:
            continue
        tree = parse(path)
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(each) for each in node.values}
                parts = [
                    each.value if isinstance(each, ast.Constant) else "7" for each in node.values
                ]
            elif isinstance(node, ast.Constant) and id(node) not in skipped:
                parts = [node.value]
            else:
                continue
            text = "".join(map(str, parts))
            if re.fullmatch(r"[A-Z`][^{}]+ [^{}]+[.?]", text):
                yield text


def _details_of_corpus() -> Iterator[tuple[Code, str]]:
    for path in sorted((ROOT / "tests" / "corpus" / "expected").glob("*.json")):
        read_as = json.loads(path.read_text("utf-8"))
        for *_, code, detail in read_as["problems"]:
            if detail:
                yield Code(code), detail


def _details_of_samples() -> Iterator[tuple[Code, str]]:
    for path in sorted((ROOT / "samples").rglob("*.expected.json")):
        for problem in json.loads(path.read_text("utf-8"))["problems"]:
            code = Code(problem["code"])
            before, detailed, after = WORDS[code].message.partition("{detail}")
            detail = problem["message"].removeprefix(before).removesuffix(after)
            if detailed and detail:
                yield code, detail
