"""The language of `--faults` says what it documents, and draws what it says."""

from __future__ import annotations

import random

import pytest

from importer.errors import UsageError
from importer.sandbox import faults
from importer.sandbox.faults import Fault, Faults, StatusChange, parse_faults


def test_nothing_is_asked_for_by_an_empty_specification() -> None:
    """No text, no faults."""
    assert parse_faults("") == Faults()
    assert parse_faults(" , ") == Faults()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429:0.05", Fault("429", "create", after=False, share=0.05)),
        ("429:0.05:2", Fault("429", "create", after=False, share=0.05, number=2)),
        ("500-after:1", Fault("500", "create", after=True, share=1)),
        ("reset-before:0.5", Fault("reset", "create", after=False, share=0.5)),
        ("reset:0.5", Fault("reset", "create", after=True, share=0.5)),
        ("half-body:0", Fault("half-body", "create", after=True, share=0)),
        ("list-503:1", Fault("503", "list", after=False, share=1)),
        ("list-half-header-before:1", Fault("half-header", "list", after=False, share=1)),
        ("get-404:1", Fault("404", "get", after=False, share=1)),
        ("list-lag:1:30", Fault("lag", "list", after=True, share=1, number=30)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    """Prefix, name, side, share and number."""
    assert parse_faults(text) == Faults((fault,))


def test_status_changes_are_separate_from_faults() -> None:
    """A later status of a conversation is not a fault of a request."""
    both = parse_faults("optout:0.1, undelivered:0.2:0, 500:1")
    assert both.status_changes == (
        StatusChange("OPTED_OUT", 0.1, 3.0),
        StatusChange("DELIVERY_FAILED", 0.2, 0.0),
    )
    assert [fault.name for fault in both.faults] == ["500"]


def test_a_limit_is_a_number_of_requests() -> None:
    """It has no share: every request counts."""
    assert parse_faults("limit:50,500:0.1").limit_per_s == 50
    assert parse_faults("500:0.1").limit_per_s == 0


@pytest.mark.parametrize(
    "text",
    [
        "limit:0",
        "limit:0.5",
        "limit:1:50",
        "limit",
        "429",
        "429:",
        "429:lots",
        "429:1.5",
        "429:-1",
        "429:nan",
        "429:0.1:0.2:0.3",
        "429:0.1:-5",
        "429:0.1:nan",
        "200:0.1",
        "4٢9:0.1",
        "explode:0.1",
        "loop:1",
        "lag:1",
        "no-id-before:1",
        "slow-before:1",
        "unread-after:1",
        "500:0.6,429:0.6",
        "optout:0.6,undelivered:0.6",
    ],
)
def test_a_wrong_specification_is_refused(text: str) -> None:
    """The refusal is one of wrong usage, and names the part."""
    with pytest.raises(UsageError, match="faults"):
        parse_faults(text)


def test_shares_of_different_requests_are_not_added() -> None:
    """Creating and listing each have a whole to share out."""
    assert len(parse_faults("500:1,list-500:1,get-500:1").faults) == 3


def test_faults_come_as_often_as_they_were_asked_for() -> None:
    """Of 10,000 seeded requests each fault meets its share, and the rest meets none."""
    asked = parse_faults("429:0.1,reset:0.05,list-500:1")
    draw = random.Random(3).random
    met = [asked.draw("create", draw) for _ in range(10_000)]
    names = [fault.name if fault else "" for fault in met]
    assert 900 < names.count("429") < 1_100
    assert 420 < names.count("reset") < 580
    assert names.count("500") == 0
    assert {asked.draw("list", draw) for _ in range(100)} == {asked.faults[2]}
    assert asked.draw("get", draw) is None


def test_the_same_seed_draws_the_same_faults() -> None:
    """A rehearsal can be repeated."""
    asked = parse_faults("429:0.3,500:0.3")
    one, two = (
        [asked.draw("create", draw) for _ in range(50)]
        for draw in (random.Random(8).random, random.Random(8).random)
    )
    assert one == two
    assert len(set(one)) == 3


def test_the_module_documents_every_fault() -> None:
    """The table in the docstring has a line for each name, and no other."""
    lines = (faults.__doc__ or "").splitlines()
    documented = {
        line.split()[0] for line in lines if line.startswith("    ") and ":" not in line[:9]
    }
    names = {*faults._AFTER, *faults._STATUS_CHANGES, "400", "limit"}
    assert documented == names
