"""What the command line's tests share: a recruiter's workspace, and a sandbox to send to."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox

GOOD = "first_name,phone_number,Job Title\nAda,+12025550104,Chef\nBob,+12025550105,Chef\n"
MIXED = GOOD + "Cy,call me,Chef\n,+12025550106,Chef\n"
SETTINGS = "campaign: camp-42\nmeeting: onsite-45\nparticipants: team\n"
TEAM = "- {name: Sam, email: sam@example.com, isOrganizer: true, isCalendarConnected: true}\n"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what `importer init` writes, to be copied."""
    folder = tmp_path_factory.mktemp("started")
    assert Workspace(folder)("init").code == 0
    return folder


@pytest.fixture
def starter(started: Path, tmp_path: Path) -> Workspace:
    """Return a folder with what `importer init` writes, and credentials in the environment."""
    shutil.copytree(started, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


@pytest.fixture
def workspace(starter: Workspace) -> Workspace:
    """Return the same with a good list, a mixed one, and a team that needs nothing of a row."""
    starter.write("good.csv", GOOD)
    starter.write("mixed.csv", MIXED)
    starter.write("importer.yaml", SETTINGS)
    starter.write("templates/participants/team.yaml", TEAM)
    return starter


@pytest.fixture
def sandbox_workspace(workspace: Workspace, sandbox: Sandbox) -> Workspace:
    """Return the workspace, with settings that send to the sandbox, and quickly."""
    text = (
        f"{SETTINGS}base_url: {sandbox.base_url}\nrate_per_s: 500\nsettle_s: 0.1\npreflight: off\n"
    )
    workspace.write("importer.yaml", text)
    return workspace
