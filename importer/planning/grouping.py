"""Which rows have templates that they can use: named, found, readable, and all values there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer import problems
from importer.errors import TemplateError
from importer.model import Group
from importer.planning.placeholders import compiled, names_in, texts
from importer.planning.template_files import Pair, TemplateKind, Templates
from importer.yaml_files import near
from schemas.codes import Code
from schemas.columns import GROUP, OWN, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from importer.model import Json
    from importer.settings import Settings


NAMED_BY: Final = {
    TemplateKind.MEETING: "meeting_template",
    TemplateKind.PARTICIPANTS: "participant_template",
}
"""The column in which a row names its template of each kind."""

_IN_FIELDS: Final = " (in conversation_fields)"
_HINTED: Final = 200  # so many unknown names get a suggestion of their own
_BRACES: Final = "a value that fills a placeholder cannot hold `{` or `}`"


def refuse_settings(templates: Templates, settings: Settings) -> None:
    """Raise for templates that the settings name and that are not there."""
    wrong = [
        f"`{key}` (importer.yaml or --{key}): there is no {kind.words} `{name}`: "
        f"{templates.like(kind, name)}."
        for kind, key, name in (
            (TemplateKind.MEETING, "meeting", settings.meeting),
            (TemplateKind.PARTICIPANTS, "participants", settings.participants),
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
        for kind, name in (
            (TemplateKind.MEETING, meeting),
            (TemplateKind.PARTICIPANTS, participants),
        ):
            try:
                read.append(templates.get(kind, name))
            except TemplateError as exc:
                wrong.append(str(exc))
        if len(read) == len(TemplateKind):
            pairs[meeting, participants] = Pair(*read)
    return pairs, wrong


def strange(part: pl.DataFrame, pair: Pair) -> list[pl.DataFrame]:
    """What looks odd in a pair but is sent: problems of the first file that uses it."""
    return [
        problems.one(code, source=part.item(0, SOURCE), detail=sentence)
        for template in (pair.meeting, pair.participants)
        for code, sentences in (
            (Code.TEMPLATE_KEY_UNKNOWN, template.strange),
            (Code.TEMPLATE_UNUSUAL, template.unusual),
        )
        for sentence in sentences
    ]


def fillable(
    part: pl.DataFrame, placeholders: Mapping[str, str], columns: Sequence[str]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows that have a value for every placeholder, and the problems of the others.

    Args:
        part: rows that take these placeholders.
        placeholders: name -> where it stands, for the message; empty in a template.
        columns: of the whole table; one of them may be meant by a placeholder that is none.
    """
    found = []
    columns = [column for column in columns if not column.startswith("#")]
    good = pl.lit(value=True)
    for name, place in sorted(placeholders.items()):
        said = f"`{{{name}}}`{place}"
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


_POSITION: Final = "#position"
_LEADER: Final = "#leader"  # position of the first row of a row's group
_CAMPAIGN: Final = ("campaign", "external_campaign")

_Names = tuple[str, ...]
_Finding = tuple[int, str, str, str]
"""The leader of a group, the placeholder and the value at fault, and a sentence."""
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
            exist if they are set; `conversation_fields` take values from rows, too.

    Raises:
        TemplateError: the settings name a template that there is not.
    """

    def __init__(self, templates: Templates, settings: Settings) -> None:
        self._templates = templates
        self._alone = settings.conversation == "campaign"
        if not self._alone:
            refuse_settings(templates, settings)
        self._fields = _Fields(settings.conversation_fields)
        self._groups: list[Group] = []
        self._found: dict[tuple[str | None, ...], int | _Fault] = {}
        self._pairs: dict[_Names, _Filling] = {}
        self._wrong: dict[str, None] = {}
        self._unusual: dict[int, _Fault] = {}

    def take(self, frame: pl.DataFrame) -> Grouped:
        """Groups the next rows.

        Args:
            frame: good rows that name their templates (`meeting_template`,
                `participant_template`), the settings' ones already filled in; every part has the
                same columns.
        """
        frame = frame.with_row_index(_POSITION)
        fields = dict.fromkeys(self._fields.placeholders, _IN_FIELDS)
        if self._alone:
            good, faults = fillable(_narrow(frame, fields), fields, frame.columns)
            return self._numbered(frame, _led(good, (*_CAMPAIGN, *self._fields.shared)), faults)
        usable, found = named(frame, self._templates)
        self._read(usable.select(NAMED_BY.values()).unique(maintain_order=True).rows())
        placeholders = {name for each in self._pairs.values() for name in each.pair.placeholders}
        parts = _narrow(usable, {*placeholders, *fields}).partition_by(
            *NAMED_BY.values(), as_dict=True, maintain_order=True
        )
        led = []
        for names, part in parts.items():
            filling = self._pairs.get(cast("_Names", names))
            if filling is None:
                continue  # the template is wrong, and `groups` will say so
            taken = fields | dict.fromkeys(filling.pair.placeholders, "")
            good, faults = fillable(part, taken, frame.columns)
            found += [*filling.strange(part), *faults]
            led.append(_led(good, (*_CAMPAIGN, *self._shared_by(filling))))
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

    def _shared_by(self, filling: _Filling | None) -> list[str]:
        """The placeholders whose values make a group, in the templates and in the fields."""
        return sorted({*(filling.shared if filling else ()), *self._fields.shared})

    def _numbered(
        self, frame: pl.DataFrame, led: pl.DataFrame, found: list[pl.DataFrame]
    ) -> Grouped:
        """Fill in and check each new group once, and give rows the numbers of theirs."""
        shared = {name for each in self._pairs.values() for name in self._shared_by(each)}
        shared.update(self._fields.shared)
        used = {*shared, *_CAMPAIGN, *NAMED_BY.values()}.intersection(frame.columns)
        leaders = led.select(pl.col(_LEADER).unique().sort()).join(
            frame.select(_POSITION, *sorted(used)),
            left_on=_LEADER,
            right_on=_POSITION,
            maintain_order="left",
        )
        good: list[int] = []
        numbers: list[int] = []
        bad: list[_Finding] = []
        unusual: list[_Finding] = []
        for row in leaders.iter_rows(named=True):
            number = self._number(row)
            if isinstance(number, int):
                good.append(row[_LEADER])
                numbers.append(number)
                if odd := self._unusual.get(number):
                    unusual.append((row[_LEADER], odd[0], str(row.get(odd[0]) or ""), odd[1]))
            else:
                bad.append((row[_LEADER], number[0], str(row.get(number[0]) or ""), number[1]))
        known = pl.DataFrame(
            {_LEADER: good, GROUP: numbers}, schema={_LEADER: pl.UInt32, GROUP: pl.UInt32}
        )
        placed = led.join(known, on=_LEADER).select(_POSITION, GROUP).sort(_POSITION)
        ready = frame if placed.height == frame.height else frame[placed[_POSITION]]
        ready = ready.drop(_POSITION).with_columns(placed[GROUP])
        for findings, code in ((bad, Code.TEMPLATE_INVALID), (unusual, Code.TEMPLATE_UNUSUAL)):
            found.append(_of_groups(frame, led, findings, code))
        return Grouped(ready, problems.joined(found))

    def _number(self, row: Mapping[str, str | None]) -> int | _Fault:
        """The number of a row's group, which is made where it is new; or why it cannot be."""
        names = tuple(str(row[column]) for column in NAMED_BY.values())
        filling = None if self._alone else self._pairs[names]
        shared = self._shared_by(filling)
        key = (*(() if self._alone else names), *(row[name] for name in (*_CAMPAIGN, *shared)))
        known = self._found.get(key)
        if known is not None:
            return known
        values = {name: str(row[name]) for name in shared}
        fault = filling.broken(values) if filling else None
        if fault is None:
            self._groups.append(_group(row, values, filling, self._fields))
            odd = filling.find_unusual(values) if filling else None
            if odd is not None:
                self._unusual[len(self._groups) - 1] = odd
        self._found[key] = found = len(self._groups) - 1 if fault is None else fault
        return found


class _Fields:
    """The setting `conversation_fields`, filled in for many groups."""

    def __init__(self, fields: Mapping[str, Json]) -> None:
        self.placeholders = {name for _, text in texts(fields) for name in names_in(text)}
        self.shared = sorted(self.placeholders - OWN)
        self._fill = _filler(fields)

    def filled(self, values: Mapping[str, str]) -> Mapping[str, Json]:
        """The fields with these values; the candidate's own stay open."""
        return cast("Mapping[str, Json]", self._fill(values))


class _Filling:
    """Fills in a pair of templates for many groups, and checks no values twice."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.shared = shared(pair)
        self._formal = sorted(pair.formal() - OWN)
        self._checked: dict[tuple[str, ...], _Fault | None] = {}
        self._odd: dict[tuple[str, ...], _Fault | None] = {}
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

    def find_unusual(self, values: Mapping[str, str]) -> _Fault | None:
        """The first value that makes the pair look wrong by an inferred rule, or None."""
        seen = tuple(values[name] for name in self._formal)
        if seen not in self._odd:
            self._odd[seen] = self.pair.find_unusual(values)
        return self._odd[seen]

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
    row: Mapping[str, str | None],
    values: Mapping[str, str],
    filling: _Filling | None,
    fields: _Fields,
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
        conversation_fields=fields.filled(values),
    )


def _of_groups(
    frame: pl.DataFrame, led: pl.DataFrame, bad: Sequence[_Finding], code: Code
) -> pl.DataFrame:
    """A problem for each row of the groups that have a finding."""
    names = {_LEADER: pl.UInt32, "#column": pl.String, "#value": pl.String, "#detail": pl.String}
    faults = pl.DataFrame(list(bad), schema=names, orient="row")
    rows = led.join(faults, on=_LEADER).join(frame.select(_POSITION, SOURCE, ROW), on=_POSITION)
    found = problems.at(rows, code, value=pl.col("#value"), detail=pl.col("#detail"))
    column = rows["#column"].replace("", None).cast(problems.COLUMN).alias("column")
    return found.with_columns(column)
