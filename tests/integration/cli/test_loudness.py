"""-q and -v, and which settings file a command says that it found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox


@pytest.fixture
def below(sandbox_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a workspace in a folder below the settings."""
    monkeypatch.setenv("HOME", str(sandbox_workspace.folder.parent))
    folder = sandbox_workspace.folder / "lists"
    folder.mkdir()
    return Workspace(folder)


def test_settings_found_above_are_named(below: Workspace, sandbox: Sandbox) -> None:
    """On standard error, so that JSON stays clean; proposed commands need no --config."""
    result = below("run", "../good.csv", "--yes", "--format", "json")
    assert result.code == Exit.OK, result.err
    assert f"Settings: {below.folder.parent / 'importer.yaml'}\n" in result.err
    assert json.loads(result.out)["totals"]["created"] == 2
    assert "--config" not in result.err
    assert len(sandbox.journal) == 2
    assert not below.files()


def test_settings_in_this_folder_are_no_news(sandbox_workspace: Workspace) -> None:
    """Nor is a file that was named."""
    assert "importer.yaml" not in sandbox_workspace("check", "good.csv").err
    assert (
        "Settings:" not in sandbox_workspace("check", "good.csv", "--config", "importer.yaml").err
    )


def test_no_settings_at_all_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the environment has some, or nothing depends on them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    workspace = Workspace(tmp_path)
    workspace.write("list.csv", "first_name,phone_number\nAnna,+12025550104\n")
    assert "No importer.yaml was found" in workspace("check", "list.csv").err
    assert "No importer.yaml" not in workspace("columns").err
    some = Workspace(tmp_path, {**workspace.env, "IMPORTER_CAMPAIGN": "c-1"})
    assert "No importer.yaml" not in some("check", "list.csv").err


def test_quiet_leaves_what_was_asked_for(sandbox_workspace: Workspace) -> None:
    """The summary is gone; results, JSON and errors stay."""
    result = sandbox_workspace("run", "good.csv", "--yes", "-q")
    assert (result.code, result.out, result.err) == (Exit.OK, "", "")
    assert "created" in sandbox_workspace("results", "-q").out
    assert sandbox_workspace("run", "missing.csv", "--yes", "--quiet").error


def test_quiet_nights_speak_if_a_person_is_needed(sandbox_workspace: Workspace) -> None:
    """A scheduler that mails what is printed mails nothing after a good night."""
    (sandbox_workspace.folder / "inbox").mkdir()
    flags = ("--quiet-s", "0", "-q")
    sandbox_workspace.write("inbox/good.csv", (sandbox_workspace.folder / "good.csv").read_bytes())
    good = sandbox_workspace("nightly", "inbox", *flags)
    assert (good.code, good.out, good.err) == (Exit.OK, "", "")
    sandbox_workspace.write("inbox/broken.csv", b"\x00\x01")
    bad = sandbox_workspace("nightly", "inbox", *flags)
    assert bad.code == Exit.INPUT
    assert "broken.csv" in bad.out
    assert '"event": "night.ended"' in sandbox_workspace("nightly", "inbox").err
    lines = sandbox_workspace("doctor", "inbox", "-q").out.splitlines()
    assert not [line for line in lines if line.startswith("ok")]


def test_verbose_says_what_is_used(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Settings, ledger and API, without the ledger's password."""
    result = sandbox_workspace("check", "good.csv", "-v")
    assert f"Settings: {sandbox_workspace.folder / 'importer.yaml'}" in result.err
    assert f"API: {sandbox.base_url}" in result.err
    hidden = sandbox_workspace(
        "runs", "--verbose", "--ledger", "postgresql://me:secret@127.0.0.1:1/db"
    )
    assert "secret" not in hidden.err
    assert "me:***@" in hidden.err
