"""Placeholders in templates: `{name}` is ours, `{{...}}` is the API's and is never changed.

A placeholder is only a name: it has no attributes, indexes or formats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.model import Json


TOKEN: Final = re.compile(
    r"(?P<api>\{{2,}[^{}]*\}{2,})"  # {{X}} and {{{X}}}
    r"|\{(?P<ours>\w+)\}"
    r"|\{(?P<meant>[^\W_][^{}\"',;\n]{0,80})\}"  # meant as one: {Job Title}, {x:>3}
)


def is_name(name: str) -> bool:
    """Whether a column can have this name: lower case, digits and `_`."""
    return name == name.lower()


def fold_name(text: str) -> str:
    """Return the name that `Job Title` or `job.title` probably means."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_")


def texts(
    value: Json, path: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield every text inside a value, with its path; keys do not count."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, Sequence):
        for place, item in enumerate(value):
            yield from texts(item, (*path, place))


def names_in(text: str) -> list[str]:
    """Return the placeholders of a text, in order."""
    found = (match.group("ours") for match in TOKEN.finditer(text))
    return [name for name in found if name is not None]


def find_misspelled(text: str) -> list[tuple[str, str]]:
    """Find texts in braces that cannot be a placeholder, each with the name probably meant."""
    found = []
    for match in TOKEN.finditer(text):
        name = match.group("meant") or match.group("ours")
        if name is not None and (match.group("meant") is not None or not is_name(name)):
            found.append((match.group(), fold_name(name)))
    return found


def fill_text(text: str, values: Mapping[str, str | None]) -> str:
    """Fill in the placeholders of a text that have a value; the others stay as they are."""

    def filled(match: re.Match[str]) -> str:
        name = match.group("ours")
        value = values.get(name) if name is not None else None
        return match.group() if value is None else value

    return TOKEN.sub(filled, text) if "{" in text else text


def fill(value: Json, values: Mapping[str, str | None]) -> Json:
    """Fill in the placeholders of a value, in all its lists and mappings.

    Args:
        value: not changed; parts without a placeholder are shared with the result.
        values: placeholder name -> text; a placeholder without a value stays as it is.
    """
    if isinstance(value, str):
        return fill_text(value, values)
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [fill(item, values) for item in value]
    return value


def compile_value(value: Json) -> Callable[[Mapping[str, str | None]], Json] | None:
    """Make a function that does what `fill` does; None if the value has no placeholder.

    Parts without a placeholder are the same objects in every result, so do not change them.
    """
    if isinstance(value, str):
        return _compile_text(value)
    if isinstance(value, Mapping):
        mapping = dict(value)
        inner = {
            key: fn for key, each in mapping.items() if (fn := compile_value(each)) is not None
        }
        if not inner:
            return None
        return lambda values: {**mapping, **{key: fn(values) for key, fn in inner.items()}}
    if isinstance(value, Sequence):
        plain = list(value)
        steps = [(n, fn) for n, each in enumerate(plain) if (fn := compile_value(each)) is not None]
        if not steps:
            return None

        def filled(values: Mapping[str, str | None]) -> Json:
            result = plain.copy()
            for place, step in steps:
                result[place] = step(values)
            return result

        return filled
    return None


def _compile_text(text: str) -> Callable[[Mapping[str, str | None]], Json] | None:
    """Make a function that does what `fill_text` does; None if the text has no placeholder."""
    literals, tokens, end = [], [], 0
    for match in TOKEN.finditer(text):
        if match.group("ours") is not None:
            literals.append(text[end : match.start()])
            tokens.append((match.group("ours"), match.group()))
            end = match.end()
    if not tokens:
        return None
    pieces, last = tuple(zip(literals, tokens, strict=True)), text[end:]

    def filled(values: Mapping[str, str | None]) -> Json:
        result = ""
        for literal, (name, token) in pieces:
            value = values.get(name)
            result += literal + (token if value is None else value)
        return result + last

    return filled
