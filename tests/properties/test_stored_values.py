"""Properties of how the ledger stores ids and hashes: each is read as it was written."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.ledger.column_types import (
    number_of_run,
    pack,
    pack_hash,
    pack_hash_column,
    pack_text_column,
    run_of_number,
    unpack,
    unpack_hash,
    unpack_text_column,
)

PARTS = st.one_of(
    st.text("0123456789abcdef", max_size=300),
    st.text("0123456789abcdefABCDEF-_/é•\0", max_size=150),
    st.uuids().map(str),
    st.uuids().map(lambda each: each.hex),
)
TEXTS = st.lists(PARTS, max_size=3).map("".join)
"""Ids as APIs give them, with hex digits at odd places, in both cases, and of every length."""

UUID_TEXT = str(UUID(int=7))


@settings(deadline=None, max_examples=60)
@given(st.lists(TEXTS, max_size=8))
@example(["", "\0", UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", "")])
@example([UUID_TEXT, str(UUID(int=8)), "a"])
@example(["A-17-0123456789abcdef", "0123456789abcdef/01234567", "0" * 18 + "/", "0" * 8 + "/z"])
@example(["0" * 15, "0" * 16, "0" * 17, "0" * 64, "0" * 254, "0" * 255])
def test_packed_texts_stay_what_they_are(texts: list[str]) -> None:
    """Each is read as it was written, and only equal texts have equal bytes."""
    packed, hashes = [pack(text) for text in texts], [pack_hash(text) for text in texts]
    assert [unpack(data) for data in packed] == texts
    assert [unpack_hash(data) for data in hashes] == texts
    column = pl.Series([*texts, None], dtype=pl.String)
    assert pack_text_column(column) == [*packed, None]
    assert pack_hash_column(column) == [*hashes, None]
    assert unpack_text_column(pl.Series([*packed, None], dtype=pl.Binary)).equals(column)
    assert len(set(texts)) == len(set(packed)) == len(set(hashes))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.binary(min_size=8, max_size=8).map(bytes.hex)))
def test_many_hashes_are_packed_as_one_is(digits: list[str | None]) -> None:
    """Without a hash there is none."""
    column = pl.Series(digits, dtype=pl.String)
    assert pack_hash_column(column) == [
        None if each is None else pack_hash(each) for each in digits
    ]


RUNS = st.builds(
    "{:%Y%m%d-%H%M%S}-{:04x}".format,
    st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - spelled only
    st.integers(0, 0xFFFF),
)


@settings(deadline=None, max_examples=60)
@given(RUNS, RUNS)
@example("19991231-235959-ffff", "20000101-000000-0000")
def test_numbers_of_runs_are_in_the_order_of_their_ids(one: str, other: str) -> None:
    """Each number is one id's."""
    first, second = number_of_run(one), number_of_run(other)
    assert first is not None
    assert second is not None
    assert (run_of_number(first), run_of_number(second)) == (one, other)
    assert (first < second) == (one < other)
