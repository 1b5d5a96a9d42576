"""Which row the header is: the one among the first that names most columns we know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from importer.headers import recognised, resembling
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.loader.cells import Record

_CANDIDATE: Final = re.compile(r"\S@\S+\.\S|\d[\d ()/.-]{6,}\d")


def find(head: Sequence[Record], overrides: Mapping[str, str]) -> Record:
    """The header among the first rows, the upper one of two that are as good.

    Raises:
        Refusal: none of them names a column.
    """
    if not head:
        raise Refusal(Code.FILE_EMPTY, "no rows")
    known = [recognised(record.cells, overrides) for record in head]
    if not max(known):
        known = [resembling(record.cells) for record in head]
    if max(known):
        return head[known.index(max(known))]
    first = head[0]
    if any(_CANDIDATE.search(cell) for cell in first.cells):
        detail = f"row {first.row} looks like candidate data already"
    else:
        detail = f"none of the rows {first.row} to {head[-1].row} names a column that we know"
    raise Refusal(Code.HEADER_NOT_FOUND, detail)
