"""What most nights need: a sandbox with credentials, and an empty inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.sandbox.serve import running
from tests.desk import CREDENTIALS
from tests.nights import Bed, made_bed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.sandbox import Sandbox


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox, and credentials for it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def bed(tmp_path: Path, sandbox: Sandbox) -> Bed:
    """An empty inbox."""
    return made_bed(tmp_path, sandbox.base_url)
