"""Help is quick: what is heavy is imported where it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

SAMPLES: Final = Path(__file__).parents[2] / "samples"
HEAVY: Final = ("polars", "pydantic", "pandera", "sqlalchemy", "httpx", "rich")
PROGRAM: Final = """
import json, sys
from importer.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("\\n" + json.dumps({"code": end.code, "modules": sorted(sys.modules)}))
"""


def imported(*arguments: str) -> set[str]:
    """Return the modules that a command has imported when it ends, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["code"] == 0, done.stderr
    return set(last["modules"])


def test_help_imports_nothing_heavy() -> None:
    """Neither does the version."""
    for flag in ("--help", "--version"):
        assert not imported(flag).intersection(HEAVY)


def test_the_look_is_sharp() -> None:
    """A command that needs them does import them: the test above can fail."""
    assert imported("check", "--help").issuperset({"polars", "pydantic", "rich"})


def test_a_check_imports_no_ledger_and_no_client(tmp_path: Path) -> None:
    """Without a ledger beside it, a check starts in half the time of a run."""
    settings = tmp_path / "importer.yaml"
    settings.write_text(f"templates: {SAMPLES / 'templates'}\nparticipants: panel\n", "utf-8")
    file = tmp_path / "one.csv"
    file.write_text(
        "First Name,Mobile,Country,Campaign,Meeting Template,Job Title\n"
        "Ada,020 7946 0001,GB,camp-1,video-30,Nurse\n",
        "utf-8",
    )
    found = imported("check", "--config", str(settings), str(file))
    assert "polars" in found
    assert not found.intersection({"sqlalchemy", "alembic", "httpx", "importer.deliver"})
