"""Repeats are found by person and campaign, in any number of rows, and name the first."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
import pytest

from importer.validate.duplicates import Repeats, who

SAID = ("phone_number", "email", "campaign", "external_campaign")
TYPES = {"#source": pl.UInt16(), "#row": pl.UInt32()} | dict.fromkeys(SAID, pl.String())


def people(*rows: tuple[str | None, ...]) -> pl.DataFrame:
    """Phone, e-mail, campaign and external campaign of rows 2 and on."""
    padded = [(0, number, *row, *[None] * (4 - len(row))) for number, row in enumerate(rows, 2)]
    return who(pl.DataFrame(padded, schema=TYPES, orient="row"))


def test_nobody_repeats_nobody() -> None:
    """Empty lists and different people have no problem."""
    for frame in (people(), people(("+1", None, "c"), ("+2", None, "c"), (None, "a@b", "c"))):
        assert Repeats(["a.csv"]).find_duplicates(frame).height == 0
        assert Repeats(["a.csv"]).find_shared_emails(frame).height == 0


def test_rows_that_say_nothing_repeat_nothing() -> None:
    """Without a person or a campaign there is nothing to compare."""
    frame = people((None, None, "c"), (None, None, "c"), ("+1", None), ("+1", None))
    assert Repeats(["a.csv"]).find_duplicates(frame).height == 0
    assert Repeats(["a.csv"]).find_shared_emails(frame).height == 0


def test_all_repeats_name_the_first() -> None:
    """Not the one before them; the cell is the phone's, else the e-mail's."""
    frame = people(
        ("+1", None, "c"),
        ("+1", "x@y", "c"),
        ("+1", None, "c"),
        (None, "A@b", "c"),
        (None, "a@B", "c"),
    )
    assert Repeats(["a.csv"]).find_duplicates(frame).select("#row", "column", "detail").rows() == [
        (3, "phone_number", "row 2"),
        (4, "phone_number", "row 2"),
        (6, "email", "row 5"),
    ]


@pytest.mark.parametrize("names", [["a.csv", "b.csv"], ["a.csv", "a.csv"]])
def test_another_file_is_named(names: list[str]) -> None:
    """Also where two files have the same name."""
    frame = people(("+1", "a@b", "c"), ("+1", "a@b", "d"), ("+2", "a@b", "c"), ("+1", None, "c"))
    frame = frame.with_columns(pl.Series("#source", [0, 0, 1, 1], dtype=pl.UInt16))
    assert Repeats(names).find_duplicates(frame)["detail"].to_list() == ["row 2 of a.csv"]
    assert Repeats(names).find_shared_emails(frame)["detail"].to_list() == ["row 2 of a.csv"]


def test_many_repeats_among_many_rows() -> None:
    """Every row but the first of each person, whatever the number."""
    rows = 20_000
    frame = pl.DataFrame(
        {
            "#source": pl.zeros(rows, pl.UInt16, eager=True),
            "#row": pl.int_range(2, rows + 2, dtype=pl.UInt32, eager=True),
            "phone_number": [f"+{row % 7_000}" for row in range(rows)],
            "email": pl.repeat(None, rows, dtype=pl.String, eager=True),
            "campaign": pl.repeat("c", rows, eager=True),
            "external_campaign": pl.repeat(None, rows, dtype=pl.String, eager=True),
        }
    )
    found = Repeats(["a.csv"]).find_duplicates(who(frame))
    assert found.height == rows - 7_000
    assert found.filter(pl.col("#row") == 14_002)["detail"].to_list() == ["row 2"]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2, 3), (3, 5)])
def test_parts_find_what_the_whole_finds(cuts: tuple[int, ...]) -> None:
    """Wherever the rows are parted, the first one is the same, and so is what is said."""
    frame = people(
        ("+1", "a@b", "c"),
        ("+2", "a@b", "c"),
        ("+1", None, "c"),
        (None, "a@b", "c"),
        ("+1", "a@b", "d"),
        (None, "A@B", "c"),
    )
    whole, parted = Repeats(["a.csv"]), Repeats(["a.csv"])
    edges = [0, *cuts, frame.height]
    parts = [frame[start:end] for start, end in pairwise(edges)]
    for find in (Repeats.find_duplicates, Repeats.find_shared_emails):
        found = pl.concat([find(parted, part) for part in parts])
        assert found.sort("#row").rows() == find(whole, frame).sort("#row").rows()
        assert found.height
