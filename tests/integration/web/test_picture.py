"""The picture of the page in the README: made by this test, and it still says what the page says.

`GOLDEN=write pytest tests/integration/web/test_picture.py` makes it. The words of the page are
kept in the picture itself, so a change of the page is noticed without comparing pixels.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.settings import load_settings
from tests.support.recruiter import make_list, open_site, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from playwright.sync_api import Browser

    from importer.sandbox.server import Sandbox

ROOT: Final = Path(__file__).resolve().parents[3]
PICTURE: Final = "importer/docs/page.png"
MOST_BYTES: Final = 60_000
MAGIC: Final = b"\x89PNG\r\n\x1a\n"
LAST: Final = 12
"""How long the last part of a picture is."""
KEY: Final = b"Description\0\0\0\0\0"
"""Of a text in a picture: its name; not packed, and in no language."""

ROWS: Final = (
    "Ada,Lovelace,+44 7911 123456,ada@example.com,GB,Engineer\r\n",
    ",Hopper,+1 202 555 0104,grace@example.com,US,Analyst\r\n",
    "Alan,Turing,+44 20 79,alan@example.com,GB,Analyst\r\n",
)


def chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each part of a PNG."""
    assert picture.startswith(MAGIC)
    at = len(MAGIC)
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        yield kind, picture[at + 8 : at + 8 + length]
        at += 12 + length


def with_words(picture: bytes, words: str) -> bytes:
    """Return a PNG with words in it, before its last part."""
    content = b"iTXt" + KEY + words.encode()
    part = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return picture[:-LAST] + part + picture[-LAST:]


def words_in(picture: bytes) -> str:
    """Return the words in a PNG."""
    return next(
        content.removeprefix(KEY).decode()
        for kind, content in chunks(picture)
        if kind == b"iTXt" and content.startswith(KEY)
    )


def test_the_picture_in_the_readme(
    chromium: Browser, api: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is small, the README shows it, and the page still has its words."""
    monkeypatch.setenv("LOGNAME", "ann")  # who is signed in, whoever runs this test
    with open_site(load_settings(write_project(tmp_path, api.base_url))) as site:
        with site.sign_in() as ann:
            list_id = ann.upload(make_list(*ROWS), "Candidates.csv")
        context = chromium.new_context(
            base_url=site.url,
            viewport={"width": 960, "height": 690},
            device_scale_factor=0.75,
            locale="en-GB",
        )
        page = context.new_page()
        page.goto(site.link)
        page.goto(f"/lists/{list_id}/fix")
        words = " ".join(page.locator("body").inner_text().split())
        made = with_words(page.screenshot(), words)
        context.close()
    kept = ROOT / PICTURE
    if os.environ.get("GOLDEN") == "write":
        kept.write_bytes(made)
    assert "2 rows need fixing" in words
    assert max(len(made), kept.stat().st_size) < MOST_BYTES
    assert f"]({PICTURE})" in (ROOT / "README.md").read_text("utf-8")
    assert words_in(kept.read_bytes()) == words, "make it again: GOLDEN=write pytest this file"
