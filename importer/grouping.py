"""Good rows and templates become groups: the rows whose templates read the same.

Templates are filled in and checked once per group. A group that breaks a rule is rejected with
its rows, and no other row is touched. The rows come part by part; a group goes on in later parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer import problems
from importer.errors import TemplateError
from importer.model import Group
from importer.pairing import NAMED_BY, fillable, named, pairs_of, refuse_settings, shared, strange
from importer.placeholders import compiled
from schemas.codes import Code
from schemas.columns import GROUP, OWN, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from importer.model import Json
    from importer.settings import Settings
    from importer.templates import Pair, Templates

_POSITION: Final = "#position"
_LEADER: Final = "#leader"  # position of the first row of a row's group
_CAMPAIGN: Final = ("campaign", "external_campaign")

_Names = tuple[str, ...]
_Fault = tuple[str, str]
"""The placeholder whose value is at fault (empty where it is none alone), and a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The rows that can be sent, and why others cannot.

    Attributes:
        frame: the ready rows of the frame that was given, in their order, plus `#group` (UInt32).
        problems: a problem frame: `template-*` and `placeholder-missing`.
    """

    frame: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)


class Grouping:
    """Puts good rows into groups, part by part.

    Args:
        templates: where the templates are.
        settings: `conversation: campaign` needs no templates; `meeting` and `participants` must
            exist where they are set.

    Raises:
        TemplateError: the settings name a template that there is not.
    """

    def __init__(self, templates: Templates, settings: Settings) -> None:
        self._templates = templates
        self._alone = settings.conversation == "campaign"
        if not self._alone:
            refuse_settings(templates, settings)
        self._groups: list[Group] = []
        self._found: dict[tuple[str | None, ...], int | _Fault] = {}
        self._pairs: dict[_Names, _Filling] = {}
        self._wrong: dict[str, None] = {}

    def take(self, frame: pl.DataFrame) -> Grouped:
        """Groups the next rows.

        Args:
            frame: good rows that name their templates (`meeting_template`,
                `participant_template`), the settings' ones already filled in; every part has the
                same columns.
        """
        frame = frame.with_row_index(_POSITION)
        if self._alone:
            return self._numbered(frame, _led(frame, _CAMPAIGN), [])
        usable, found = named(frame, self._templates)
        self._read(usable.select(NAMED_BY.values()).unique(maintain_order=True).rows())
        placeholders = {name for each in self._pairs.values() for name in each.pair.placeholders}
        parts = _narrow(usable, placeholders).partition_by(
            *NAMED_BY.values(), as_dict=True, maintain_order=True
        )
        led = []
        for names, part in parts.items():
            filling = self._pairs.get(cast("_Names", names))
            if filling is None:
                continue  # the template is wrong, and `groups` will say so
            good, faults = fillable(part, filling.pair, frame.columns)
            found += [*filling.strange(part), *faults]
            led.append(_led(good, (*_CAMPAIGN, *filling.shared)))
        return self._numbered(frame, pl.concat(led) if led else _led(frame.clear(), ()), found)

    @property
    def so_far(self) -> tuple[Group, ...]:
        """The groups of the rows that were taken, without their sizes."""
        return tuple(self._groups)

    def groups(self, sizes: Mapping[int, int]) -> tuple[Group, ...]:
        """All groups, in order of their first row.

        Args:
            sizes: how many rows are ready in each; none in those that are not there.

        Raises:
            TemplateError: a template that rows use is wrong whatever the row; its text has a line
                for each mistake.
        """
        if self._wrong:
            raise TemplateError("\n".join(self._wrong))
        return tuple(
            replace(group, rows=sizes.get(number, 0)) for number, group in enumerate(self._groups)
        )

    def _read(self, names: Iterable[_Names]) -> None:
        """Reads the templates that rows name and that were not named before."""
        new = [pair for pair in names if pair not in self._pairs]
        pairs, wrong = pairs_of(new, self._templates)
        self._pairs |= {pair: _Filling(read) for pair, read in pairs.items()}
        self._wrong |= dict.fromkeys(wrong)

    def _numbered(
        self, frame: pl.DataFrame, led: pl.DataFrame, found: list[pl.DataFrame]
    ) -> Grouped:
        """Fill in and check each new group once, and give rows the numbers of theirs."""
        shared = {name for each in self._pairs.values() for name in each.shared}
        used = {*shared, *_CAMPAIGN, *NAMED_BY.values()}.intersection(frame.columns)
        leaders = led.select(pl.col(_LEADER).unique().sort()).join(
            frame.select(_POSITION, *sorted(used)),
            left_on=_LEADER,
            right_on=_POSITION,
            maintain_order="left",
        )
        good: list[int] = []
        numbers: list[int] = []
        bad: list[tuple[int, str, str, str]] = []
        for row in leaders.iter_rows(named=True):
            number = self._number(row)
            if isinstance(number, int):
                good.append(row[_LEADER])
                numbers.append(number)
            else:
                bad.append((row[_LEADER], number[0], str(row.get(number[0]) or ""), number[1]))
        known = pl.DataFrame(
            {_LEADER: good, GROUP: numbers}, schema={_LEADER: pl.UInt32, GROUP: pl.UInt32}
        )
        placed = led.join(known, on=_LEADER).select(_POSITION, GROUP).sort(_POSITION)
        ready = frame if placed.height == frame.height else frame[placed[_POSITION]]
        ready = ready.drop(_POSITION).with_columns(placed[GROUP])
        return Grouped(ready, problems.joined([*found, _broken(frame, led, bad)]))

    def _number(self, row: Mapping[str, str | None]) -> int | _Fault:
        """The number of a row's group, which is made where it is new; or why it cannot be."""
        names = tuple(str(row[column]) for column in NAMED_BY.values())
        filling = None if self._alone else self._pairs[names]
        shared = filling.shared if filling else ()
        key = (*(() if self._alone else names), *(row[name] for name in (*_CAMPAIGN, *shared)))
        known = self._found.get(key)
        if known is not None:
            return known
        values = {name: str(row[name]) for name in shared}
        fault = filling.broken(values) if filling else None
        if fault is None:
            self._groups.append(_group(row, values, filling))
        self._found[key] = found = len(self._groups) - 1 if fault is None else fault
        return found


class _Filling:
    """Fills in a pair of templates for many groups, and checks no values twice."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.shared = shared(pair)
        self._formal = sorted(pair.formal() - OWN)
        self._checked: dict[tuple[str, ...], _Fault | None] = {}
        self._strange_said = False
        self._meeting = _filler(pair.meeting.value)
        self._participants = _filler(pair.participants.value)

    def strange(self, part: pl.DataFrame) -> list[pl.DataFrame]:
        """The keys of the pair that no rule knows: problems of the first file that uses it."""
        if self._strange_said:
            return []
        self._strange_said = True
        return strange(part, self.pair)

    def broken(self, values: Mapping[str, str]) -> _Fault | None:
        """The first rule that the pair breaks with these values, or None."""
        seen = tuple(values[name] for name in self._formal)
        if seen not in self._checked:
            self._checked[seen] = self.pair.broken(values)
        return self._checked[seen]

    def filled(self, values: Mapping[str, str]) -> tuple[Json, Json]:
        """Meeting and participants with these values."""
        return self._meeting(values), self._participants(values)


def _narrow(frame: pl.DataFrame, placeholders: Collection[str]) -> pl.DataFrame:
    """The rows with the columns alone that groups are made of: copies of the others are dear."""
    wanted = {_POSITION, SOURCE, ROW, *_CAMPAIGN, *NAMED_BY.values(), *placeholders}
    return frame.select(name for name in frame.columns if name in wanted)


def _led(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The position of each row, and that of the first row with the same values."""
    first = pl.col(_POSITION).first()
    return frame.select(_POSITION, (first.over(columns) if columns else first).alias(_LEADER))


def _filler(value: Json) -> Callable[[Mapping[str, str]], Json]:
    """Fills in one template for many groups."""
    filled = compiled(value)
    return (lambda _: value) if filled is None else filled


def _group(
    row: Mapping[str, str | None], values: Mapping[str, str], filling: _Filling | None
) -> Group:
    """The group of its first row, without rows yet; without templates, its two parts are empty."""
    configuration, people = filling.filled(values) if filling else (None, None)
    meeting, participants = NAMED_BY.values()
    return Group(
        campaign=row["campaign"] or "",
        external_campaign=row["external_campaign"] or "",
        meeting=row[meeting] or "" if filling else "",
        participants=row[participants] or "" if filling else "",
        bindings=values,
        meeting_configuration=cast("Mapping[str, Json]", configuration or {}),
        meeting_participants=tuple(cast("Sequence[Mapping[str, Json]]", people or ())),
        rows=0,
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
    column = rows["#column"].replace("", None).cast(problems.COLUMN).alias("column")
    return found.with_columns(column)
