"""The page in a process of its own, which a test may kill."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.support.recruiter import Recruiter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serve(settings: Path) -> Iterator[tuple[subprocess.Popen[str], Recruiter]]:
    """Serve a page in a process of its own, and sign in."""
    arguments = ["serve", "--config", str(settings)]
    with subprocess.Popen(
        [sys.executable, "-m", "importer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = None
            while found is None:
                line = process.stdout.readline()
                assert line, "the server ended"
                found = re.search(r"(http://[^/]+)(/sign-in\?token=\S+)", line)
            with httpx.Client(
                base_url=found[1], headers={"accept": "text/html"}, trust_env=False, timeout=30
            ) as browser:
                assert browser.get(found[2]).status_code == 303
                yield process, Recruiter(browser)
        finally:
            process.kill()
