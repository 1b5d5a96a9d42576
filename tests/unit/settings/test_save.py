"""Remembering headers in importer.yaml keeps its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import SettingsError
from importer.settings import load_settings
from importer.settings.sources import with_columns

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = {"Mobil": "phone_number", "NO": "candidate_id", "1": "email", "E: mail": "email"}


@pytest.mark.parametrize(
    "before",
    [
        None,
        "",
        "# only a comment\n",
        "rate_per_s: 3  # slow\n",
        "columns:\n  Mobil: email  # wrong\n  Other: last_name\nrate_per_s: 3\n",
        "columns: {Mobil: email}\n",
        "columns:\n",
    ],
)
def test_what_is_written_is_what_is_read(tmp_path: Path, before: str | None) -> None:
    """Every header is read back as its column, and what stood there stays."""
    file = tmp_path / "importer.yaml"
    if before is not None:
        file.write_text(before, "utf-8")
    text = with_columns(file, HEADERS)
    file.write_text(text, "utf-8")
    read = load_settings(file, {})
    assert HEADERS.items() <= read.columns.items()
    assert ("Other" in text) == ("Other" in (before or ""))
    assert ("rate_per_s: 3" in text) == ("rate_per_s: 3" in (before or ""))
    for comment in ("# only a comment", "# slow"):
        assert (comment in text) == (comment in (before or ""))


def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    """The mistake is told at its place, and nothing is made of it."""
    file = tmp_path / "importer.yaml"
    file.write_text("columns: [\n", "utf-8")
    with pytest.raises(SettingsError, match=r"importer\.yaml:"):
        with_columns(file, HEADERS)
