"""Which rows have templates that they can use: named, found, readable, and all values there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer import problems
from importer.errors import TemplateError
from importer.mistakes import near
from importer.templates import Kind, Pair, Templates
from schemas.codes import Code
from schemas.columns import OWN, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.settings import Settings

NAMED_BY: Final = {Kind.MEETING: "meeting_template", Kind.PARTICIPANTS: "participant_template"}
"""The column in which a row names its template of each kind."""

_HINTED: Final = 200  # so many unknown names get a suggestion of their own
_BRACES: Final = "a value that fills a placeholder cannot hold `{` or `}`"


def refuse_settings(templates: Templates, settings: Settings) -> None:
    """Raise for templates that the settings name and that are not there."""
    wrong = [
        f"`{key}` (importer.yaml or --{key}): there is no {kind.words} `{name}`: "
        f"{templates.like(kind, name)}."
        for kind, key, name in (
            (Kind.MEETING, "meeting", settings.meeting),
            (Kind.PARTICIPANTS, "participants", settings.participants),
        )
        if name is not None and name not in templates.names(kind)
    ]
    if wrong:
        raise TemplateError("\n".join(wrong))


def named(frame: pl.DataFrame, templates: Templates) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows that name two templates that there are, and the problems of the others."""
    found = []
    good = pl.lit(value=True)
    for kind, column in NAMED_BY.items():
        known = list(templates.names(kind))
        is_known = pl.col(column).is_in(pl.lit(pl.Series(known, dtype=pl.String)).implode())
        missing = frame.filter(pl.col(column).is_null())
        detail = pl.lit(kind.words)
        found.append(problems.at(missing, Code.TEMPLATE_MISSING, column=column, detail=detail))
        unknown = frame.filter(~is_known)
        names = unknown[column].unique(maintain_order=True).head(_HINTED).to_list()
        hints = pl.col(column).replace_strict(
            names,
            [templates.like(kind, name) for name in names],
            default=pl.lit(templates.like(kind, "")),
            return_dtype=pl.String,
        )
        if unknown.height:
            found.append(problems.at(unknown, Code.TEMPLATE_UNKNOWN, column=column, detail=hints))
        good &= is_known.fill_null(value=False)
    return _only(frame, good), found


def _only(frame: pl.DataFrame, good: pl.Expr) -> pl.DataFrame:
    """The rows that are good; the frame itself where all are."""
    kept = frame.select(good.fill_null(value=False).alias("good")).to_series()
    if kept.len() < frame.height:  # good is the same for every row
        kept = kept.new_from_index(0, frame.height)
    return frame if kept.all() else frame.filter(kept)


def pairs_of(
    names: Iterable[tuple[str, ...]], templates: Templates
) -> tuple[dict[tuple[str, ...], Pair], list[str]]:
    """Read pairs of templates: those that can be used, and the mistakes of the others."""
    pairs: dict[tuple[str, ...], Pair] = {}
    wrong: list[str] = []
    for meeting, participants in names:
        read = []
        for kind, name in ((Kind.MEETING, meeting), (Kind.PARTICIPANTS, participants)):
            try:
                read.append(templates.get(kind, name))
            except TemplateError as exc:
                wrong.append(str(exc))
        if len(read) == len(Kind):
            pairs[meeting, participants] = Pair(*read)
    return pairs, wrong


def strange(part: pl.DataFrame, pair: Pair) -> list[pl.DataFrame]:
    """The keys of a pair that no rule knows: problems of the first file that uses it."""
    return [
        problems.one(Code.TEMPLATE_KEY_UNKNOWN, source=part.item(0, SOURCE), detail=sentence)
        for template in (pair.meeting, pair.participants)
        for sentence in template.strange
    ]


def fillable(
    part: pl.DataFrame, pair: Pair, columns: Sequence[str]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows that have a value for every placeholder, and the problems of the others.

    Args:
        part: rows that name the pair.
        pair: two templates.
        columns: of the whole table; one of them may be meant by a placeholder that is none.
    """
    found = []
    columns = [column for column in columns if not column.startswith("#")]
    good = pl.lit(value=True)
    for name in sorted(pair.placeholders):
        said = f"`{{{name}}}`"
        if name not in columns:
            meant = near(name, columns)
            said += f" (perhaps `{{{meant}}}` is meant)" if meant else ""
            part = part.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        missing = part.filter(pl.col(name).is_null())
        detail = pl.lit(said)
        found.append(problems.at(missing, Code.PLACEHOLDER_MISSING, column=name, detail=detail))
        # A brace would be read again as a placeholder, by us or by the API.
        braced = pl.col(name).str.contains("[{}]").fill_null(value=False)
        detail = pl.lit(_BRACES)
        at_fault = part.filter(braced)
        found.append(problems.at(at_fault, Code.TEMPLATE_INVALID, column=name, detail=detail))
        if missing.height or at_fault.height:
            good &= pl.col(name).is_not_null() & ~braced
    return _only(part, good), found


def shared(pair: Pair) -> list[str]:
    """The placeholders whose values make a group: all that are not the candidate's own."""
    return sorted(pair.placeholders - OWN)
