"""Read YAML 1.2 files as plain JSON values, with the position of every key and value.

The values are as in JSON: text, numbers, booleans, null, lists, and mappings with text
keys. `09:30`, `NO` and `2024-01-01` stay text, as YAML 1.2 requires.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NoReturn, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails
    from ruamel.yaml.nodes import Node

    from importer.errors import ImporterError
    from importer.model import Json


MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 50_000  # aliases can repeat a part until memory is full

Step = str | int
Path_ = tuple[Step, ...]
Position = tuple[int, int]

_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOLEAN: Final = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_JSON: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_PLAIN_WORDS: Final = (
    (r"character '\t'", "a tab cannot indent; use spaces"),
    (
        "mapping values are not allowed",
        "a `:` is not allowed here: check the indentation, or put the text in quotes",
    ),
    ("unexpected end of stream", "the quotation mark that opens here is not closed"),
    ("expected a single document", "the file contains a second document (after `---`); keep one"),
    ("could not find expected ':'", "a `:` is missing after the key that opens here"),
    ("expected <block end>", "the indentation does not match the lines above"),
    ("undefined alias", "the alias (`*`) has no anchor (`&`) above it"),
    ("that cannot start any token", "the text begins with a special character; put it in quotes"),
    ("flow sequence", "the `[` that opens here is not closed, or a comma is missing"),
    ("flow mapping", "the `{` that opens here is not closed, or a comma is missing"),
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One fault of a document.

    Attributes:
        path: keys and list positions from the top to the value at fault.
        message: what is wrong, without personal data or secrets.
        at_key: whether the key is wrong, not its value.
        position: overrides the position of the path in the document.
    """

    path: Path_
    message: str
    at_key: bool = False
    position: Position | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One YAML file, as read.

    Attributes:
        name: the file as the user knows it.
        value: the content as plain JSON values; None for an empty file.
        values: path -> (row, column) of the value, both from 1.
        keys: path -> (row, column) of the key.
        mistakes: duplicate keys and other faults that do not stop the reading, in file order.
    """

    name: str
    value: Json = field(repr=False)
    values: Mapping[Path_, Position] = field(repr=False)
    keys: Mapping[Path_, Position] = field(repr=False)
    mistakes: tuple[Mistake, ...] = ()

    def position(self, mistake: Mistake) -> Position:
        """Return row and column of a mistake, or of the nearest part around it."""
        steps = mistake.path
        found = mistake.position or (self.keys if mistake.at_key else self.values).get(steps)
        while found is None and steps:
            steps = steps[:-1]
            found = self.values.get(steps)
        return found or (1, 1)

    def describe(self, mistake: Mistake) -> str:
        """Return `file:row:column: key: what is wrong`."""
        row, column = self.position(mistake)
        key = format_path(mistake.path)
        return f"{self.name}:{row}:{column}: {f'{key}: ' if key else ''}{mistake.message}"

    def refuse(self, mistakes: Sequence[Mistake], error: type[ImporterError]) -> None:
        """Raise `error` if there are mistakes: one line for each, in file order."""
        found = [*self.mistakes, *mistakes]
        if found:
            found.sort(key=self.position)
            raise error("\n".join(dict.fromkeys(self.describe(mistake) for mistake in found)))


def format_path(path: Sequence[Step]) -> str:
    """Return a path as people write it: `openHours[0].days`; list positions count from 0."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).removeprefix(".")


def read_yaml(path: Path, error: type[ImporterError], name: str = "") -> Document:
    """Read one YAML file.

    Args:
        path: the file.
        error: what to raise for a file that cannot be read at all.
        name: the file's name in messages; its path by default.

    Raises:
        error: the file is missing, too large, not UTF-8 or not YAML.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{name}: there is no such file.") from None
    except OSError as exc:
        raise error(f"{name}: the file cannot be read: {exc.strerror}.") from exc
    if len(raw) > MAX_BYTES:
        raise error(f"{name}: the file has more than {MAX_BYTES:,} bytes; is it YAML?")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        row = raw.count(b"\n", 0, exc.start) + 1
        column = exc.start - raw.rfind(b"\n", 0, exc.start)
        fault = "the file is not UTF-8 text; save it as UTF-8"
        raise error(f"{name}:{row}:{column}: {fault}.") from exc
    return parse(text, error, name)


def parse(text: str, error: type[ImporterError], name: str) -> Document:
    """Read one YAML text; raise `error` if it is not YAML."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        node = yaml.compose(text)
    except ReaderError as exc:
        before = text[: exc.position]
        row, column = before.count("\n") + 1, exc.position - before.rfind("\n")
        raise error(f"{name}:{row}:{column}: an invisible control character; remove it.") from exc
    except MarkedYAMLError as exc:
        _refuse_syntax(exc, error, name)
    except (YAMLError, RecursionError) as exc:
        raise error(f"{name}: the file cannot be read as YAML.") from exc
    reading = _Reading()
    value = reading.plain(node, ()) if node is not None else None
    return Document(name, value, reading.values, reading.keys, tuple(reading.mistakes))


def _refuse_syntax(exc: MarkedYAMLError, error: type[ImporterError], name: str) -> NoReturn:
    """Raise the parser's message with a position, in plain words."""
    original = f"{exc.context or ''} {exc.problem or ''}"
    words = next((plain for sign, plain in _PLAIN_WORDS if sign in original), str(exc.problem))
    opened = "opens here" in words and exc.context_mark is not None
    mark = exc.context_mark if opened else exc.problem_mark or exc.context_mark
    where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    raise error(f"{name}{where}: {words}.") from exc


class _Reading:
    """Turns composed nodes into plain values, and records their positions."""

    def __init__(self) -> None:
        self.values: dict[Path_, Position] = {}
        self.keys: dict[Path_, Position] = {}
        self.mistakes: list[Mistake] = []

    def plain(self, node: Node, path: Path_) -> Json:
        """Return the plain value of the node at `path`."""
        self.values[path] = _position(node)
        if len(path) > MAX_DEPTH or len(self.values) > MAX_VALUES:
            if not self.mistakes or "nested" not in self.mistakes[-1].message:
                self.mistakes.append(Mistake(path[:1], "is nested too deeply, or too large"))
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.plain(item, (*path, place)) for place, item in enumerate(node.value)]
        return self._scalar(cast("ScalarNode", node), path)

    def _mapping(self, node: MappingNode, path: Path_) -> Json:
        plain: dict[str, Json] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                self.mistakes.append(
                    Mistake(path, "a key must be plain text; put `{...}` and `[...]` in quotes")
                )
                continue
            inner = (*path, str(key.value))
            if key.value in plain:
                fault = f"the key is in row {self.keys[inner][0]} already"
                self.mistakes.append(Mistake(inner, fault, position=_position(key)))
                continue
            if key.value == "<<" and key.style is None:
                fault = "YAML 1.2 has no merge key; write the keys out"
                self.mistakes.append(Mistake(inner, fault, position=_position(key)))
                continue
            self.keys[inner] = _position(key)
            plain[key.value] = self.plain(item, inner)
        return plain

    def _scalar(self, node: ScalarNode, path: Path_) -> Json:
        tag, text = str(node.tag), str(node.value)
        if not tag.startswith(_TAG) or tag.removeprefix(_TAG) in {"binary", "omap", "set"}:
            self.mistakes.append(Mistake(path, "tags (`!`) are not supported; remove it"))
            return text
        if tag == f"{_TAG}str":
            return text
        if _NO_JSON.fullmatch(text):
            self.mistakes.append(Mistake(path, "JSON has no such number; put it in quotes"))
            return text
        return resolve_scalar(text)


def resolve_scalar(text: str) -> Json:
    """Read a plain scalar by the core schema of YAML 1.2; anything unknown is text."""
    if _NULL.fullmatch(text):
        return None
    if found := _BOOLEAN.fullmatch(text):
        return found.group(1) is not None
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text) and abs(number := float(text)) != float("inf"):
        return number
    return text


def _position(node: Node) -> Position:
    """Return row and column of a node, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


_KINDS: Final[Mapping[str, str]] = {
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "dict_type": "must be a mapping (`key: value`)",
    "model_type": "must be a mapping (`key: value`)",
    "model_attributes_type": "must be a mapping (`key: value`)",
    "list_type": "must be a list (`- item`)",
    "tuple_type": "must be a list (`- item`)",
    "path_type": "must be a path; put it in quotes",
    "missing": "is required",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have {min_length} or more items",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


_QUOTED: Final = re.compile("'([^']+)'")


def list_mistakes(error: ValidationError, known: Iterable[str] = ()) -> list[Mistake]:
    """Return the mistakes that a validation found, in its order.

    Args:
        error: the error that pydantic raised.
        known: the valid top-level keys, to suggest one for an unknown key.
    """
    keys = sorted(known)
    return [_mistake(details, keys) for details in error.errors(include_url=False)]


def closest_name(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return the known name that is most like `name` (at least `likeness` of 1), or empty."""
    folded = {each.casefold().replace("-", "_"): each for each in known}
    close = get_close_matches(name.casefold().replace("-", "_"), folded, n=1, cutoff=likeness)
    return folded[close[0]] if close else ""


def unknown_key(meant: str) -> str:
    """Say that there is no such key, and which one may be meant."""
    return f"there is no such key; did you mean `{meant}`?" if meant else "there is no such key"


def _mistake(details: ErrorDetails, keys: list[str]) -> Mistake:
    """Put one mistake into words."""
    path = tuple(step for step in details["loc"] if step != "[key]")
    at_key = "[key]" in details["loc"]
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        meant = closest_name(str(path[-1]), keys) if len(path) == 1 else ""
        return Mistake(path, unknown_key(meant), at_key=True)
    if kind == "value_error":
        return Mistake(path, str(context["error"]), at_key=at_key)
    if kind == "enum" and at_key:
        meant = closest_name(str(path[-1]), _QUOTED.findall(context["expected"]))
        return Mistake(path, unknown_key(meant), at_key=True)
    words = _KINDS.get(kind, "is not a valid value")
    shown = {
        name: f"{each:,g}" if isinstance(each, float) else each for name, each in context.items()
    }
    return Mistake(path, words.format(**shown), at_key=at_key)
