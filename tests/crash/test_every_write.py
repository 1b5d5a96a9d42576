"""The second proof in small: stopped at every third write, a run goes on to the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.every_write import stop_everywhere

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_may_be_stopped_between_every_two_writes(tmp_path: Path) -> None:
    """Wherever it stops, resume comes to one conversation for each person."""
    tried = list(stop_everywhere(tmp_path, rows=1, pairs=False, step=3))
    assert [fault for each in tried for fault in each.faults] == []
    assert len(tried) > 2  # `make proof` stops at every single one
    assert all(each.verdict.conversations == each.verdict.rows for each in tried)
