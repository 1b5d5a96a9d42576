"""Problem frames: many problems as codes, and their words when they are shown.

A problem frame has the columns of `SCHEMA`. It holds codes and details. Default severities,
messages and fixes are in `schemas.codes` and are added when the problems are shown, in the reader's
language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.languages import ENGLISH, language, translate, translate_filled
from importer.model import Problem
from schemas.codes import WORDS, Code, Severity
from schemas.columns import PERSONAL, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importer.model import Plan, Table

COLUMN: Final = pl.Categorical()
_CODE: Final = pl.Enum([code.value for code in Code])
_SEVERITY: Final = pl.Enum([severity.value for severity in Severity])

SCHEMA: Final = pl.Schema(
    {
        SOURCE: pl.UInt16(),
        ROW: pl.UInt32(),
        "column": COLUMN,
        "code": _CODE,
        "severity": _SEVERITY,
        "value": pl.String(),
        "detail": pl.String(),
    }
)


def empty() -> pl.DataFrame:
    """Return a problem frame without rows."""
    return SCHEMA.to_frame()


def one(
    code: Code,
    *,
    row: int | None = None,
    column: str | None = None,
    value: str = "",
    detail: str = "",
    source: int = 0,
) -> pl.DataFrame:
    """Return a problem frame with one problem, at its code's default severity."""
    severity = WORDS[code].severity
    return pl.DataFrame(
        [(source, row, column, code.value, severity.value, value, detail)],
        schema=SCHEMA,
        orient="row",
    )


def at(
    frame: pl.DataFrame,
    code: Code,
    *,
    column: str | None = None,
    value: pl.Expr | None = None,
    detail: pl.Expr | None = None,
) -> pl.DataFrame:
    """Return one problem for each row of a frame that has `#source` and `#row`.

    Args:
        frame: the rows at fault, already filtered.
        code: the fault.
        column: canonical column or placeholder name; None for the whole row.
        value: text expression; by default the cell.
        detail: text expression that completes the message.
    """
    if value is None:
        value = pl.col(column) if column is not None and column in frame.columns else pl.lit("")
    return frame.select(
        pl.col(SOURCE).cast(pl.UInt16),
        pl.col(ROW).cast(pl.UInt32),
        pl.lit(column, dtype=COLUMN).alias("column"),
        pl.lit(code.value, dtype=_CODE).alias("code"),
        pl.lit(WORDS[code].severity.value, dtype=_SEVERITY).alias("severity"),
        value.fill_null("").alias("value"),
        (pl.lit("") if detail is None else detail.fill_null("")).alias("detail"),
    )


def concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put all problems into one frame, by file and row; a file's own problems come first."""
    found = [frame for frame in frames if frame.height]
    if not found:
        return empty()
    whole = pl.concat(found)
    place = pl.col(SOURCE).cast(pl.UInt64) * 2**32 + pl.col(ROW).fill_null(0)
    if whole.select(place.is_sorted()).item():
        return whole
    return whole.sort(place, maintain_order=True)


def file_errors(plan: Plan) -> pl.DataFrame:
    """Return the errors that keep a whole file out: those without a row, or at its header."""
    headers = [table.source.header_row for table in plan.tables]
    header = pl.col(SOURCE).replace_strict(
        range(len(headers)), headers, default=0, return_dtype=pl.UInt32
    )
    whole = pl.col(ROW).is_null() | (pl.col(ROW) <= header)
    return errors(plan.problems).filter(whole)


def merge_missing_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the problems with one for each column that a file lacks, instead of one for each row.

    Rows keep their problem in the plan, so that each has its reason; a reader needs it once.
    """
    of_rows = (
        (pl.col("code") == Code.COLUMN_MISSING.value)
        & pl.col("column").is_not_null()
        & (pl.col("value") == "")
    )
    if not frame.filter(of_rows).height:
        return frame
    repeated = of_rows & ~pl.struct(SOURCE, "column").is_first_distinct().over(of_rows)
    whole_file = pl.when(of_rows).then(None).otherwise(ROW).alias(ROW)
    return concat([frame.filter(~repeated).with_columns(whole_file)])


def with_severities(frame: pl.DataFrame, severities: Mapping[Code, Severity]) -> pl.DataFrame:
    """Replace default severities by the user's."""
    if not severities:
        return frame
    own = {code.value: severity.value for code, severity in severities.items()}
    chosen = pl.col("code").replace_strict(own, default=None, return_dtype=_SEVERITY)
    return frame.with_columns(pl.coalesce(chosen, "severity").alias("severity"))


def errors(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the problems that are errors: they keep their row from being sent."""
    return frame.filter(pl.col("severity") == Severity.ERROR.value)


def in_words(frame: pl.DataFrame, tables: Sequence[Table]) -> Iterator[Problem]:
    """Yield the problems one by one, with names, headers, messages and fixes."""
    headers = [
        {column: header for header, column in (*table.extra.items(), *table.mapping.items())}
        for table in tables
    ]
    for source, row, column, code, severity, value, detail in frame.iter_rows():
        words = WORDS[Code(code)]
        header = headers[source].get(column) if column is not None else None
        yield Problem(
            source=tables[source].source.name,
            row=row,
            column=column,
            header=header,
            code=Code(code),
            severity=Severity(severity),
            value=value,
            message=translate(
                words.message, header=header or column or "", detail=translate_filled(detail)
            ),
            fix=translate(words.fix),
            personal=column is None or column in PERSONAL,
        )


def with_words(frame: pl.DataFrame, tables: Sequence[Table]) -> pl.DataFrame:
    """Add `source` (name), `header`, `message`, `fix` and `personal` to a problem frame.

    The same words as `in_words`, in bulk; order and number of the problems stay.
    """
    headers = [
        {column: header for header, column in (*table.extra.items(), *table.mapping.items())}
        for table in tables
    ]
    causes = frame.select(SOURCE, "column", "code").unique(maintain_order=True)
    worded = []
    for source, column, code in causes.iter_rows():
        words = WORDS[Code(code)]
        header = headers[source].get(column) if column is not None else None
        before, detail, after = translate(words.message).partition("{detail}")
        named = header or column or ""
        worded.append(
            {
                SOURCE: source,
                "column": column,
                "code": code,
                "source": tables[source].source.name,
                "header": header,
                "before": before.replace("{header}", named),
                "after": after.replace("{header}", named),
                "detailed": bool(detail),
                "fix": translate(words.fix),
                "personal": column is None or column in PERSONAL,
            }
        )
    text, flag = pl.String(), pl.Boolean()
    words_of = pl.DataFrame(
        worded,
        schema={
            **{name: SCHEMA[name] for name in (SOURCE, "column", "code")},
            **dict.fromkeys(("source", "header", "before", "after"), text),
            "detailed": flag,
            "fix": text,
            "personal": flag,
        },
    )
    shown = pl.when("detailed").then(_detail_in_words(frame)).otherwise(pl.lit(""))
    return (
        frame.join(
            words_of,
            on=[SOURCE, "column", "code"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        .with_columns(pl.concat_str("before", shown, "after").alias("message"))
        .drop("before", "after", "detailed")
    )


def _detail_in_words(frame: pl.DataFrame) -> pl.Expr:
    """Return the details in the reader's language; each is looked up once."""
    if language() == ENGLISH:
        return pl.col("detail")
    details = frame["detail"].unique().to_list()
    return pl.col("detail").replace(details, [translate_filled(detail) for detail in details])
