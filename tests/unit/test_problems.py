"""Problems travel in bulk, and get their words when somebody reads them."""

from __future__ import annotations

import polars as pl

from importer import problems
from importer.problems import at, in_words, one, with_severities, with_words
from schemas.codes import WORDS, Code, Severity
from schemas.columns import ROW, SOURCE
from tests.support.tables import table

TABLE = table([{"phone_number": "x", "Shoe size": "38"}])


def test_one_problem() -> None:
    """With the severity of the table, in the columns of the schema."""
    found = one(Code.NAME_SPLIT, row=7, column="full_name", value="A B", detail="d", source=2)
    assert found.schema == problems.SCHEMA
    assert found.rows() == [(2, 7, "full_name", "name-split", "warning", "A B", "d")]


def test_a_problem_at_each_row_of_a_frame() -> None:
    """The value is the unchanged cell, unless another is given; null is empty."""
    frame = pl.DataFrame({SOURCE: [0, 0], ROW: [2, 3], "email": ["a", None]})
    found = at(frame, Code.EMAIL_INVALID, column="email", detail=pl.lit("why"))
    assert found.schema == problems.SCHEMA
    assert found.select(ROW, "value", "detail").rows() == [(2, "a", "why"), (3, "", "why")]
    assert at(frame, Code.ROW_RAGGED)["value"].to_list() == ["", ""]
    assert at(frame, Code.ROW_RAGGED, value=pl.lit("v"))["value"].to_list() == ["v", "v"]


def test_they_are_joined_in_order() -> None:
    """By file and row; those of a whole file first; the rest as they were found."""
    parts = [
        one(Code.PHONE_INVALID, row=3),
        one(Code.FILE_EMPTY, source=1),
        one(Code.EMAIL_INVALID, row=3),
        one(Code.ENCODING_GUESSED),
    ]
    found = problems.concat(parts).select(SOURCE, ROW, "code").rows()
    assert found == [
        *((0, None, "encoding-guessed"), (0, 3, "phone-invalid"), (0, 3, "email-invalid")),
        (1, None, "file-empty"),
    ]
    assert problems.concat([]).equals(problems.empty())


def test_the_user_says_how_much_a_problem_matters() -> None:
    """Only for the codes that are named; errors are what keeps rows out."""
    found = problems.concat([one(Code.NAME_SPLIT, row=2), one(Code.PHONE_NOT_MOBILE, row=3)])
    strict = with_severities(found, {Code.NAME_SPLIT: Severity.ERROR})
    assert strict["severity"].to_list() == ["error", "warning"]
    assert problems.errors(strict)[ROW].to_list() == [2]
    assert with_severities(found, {}) is found


def test_words_name_the_header_and_the_detail() -> None:
    """The user's header, not our column; whether it is personal; the fix of the table."""
    found = problems.concat(
        [
            one(Code.CELL_ERROR, row=2, column="Shoe size", value="#REF!", detail="#REF!"),
            one(Code.PHONE_INVALID, row=2, column="phone_number", value="+1 202"),
            one(Code.ROW_RAGGED, row=2, detail="17 cells"),
        ]
    )
    size, phone, row = in_words(found, [TABLE])
    assert (size.source, size.row, size.header) == ("list.csv", 2, "Shoe size")
    assert size.message == "The cell contains the spreadsheet error #REF!."
    assert size.fix == WORDS[Code.CELL_ERROR].fix
    assert not size.personal
    assert phone.personal
    assert "+1 202" not in repr(phone)
    assert (row.column, row.header, row.personal) == (None, None, True)


def test_words_in_bulk_are_the_same_words() -> None:
    """Every code, with and without a column, in both ways."""
    found = problems.concat(
        one(code, row=row, column=column, value="v", detail="{detail} $1")
        for row, code in enumerate(Code, start=2)
        for column in (None, "phone_number", "Shoe size", "campaign")
    )
    bulk = with_words(found, [TABLE]).select("header", "message", "fix", "personal").rows()
    words = [
        (each.header, each.message, each.fix, each.personal) for each in in_words(found, [TABLE])
    ]
    assert bulk == words
