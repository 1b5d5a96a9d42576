"""Find, read and check participant and meeting templates.

A template is a YAML file in the API's own key names; only its placeholders are replaced before it
is sent. A mistake that every row would have raises `TemplateError`; a mistake that depends on the
values of a row is found by `Pair.find_broken_rule` once they are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from importer.errors import TemplateError
from importer.planning.placeholders import fill, find_misspelled, fold_name, names_in, texts
from importer.settings.yaml_files import (
    Document,
    Mistake,
    Path_,
    closest_name,
    format_path,
    list_mistakes,
    read_yaml,
)
from schemas import templates as rules
from schemas.templates import repeated_keys, unknown_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.model import Json

__all__ = ["Pair", "Template", "TemplateKind", "Templates", "fill"]


class TemplateKind(StrEnum):
    """The two kinds of templates; the value is the name of their folder."""

    MEETING = "meetings"
    PARTICIPANTS = "participants"

    @property
    def words(self) -> str:
        """Its name for people."""
        return "meeting template" if self is TemplateKind.MEETING else "participant template"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One template, without a mistake that every row would have.

    Attributes:
        name: the name of its file without the ending.
        kind: whether it is a meeting or a participant template.
        path: the path of its file.
        document: what the file says, with positions.
        placeholders: the names of the values that it takes from a row.
        unknown_keys: a sentence for each key that no rule knows, with its place.
        unusual: a sentence for each value that breaks a rule that is only inferred.
    """

    name: str
    kind: TemplateKind
    path: Path
    document: Document = field(repr=False)
    placeholders: frozenset[str]
    unknown_keys: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()

    @property
    def value(self) -> Json:
        """The content of the file, verbatim."""
        return self.document.value


class Templates:
    """The templates of a folder, each read once, when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[tuple[TemplateKind, str], Template] = {}

    def meeting(self, name: str) -> Template:
        """Return the meeting template of this name; see `get`."""
        return self.get(TemplateKind.MEETING, name)

    def participants(self, name: str) -> Template:
        """Return the participant template of this name; see `get`."""
        return self.get(TemplateKind.PARTICIPANTS, name)

    def names(self, kind: TemplateKind) -> tuple[str, ...]:
        """Return the names of all templates of a kind, sorted."""
        return tuple(sorted(self._files[kind]))

    def like(self, kind: TemplateKind, name: str) -> str:
        """Suggest what was meant by a name that does not exist, or list those that exist."""
        names = self.names(kind)
        if meant := closest_name(name, names):
            return f"perhaps `{meant}` is meant"
        shown = ", ".join(f"`{each}`" for each in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"there are {shown}{more}" if names else f"{self.folder / kind} holds none"

    def get(self, kind: TemplateKind, name: str) -> Template:
        """Read a template.

        Raises:
            TemplateError: it does not exist, or has a mistake that every row would have; the text
                has a line for each mistake.
        """
        if (kind, name) not in self._read:
            files = self._files[kind].get(name, [])
            if not files:
                raise TemplateError(
                    f"There is no {kind.words} `{name}`: {self.like(kind, name)}.",
                    f"Templates are files such as {self.folder / kind}/NAME.yaml.",
                )
            if len(files) > 1:
                both = " and ".join(str(file) for file in files)
                raise TemplateError(f"{both} are the same {kind.words}; keep one.")
            file = files[0]
            shown = f"{self.folder.name}/{kind}/{file.name}"  # the same on every machine
            self._read[kind, name] = _read(kind, file, read_yaml(file, TemplateError, shown))
        return self._read[kind, name]

    @cached_property
    def _files(self) -> dict[TemplateKind, dict[str, list[Path]]]:
        """The files of each kind by name; no name can lead to any other file."""
        found: dict[TemplateKind, dict[str, list[Path]]] = {kind: {} for kind in TemplateKind}
        for kind in TemplateKind:
            folder = self.folder / kind
            for file in sorted(folder.iterdir()) if folder.is_dir() else []:
                if file.suffix in {".yaml", ".yml"} and not file.name.startswith("."):
                    found[kind].setdefault(file.stem, []).append(file)
        return found


@dataclass(frozen=True, slots=True)
class Pair:
    """A meeting template and a participant template that rows use together."""

    meeting: Template
    participants: Template

    @property
    def placeholders(self) -> frozenset[str]:
        """The names that the two take from a row."""
        return self.meeting.placeholders | self.participants.placeholders

    def checked_placeholders(self) -> frozenset[str]:
        """Return the placeholders checked by rules: all but those in texts for people."""
        return frozenset(
            name
            for template in (self.meeting, self.participants)
            for path, text in texts(template.value)
            for name in names_in(text)
            if not (path and path[-1] in _FREE)
        )

    def find_broken_rule(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Find the first rule that the pair breaks with these values, or None.

        Args:
            values: the placeholders that a group shares; the candidate's own stay open.

        Returns:
            The placeholder whose value is at fault (empty if it is not a single one), and a
            sentence.
        """
        for template, mistake in self._mistakes(values):
            if rules.is_stated(mistake.path):
                return _placeholder_at(template, mistake.path), _describe(template, mistake)
        together = rules.broken_pair_rule(
            cast("Any", fill(self.meeting.value, values)),
            cast("Any", fill(self.participants.value, values)),
        )
        if together:
            return "", f"{self.participants.name} with {self.meeting.name}: {together}"
        return None

    def find_unusual(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Find the first value that breaks a rule that is only inferred.

        Args and result: as for `find_broken_rule`; what breaks it without values is left out.
        """
        before = {(each.kind, mistake.path) for each, mistake in self._mistakes({})}
        for template, mistake in self._mistakes(values):
            known = (template.kind, mistake.path) in before
            if not known and not rules.is_stated(mistake.path):
                return _placeholder_at(template, mistake.path), _describe(template, mistake)
        return None

    def _mistakes(self, values: Mapping[str, str]) -> Iterator[tuple[Template, Mistake]]:
        for template in (self.meeting, self.participants):
            for mistake in _find_broken_rules(template.kind, fill(template.value, values)):
                yield template, mistake


def _describe(template: Template, mistake: Mistake) -> str:
    what = f"{format_path(mistake.path)} {mistake.message}".strip()
    return f"{template.kind.words} {template.name}: {what}"


_SHOWN: Final = 8
_FREE: Final = frozenset({"title", "description", "name", "location"})


def _read(kind: TemplateKind, path: Path, document: Document) -> Template:
    """Check one file that was read; raises TemplateError with every mistake."""
    unquoted = dict(_unquoted(document.value))
    mistakes: list[Mistake] = []
    unusual: list[Mistake] = []
    for each in _find_broken_rules(kind, document.value):
        if each.path in unquoted:
            mistakes.append(Mistake(each.path, unquoted[each.path], at_key=each.at_key))
        else:
            (mistakes if rules.is_stated(each.path) else unusual).append(each)
    mistakes += _find_misspelled(document.value)
    document.refuse([*mistakes, *(unusual if mistakes else ())], TemplateError)
    found = {each for _, text in texts(document.value) for each in names_in(text)}
    unknown = tuple(document.describe(each) for each in _find_unknown_keys(kind, document.value))
    odd = tuple(document.describe(each) for each in unusual)
    return Template(path.stem, kind, path, document, frozenset(found), unknown, odd)


def _find_broken_rules(kind: TemplateKind, value: Json) -> list[Mistake]:
    """Find the rules that a template breaks; an open placeholder breaks none."""
    model = rules.Meeting if kind is TemplateKind.MEETING else rules.Participants
    mistakes: list[Mistake] = []
    try:
        model.model_validate(value)
    except ValidationError as exc:
        mistakes = list_mistakes(exc)
    if any(rules.is_stated(mistake.path) for mistake in mistakes):
        return mistakes
    if kind is TemplateKind.MEETING:
        again = repeated_keys(cast("dict[str, Any]", value), rules.Meeting)
        return mistakes + [
            Mistake((key,), f"`{first}` says this already", at_key=True) for key, first in again
        ]
    people = cast("list[dict[str, Any]]", value)
    broken = rules.broken_participant_rules(people)
    return mistakes + [Mistake(path, words) for path, words in broken]


def _find_unknown_keys(kind: TemplateKind, value: Json) -> Iterator[Mistake]:
    """Yield a warning for each key and method that no rule knows."""
    if kind is TemplateKind.MEETING:
        known_as = cast("dict[str, Any]", value)
        found = list(unknown_keys(known_as, rules.Meeting))
        if not rules.is_method_known(known_as):
            words = "this method is not known, so the organizers are not checked"
            yield Mistake(("availabilityMethod",), words)
    else:
        people = cast("list[dict[str, Any]]", value)
        found = [
            each
            for place, person in enumerate(people)
            for each in unknown_keys(person, rules.Participant, (place,))
        ]
    for path, known in found:
        meant = closest_name(str(path[-1]), known)
        yield Mistake(
            path, f"perhaps `{meant}` is meant" if meant else "sent as it is", at_key=True
        )


def _find_misspelled(value: Json) -> Iterator[Mistake]:
    """Yield braces that look like a placeholder but are not one."""
    for path, text in texts(value):
        for written, meant in find_misspelled(text):
            yield Mistake(path, f"`{written}` is no placeholder; write `{{{meant}}}`")


def _unquoted(value: Json, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Yield unquoted placeholders, which YAML reads as mappings: the path, and a sentence."""
    if isinstance(value, Mapping):
        if len(value) == 1 and path and None in value.values():
            name = fold_name(next(iter(value)))
            yield path, f'a placeholder needs quotes: "{{{name}}}"'
        for key, item in value.items():
            yield from _unquoted(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _unquoted(item, (*path, place))


def _placeholder_at(template: Template, path: Path_) -> str:
    """Return the placeholder that fills the text at a path, if it is a single one."""
    names = {name for at, text in texts(template.value) if at == path for name in names_in(text)}
    return names.pop() if len(names) == 1 else ""
