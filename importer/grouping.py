"""Good rows and templates become groups: the rows whose templates read the same.

Templates are filled in and checked once per group. A group that breaks a rule is rejected with
its rows, and no other row is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer import problems
from importer.model import Group
from importer.pairing import NAMED_BY, fillable, named, pairs_of, refuse_settings, shared, strange
from importer.placeholders import compiled
from schemas.codes import Code
from schemas.columns import GROUP, OWN, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from importer.model import Checked, Json
    from importer.settings import Settings
    from importer.templates import Pair, Templates

_POSITION: Final = "#position"
_LEADER: Final = "#leader"  # position of the first row of a row's group
_CAMPAIGN: Final = ("campaign", "external_campaign")


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
    refuse_settings(templates, settings)
    usable, found = named(frame, templates)
    names_used = usable.select(NAMED_BY.values()).unique(maintain_order=True)
    pairs = pairs_of(cast("Iterable[tuple[str, str]]", names_used.iter_rows()), templates)
    parts = _narrow(usable, pairs.values()).partition_by(
        *NAMED_BY.values(), as_dict=True, maintain_order=True
    )
    led = []
    for names, part in parts.items():
        pair = pairs[cast("tuple[str, str]", names)]
        good, faults = fillable(part, pair, frame.columns)
        found += [*strange(part, pair), *faults]
        led.append(_led(good, (*_CAMPAIGN, *shared(pair))))
    return _numbered(frame, pl.concat(led) if led else _led(frame.clear(), ()), pairs, found)


def _narrow(frame: pl.DataFrame, pairs: Iterable[Pair]) -> pl.DataFrame:
    """The rows with the columns alone that groups are made of: copies of the others are dear."""
    wanted = {_POSITION, SOURCE, ROW, *_CAMPAIGN, *NAMED_BY.values()}
    wanted.update(*(pair.placeholders for pair in pairs))
    return frame.select(name for name in frame.columns if name in wanted)


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
    used = {name for pair in pairs.values() for name in shared(pair)} | {*_CAMPAIGN}
    used = used.union(NAMED_BY.values()).intersection(frame.columns)
    firsts = frame.select(_POSITION, *sorted(used))
    leaders = sizes.join(firsts, left_on=_LEADER, right_on=_POSITION, maintain_order="left")
    groups: list[Group] = []
    good: list[int] = []
    bad: list[tuple[int, str, str, str]] = []
    checked: dict[tuple[Pair | None, tuple[str, ...]], tuple[str, str] | None] = {}
    formal = {pair: sorted(pair.formal() - OWN) for pair in pairs.values()}
    names = {pair: shared(pair) for pair in pairs.values()}
    fillers = {
        pair: (_filler(pair.meeting.value), _filler(pair.participants.value))
        for pair in pairs.values()
    }
    for row in leaders.iter_rows(named=True):
        pair = pairs.get((row["meeting_template"], row["participant_template"]))
        values = {name: str(row[name]) for name in (names[pair] if pair else ())}
        if pair is not None:
            seen = (pair, tuple(values[name] for name in formal[pair]))
            if seen not in checked:
                checked[seen] = pair.broken(values)
            if (fault := checked[seen]) is not None:
                bad.append((row[_LEADER], fault[0], values.get(fault[0], ""), fault[1]))
                continue
        good.append(row[_LEADER])
        configuration, people = fillers[pair] if pair else (_nothing, _nothing)
        groups.append(_group(row, values, configuration(values), people(values)))
    numbers = pl.DataFrame({_LEADER: good}, schema={_LEADER: pl.UInt32}).with_row_index(GROUP)
    placed = led.join(numbers, on=_LEADER).select(_POSITION, GROUP).sort(_POSITION)
    ready = frame if placed.height == frame.height else frame[placed[_POSITION]]
    ready = ready.drop(_POSITION).with_columns(placed[GROUP])
    return Grouped(ready, tuple(groups), problems.joined([*found, _broken(frame, led, bad)]))


def _filler(value: Json) -> Callable[[Mapping[str, str]], Json]:
    """Fills in one template for many groups."""
    filled = compiled(value)
    return (lambda _: value) if filled is None else filled


def _nothing(_: Mapping[str, str]) -> Json:
    """What a group without templates has."""
    return None


def _group(
    row: Mapping[str, object], values: Mapping[str, str], configuration: Json, people: Json
) -> Group:
    """The group of its first row; without templates, its two parts are empty."""
    meeting, participants = NAMED_BY.values()
    return Group(
        campaign=str(row["campaign"] or ""),
        external_campaign=str(row["external_campaign"] or ""),
        meeting=str(row[meeting]) if configuration is not None else "",
        participants=str(row[participants]) if people is not None else "",
        bindings=values,
        meeting_configuration=cast("Mapping[str, Json]", configuration or {}),
        meeting_participants=tuple(cast("Sequence[Mapping[str, Json]]", people or ())),
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
