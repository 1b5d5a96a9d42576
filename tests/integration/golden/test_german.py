"""A check, its page and the results of a run in German are as in `german/`.

    GOLDEN=write python -m pytest tests/integration/golden

writes them again; read the difference.
"""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from tests.support.workspace import CREDENTIALS, FAST, Workspace

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

ROOT: Final = Path(__file__).resolve().parents[3]
BESIDE: Final = Path(__file__).with_name("german")
LIST: Final = ("samples/recruiter-export.csv", "--config", "samples/importer.yaml")


class _Words(HTMLParser):
    """The words of a page, a line for each element."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag == "style"
        self.lines += [text for name, text in attrs if name == "aria-label" and text]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag != "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.lines.append(" ".join(data.split()))


def workspace(folder: Path, **env: str) -> Workspace:
    """Return a workspace with a ledger of its own, in German."""
    ledger = f"sqlite:///{folder / 'importer.db'}"
    return Workspace(
        ROOT, {**CREDENTIALS, "IMPORTER_LEDGER": ledger, "LC_ALL": "de_DE.UTF-8", **env}
    )


def compare(name: str, text: str) -> None:
    """Compare with the file, or write it."""
    text = "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())
    if os.environ.get("GOLDEN") == "write":
        (BESIDE / name).write_text(text, "utf-8")
    assert text == (BESIDE / name).read_text("utf-8")


def test_a_check_in_german(tmp_path: Path) -> None:
    """The summary on the terminal, of a list that has every fault of a row."""
    result = workspace(tmp_path)("check", "samples/every-fault.csv", *LIST[1:])
    assert result.code == Exit.REJECTED
    compare("check.txt", re.sub(r"Plan [0-9a-f]{12}", "Plan …", result.out))


def test_a_page_in_german(tmp_path: Path) -> None:
    """The words of the HTML report."""
    page = tmp_path / "report.html"
    workspace(tmp_path)("check", "samples/every-fault.csv", *LIST[1:], "--report", str(page))
    words = _Words()
    words.feed(page.read_text("utf-8"))
    text = re.sub(r"\d+\. \w+ \d{4}, \d\d:\d\d UTC", "… UTC", "\n".join(words.lines))
    compare("report.txt", re.sub(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32,})\b", "…", text))


def test_results_in_german(tmp_path: Path, sandbox: Sandbox) -> None:
    """The end of a run and the table of its results."""
    german = workspace(tmp_path, IMPORTER_BASE_URL=sandbox.base_url)
    flags = ("--on-problems", "skip", "--yes", *FAST)
    run = german("run", *LIST, *flags)
    assert run.code == Exit.REJECTED, run.err
    results = german("results", *LIST[1:])
    text = run.err[run.err.rindex("Durchlauf") :] + results.out
    for pattern in (r"run-[\w-]+", r"\d{8}-\d{6}\S*", r"conv[\w-]*\d\w*", r"\d+,\d s"):
        text = re.sub(pattern, "…", text)
    compare("results.txt", re.sub(r" {2,}", "  ", re.sub("─+", "─", text)))


def test_json_is_english_in_every_language(tmp_path: Path) -> None:
    """Machines read it."""
    result = workspace(tmp_path)("check", *LIST, "--format", "json")
    problems = json.loads(result.out)["problems"]
    english = json.loads((ROOT / f"{LIST[0]}.expected.json").read_text("utf-8"))["problems"]
    assert problems == english
    refused = workspace(tmp_path)("check", "samples/no-such.*", "--format", "json")
    assert (
        json.loads(refused.out)["error"]["message"]
        == "There is no spreadsheet in samples/no-such.*."
    )


def test_the_flag_is_stronger_than_the_environment(tmp_path: Path) -> None:
    """`--lang en` in a German terminal, and German messages of what is refused."""
    assert "rows are ready" in workspace(tmp_path)("--lang", "en", "check", *LIST).out
    refused = workspace(tmp_path)("check", "samples/no-such.*")
    assert refused.err.startswith("Fehler: In samples/no-such.* ist keine Tabelle.")
