"""Mappings in the API's own key names, and the keys in them that no rule knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import AliasChoices, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Steps = tuple[int | str, ...]
"""Keys and list positions, from the top of a template to a part of it."""


class Part(BaseModel):
    """A mapping in the API's own key names; a key that we do not know is let through.

    Attributes:
        nested: the keys whose value is a part, or a list of parts.
    """

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )

    nested: ClassVar[Mapping[str, type[Part]]] = {}

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Every key that we know, under each name that it may have."""
        return frozenset(key for names in cls.spellings() for key in names)

    @classmethod
    def spellings(cls) -> Iterator[Sequence[str]]:
        """The names of each key, the usual one first."""
        for field in cls.model_fields.values():
            alias = field.validation_alias
            if isinstance(alias, AliasChoices):
                yield [str(choice) for choice in alias.choices]
            else:
                yield [str(alias)]


def strangers(
    value: Mapping[str, Any], part: type[Part], path: Steps = ()
) -> Iterator[tuple[Steps, frozenset[str]]]:
    """The keys that no rule knows: path of each, and the keys that it may have meant."""
    known = part.keys()
    for key in value:
        if key not in known:
            yield (*path, key), known
    for key, inner in part.nested.items():
        for place, item in _parts(value.get(key)):
            yield from strangers(item, inner, (*path, key, *place))


def repeated(value: Mapping[str, Any], part: type[Part]) -> Iterator[tuple[str, str]]:
    """Keys that say what another one has said already, with that other one."""
    for names in part.spellings():
        used = [name for name in names if name in value]
        yield from ((name, used[0]) for name in used[1:])


def _parts(value: object) -> Iterable[tuple[Steps, dict[str, Any]]]:
    """The mappings among the items of a list, with their places; or a mapping itself."""
    items = [((n,), each) for n, each in enumerate(value)] if isinstance(value, list) else []
    return [(at, each) for at, each in (*items, ((), value)) if isinstance(each, dict)]
