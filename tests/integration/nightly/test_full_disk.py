"""A disk that is really full: clear words, nothing half-written, nothing lost, nobody twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit, LedgerError
from importer.nightly.ownership import MARKER_NAME
from importer.report.night_report import FileEnding
from tests.support.disks import fill_disk, small_disk
from tests.support.night_setup import NightSetup, candidate_list

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

ROWS = 150
KB = 1024


def once_each(sandbox: Sandbox) -> bool:
    """Whether everybody of the list was written to, and once."""
    written_to = Counter(entry["phoneNumber"] for entry in sandbox.journal)
    return len(written_to) == ROWS == written_to.total()


@pytest.mark.parametrize("free_kb", [0, 16, 64, 256, 384])
def test_a_ledger_without_room(setup: NightSetup, sandbox: Sandbox, free_kb: int) -> None:
    """From its first write or in the middle of sending: what it cannot note is not sent."""
    folder = setup.workspace.folder / "small"
    with small_disk(folder, 16_000 * KB):
        setup.settings(sandbox.base_url, f"ledger: sqlite:///{folder}/importer.db\n")
        setup.night()
        filler = fill_disk(folder, free_kb * KB)
        setup.add_file("a.csv", candidate_list(0, ROWS))
        try:
            night = setup.night()
        except LedgerError as error:  # there is no room to note that a night began
            result = str(error)
        else:
            (file,) = night.files
            assert (file.ending, night.exit_code) == (FileEnding.WAITING, Exit.SETUP)
            result = file.reason
        assert "cannot be written: the disk is full. Make room" in result
        assert setup.spreadsheets() <= {"a.csv", "working/a.csv"}
        sent = len(sandbox.journal)
        assert sent < ROWS if free_kb > 64 else sent == 0
        filler.unlink()
        night = setup.night()
        assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0), night
        assert [file.ending for file in night.files] == [FileEnding.DONE]
    assert once_each(sandbox)


def test_an_inbox_without_room(setup: NightSetup, sandbox: Sandbox) -> None:
    """The import is done and said; what could not be written is named, and can be had later."""
    metrics = setup.workspace.folder / "metrics"
    with small_disk(setup.inbox, 200 * KB), small_disk(metrics, 200 * KB):
        setup.settings(sandbox.base_url, "metrics_file: metrics/night.prom\n")
        setup.night()  # the first one marks the inbox
        setup.add_file("a.csv", candidate_list(0, ROWS))
        fillers = fill_disk(setup.inbox), fill_disk(metrics)
        (file,) = setup.night().files
        assert (file.ending, file.exit_code) == (FileEnding.DONE, Exit.SETUP)
        assert file.rows["created"] == ROWS
        for name in ("a.csv.check.html", "a.csv.results.csv"):
            assert f"{name} cannot be written: No space left on device" in file.reason
        assert f"importer results {file.run}" in file.reason
        assert [fault.rpartition(": ")[2] for fault in setup.faults] == [
            "No space left on device."
        ] * 2
        written = {path.name for path in setup.inbox.rglob("*") if path.is_file()}
        assert written == {"a.csv", ".filler", ".nightly-lock", MARKER_NAME}
        assert {path.name for path in metrics.iterdir()} == {".filler", "night.prom"}
        for filler in fillers:
            filler.unlink()
        assert setup.night().files == ()
        assert setup.faults == []
        result = setup.workspace(
            "results", str(file.run), "--format", "csv", "--output", "results.csv"
        )
        assert result.code == Exit.OK, result.err
    assert once_each(sandbox)


def test_a_log_without_room(
    setup: NightSetup, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    """It keeps no night from ending well; standard error gets what the file could not take."""
    setup.settings(sandbox.base_url, "log_file: /dev/full\n")
    setup.add_file("a.csv", candidate_list(0, ROWS))
    night = setup.night()
    assert (night.exit_code, night.rows["created"]) == (Exit.OK, ROWS)
    assert once_each(sandbox)
    events = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert events[:2] == ["log.unwritable", "night.started"]
    assert events[-1] == "night.ended"
