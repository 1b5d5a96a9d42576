"""Group rows by campaign, templates and template values, and report rows that fit no group."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from importer import problems
from importer.errors import TemplateError
from importer.model import Group
from importer.planning.placeholders import compile_value, names_in, texts
from importer.planning.template_files import Pair, TemplateKind, Templates
from importer.settings.yaml_files import closest_name
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
"""Kind of template -> the column in which a row names it."""

_IN_FIELDS: Final = " (in conversation_fields)"
_HINTED: Final = 200  # unknown names that get their own suggestion
_BRACES: Final = "a value that fills a placeholder cannot contain `{` or `}`"


def require_templates_of_settings(templates: Templates, settings: Settings) -> None:
    """Raise TemplateError if the settings name a template that does not exist."""
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


def check_names(
    frame: pl.DataFrame, templates: Templates
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the rows that name two existing templates, and the problems of the others."""
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
    """Return the rows that are good; the frame itself if all are."""
    kept = frame.select(good.fill_null(value=False).alias("good")).to_series()
    if kept.len() < frame.height:  # good is the same for every row
        kept = kept.new_from_index(0, frame.height)
    return frame if kept.all() else frame.filter(kept)


def read_pairs(
    names: Iterable[tuple[str, ...]], templates: Templates
) -> tuple[dict[tuple[str, ...], Pair], list[str]]:
    """Read pairs of templates: the usable pairs, and the mistakes of the others."""
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


def find_template_warnings(part: pl.DataFrame, pair: Pair) -> list[pl.DataFrame]:
    """Warn about a pair that is sent nevertheless, at the first file that uses it."""
    return [
        problems.one(code, source=part.item(0, SOURCE), detail=sentence)
        for template in (pair.meeting, pair.participants)
        for code, sentences in (
            (Code.TEMPLATE_KEY_UNKNOWN, template.unknown_keys),
            (Code.TEMPLATE_UNUSUAL, template.unusual),
        )
        for sentence in sentences
    ]


def check_placeholders(
    part: pl.DataFrame, placeholders: Mapping[str, str], columns: Sequence[str]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return the rows that have a value for every placeholder, and the problems of the others.

    Args:
        part: rows that use these placeholders.
        placeholders: name -> a hint for the message about where it is; empty for a template.
        columns: the columns of the whole table, to suggest one if a placeholder names none.
    """
    found = []
    columns = [column for column in columns if not column.startswith("#")]
    good = pl.lit(value=True)
    for name, place in sorted(placeholders.items()):
        shown = f"`{{{name}}}`{place}"
        if name not in columns:
            meant = closest_name(name, columns)
            shown += f" (perhaps `{{{meant}}}` is meant)" if meant else ""
            part = part.with_columns(pl.lit(None, dtype=pl.String).alias(name))
        missing = part.filter(pl.col(name).is_null())
        detail = pl.lit(shown)
        found.append(problems.at(missing, Code.PLACEHOLDER_MISSING, column=name, detail=detail))
        # A brace would be read again as a placeholder, by us or by the API.
        braced = pl.col(name).str.contains("[{}]").fill_null(value=False)
        detail = pl.lit(_BRACES)
        at_fault = part.filter(braced)
        found.append(problems.at(at_fault, Code.TEMPLATE_INVALID, column=name, detail=detail))
        if missing.height or at_fault.height:
            good &= pl.col(name).is_not_null() & ~braced
    return _only(part, good), found


def shared_placeholders(pair: Pair) -> list[str]:
    """Return the placeholders that define a group: all but the candidate's own."""
    return sorted(pair.placeholders - OWN)


_POSITION: Final = "#position"
_LEADER: Final = "#leader"  # position of the first row of a row's group
_CAMPAIGN: Final = ("campaign", "external_campaign")

_Names = tuple[str, ...]
_Finding = tuple[int, str, str, str]
"""The leader of a group, the placeholder and the value at fault, and a sentence."""
_Fault = tuple[str, str]
"""The placeholder whose value is at fault (empty if it is not a single one), and a sentence."""


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
    """Groups good rows, part by part.

    Args:
        templates: where the templates are.
        settings: `conversation: campaign` needs no templates; `meeting` and `participants` must
            exist if they are set; `conversation_fields` take values from rows, too.

    Raises:
        TemplateError: the settings name a template that does not exist.
    """

    def __init__(self, templates: Templates, settings: Settings) -> None:
        self._templates = templates
        self._without_templates = settings.conversation == "campaign"
        if not self._without_templates:
            require_templates_of_settings(templates, settings)
        self._fields = _Fields(settings.conversation_fields)
        self._groups: list[Group] = []
        self._found: dict[tuple[str | None, ...], int | _Fault] = {}
        self._pairs: dict[_Names, _Filling] = {}
        self._wrong: dict[str, None] = {}
        self._unusual: dict[int, _Fault] = {}

    def take(self, frame: pl.DataFrame) -> Grouped:
        """Group the next rows.

        Args:
            frame: good rows that name their templates (`meeting_template`,
                `participant_template`), the settings' ones already filled in; every part has the
                same columns.
        """
        frame = frame.with_row_index(_POSITION)
        parts, found = self._check_parts(frame)
        leading = [
            _find_leaders(
                good, (*_CAMPAIGN, *(self._shared_by(filling) if filling else self._fields.shared))
            )
            for filling, good in parts
        ]
        return self._number_groups(
            frame, pl.concat(leading) if leading else _find_leaders(frame.clear(), ()), found
        )

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the problems that rows have with their templates; they join no group.

        Args:
            frame: rows that are rejected for another reason, so that all reasons come at once.
        """
        if not frame.height:
            return problems.empty()
        _, found = self._check_parts(frame.with_row_index(_POSITION), used=False)
        return problems.concat(found)

    def _check_parts(
        self, frame: pl.DataFrame, *, used: bool = True
    ) -> tuple[list[tuple[_Filling | None, pl.DataFrame]], list[pl.DataFrame]]:
        """Return the rows that can be filled in, by their templates, and all problems.

        Args:
            frame: the rows.
            used: whether they may be sent; if so, a template that is wrong stops the run.
        """
        fields = dict.fromkeys(self._fields.placeholders, _IN_FIELDS)
        if self._without_templates:
            good, faults = check_placeholders(_narrow(frame, fields), fields, frame.columns)
            return [(None, good)], faults
        usable, found = check_names(frame, self._templates)
        self._read(usable.select(NAMED_BY.values()).unique(maintain_order=True).rows(), used=used)
        placeholders = {name for each in self._pairs.values() for name in each.pair.placeholders}
        parts = _narrow(usable, {*placeholders, *fields}).partition_by(
            *NAMED_BY.values(), as_dict=True, maintain_order=True
        )
        checked: list[tuple[_Filling | None, pl.DataFrame]] = []
        for names, part in parts.items():
            filling = self._pairs.get(cast("_Names", names))
            if filling is None:
                continue  # the template is wrong; `groups` raises for it
            taken = fields | dict.fromkeys(filling.pair.placeholders, "")
            good, faults = check_placeholders(part, taken, frame.columns)
            found += [*(filling.warnings(part) if used else ()), *faults]
            checked.append((filling, good))
        return checked, found

    @property
    def groups_so_far(self) -> tuple[Group, ...]:
        """The groups found so far, without their sizes."""
        return tuple(self._groups)

    def groups(self, sizes: Mapping[int, int]) -> tuple[Group, ...]:
        """Return all groups, in order of their first row.

        Args:
            sizes: number of a group -> its ready rows; 0 if it is missing.

        Raises:
            TemplateError: a template that rows use is wrong for every row; its text has a line
                for each mistake.
        """
        if self._wrong:
            raise TemplateError("\n".join(self._wrong))
        return tuple(
            replace(group, rows=sizes.get(number, 0)) for number, group in enumerate(self._groups)
        )

    def _read(self, names: Iterable[_Names], *, used: bool = True) -> None:
        """Read the templates that were not named before; keep the mistakes of those in use."""
        new = [pair for pair in names if pair not in self._pairs]
        pairs, wrong = read_pairs(new, self._templates)
        self._pairs |= {pair: _Filling(read) for pair, read in pairs.items()}
        if used:
            self._wrong |= dict.fromkeys(wrong)

    def _shared_by(self, filling: _Filling | None) -> list[str]:
        """Return the placeholders of templates and fields whose values define a group."""
        return sorted({*(filling.shared if filling else ()), *self._fields.shared})

    def _number_groups(
        self, frame: pl.DataFrame, leading: pl.DataFrame, found: list[pl.DataFrame]
    ) -> Grouped:
        """Fill in and check each new group once, and give each row its group's number."""
        shared = {name for each in self._pairs.values() for name in self._shared_by(each)}
        shared.update(self._fields.shared)
        used = {*shared, *_CAMPAIGN, *NAMED_BY.values()}.intersection(frame.columns)
        leaders = leading.select(pl.col(_LEADER).unique().sort()).join(
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
            number = self._find_group(row)
            if isinstance(number, int):
                good.append(row[_LEADER])
                numbers.append(number)
                if number in self._unusual:
                    unusual.append(_finding(row, *self._unusual[number]))
            else:
                bad.append(_finding(row, *number))
        known = pl.DataFrame(
            {_LEADER: good, GROUP: numbers}, schema={_LEADER: pl.UInt32, GROUP: pl.UInt32}
        )
        placed = leading.join(known, on=_LEADER).select(_POSITION, GROUP).sort(_POSITION)
        ready = frame if placed.height == frame.height else frame[placed[_POSITION]]
        ready = ready.drop(_POSITION).with_columns(placed[GROUP])
        for findings, code in ((bad, Code.TEMPLATE_INVALID), (unusual, Code.TEMPLATE_UNUSUAL)):
            found.append(_problems_of_groups(frame, leading, findings, code))
        return Grouped(ready, problems.concat(found))

    def _find_group(self, row: Mapping[str, str | None]) -> int | _Fault:
        """Return the number of a row's group, made if it is new; or why it cannot be."""
        names = tuple(str(row[column]) for column in NAMED_BY.values())
        filling = None if self._without_templates else self._pairs[names]
        shared = self._shared_by(filling)
        key = (
            *(() if self._without_templates else names),
            *(row[name] for name in (*_CAMPAIGN, *shared)),
        )
        known = self._found.get(key)
        if known is not None:
            return known
        values = {name: str(row[name]) for name in shared}
        fault = filling.find_broken_rule(values) if filling else None
        if fault is None:
            self._groups.append(_group(row, values, filling, self._fields))
            unusual_value = filling.find_unusual(values) if filling else None
            if unusual_value is not None:
                self._unusual[len(self._groups) - 1] = unusual_value
        self._found[key] = found = len(self._groups) - 1 if fault is None else fault
        return found


class _Fields:
    """Fills in the setting `conversation_fields` for many groups."""

    def __init__(self, fields: Mapping[str, Json]) -> None:
        self.placeholders = {name for _, text in texts(fields) for name in names_in(text)}
        self.shared = sorted(self.placeholders - OWN)
        self._fill = _compile_template(fields)

    def fill_in(self, values: Mapping[str, str]) -> Mapping[str, Json]:
        """Fill in these values; the candidate's own placeholders stay open."""
        return cast("Mapping[str, Json]", self._fill(values))


class _Filling:
    """Fills in a pair of templates for many groups, and checks each set of values once."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.shared = shared_placeholders(pair)
        self._checked_names = sorted(pair.checked_placeholders() - OWN)
        self._checked: dict[tuple[str, ...], _Fault | None] = {}
        self._unusual: dict[tuple[str, ...], _Fault | None] = {}
        self._warned = False
        self._meeting = _compile_template(pair.meeting.value)
        self._participants = _compile_template(pair.participants.value)

    def warnings(self, part: pl.DataFrame) -> list[pl.DataFrame]:
        """Return the warnings about the pair, once: at the first file that uses it."""
        if self._warned:
            return []
        self._warned = True
        return find_template_warnings(part, self.pair)

    def find_broken_rule(self, values: Mapping[str, str]) -> _Fault | None:
        """Find the first rule that the pair breaks with these values, or None."""
        key = tuple(values[name] for name in self._checked_names)
        if key not in self._checked:
            self._checked[key] = self.pair.find_broken_rule(values)
        return self._checked[key]

    def find_unusual(self, values: Mapping[str, str]) -> _Fault | None:
        """Find the first value that breaks a rule that is only inferred, or None."""
        key = tuple(values[name] for name in self._checked_names)
        if key not in self._unusual:
            self._unusual[key] = self.pair.find_unusual(values)
        return self._unusual[key]

    def fill_in(self, values: Mapping[str, str]) -> tuple[Json, Json]:
        """Fill in these values; the candidate's own placeholders stay open."""
        return self._meeting(values), self._participants(values)


def _narrow(frame: pl.DataFrame, placeholders: Collection[str]) -> pl.DataFrame:
    """Keep only the columns that grouping needs: copying the others takes long."""
    wanted = {_POSITION, SOURCE, ROW, *_CAMPAIGN, *NAMED_BY.values(), *placeholders}
    return frame.select(name for name in frame.columns if name in wanted)


def _find_leaders(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Find the position of each row, and of the first row with the same values."""
    first = pl.col(_POSITION).first()
    return frame.select(_POSITION, (first.over(columns) if columns else first).alias(_LEADER))


def _compile_template(value: Json) -> Callable[[Mapping[str, str]], Json]:
    """Return a function that fills in one template for many groups."""
    filled = compile_value(value)
    return (lambda _: value) if filled is None else filled


def _group(
    row: Mapping[str, str | None],
    values: Mapping[str, str],
    filling: _Filling | None,
    fields: _Fields,
) -> Group:
    """Make the group of a first row, without a row count; its template parts may be empty."""
    configuration, people = filling.fill_in(values) if filling else (None, None)
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
        conversation_fields=fields.fill_in(values),
    )


def _finding(leader: Mapping[str, Any], placeholder: str, sentence: str) -> _Finding:
    """Return a fault of a group, with its first row's value for the placeholder."""
    return leader[_LEADER], placeholder, str(leader.get(placeholder) or ""), sentence


def _problems_of_groups(
    frame: pl.DataFrame, leading: pl.DataFrame, bad: Sequence[_Finding], code: Code
) -> pl.DataFrame:
    """Return a problem for each row of the groups that have a finding."""
    names = {_LEADER: pl.UInt32, "#column": pl.String, "#value": pl.String, "#detail": pl.String}
    faults = pl.DataFrame(list(bad), schema=names, orient="row")
    rows = leading.join(faults, on=_LEADER).join(frame.select(_POSITION, SOURCE, ROW), on=_POSITION)
    found = problems.at(rows, code, value=pl.col("#value"), detail=pl.col("#detail"))
    column = rows["#column"].replace("", None).cast(problems.COLUMN).alias("column")
    return found.with_columns(column)
