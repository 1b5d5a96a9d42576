"""What most nights need: a sandbox with credentials, and an empty inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.sandbox.server import start_sandbox
from tests.support.desk import CREDENTIALS
from tests.support.nights import Bed, made_bed
from tests.support.remote_inboxes import FarBed, far, far_bed, far_s3, far_sftp, moto_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import Far

__all__ = ["far", "far_s3", "far_sftp", "moto_port"]  # fixtures


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox, and credentials for it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def bed(tmp_path: Path, sandbox: Sandbox) -> Bed:
    """An empty inbox."""
    return made_bed(tmp_path, sandbox.base_url)


@pytest.fixture
def far_away(far: Far, tmp_path: Path, sandbox: Sandbox) -> FarBed:
    """A desk with settings for an inbox elsewhere."""
    return far_bed(tmp_path, far, sandbox)
