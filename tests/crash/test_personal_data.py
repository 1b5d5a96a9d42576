"""The ledger and the output hold no personal data, and the HMAC key is never replaced."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.prepare import prepare
from importer.settings import load_settings
from tests.crash.fork_server import ROOT
from tests.unit.ledger.test_privacy import personal, told

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

SAMPLES = ("recruiter-export.csv", "workbook.xlsx", "every-fault.csv")
FAULTS = "422:0.1,500-after:0.1,reset-after:0.1,429:0.05:0"


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_value_of_a_sample_is_written_or_said(
    workspace: Workspace, sandbox: Sandbox, sample: str
) -> None:
    """Neither the ledger's files nor any word on either stream has a phone, e-mail or name.

    What is asked for as data (`check --format json`, `results --format csv`) is the user's own.
    """
    file = str(ROOT / "samples" / sample)
    values = personal(prepare([file], load_settings(ROOT / "samples" / "importer.yaml", {})))
    values = {value for value in values if re.search(r"[@\d]|\w{5}", value)}
    assert len(values) > 5
    sandbox.set_faults(FAULTS)
    commands = [
        ("check", file),
        ("run", file, "--yes", "--on-problems", "skip", "--limit", "200"),
        ("resume",),
        ("reconcile",),
        ("refresh",),
        ("runs",),
        ("results",),
        ("results", "--format", "json"),
    ]
    for command in commands:
        result = workspace(*command)
        assert result.code in {0, 1, 5, 6}, result.err
        assert told(result.out + result.err, values) == set(), command
    files = workspace.files()
    for name in ("importer.db", "importer.db.key"):
        assert told(files[name].decode("utf-8", "replace"), values) == set()
    if sandbox.journal:  # the API was told, of course
        assert told(json.dumps(sandbox.journal, ensure_ascii=False), values)


def test_only_the_owner_reads_ledger_and_key(workspace: Workspace) -> None:
    """Mode 0600, whatever the umask."""
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    for file in workspace.folder.glob("importer.db*"):
        assert file.stat().st_mode & 0o777 == 0o600, file.name


@pytest.mark.parametrize("how", ["lost", "another"])
def test_without_its_key_a_ledger_sends_nothing(
    workspace: Workspace, sandbox: Sandbox, how: str
) -> None:
    """Everybody would look new: run, resume and check refuse, and no new key is made."""
    assert workspace("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    key = workspace.folder / "importer.db.key"
    kept = key.read_text()
    if how == "lost":
        key.unlink()
    else:
        key.write_text("f" * 64)
    for command in (("run", "list.csv", "--yes"), ("resume",), ("check", "list.csv")):
        result = workspace(*command)
        assert result.code == Exit.SETUP, result.err
        assert "HMAC key" in result.error
    assert key.exists() is (how == "another")
    assert len(sandbox.journal) == 4
    key.write_text(kept)
    assert workspace("resume").code == Exit.OK
    assert len(sandbox.journal) == 12


def test_the_key_may_come_from_the_environment(workspace: Workspace, sandbox: Sandbox) -> None:
    """Then no key file is made, and another value is refused."""
    own = type(workspace)(workspace.folder, {**workspace.env, "IMPORTER_HMAC_KEY": "k" * 40})
    assert own("upgrade").code == Exit.OK
    assert own("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    assert not (workspace.folder / "importer.db.key").exists()
    other = type(workspace)(workspace.folder, {**workspace.env, "IMPORTER_HMAC_KEY": "j" * 40})
    assert other("resume").code == Exit.SETUP
    assert own("resume").code == Exit.OK
    assert len(sandbox.journal) == 12
