"""Reads and checks damaged files by the thousand: `python -m tests.corpus.fuzz [COUNT] [SEED]`.

The files of the corpus are damaged in the archive or inside of it, and text is thrown together
from delimiters, quotation marks and breaks. Nothing of it may raise, take longer than a moment,
or lose count of its rows; a file that does is kept, and the run fails.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path
from typing import Final

from importer.loader import load
from importer.model import RowStatus
from importer.settings import Settings
from tests.support.tables import check_tables

FILES: Final = sorted((Path(__file__).parent / "files").iterdir())
SETTINGS: Final = Settings(campaign="camp-42", max_bytes=10_000_000, max_expanded_bytes=50_000_000)
PIECES: Final = (
    *("a", "é", "Ada", "+44 20 7946 0018", "ada@example.com", "4.4E+11", "Total", "\ufeff", "\0"),
    *(",", ",", ",", ";", "\t", "|", '"', '"', '""', '\\"', "'", "=", "#N/A", " ", "\u00a0"),
    *("\n", "\n", "\n", "\r\n", "\r", "\u2028", "Phone", "Email", "First name", "sep=;"),
)
MOMENT_S: Final = 5.0


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with some of them changed, removed, doubled or new."""
    now = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(now) + 1)
        match rng.randrange(4):
            case 0:
                now[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del now[place : place + rng.randint(1, 50)]
            case 2:
                now[place:place] = now[max(0, place - 20) : place]
            case _:
                now[place:place] = rng.randbytes(rng.randint(1, 8))
    return bytes(now)


def damaged_inside(data: bytes, rng: random.Random) -> bytes:
    """Return an archive with one of its members damaged."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, "w") as after:
        victim = rng.choice(before.namelist())
        for name in before.namelist():
            member = before.read(name)
            after.writestr(name, damaged(member, rng) if name == victim else member)
    return file.getvalue()


def thrown_together(rng: random.Random) -> bytes:
    """Return text that a table might be."""
    start = rng.choice(("", "Phone,First name\n", "Email;Name;Note\r\n"))
    text = start + "".join(rng.choices(PIECES, k=rng.randint(0, 60)))
    return text.encode(rng.choice(("utf-8", "utf-16", "utf-16-le", "cp1252")), "replace")


def make_cases(rng: random.Random) -> bytes:
    """Return the next file to read."""
    if rng.random() < 0.4:
        return thrown_together(rng)
    data = rng.choice(FILES).read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)) and rng.random() < 0.7:
        return damaged_inside(data, rng)
    return damaged(data, rng)


def check(path: Path) -> str:
    """Read and check a file; return whether it had rows."""
    table = load(str(path), SETTINGS)
    found = check_tables(table, settings=SETTINGS)
    assert found.rows.height == table.frame.height
    assert set(found.rows["status"]) <= set(RowStatus)
    return "rows" if table.frame.height else "no rows"


def main(count: int, seed: int) -> int:
    """Check a number of files; return how many went wrong."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number in range(count):
        path = folder / f"{number}.bin"
        path.write_bytes(make_cases(rng))
        started = time.monotonic()
        try:
            outcome = check(path)
        except Exception:  # noqa: BLE001 (whatever it is, it is what we look for)
            outcome = "raised"
            print(path, traceback.format_exc(), sep="\n")  # noqa: T201 (a program)
        if time.monotonic() - started > MOMENT_S:
            outcome = "slow"
            print(path, "took", time.monotonic() - started, "s")  # noqa: T201
        seen[outcome] += 1
        if outcome not in {"raised", "slow"}:
            path.unlink()
    print(f"{count} files, seed {seed}: {dict(seen)}")  # noqa: T201
    return seen["raised"] + seen["slow"]


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(bool(main(*given, *(10_000, 1)[len(given) :])))
