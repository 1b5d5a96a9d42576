"""`importer sandbox` as a process: one line when it is ready, and a clean end."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

from importer.errors import Exit
from importer.sandbox.contract import describe
from importer.sandbox.personalities import PERSONALITIES
from tests.crash.fork_server import ROOT
from tests.support.openapi import Description
from tests.support.workspace import CREDENTIALS, Workspace

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "samples"


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Its first line names the address; Ctrl-C ends it with 0 and not a word more."""
    process = Workspace(tmp_path).process("sandbox", "--port", "0", "--journal", "j.jsonl")
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready.startswith("Sandbox ready at http://127.0.0.1:")
        answer = httpx.get(f"{ready.split()[-1]}/conversations", timeout=10)
        assert answer.status_code == 401
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, "", "")


def test_a_whole_import_between_two_processes(workspace: Workspace) -> None:
    """The journal holds each row once, over HTTP between processes."""
    process = workspace.process("sandbox", "--port", "0", "--journal", "j.jsonl")
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split()[-1]
        result = workspace("run", "good.csv", "--yes", "--base-url", url, "--rate-per-s", "100")
        assert result.code == Exit.OK, result.err
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    journal = [json.loads(line) for line in (workspace.folder / "j.jsonl").read_text().splitlines()]
    assert sorted(entry["firstName"] for entry in journal) == ["Ada", "Bob"]
    description = Description(describe("http://127.0.0.1"))
    for entry in journal:
        description.check_body(entry["path"], entry["body"])


@pytest.mark.parametrize("sample", ["recruiter-export.csv", "workbook.xlsx"])
@pytest.mark.parametrize("conversation", ["auto-schedule", "campaign"])
def test_what_would_be_sent_is_as_the_sandbox_describes(
    tmp_path: Path, sample: str, conversation: str
) -> None:
    """Each body of the samples fits `/openapi.json`, by the judgement of another program."""
    workspace = Workspace(tmp_path, {**CREDENTIALS, "IMPORTER_CONVERSATION": conversation})
    samples = ("--config", str(SAMPLES / "importer.yaml"))
    workspace("check", str(SAMPLES / sample), *samples, "--payloads", "payloads.jsonl")
    lines = (tmp_path / "payloads.jsonl").read_text("utf-8").splitlines()
    path = "/scheduling/conversations" if conversation == "auto-schedule" else "/conversations"
    description = Description(describe("http://127.0.0.1"))
    for line in lines:
        description.check_body(path, json.loads(line)["body"])
    assert len(lines) > 5


def test_a_personality_that_does_not_exist(tmp_path: Path) -> None:
    """Wrong usage, with the names of those that do."""
    result = Workspace(tmp_path)("sandbox", "--behave", "moody")
    assert result.code == Exit.USAGE
    assert "no-external-id" in result.error


def test_the_help_lists_every_personality(tmp_path: Path) -> None:
    """With its sentence."""
    result = Workspace(tmp_path)("sandbox", "--help").out
    for each in PERSONALITIES.values():
        assert each.name in result
        assert each.description in result


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Wrong usage, with the port in the message."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = Workspace(tmp_path)("sandbox", "--port", port)
    assert result.code == Exit.USAGE
    assert port in result.error


@pytest.mark.parametrize("faults", ["explode:1", "429", "429:2", "429:x"])
def test_faults_that_are_none(tmp_path: Path, faults: str) -> None:
    """Wrong usage, with an example of a right one."""
    result = Workspace(tmp_path)("sandbox", "--faults", faults)
    assert result.code == Exit.USAGE
    assert "429:0.05" in result.error
