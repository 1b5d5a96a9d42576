"""The Python API: lazy, typed, and the example of the README runs against the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import importer
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

ROOT: Final = Path(__file__).resolve().parents[2]
CHECK: Final = """
import json, sys
import importer
loaded = {name.partition(".")[0] for name in sys.modules}
plan = importer.check(["candidates.csv"], importer.load_settings())
after = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"at_once": sorted(loaded), "after": sorted(after), "ready": plan.counts.ready}))
"""


@pytest.mark.parametrize("name", importer.__all__)
def test_every_name_is_there(name: str) -> None:
    """And has a docstring of its own."""
    assert getattr(importer, name).__doc__
    assert name in dir(importer)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="'importer' has no attribute 'sent'"):
        importer.sent  # noqa: B018


def test_the_package_is_typed() -> None:
    """Type checkers read its annotations."""
    assert (ROOT / "importer" / "py.typed").exists()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder that `importer init` made."""
    assert Workspace(tmp_path)("init").code == importer.Exit.OK
    return tmp_path


def test_check_imports_neither_database_nor_network(project: Path) -> None:
    """`import importer` is light, and a check stays without what only sending needs."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=project, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["ready"] == 2
    assert not {"polars", "pydantic", "httpx", "sqlalchemy"}.intersection(found["at_once"])
    assert not {"httpx", "sqlalchemy", "alembic"}.intersection(found["after"])


def test_the_example_of_the_readme_runs(
    project: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Word for word, in a folder that sends to the sandbox."""
    text = (ROOT / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(project)
    monkeypatch.setenv("POPP_API_KEY", "rehearsal")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "acme")
    monkeypatch.setenv("IMPORTER_BASE_URL", sandbox.base_url)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own document
    assert sorted(entry["firstName"] for entry in sandbox.journal) == ["Anna", "Ben"]
    assert "created: 2" in capsys.readouterr().out


def test_python_dash_m_is_the_command_line() -> None:
    """`python -m importer` says its version."""
    done = subprocess.run(
        [sys.executable, "-m", "importer", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("importer, version ")
