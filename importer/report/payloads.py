"""The bodies that a run would send, one JSON line for each ready row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from importer.report.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from importer.model import Submission


def write(submissions: Iterable[Submission], files: Sequence[str], path: Path) -> None:
    """Writes `{"source", "row", "key", "body"}` a line, in order of file and row.

    Before a ledger has its HMAC key the keys, and the external ids made from them, are previews.

    Args:
        submissions: made one by one; none is kept.
        files: names; `Submission.source` is a position in it.
        path: UTF-8, whole or not at all.
    """
    with replacing(path) as out:
        for each in submissions:
            line = {
                "source": files[each.source],
                "row": each.row,
                "key": each.key,
                "body": each.body,
            }
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
