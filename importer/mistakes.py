"""What pydantic found wrong, in plain words that never repeat a value."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from importer.documents import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

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
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


_QUOTED: Final = re.compile("'([^']+)'")


def found_in(error: ValidationError, known: Iterable[str] = ()) -> list[Mistake]:
    """The mistakes that a validation found, in its order.

    Args:
        error: what pydantic raised.
        known: keys that an unknown top-level key may have meant.
    """
    keys = sorted(known)
    return [_mistake(details, keys) for details in error.errors(include_url=False)]


def near(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that `name` most likely meant (at least `likeness` of 1), or empty."""
    folded = {each.casefold().replace("-", "_"): each for each in known}
    close = get_close_matches(name.casefold().replace("-", "_"), folded, n=1, cutoff=likeness)
    return folded[close[0]] if close else ""


def _mistake(details: ErrorDetails, keys: list[str]) -> Mistake:
    """One mistake in words."""
    path = tuple(step for step in details["loc"] if step != "[key]")
    at_key = "[key]" in details["loc"]
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        meant = near(str(path[-1]), keys) if len(path) == 1 else ""
        hint = f"; did you mean `{meant}`?" if meant else ""
        return Mistake(path, f"there is no such key{hint}", at_key=True)
    if kind == "value_error":
        return Mistake(path, str(context["error"]), at_key=at_key)
    if kind == "enum" and at_key:
        meant = near(str(path[-1]), _QUOTED.findall(context["expected"]))
        hint = f"; did you mean `{meant}`?" if meant else ""
        return Mistake(path, f"there is no such key{hint}", at_key=True)
    words = _KINDS.get(kind, "is not a value that can stand here")
    shown = {
        name: f"{each:,g}" if isinstance(each, float) else each for name, each in context.items()
    }
    return Mistake(path, words.format(**shown), at_key=at_key)
