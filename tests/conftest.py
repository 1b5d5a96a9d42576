"""What tests of every kind share: a stand-in for the API, on a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from importer.sandbox.server import start_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox

# Laws are tried with fewer examples than Hypothesis would take, so that all tests end in time.
# `pytest --hypothesis-profile=default` takes as many as it likes.
settings.register_profile("brief", max_examples=40)
settings.load_profile("brief")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox on a real socket."""
    with start_sandbox() as sandbox:
        yield sandbox
