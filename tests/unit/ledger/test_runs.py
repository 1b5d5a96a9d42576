"""Runs are found, listed, ended and read row by row."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer.deliver import report_of
from importer.errors import Exit, UsageError
from importer.ledger.records import Settlement
from importer.ledger.run_outcomes import read_outcomes
from importer.ledger.runs import PAGE
from importer.model import Counts, PlannedRow, State
from tests.unit.ledger.ledger_builders import FILE, PLAN, new_run, planned_row

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from tests.unit.ledger.ledger_builders import Clock


def test_counts_follow_a_row_to_the_run_that_takes_it_over(ledger: Ledger) -> None:
    """Also a second time, and for a row that the later run could not take."""
    first = ledger.runs.begin(
        new_run(), [planned_row("k1"), planned_row("k2", 3), planned_row("k3", 4)]
    )
    ledger.submissions.intend(first, ["k1"])
    second = ledger.runs.begin(new_run(), [planned_row("k1", 5), planned_row("k2", 6)])
    third = ledger.runs.begin(new_run(), [planned_row("k2", 2), planned_row("k2", 3)])
    ledger.submissions.intend(third, ["k2"])
    assert ledger.runs.states(first) == {State.DOUBTFUL: 2, State.PLANNED: 1}
    assert ledger.runs.states(second) == {State.DOUBTFUL: 2}
    assert ledger.runs.states(third) == {State.DOUBTFUL: 2}
    ledger.submissions.settle(third, [Settlement("k2", State.REJECTED, 422, code="http-422")])
    for run, places in ((first, [(0, 3)]), (second, [(0, 5), (0, 6)]), (third, [(0, 2), (0, 3)])):
        named = ledger.runs.not_sent(run, 20)
        assert [(row.source, row.row) for row in named] == places
        counted = Counter(row.submission.state for row in ledger.runs.rows(run) if row.submission)
        assert ledger.runs.states(run) == counted


def test_a_run_comes_back_as_it_was_begun(ledger: Ledger, clock: Clock) -> None:
    """Files, settings, plan and times, and which process."""
    run = ledger.runs.find(ledger.runs.begin(new_run(), []))
    assert (run.plan_hash, run.sources, run.settings) == (PLAN, (FILE,), new_run().settings)
    assert (run.started, run.finished, run.stopped) == (clock.now(), None, "")
    assert run.host
    assert run.pid > 0


def test_a_run_ends_and_goes_on(ledger: Ledger, clock: Clock) -> None:
    """`finish` notes when and why, `reopen` takes that back."""
    run = ledger.runs.begin(new_run(), [])
    clock.pass_s(90)
    ledger.runs.finish(run, "The API refuses the key.")
    ended = ledger.runs.find(run)
    assert ended.finished == ended.started + timedelta(seconds=90)
    assert ended.stopped == "The API refuses the key."
    ledger.runs.reopen(run)
    assert (ledger.runs.find(run).finished, ledger.runs.find(run).stopped) == (None, "")


def test_runs_are_listed_newest_first(ledger: Ledger, clock: Clock) -> None:
    """And no more than asked for."""
    runs = []
    for _ in range(3):
        runs.append(ledger.runs.begin(new_run(), []))
        clock.pass_s(60)
    assert [run.id for run in ledger.runs.list()] == runs[::-1]
    assert [run.id for run in ledger.runs.list(2)] == runs[:0:-1]
    assert ledger.runs.find().id == runs[-1]


def test_a_run_is_found_by_its_beginning(ledger: Ledger, clock: Clock) -> None:
    """Where that is enough to tell it from the others."""
    first = ledger.runs.begin(new_run(), [])
    clock.pass_s(60)
    second = ledger.runs.begin(new_run(), [])
    assert ledger.runs.find("20261122-1530").id == first
    assert ledger.runs.find(second).id == second
    with pytest.raises(UsageError, match=f"Several runs .*{second}, {first}"):
        ledger.runs.find("2026")
    with pytest.raises(UsageError, match="no run '2026%'"):
        ledger.runs.find("2026%")


def test_no_run_yet(ledger: Ledger) -> None:
    """The newest of none is a mistake in usage."""
    with pytest.raises(UsageError, match="no run in the ledger"):
        ledger.runs.find()


def test_outcomes_come_page_by_page(ledger: Ledger) -> None:
    """Every row once and in order, though more than a page of them and in two files."""
    many = PAGE + 3
    rows = [PlannedRow(source, n + 2, "rejected") for n in range(many) for source in (1, 0)]
    run = ledger.runs.begin(new_run(), rows)
    assert [(row.source, row.row) for row in ledger.runs.rows(run)] == [
        (source, n + 2) for source in (0, 1) for n in range(many)
    ]


def test_reports_get_what_the_ledger_has_for_each_row(ledger: Ledger) -> None:
    """Page by page and block by block, also what belongs to another row or another run."""
    old = ledger.runs.begin(new_run(), [planned_row(f"k{n}", 20 - n) for n in range(8)])
    uuid = "0123abcd-0123-0123-0123-0123456789ab"
    ids = ["conv_0123456789abcdef", "conv_fedcba9876543210", uuid, "plain", None, "conv_1"]
    keys = [f"k{n}" for n in range(len(ids))]
    ledger.submissions.intend(old, keys)
    ends = [Settlement(key, State.CREATED, 201, id_) for key, id_ in zip(keys, ids, strict=True)]
    ledger.submissions.settle(old, ends)
    rows = [
        planned_row("k7", 2),
        planned_row("k7", 3),
        *(PlannedRow(0, n + 4, "already-imported", "already-imported", f"k{n}") for n in range(6)),
        PlannedRow(1, 2, "rejected", "phone-invalid contact-missing"),
        PlannedRow(1, 3, "duplicate", "duplicate-in-file", "k6"),
        *(planned_row(f"n{n}", n + 20) for n in range(7)),
    ]
    new = ledger.runs.begin(new_run(), rows)
    for run in (old, new):
        whole = ledger.runs.first_outcomes(run, 100)
        assert whole.height == len(list(ledger.runs.rows(run)))
        for page, block in ((2, 4), (3, 3), (100, 100)):
            found = list(read_outcomes(ledger._database, run, page, block))
            assert pl.concat(found).equals(whole)
    ids_of_new = ledger.runs.first_outcomes(new, 100)["conversation_id"]
    assert ids_of_new.drop_nulls().to_list() == ids[:4] + ids[5:]
    assert list(ledger.runs.outcomes("20200101-000000-0000")) == []


def test_counts(ledger: Ledger) -> None:
    """Of the rows by what was decided, of the ready ones by where they stand now."""
    run = ledger.runs.begin(
        new_run(),
        [
            *(planned_row(f"k{n}", n + 2) for n in range(4)),
            PlannedRow(0, 10, "rejected", "phone-invalid"),
            PlannedRow(0, 11, "duplicate", "duplicate-in-file", "k1"),
        ],
    )
    ledger.submissions.intend(run, ["k0", "k1", "k2"])
    ledger.submissions.settle(
        run, [Settlement("k0", State.CREATED), Settlement("k1", State.DOUBTFUL)]
    )
    assert ledger.runs.states(run) == {State.CREATED: 1, State.DOUBTFUL: 2, State.PLANNED: 1}
    assert ledger.runs.counts(run) == Counts(read=6, ready=4, rejected=1, duplicates=1)


def test_a_later_run_shows_what_an_earlier_one_did(ledger: Ledger) -> None:
    """An already imported row has the conversation that its key has."""
    old = ledger.runs.begin(new_run(), [planned_row("k1")])
    ledger.submissions.intend(old, ["k1"])
    ledger.submissions.settle(old, [Settlement("k1", State.CREATED, 201, "conv-1")])
    new = ledger.runs.begin(new_run(), [PlannedRow(0, 5, "already-imported", key="k1")])
    (row,) = ledger.runs.rows(new)
    assert row.row == 5
    assert row.submission
    assert (row.submission.state, row.submission.row) == (State.CREATED, 2)
    assert row.submission.conversation_id == "conv-1"
    assert ledger.runs.states(new) == {}


def test_rows_that_a_later_run_has_taken_over(ledger: Ledger) -> None:
    """The report of the first run names the second one, until that has sent them."""
    rows = [planned_row("k0"), planned_row("k1", 3)]
    first, second = (ledger.runs.begin(new_run(), rows) for _ in range(2))
    assert ledger.runs.find_taken_over(first) == {second: 2}
    assert ledger.runs.find_taken_over(second) == {}
    report = report_of(ledger, ledger.runs.find(first))
    assert f"Run {second} has taken over 2 of its rows" in report.stopped
    assert report.exit_code is Exit.HELD
    assert ledger.submissions.intend(second, ["k0", "k1"]) == (True, True)
    ledger.submissions.settle(second, [Settlement("k0", State.DOUBTFUL)])
    assert report_of(ledger, ledger.runs.find(first)).exit_code is Exit.DOUBTFUL
    ledger.submissions.settle(second, [Settlement("k1", State.CREATED, 201, "conv-1")])
    report = report_of(ledger, ledger.runs.find(first))
    assert (report.stopped, report.exit_code) == ("", Exit.DOUBTFUL)
