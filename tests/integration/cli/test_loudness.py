"""-q and -v, and which settings file a command says that it found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox


@pytest.fixture
def below(near: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk in a folder below the settings."""
    monkeypatch.setenv("HOME", str(near.folder.parent))
    folder = near.folder / "lists"
    folder.mkdir()
    return Desk(folder)


def test_settings_found_above_are_named(below: Desk, sandbox: Sandbox) -> None:
    """On standard error, so that JSON stays clean; proposed commands need no --config."""
    said = below("run", "../good.csv", "--yes", "--format", "json")
    assert said.code == Exit.OK, said.err
    assert f"Settings: {below.folder.parent / 'importer.yaml'}\n" in said.err
    assert json.loads(said.out)["totals"]["created"] == 2
    assert "--config" not in said.err
    assert len(sandbox.journal) == 2
    assert not below.files()


def test_settings_in_this_folder_are_no_news(near: Desk) -> None:
    """Nor is a file that was named."""
    assert "importer.yaml" not in near("check", "good.csv").err
    assert "Settings:" not in near("check", "good.csv", "--config", "importer.yaml").err


def test_no_settings_at_all_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the environment has some, or nothing depends on them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    desk = Desk(tmp_path)
    desk.write("list.csv", "first_name,phone_number\nAnna,+12025550104\n")
    assert "No importer.yaml was found" in desk("check", "list.csv").err
    assert "No importer.yaml" not in desk("columns").err
    some = Desk(tmp_path, {**desk.env, "IMPORTER_CAMPAIGN": "c-1"})
    assert "No importer.yaml" not in some("check", "list.csv").err


def test_quiet_leaves_what_was_asked_for(near: Desk) -> None:
    """The summary is gone; results, JSON and errors stay."""
    said = near("run", "good.csv", "--yes", "-q")
    assert (said.code, said.out, said.err) == (Exit.OK, "", "")
    assert "created" in near("results", "-q").out
    assert near("run", "missing.csv", "--yes", "--quiet").error


def test_quiet_nights_speak_if_a_person_is_needed(near: Desk) -> None:
    """A scheduler that mails what is printed mails nothing after a good night."""
    (near.folder / "inbox").mkdir()
    flags = ("--quiet-s", "0", "-q")
    near.write("inbox/good.csv", (near.folder / "good.csv").read_bytes())
    good = near("nightly", "inbox", *flags)
    assert (good.code, good.out, good.err) == (Exit.OK, "", "")
    near.write("inbox/broken.csv", b"\x00\x01")
    bad = near("nightly", "inbox", *flags)
    assert bad.code == Exit.INPUT
    assert "broken.csv" in bad.out
    assert '"event": "night.ended"' in near("nightly", "inbox").err
    lines = near("doctor", "inbox", "-q").out.splitlines()
    assert not [line for line in lines if line.startswith("ok")]


def test_verbose_says_what_is_used(near: Desk, sandbox: Sandbox) -> None:
    """Settings, ledger and API, without the ledger's password."""
    said = near("check", "good.csv", "-v")
    assert f"Settings: {near.folder / 'importer.yaml'}" in said.err
    assert f"API: {sandbox.base_url}" in said.err
    hidden = near("runs", "--verbose", "--ledger", "postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in hidden.err
    assert "me:***@" in hidden.err
