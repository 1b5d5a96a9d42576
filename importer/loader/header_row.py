"""Which row the header is: the one among the first that names most columns we know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from importer.headers import recognised
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.loader.cells import Record

_EMAIL: Final = re.compile(r"\S+@\S+\.\S+")


def find(head: Sequence[Record], overrides: Mapping[str, str]) -> Record:
    """The header among the first rows, the upper one of two that are as good.

    Raises:
        Refusal: none of them names a column.
    """
    if not head:
        raise Refusal(Code.FILE_EMPTY, "no rows")
    known = [recognised(record.cells, overrides) for record in head]
    best = max(known)
    if best:
        return head[known.index(best)]
    first = head[0]
    if any(_EMAIL.search(cell) for record in head for cell in record.cells):
        detail = f"row {first.row} looks like candidate data already"
    else:
        detail = f"rows {first.row} to {head[-1].row} name no column that we know"
    raise Refusal(Code.HEADER_NOT_FOUND, detail)
