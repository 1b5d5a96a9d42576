"""Problems in bulk say what problems one by one say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer import problems
from schemas.codes import WORDS, Code

if TYPE_CHECKING:
    from importer.model import Table


@pytest.mark.parametrize("column", [None, "phone_number", "job_title", "no_such_column"])
def test_every_code_in_every_place(recruiter: Table, column: str | None) -> None:
    """With and without a column, known to the file or not."""
    frame = problems.concat(
        problems.one(code, row=row, column=column, value="v", detail="d {header} {detail}")
        for row, code in enumerate(Code, start=2)
    )
    names = ["source", "#row", "column", "header", "code", "severity", "value", "message", "fix"]
    bulk = problems.with_words(frame, [recruiter]).select(*names, "personal").rows()
    single = [
        (
            each.source, each.row, each.column, each.header, each.code.value,
            each.severity.value, each.value, each.message, each.fix, each.personal,
        )
        for each in problems.in_words(frame, [recruiter])
    ]  # fmt: skip
    assert bulk == single


def test_a_message_has_its_detail_once() -> None:
    """Bulk wording relies on it."""
    assert all(words.message.count("{detail}") <= 1 for words in WORDS.values())


def test_no_problems_have_no_words(recruiter: Table) -> None:
    """The columns are there anyway."""
    worded = problems.with_words(problems.empty(), [recruiter])
    assert worded.height == 0
    assert {"source", "header", "message", "fix", "personal"} <= set(worded.columns)
