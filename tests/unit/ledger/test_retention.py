"""Statuses come in, and what only people read goes in time; nobody is contacted twice for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from importer.ledger.column_types import shorten_mask
from importer.ledger.records import Settlement
from importer.model import State
from tests.unit.ledger.ledger_builders import (
    FILE,
    new_run,
    planned_row,
    read_submission,
    settle_submission,
)

if TYPE_CHECKING:
    from pathlib import Path

    from importer.ledger import Ledger
    from tests.unit.ledger.ledger_builders import Clock

DAY_S = 86_400


def created(ledger: Ledger, key: str) -> str:
    """Return a run that created one conversation, c-<key>."""
    run = ledger.runs.begin(new_run(), [planned_row(key)])
    ledger.submissions.intend(run, [key])
    ledger.submissions.settle(
        run, [Settlement(key, State.CREATED, 201, f"c-{key}", message="words")]
    )
    return run


def test_statuses_are_kept_with_their_time(ledger: Ledger, clock: Clock) -> None:
    """By conversation, in results and for later runs; unknown ones are not counted."""
    run = created(ledger, "k1")
    clock.pass_s(DAY_S)
    assert (
        ledger.conversations.write_statuses({"c-k1": "DELIVERY_FAILED", "c-strange": "ONGOING"})
        == 1
    )
    known = ledger.submissions.records(["k1"])["k1"]
    assert [row.submission for row in ledger.runs.rows(run)] == [known]
    assert (known.remote_status, known.remote_at) == ("DELIVERY_FAILED", clock.now())
    assert ledger.conversations.write_statuses({}) == 0


def test_conversations_newest_first(ledger: Ledger, clock: Clock) -> None:
    """Of one run, of all, or the last few; a submission without an id has none."""
    first = created(ledger, "k1")
    clock.pass_s(1)
    created(ledger, "k2")
    settle_submission(ledger, "k3", State.CREATED)
    assert ledger.conversations.ids() == ("c-k2", "c-k1")
    assert ledger.conversations.ids(first) == ("c-k1",)


def test_purging_removes_what_only_people_read(ledger: Ledger, clock: Clock) -> None:
    """Masked text, messages, external ids, files' names; not what guards against a second time."""
    run = created(ledger, "k1")
    ledger.runs.finish(run)
    ledger.conversations.write_statuses({"c-k1": "OPTED_OUT"})
    clock.pass_s(91 * DAY_S)
    purged = ledger.purge(clock.now() - timedelta(days=90))
    assert purged.submissions == 1
    row = read_submission(ledger, "k1")
    assert (row["masked"], row["message"], row["external_id"]) == ("", "", "")
    (source,) = ledger.runs.find(run).sources
    assert (source.name, source.path, source.sha256) == ("", None, FILE.sha256)
    assert ledger.submissions.records(["k1"])["k1"].state is State.CREATED
    assert list(ledger.submissions.opted_out(["person of k1"])) == ["person of k1"]
    assert list(
        ledger.submissions.contacted(["person of k1"], clock.now() - timedelta(days=365))
    ) == ["person of k1"]
    assert ledger.submissions.sendable(ledger.runs.begin(new_run(), [planned_row("k1")])) == []


def test_what_is_young_or_doubtful_stays(ledger: Ledger, clock: Clock) -> None:
    """A doubt is settled by what it says, however old it is."""
    old = settle_submission(ledger, "k1", State.DOUBTFUL)
    clock.pass_s(91 * DAY_S)
    created(ledger, "k2")
    before = [read_submission(ledger, key) for key in ("k1", "k2")]
    assert ledger.purge(clock.now() - timedelta(days=90)).submissions == 0
    assert [read_submission(ledger, key) for key in ("k1", "k2")] == before
    assert ledger.runs.find(old).sources == (FILE,)


def test_purging_twice_removes_nothing_more(ledger: Ledger, clock: Clock) -> None:
    """What is gone is not counted again."""
    created(ledger, "k1")
    clock.pass_s(1)
    assert [ledger.purge(clock.now()).submissions for _ in range(2)] == [1, 0]


def test_what_is_purged_is_not_in_the_file(
    file_ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    """Neither in a free page of it nor in the log."""
    rows = [planned_row(f"k{n}", n + 2)._replace(masked="+44 •••• 9876") for n in range(500)]
    file_ledger.runs.begin(new_run(), rows)
    path = tmp_path / "importer.db"
    mark = shorten_mask("•••• 9876").encode()
    assert mark in path.read_bytes() + path.with_name("importer.db-wal").read_bytes()
    clock.pass_s(1)
    assert file_ledger.purge(clock.now()).submissions == 500
    assert mark not in path.read_bytes() + path.with_name("importer.db-wal").read_bytes()


def test_old_backups_go_too(file_ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    """They hold what was removed; younger ones and other files stay."""
    for name in ("20260101T000000Z", "20261122T120000Z", "something"):
        (tmp_path / f"importer.db-before-0002-{name}").touch()
    purged = file_ledger.purge(clock.now() - timedelta(days=90))
    assert purged.backups == ("importer.db-before-0002-20260101T000000Z",)
    assert sorted(path.name for path in tmp_path.glob("*-before-*")) == [
        "importer.db-before-0002-20261122T120000Z",
        "importer.db-before-0002-something",
    ]
