"""What most nights need: a sandbox with credentials, and an empty inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.sandbox.server import start_sandbox
from tests.support.night_setup import NightSetup, make_night_setup
from tests.support.remote_inboxes import (
    RemoteNightSetup,
    make_remote_setup,
    moto_port,
    remote,
    s3_server,
    sftp_server,
)
from tests.support.workspace import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import RemoteFiles

__all__ = ["moto_port", "remote", "s3_server", "sftp_server"]  # fixtures


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Yield a sandbox, and credentials for it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def setup(tmp_path: Path, sandbox: Sandbox) -> NightSetup:
    """Return an empty inbox."""
    return make_night_setup(tmp_path, sandbox.base_url)


@pytest.fixture
def remote_setup(remote: RemoteFiles, tmp_path: Path, sandbox: Sandbox) -> RemoteNightSetup:
    """Return a workspace with settings for an inbox elsewhere."""
    return make_remote_setup(tmp_path, remote, sandbox)
