"""Good rows and templates become groups: the rows whose templates read the same.

Templates are filled in and checked once per group. A group that breaks a rule is rejected with
its rows, and no other row is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer import problems
from importer.errors import TemplateError
from importer.mistakes import near
from importer.model import Group
from importer.templates import Kind, Pair, Templates, fill
from schemas.codes import Code
from schemas.columns import GROUP, OWN, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.model import Checked, Json
    from importer.settings import Settings

_POSITION: Final = "#position"
_LEADER: Final = "#leader"  # position of the first row of a row's group
_CAMPAIGN: Final = ("campaign", "external_campaign")
_NAMED_BY: Final = {Kind.MEETING: "meeting_template", Kind.PARTICIPANTS: "participant_template"}
_BRACES: Final = "a value that fills a placeholder cannot hold `{` or `}`"


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The rows that can be sent, and why others cannot.

    Attributes:
        frame: the ready rows of `Checked.frame` in their order, plus `#group` (UInt32).
        groups: in order of their first row.
        problems: a problem frame: `template-*` and `placeholder-missing`.
    """

    frame: pl.DataFrame = field(repr=False)
    groups: tuple[Group, ...]
    problems: pl.DataFrame = field(repr=False)


def group(checked: Checked, templates: Templates, settings: Settings) -> Grouped:
    """Put the good rows into groups.

    Args:
        checked: its rows name their templates (`meeting_template`, `participant_template`), the
            settings' ones already filled in.
        templates: where the templates are.
        settings: `conversation: campaign` needs no templates; `meeting` and `participants` must
            exist where they are set.

    Raises:
        TemplateError: the settings name a template that there is not, or one that rows use is
            wrong whatever the row; its text has a line for each mistake.
    """
    frame = checked.frame.with_row_index(_POSITION)
    if settings.conversation == "campaign":
        return _numbered(frame, _led(frame, _CAMPAIGN), {}, [])
    _refuse_settings(templates, settings)
    named, found = _named(frame, templates)
    parts = named.partition_by(*_NAMED_BY.values(), as_dict=True, maintain_order=True)
    pairs = _pairs(cast("Iterable[tuple[str, str]]", parts), templates)
    led = []
    for names, part in parts.items():
        pair = pairs[cast("tuple[str, str]", names)]
        good, faults = _fillable(part, pair)
        found += [*_strange(part, pair), *faults]
        led.append(_led(good, (*_CAMPAIGN, *_shared(pair))))
    return _numbered(frame, pl.concat(led) if led else _led(frame.clear(), ()), pairs, found)


def _refuse_settings(templates: Templates, settings: Settings) -> None:
    """Raise for templates that the settings name and that are not there."""
    file = settings.file.name if settings.file else "importer.yaml"
    wrong = [
        f"{file}: {key}: there is no {kind.words} `{name}`: {templates.like(kind, name)}."
        for kind, key, name in (
            (Kind.MEETING, "meeting", settings.meeting),
            (Kind.PARTICIPANTS, "participants", settings.participants),
        )
        if name is not None and name not in templates.names(kind)
    ]
    if wrong:
        raise TemplateError("\n".join(wrong))


def _named(frame: pl.DataFrame, templates: Templates) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows that name two templates that there are, and the problems of the others."""
    found = []
    good = pl.lit(value=True)
    for kind, column in _NAMED_BY.items():
        known = list(templates.names(kind))
        is_known = pl.col(column).is_in(pl.lit(pl.Series(known, dtype=pl.String)).implode())
        missing = frame.filter(pl.col(column).is_null())
        detail = pl.lit(kind.words)
        found.append(problems.at(missing, Code.TEMPLATE_MISSING, column=column, detail=detail))
        unknown = frame.filter(~is_known)
        names = unknown[column].unique().to_list()
        hints = pl.col(column).replace_strict(
            names, [templates.like(kind, name) for name in names], return_dtype=pl.String
        )
        if unknown.height:
            found.append(problems.at(unknown, Code.TEMPLATE_UNKNOWN, column=column, detail=hints))
        good &= is_known.fill_null(value=False)
    return frame.filter(good), found


def _pairs(names: Iterable[tuple[str, str]], templates: Templates) -> dict[tuple[str, str], Pair]:
    """Read every template that a row uses; raises TemplateError with the mistakes of all."""
    wrong: dict[str, None] = {}
    pairs = {}
    for meeting, participants in names:
        read = []
        for kind, name in ((Kind.MEETING, meeting), (Kind.PARTICIPANTS, participants)):
            try:
                read.append(templates.get(kind, name))
            except TemplateError as exc:
                wrong[str(exc)] = None
        if not wrong:
            pairs[meeting, participants] = Pair(*read)
    if wrong:
        raise TemplateError("\n".join(wrong))
    return pairs


def _strange(part: pl.DataFrame, pair: Pair) -> list[pl.DataFrame]:
    """The keys of a pair that no rule knows: problems of the first file that uses it."""
    return [
        problems.one(Code.TEMPLATE_KEY_UNKNOWN, source=part.item(0, SOURCE), detail=sentence)
        for template in (pair.meeting, pair.participants)
        for sentence in template.strange
    ]


def _fillable(part: pl.DataFrame, pair: Pair) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows that have a value for every placeholder, and the problems of the others."""
    found = []
    columns = [column for column in part.columns if not column.startswith("#")]
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
        good &= pl.col(name).is_not_null() & ~braced
    return part.filter(good), found


def _shared(pair: Pair) -> list[str]:
    """The placeholders whose values make a group: all that are not the candidate's own."""
    return sorted(pair.placeholders - OWN)


def _led(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The position of each row, and that of the first row with the same values."""
    first = pl.col(_POSITION).first()
    return frame.select(_POSITION, (first.over(columns) if columns else first).alias(_LEADER))


def _numbered(
    frame: pl.DataFrame,
    led: pl.DataFrame,
    pairs: Mapping[tuple[str, str], Pair],
    found: list[pl.DataFrame],
) -> Grouped:
    """Fill in and check each group once, and give the good ones their numbers."""
    sizes = led.group_by(_LEADER).len("#size").sort(_LEADER)
    leaders = sizes.join(frame, left_on=_LEADER, right_on=_POSITION, maintain_order="left")
    groups: list[Group] = []
    good: list[int] = []
    bad: list[tuple[int, str, str, str]] = []
    checked: dict[tuple[Pair | None, tuple[str, ...]], tuple[str, str] | None] = {}
    formal = {pair: sorted(pair.formal() - OWN) for pair in pairs.values()}
    for row in leaders.iter_rows(named=True):
        pair = pairs.get((row["meeting_template"], row["participant_template"]))
        values = {name: str(row[name]) for name in (_shared(pair) if pair else ())}
        if pair is not None:
            seen = (pair, tuple(values[name] for name in formal[pair]))
            if seen not in checked:
                checked[seen] = pair.broken(values)
            if (fault := checked[seen]) is not None:
                bad.append((row[_LEADER], fault[0], values.get(fault[0], ""), fault[1]))
                continue
        good.append(row[_LEADER])
        groups.append(_group(row, pair, values))
    numbers = pl.DataFrame({_LEADER: good}, schema={_LEADER: pl.UInt32}).with_row_index(GROUP)
    placed = led.join(numbers, on=_LEADER).select(_POSITION, GROUP)
    ready = frame.join(placed, on=_POSITION, maintain_order="left").drop(_POSITION)
    return Grouped(ready, tuple(groups), problems.joined([*found, _broken(frame, led, bad)]))


def _group(row: Mapping[str, object], pair: Pair | None, values: Mapping[str, str]) -> Group:
    """The group of its first row."""
    configuration = fill(pair.meeting.value, values) if pair else {}
    people = fill(pair.participants.value, values) if pair else []
    return Group(
        campaign=str(row["campaign"] or ""),
        external_campaign=str(row["external_campaign"] or ""),
        meeting=pair.meeting.name if pair else "",
        participants=pair.participants.name if pair else "",
        bindings=values,
        meeting_configuration=cast("Mapping[str, Json]", configuration),
        meeting_participants=tuple(cast("Sequence[Mapping[str, Json]]", people)),
        rows=cast("int", row["#size"]),
    )


def _broken(
    frame: pl.DataFrame, led: pl.DataFrame, bad: Sequence[tuple[int, str, str, str]]
) -> pl.DataFrame:
    """A problem for each row of the groups that break a rule."""
    names = {_LEADER: pl.UInt32, "#column": pl.String, "#value": pl.String, "#detail": pl.String}
    faults = pl.DataFrame(list(bad), schema=names, orient="row")
    rows = led.join(faults, on=_LEADER).join(frame.select(_POSITION, SOURCE, ROW), on=_POSITION)
    found = problems.at(
        rows, Code.TEMPLATE_INVALID, value=pl.col("#value"), detail=pl.col("#detail")
    )
    column = rows["#column"].replace("", None).alias("column")
    return found.with_columns(column)
