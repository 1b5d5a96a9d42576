"""What the tests of sending share: a folder that sends to the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.project import Project, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox


@pytest.fixture
def project(sandbox: Sandbox) -> Iterator[Project]:
    """Yield a folder whose settings send to the sandbox, quickly."""
    with make_project(base_url=sandbox.base_url, rate_per_s=1_000, settle_s=0.05) as project:
        yield project
