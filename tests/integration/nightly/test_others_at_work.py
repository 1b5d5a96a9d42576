"""Others at work beside a night: a second night, a run, and somebody who still writes the file."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.report.night_report import FileEnding
from tests.support.night_setup import NightSetup, candidate_list
from tests.support.waiting import has_logged, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox

COUNT = 20
SLOW = "slow:1:0.3"

APPENDS = """
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
number = 20
while True:
    os.write(out, b"Ada,+1415555%04d,Chef\\n" % number)
    number += number < 60
"""
TRUNCATES = """
import os, sys
out = os.open(sys.argv[1], os.O_RDWR)
whole = os.read(out, 1_000_000)
while True:
    os.ftruncate(out, len(whole) // 2)
    os.pwrite(out, whole, 0)
"""
REPLACES = """
import os, sys
name = sys.argv[1]
whole = open(name, "rb").read()
number = 20
while True:
    with open(name + ".part", "wb") as out:
        out.write(whole + b"Ada,+1415555%04d,Chef\\n" % number)
    os.replace(name + ".part", name)
    number += number < 60
"""


def once_each(sandbox: Sandbox) -> bool:
    """Whether nobody was written to twice."""
    return max(Counter(entry["phoneNumber"] for entry in sandbox.journal).values()) == 1


@contextmanager
def writing(program: str, file: Path) -> Iterator[None]:
    """Yield a process that changes a file without end, until it is killed."""
    changed = file.stat().st_mtime_ns
    with subprocess.Popen([sys.executable, "-c", program, str(file)], text=True) as process:
        try:
            wait_until(lambda: not file.exists() or file.stat().st_mtime_ns != changed, process)
            yield
        finally:
            process.kill()


@pytest.mark.parametrize(
    "program", [APPENDS, TRUNCATES], ids=["appended to", "truncated and written again"]
)
def test_a_file_that_changes_while_it_is_read(
    setup: NightSetup, sandbox: Sandbox, program: str
) -> None:
    """It goes back, and is taken once nobody writes to it any more; nobody is asked twice."""
    setup.settings(sandbox.base_url, "quiet_s: 0\n")
    path = setup.add_file("a.csv", candidate_list(0, 20))
    with writing(program, path):
        (file,) = setup.night().files
        assert file.ending is FileEnding.GONE
        assert file.reason == "It changed while it was read, so it waits until it is stable."
        assert setup.spreadsheets() == {"a.csv"}
        assert len(sandbox.journal) == 0
    wanted = candidate_list(0, 60) if program is APPENDS else candidate_list(0, 20)
    path.write_text(wanted)  # the writer may have been killed in the middle of a change
    assert setup.night().exit_code is Exit.OK
    assert len(sandbox.journal) == wanted.count("\n") - 1
    assert once_each(sandbox)


def test_a_file_that_is_replaced_again_and_again(setup: NightSetup, sandbox: Sandbox) -> None:
    """Each version is another file; a person in several of them is written to once."""
    setup.settings(sandbox.base_url, "quiet_s: 0\nguard_after: 99\n")
    path = setup.add_file("a.csv", candidate_list(0, 20))
    with writing(REPLACES, path):
        for _ in range(3):
            setup.night()
    path.unlink(missing_ok=True)
    setup.add_file("b.csv", candidate_list(0, 61))
    setup.night()
    assert len(sandbox.journal) == 61
    assert once_each(sandbox)
    assert not [
        path for path in setup.spreadsheets() if path.startswith(("held", "failed", "working"))
    ]


def test_two_nights_at_once(setup: NightSetup, sandbox: Sandbox) -> None:
    """One works; the other ends at once and says who does, unless that was not written yet."""
    setup.settings(sandbox.base_url, "quiet_s: 0\n")
    sandbox.set_faults(SLOW)
    setup.add_file("a.csv", candidate_list(0, COUNT))
    setup.add_file("b.csv", candidate_list(COUNT, COUNT))
    nights = [setup.workspace.process("nightly", "inbox") for _ in range(2)]
    wait_until(lambda: any(each.poll() is not None for each in nights))
    assert len(sandbox.journal) < 2 * COUNT
    sandbox.set_faults("")
    result = {night.wait(): night.communicate() for night in nights}
    worked = next(each for each in nights if each.returncode == Exit.OK)
    assert set(result) == {Exit.OK, Exit.SETUP}
    assert "is in use by 'importer nightly'" in result[Exit.SETUP][1]
    named = "(process" in result[Exit.SETUP][1]
    assert not named or f"(process {worked.pid} on " in result[Exit.SETUP][1]
    assert "40 conversations started from 2 files." in result[Exit.OK][0]
    assert len(sandbox.journal) == 2 * COUNT
    assert once_each(sandbox)


def test_a_night_beside_a_run(setup: NightSetup, sandbox: Sandbox) -> None:
    """While a run has the ledger the file waits, with who has it; the next night imports it."""
    setup.settings(sandbox.base_url, "quiet_s: 0\n")
    sandbox.set_faults(SLOW)
    both = setup.workspace.write("list.csv", candidate_list(0, COUNT))
    setup.add_file("a.csv", candidate_list(0, 2 * COUNT))
    run = setup.workspace.process("run", str(both), "--yes")
    wait_until(lambda: len(sandbox.journal) > 0, run)
    night = setup.night()
    assert run.poll() is None
    (file,) = night.files
    assert (file.ending, night.exit_code) == (FileEnding.WAITING, Exit.SETUP)
    assert "in use by 'importer run' (process" in file.reason
    assert f"(process {run.pid} on " in file.reason
    sandbox.set_faults("")
    assert run.wait() == Exit.OK, run.communicate()
    run.communicate()
    assert setup.night().rows["created"] == COUNT
    assert len(sandbox.journal) == 2 * COUNT
    assert once_each(sandbox)


def test_a_run_beside_a_night(setup: NightSetup, sandbox: Sandbox) -> None:
    """While a night sends, a run is refused, and nobody is written to twice."""
    log = setup.workspace.folder / "log.jsonl"
    setup.settings(sandbox.base_url, "quiet_s: 0\nlog_file: log.jsonl\n")
    sandbox.set_faults(SLOW)
    setup.add_file("a.csv", candidate_list(0, COUNT))
    path = setup.workspace.write("list.csv", candidate_list(0, 2 * COUNT))
    night = setup.workspace.process("nightly", "inbox")
    wait_until(has_logged(log, "run.started"), night)
    result = setup.workspace("run", str(path), "--yes")
    assert result.code == Exit.SETUP
    assert "in use by 'importer nightly' (process" in result.err
    assert f"(process {night.pid} on " in result.err
    sandbox.set_faults("")
    night.communicate()
    assert night.returncode == Exit.OK
    result = setup.workspace("run", str(path), "--yes")
    assert result.code == Exit.OK, result.err
    assert len(sandbox.journal) == 2 * COUNT
    assert once_each(sandbox)
