"""Finds, reads and checks participant and meeting templates.

A template is a YAML file of the user's in the API's own key names; it is sent word for word,
placeholders aside. What is wrong whatever the row is a `TemplateError`; what depends on a row's
values is found by `Pair.broken` once the values are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from importer.errors import TemplateError
from importer.planning.placeholders import fill, folded, misspelled_in, names_in, texts
from importer.yaml_files import Document, Mistake, Path_, found_in, near, read_yaml, spelled
from schemas import templates as rules
from schemas.templates import repeated, strangers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.model import Json

__all__ = ["Pair", "Template", "TemplateKind", "Templates", "fill"]


class TemplateKind(StrEnum):
    """The two kinds of templates; the value is the folder that they lie in."""

    MEETING = "meetings"
    PARTICIPANTS = "participants"

    @property
    def words(self) -> str:
        """What people call it."""
        return "meeting template" if self is TemplateKind.MEETING else "participant template"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One template, read and found without a mistake that holds whatever the row.

    Attributes:
        name: its file's name without ending.
        kind: which of the two.
        path: its file.
        document: what the file says, with positions.
        placeholders: the names that it takes from a row.
        strange: a sentence for each key that no rule knows, with its place.
    """

    name: str
    kind: TemplateKind
    path: Path
    document: Document = field(repr=False)
    placeholders: frozenset[str]
    strange: tuple[str, ...] = ()

    @property
    def value(self) -> Json:
        """What the file says, verbatim."""
        return self.document.value


class Templates:
    """The templates of a folder, each read once, when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[tuple[TemplateKind, str], Template] = {}

    def meeting(self, name: str) -> Template:
        """The meeting template of this name; see `get`."""
        return self.get(TemplateKind.MEETING, name)

    def participants(self, name: str) -> Template:
        """The participant template of this name; see `get`."""
        return self.get(TemplateKind.PARTICIPANTS, name)

    def names(self, kind: TemplateKind) -> tuple[str, ...]:
        """The names of all templates of a kind, sorted."""
        return tuple(sorted(self._files[kind]))

    def like(self, kind: TemplateKind, name: str) -> str:
        """Which name was meant, or what there is, for a name that there is not."""
        names = self.names(kind)
        if meant := near(name, names):
            return f"perhaps `{meant}` is meant"
        shown = ", ".join(f"`{each}`" for each in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"there are {shown}{more}" if names else f"{self.folder / kind} holds none"

    def get(self, kind: TemplateKind, name: str) -> Template:
        """Read a template.

        Raises:
            TemplateError: there is none of this name, or it is wrong whatever the row; its text
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
        """The files of each kind by name; a name can reach nothing that is not listed here."""
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
        """The names that either takes from a row."""
        return self.meeting.placeholders | self.participants.placeholders

    def formal(self) -> frozenset[str]:
        """The placeholders that rules look at: all but those in plain words for people."""
        return frozenset(
            name
            for template in (self.meeting, self.participants)
            for path, text in texts(template.value)
            for name in names_in(text)
            if not (path and path[-1] in _FREE)
        )

    def broken(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """The first rule that the pair breaks with these values, or None.

        Args:
            values: the placeholders that a group shares; the candidate's own stay open.

        Returns:
            the placeholder whose value is at fault (empty where it is none alone), and a sentence.
        """
        configuration = fill(self.meeting.value, values)
        people = fill(self.participants.value, values)
        for template, value in ((self.meeting, configuration), (self.participants, people)):
            for mistake in _broken(template.kind, value):
                what = f"{spelled(mistake.path)} {mistake.message}".strip()
                where = f"{template.kind.words} {template.name}"
                return _placeholder_at(template, mistake.path), f"{where}: {what}"
        together = rules.pair_broken(
            rules.Meeting.model_validate(configuration), rules.Participants.model_validate(people)
        )
        if together:
            return "", f"{self.participants.name} with {self.meeting.name}: {together}"
        return None


_SHOWN: Final = 8
_FREE: Final = frozenset({"title", "description", "name", "location"})


def _read(kind: TemplateKind, path: Path, document: Document) -> Template:
    """Check one file that was read; raises TemplateError with every mistake."""
    unquoted = dict(_unquoted(document.value))
    mistakes = [
        Mistake(each.path, unquoted.get(each.path, each.message), at_key=each.at_key)
        for each in _broken(kind, document.value)
    ]
    document.refuse([*_misspelled(document.value), *mistakes], TemplateError)
    found = {each for _, text in texts(document.value) for each in names_in(text)}
    strange = tuple(document.describe(each) for each in _strange(kind, document.value))
    return Template(path.stem, kind, path, document, frozenset(found), strange)


def _broken(kind: TemplateKind, value: Json) -> list[Mistake]:
    """The rules that a template breaks as it stands; an open placeholder breaks none."""
    try:
        if kind is TemplateKind.MEETING:
            rules.Meeting.model_validate(value)
            again = repeated(cast("dict[str, Any]", value), rules.Meeting)
            return [
                Mistake((key,), f"`{first}` has said this already", at_key=True)
                for key, first in again
            ]
        people = rules.Participants.model_validate(value)
    except ValidationError as exc:
        return found_in(exc)
    return [Mistake(path, words) for path, words in rules.participants_broken(people)]


def _strange(kind: TemplateKind, value: Json) -> Iterator[Mistake]:
    """A warning for each key, or method, that no rule knows."""
    if kind is TemplateKind.MEETING:
        known_as = cast("dict[str, Any]", value)
        found = list(strangers(known_as, rules.Meeting))
        meeting = rules.Meeting.model_validate(value)
        if not rules.method_known(meeting):
            said = "we do not know this method, so the organizers are not checked"
            yield Mistake(("availabilityMethod",), said)
    else:
        people = cast("list[dict[str, Any]]", value)
        found = [
            each
            for place, person in enumerate(people)
            for each in strangers(person, rules.Participant, (place,))
        ]
    for path, known in found:
        meant = near(str(path[-1]), known)
        yield Mistake(
            path, f"perhaps `{meant}` is meant" if meant else "sent as it is", at_key=True
        )


def _misspelled(value: Json) -> Iterator[Mistake]:
    """Braces that look like a placeholder and are none."""
    for path, text in texts(value):
        for written, meant in misspelled_in(text):
            yield Mistake(path, f"`{written}` is no placeholder; write `{{{meant}}}`")


def _unquoted(value: Json, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Where `{job_title}` stands without quotes, which YAML reads as a mapping; what to say."""
    if isinstance(value, Mapping):
        if len(value) == 1 and path and None in value.values():
            name = folded(next(iter(value)))
            yield path, f'a placeholder needs quotes: "{{{name}}}"'
        for key, item in value.items():
            yield from _unquoted(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _unquoted(item, (*path, place))


def _placeholder_at(template: Template, path: Path_) -> str:
    """The placeholder that fills the text at a path, if it is a single one."""
    names = {name for at, text in texts(template.value) if at == path for name in names_in(text)}
    return names.pop() if len(names) == 1 else ""
