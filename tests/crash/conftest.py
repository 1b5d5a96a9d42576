"""Fixtures of the safety tests: a sandbox without duplicate check, and a workspace that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.sandbox.server import SandboxOptions, start_sandbox
from tests.crash.fork_server import ROOT
from tests.support.workspace import CREDENTIALS, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox

HEADER = "first_name,last_name,email,campaign,job_title"
SETTINGS = {
    "IMPORTER_TEMPLATES": str(ROOT / "samples" / "templates"),
    "IMPORTER_MEETING": "onsite-45",
    "IMPORTER_PARTICIPANTS": "panel",
    "IMPORTER_RATE_PER_S": "1000",
    "IMPORTER_SETTLE_S": "0.05",
    "IMPORTER_WAIT_BASE_S": "0.01",
    "IMPORTER_MAX_WAIT_S": "0.05",
    "IMPORTER_ATTEMPTS": "2",
    "IMPORTER_PREFLIGHT": "off",
    "IMPORTER_MAX_DOUBTFUL": "1000",
    "COLUMNS": "300",
}


def people(count: int, campaign: str = "camp-1", *, start: int = 0) -> str:
    """Return a list with this many people for one campaign."""
    rows = [
        f"Zebedee,Quillfeather{n},zq{n}@example.org,{campaign},Chef"
        for n in range(start, start + count)
    ]
    return "\n".join((HEADER, *rows)) + "\n"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox without duplicate check, which would hide mistakes of the importer."""
    with start_sandbox(SandboxOptions(duplicate_check=False)) as sandbox:
        yield sandbox


@pytest.fixture
def workspace(tmp_path: Path, sandbox: Sandbox) -> Workspace:
    """Return a workspace that sends to the sandbox, with a list of twelve people."""
    env = {**CREDENTIALS, **SETTINGS, "IMPORTER_BASE_URL": sandbox.base_url}
    workspace = Workspace(tmp_path, env)
    workspace.write("list.csv", people(12))
    return workspace
