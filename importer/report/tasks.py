"""Tasks: the problems of a plan, one task for each cause, with the rows that it concerns."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.languages import translate, translate_count, translate_word
from importer.problems import SCHEMA, in_words, merge_missing_columns
from schemas.codes import WORDS, Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.model import Problem, Table

EXAMPLES: Final = 5
"""Number of problems of a task that are shown with their values."""

ROWS_NAMED: Final = 200
"""Number of rows of a task that are kept for each file."""

INSTRUCTIONS: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.FILE_MISSING: "Correct the name of the file",
        Code.FILE_UNREADABLE: "Save the file again",
        Code.FILE_EMPTY: "Put candidates into the file",
        Code.FILE_TOO_LARGE: "Make the file smaller",
        Code.ENCODING_GUESSED: "Check that accented letters read right",
        Code.ENCODING_DOUBTFUL: "Say which encoding the file has, or enter the letters again",
        Code.HEADER_NOT_FOUND: "Add a header row",
        Code.HEADER_MOVED: "Check that the right row was taken as the header",
        Code.TOTALS_SKIPPED: "Check what was left out below the candidates",
        Code.ROWS_HIDDEN: "Check what is hidden in the workbook",
        Code.SHEETS_NOT_READ: "Say which sheet holds the candidates",
        Code.COLUMN_MISSING: "Add the missing column",
        Code.COLUMN_DUPLICATE: "Keep one of the columns that mean the same",
        Code.COLUMN_UNKNOWN: "Check the spelling of the header {label}",
        Code.COLUMNS_RANKED: "Check which of several columns is used first",
        Code.COLUMN_UNUSED: "Check whether the candidates are reached under {label}",
        Code.NOT_A_CANDIDATE: "Check what was left out between the candidates",
        Code.ROW_RAGGED: "Put the cells back under their headers",
        Code.QUOTE_UNCLOSED: "Close the quotation mark",
        Code.VALUE_TOO_LONG: "Shorten {label}",
        Code.VALUE_CHANGED: "Look over what was tidied in {label}",
        Code.CELL_ERROR: "Repair the formula in {label}",
        Code.FIRST_NAME_MISSING: "Fill in the first name",
        Code.NAME_INVALID: "Correct the name",
        Code.NAME_SPLIT: "Check the names that were split",
        Code.CONTACT_MISSING: "Fill in a phone or an e-mail",
        Code.PHONE_INVALID: "Correct the phone number",
        Code.PHONE_TOO_SHORT: "Complete the phone number",
        Code.PHONE_TOO_LONG: "Remove extra digits from the phone number",
        Code.PHONE_COUNTRY_NEEDED: "Say which country the phone number belongs to",
        Code.PHONE_SCIENTIFIC: "Enter the phone number again, as text",
        Code.PHONE_ZERO_LOST: "Check the phone number for a lost zero",
        Code.PHONE_TWO_NUMBERS: "Keep one phone number",
        Code.PHONE_EXTENSION: "Give a direct phone number",
        Code.PHONE_NOT_MOBILE: "Look for a mobile number",
        Code.COUNTRY_UNKNOWN: "Correct the country",
        Code.COUNTRY_DIFFERS: "Check the country of the phone number",
        Code.EMAIL_INVALID: "Correct the e-mail address",
        Code.EMAIL_SHARED: "Check whether two people share one e-mail",
        Code.EMAIL_TYPO: "Check the e-mail address",
        Code.EMAIL_OF_ANOTHER: "Decide which row of the same e-mail is right",
        Code.CANDIDATE_ID_OF_ANOTHER: "Decide which row of the same candidate id is right",
        Code.PHONE_OF_ANOTHER_NAME: "Correct the phone that two people have",
        Code.BRACES_IN_VALUE: "Remove the braces from {label}",
        Code.CAMPAIGN_SPELLING: "Write each campaign in one way",
        Code.CAMPAIGN_MISSING: "Name the campaign",
        Code.BOOLEAN_INVALID: "Write yes or no under {label}",
        Code.SKIP_CHECK_NOT_ALLOWED: "Clear {label}",
        Code.TEMPLATE_MISSING: "Name the template",
        Code.TEMPLATE_UNKNOWN: "Correct the name of the template",
        Code.TEMPLATE_INVALID: "Correct what the template is filled with",
        Code.TEMPLATE_KEY_UNKNOWN: "Check the spelling in the template",
        Code.TEMPLATE_UNUSUAL: "Check the template",
        Code.PLACEHOLDER_MISSING: "Fill in {label}",
        Code.DUPLICATE_IN_FILE: "Remove repeats of the same person",
        Code.ALREADY_IMPORTED: "Nothing to do: imported before",
        Code.POSSIBLY_SENT: "Find out whether a message has gone already",
        Code.REJECTED_BEFORE: "Correct what was refused before",
        Code.CONTACTED_RECENTLY: "Wait before writing to the same person again",
        Code.OPTED_OUT: "Remove people who have opted out",
    }
)
"""Code -> what to do, the beginning of `... in 12 rows`; `{label}` names the column."""


def instruction(code: Code, label: str = "") -> str:
    """Return what to do about a code: `Shorten “Name”`; without a label it says `the value`."""
    return translate(INSTRUCTIONS[code]).replace("{label}", label or translate("the value"))


_RANK: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_CAUSE: Final = ["severity", "whole", "code", "column"]
_INDEX: Final = "#index"
_Cause = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The rows of one file that a task concerns: the first `ROWS_NAMED` and the total."""

    file: str
    position: int
    rows: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do, and where.

    Attributes:
        code: the cause.
        severity: an error keeps its rows out.
        column: canonical column or placeholder name; None for whole rows or files.
        label: the name of the column for a reader; empty if there is no column.
        do: what to do, without the rows: `Correct the phone number`.
        fix: how, in a sentence.
        count: number of problems.
        total: number of rows; 0 if the task concerns whole files.
        where: the rows, file by file.
        examples: the first problems.
    """

    code: Code
    severity: Severity
    column: str | None
    label: str
    do: str
    fix: str
    count: int
    total: int
    where: tuple[TaskRows, ...]
    examples: tuple[Problem, ...]

    @property
    def message(self) -> str:
        """The common message of all rows; empty if their messages differ."""
        messages = {problem.message for problem in self.examples}
        varies = "{detail}" in WORDS[self.code].message and self.count > len(self.examples)
        return "" if varies or len(messages) > 1 else messages.pop()

    @property
    def title(self) -> str:
        """The task, with the number of rows or files: `Correct the phone number in 12 rows`."""
        if self.total and self.code is Code.COLUMN_MISSING:
            return translate_count(
                self.total,
                "{do} {label}, which {n} row needs",
                "{do} {label}, which {n} rows need",
                do=self.do,
                label=self.label,
            )
        if self.total:
            return translate_count(self.total, "{do} in {n} row", "{do} in {n} rows", do=self.do)
        if len(self.where) == 1:
            return f"{self.do}: {self.where[0].file}"
        return translate_count(len(self.where), "{do} in {n} file", "{do} in {n} files", do=self.do)


def tasks(problems: pl.DataFrame, tables: Sequence[Table]) -> tuple[Task, ...]:
    """Return the tasks of a problem frame: errors first, whole files first, then the largest."""
    frame = problems.with_columns(pl.col(ROW).is_null().alias("whole")).with_row_index(_INDEX)
    where = frame.group_by(
        [*_CAUSE, SOURCE], maintain_order=True
    ).agg(  # one pass over all problems
        pl.len(),
        pl.col(ROW).drop_nulls().unique(maintain_order=True).head(ROWS_NAMED).alias("rows"),
        pl.col(ROW).drop_nulls().n_unique().alias("total"),
        pl.col(_INDEX).head(EXAMPLES),
    )
    causes = where.group_by(_CAUSE, maintain_order=True).agg(pl.col("len").sum())
    firsts = where.select(*_CAUSE, _INDEX).explode(_INDEX).sort(_INDEX)
    firsts = firsts.group_by(_CAUSE, maintain_order=True).head(EXAMPLES)
    examples = merge_missing_columns(frame[firsts[_INDEX]].sort(_INDEX))
    where = where.sort(SOURCE, maintain_order=True)
    rows_of: dict[_Cause, list[TaskRows]] = {}
    for source, rows, total, *cause in where.select(SOURCE, "rows", "total", *_CAUSE).iter_rows():
        name = tables[source].source.name
        rows_of.setdefault(tuple(cause), []).append(TaskRows(name, source, tuple(rows), total))
    shown: dict[_Cause, list[Problem]] = {}
    first = in_words(examples.select(SCHEMA.names()), tables)
    for key, problem in zip(examples.select(_CAUSE).iter_rows(), first, strict=True):
        shown.setdefault(key, []).append(problem)
    found = [
        _task(count, rows_of[tuple(key)], shown[tuple(key)])
        for count, *key in causes.select("len", *_CAUSE).iter_rows()
    ]
    return tuple(
        sorted(
            found,
            key=lambda task: (
                _RANK[task.severity],
                task.total > 0,
                -task.total,
                task.code,
                task.column or "",
            ),
        )
    )


def _task(count: int, where: Sequence[TaskRows], examples: Sequence[Problem]) -> Task:
    first = examples[0]
    label = _label(first.column, [problem.header for problem in examples])
    return Task(
        code=first.code,
        severity=first.severity,
        column=first.column,
        label=label,
        do=instruction(first.code, label),
        fix=translate(WORDS[first.code].fix),
        count=count,
        total=sum(rows.total for rows in where),
        where=tuple(where),
        examples=tuple(examples),
    )


def _label(column: str | None, headers: Sequence[str | None]) -> str:
    """Return the header of a column if all files agree on it, else its canonical name."""
    named = {header for header in headers if header}
    if len(named) == 1:
        return translate("“{name}”", name=named.pop())
    return translate("“{name}”", name=translate_word(column.replace("_", " "))) if column else ""
