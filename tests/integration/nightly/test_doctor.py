"""The doctor mentions what earlier nights left for a person, and finds nothing wrong with it."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.elsewhere import FarBed, far_bed
from tests.support.nights import Bed, people

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.elsewhere import Far

ODD = people(0, 1) + "Ada,,Chef\n" * 3


def lines(bed: Bed, inbox: str, about: str) -> list[str]:
    """What the doctor says about one thing."""
    said = bed.desk("doctor", inbox)
    assert said.code == Exit.OK, said.out
    start = f"ok    {about}: "
    return [line.removeprefix(start) for line in said.out.splitlines() if line.startswith(start)]


def test_nothing_is_left(bed: Bed) -> None:
    """Then nothing is said of it, also where a night imported something."""
    bed.arrive("good.csv", people(0, 2))
    assert (lines(bed, "inbox", "held"), lines(bed, "inbox", "failed")) == ([], [])
    bed.night()
    assert (lines(bed, "inbox", "held"), lines(bed, "inbox", "failed")) == ([], [])


def test_held_and_failed_files(bed: Bed) -> None:
    """Each file counts once, without its pages, with the command for the first of them."""
    bed.arrive("acme corp/b.csv", ODD)
    bed.arrive("letter.txt", "dear all\n")
    bed.night()
    (held,) = lines(bed, "inbox", "held")
    command = held.split("`")[1]
    assert held == f"1 file is held; look at it, then `{command}`"
    wanted = f"{bed.inbox}/held/acme corp/b.csv"
    assert shlex.split(command) == ["importer", "release", wanted]
    assert lines(bed, "inbox", "failed") == [
        f"1 file is in failed/; correct it and upload it again: {bed.inbox}/failed/letter.txt"
    ]
    bed.clock.time += timedelta(days=1)
    bed.arrive("a.csv", ODD + "Ada,12345,Chef\n")
    bed.arrive("note.txt", "dear none\n")
    bed.night()
    (held,) = lines(bed, "inbox", "held")
    assert held.startswith("2 files are held; look at them, then `importer release ")
    assert held.endswith("/held/a.csv` and so on")
    (failed,) = lines(bed, "inbox", "failed")
    assert failed.startswith("2 files are in failed/; correct them and upload them again: ")


def test_in_an_inbox_elsewhere(far: Far, tmp_path: Path, sandbox: Sandbox) -> None:
    """By the address, which is what releases them."""
    bed: FarBed = far_bed(tmp_path, far, sandbox)
    bed.arrives("a.csv", ODD)
    bed.arrives("acme/b.csv", ODD + "Ada,12345,Chef\n")
    bed.arrives("letter.txt", "dear all\n")
    bed.night()
    (held,) = lines(bed, far.address, "held")
    command = f"importer release {far.address}/held/a.csv"
    assert held == f"2 files are held; look at them, then `{command}` and so on"
    (failed,) = lines(bed, far.address, "failed")
    assert failed.endswith(f": {far.address}/failed/letter.txt")
    assert bed.desk(*shlex.split(command)[1:]).code == Exit.OK
    (mark,) = lines(bed, far.address, "ownership of the staging folder")
    assert "it belongs to this ledger" in mark


@pytest.mark.parametrize("folder", ["held", "failed"])
def test_hidden_files_are_not_counted(bed: Bed, folder: str) -> None:
    """Nobody has to look at those of other programs."""
    for name in (".DS_Store", "a.csv.part", "a.csv.check.html"):
        bed.arrive(f"{folder}/{name}", "x")
    assert lines(bed, "inbox", folder) == []
