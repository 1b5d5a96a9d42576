"""A plain installation checks a CSV; whatever needs more names the command that installs it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[2]
OPTIONAL: Final = (
    "fastexcel", "xlrd", "openpyxl", "starlette", "uvicorn", "psycopg", "s3fs", "gcsfs", "adlfs",
    "fsspec", "paramiko",
)  # fmt: skip
HIDE: Final = f"""\
import sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None  # an import of it fails, as if it were not installed
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the wheel and its plain dependencies, and no extra."""
    folder = tmp_path_factory.mktemp("plain")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)])
    run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    (wheel,) = folder.glob("importer-*.whl")
    run([*pip, "--python", str(folder / "venv"), "install", "--no-deps", "--no-index", str(wheel)])
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    (site / "hidden.py").write_text(HIDE)
    (site / "zz_hidden.pth").write_text("import hidden\n")
    return folder / "venv" / "bin" / "importer"


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command of the plain installation."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("IMPORTER", "POPP"))}
    environment.pop("PYTHONPATH", None)

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(plain), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return typed


def test_a_csv_is_checked(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`init`, `columns` and `check` need nothing but the plain installation."""
    assert run("init").returncode == 0
    columns = run("columns", "candidates.csv")
    assert (columns.returncode, "phone_number" in columns.stdout) == (0, True), columns.stderr
    checked = run("check", "candidates.csv")
    assert checked.returncode == 0, checked.stderr
    assert "All 2 rows are ready" in checked.stdout


@pytest.mark.parametrize("ending", ["xlsx", "xls"])
def test_a_workbook_asks_for_its_package(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, ending: str
) -> None:
    """A problem of the file, with the command that installs what is missing."""
    run("init")
    sample = ROOT / "tests" / "corpus" / "files" / f"plain-libreoffice.{ending}"
    if not sample.exists():
        sample = ROOT / "tests" / "corpus" / "files" / f"plain-openpyxl.{ending}"
    (tmp_path / sample.name).write_bytes(sample.read_bytes())
    checked = run("check", sample.name)
    assert checked.returncode == 3, checked.stderr
    assert "pip install '.[xlsx]'" in checked.stdout
    assert "Traceback" not in checked.stdout


def test_the_sandbox_asks_for_its_package(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """A message names the extra to install; there is no traceback."""
    started = run("sandbox", "--port", "0")
    assert started.returncode in {2, 4}, started.stderr
    assert "pip install '.[web]'" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_remote_inbox_asks_for_its_package(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The same for object stores and SFTP servers."""
    run("init")
    for address, extra in (("s3://bucket/inbox", "s3"), ("sftp://me@localhost/inbox", "sftp")):
        examined = run("doctor", address)
        assert f"pip install '.[{extra}]'" in examined.stdout + examined.stderr
        assert "Traceback" not in examined.stderr


def test_the_wheel_carries_the_documents_and_its_types(
    run: Callable[..., subprocess.CompletedProcess[str]], plain: Path
) -> None:
    """`importer explain` shows every document without the repository."""
    for document in sorted((ROOT / "importer" / "docs").glob("*.md")):
        shown = run("explain", document.stem)
        title = document.read_text("utf-8").splitlines()[0].removeprefix("# ")
        assert (shown.returncode, title in shown.stdout) == (0, True), document.stem
    (typed,) = plain.parents[1].glob("lib/python*/site-packages/importer/py.typed")
    assert typed.exists()
