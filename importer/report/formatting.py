"""Numbers, lists, values and commands as text for a reader."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from importer.errors import UsageError
from importer.languages import (
    asked_language,
    decimal,
    number,
    translate,
    translate_count,
    translate_word,
)
from importer.loader.files import readable_name
from importer.settings.settings import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from importer.settings import Settings


DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

# Control characters could repaint a terminal; direction marks could reverse a line.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")


def quantity(count: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun, in English: `1 row`, `1,200 rows`.

    Texts that are translated take `importer.languages.translate_count`.
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def number_list(items: Sequence[int], total: int | None = None, *, most: int = 12) -> str:
    """Return row numbers in a line, and how many more there are: `14, 27, 33 and 9 more`."""
    shown = ", ".join(str(item) for item in items[:most])
    more = (len(items) if total is None else total) - min(len(items), most)
    if more <= 0:
        return shown
    return translate("{shown} and {n} more", shown=shown, n=number(more))


def plain(text: str, most: int = 80) -> str:
    """Return a value in one line without control characters, cut to `most` characters."""
    clean = _UNSEEN.sub(" ", text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def duration(seconds: float) -> str:
    """Return a rounded duration: `under a minute`, `about 3 hours 20 minutes`."""
    minutes = math.ceil(seconds / 60)
    if minutes <= 1:
        under = seconds < 60  # noqa: PLR2004
        return translate("under a minute") if under else translate("about a minute")
    if minutes < 60:  # noqa: PLR2004
        return translate("about {n} minutes", n=minutes)
    hours, rest = divmod(minutes, 60)
    about = translate_count(hours, "about {n} hour", "about {n} hours")
    return f"{about} {translate_count(rest, '{n} minute', '{n} minutes')}" if rest else about


def size(count: int) -> str:
    """Return bytes in the largest unit that gives a number above one: `12 KB`."""
    value = float(count)
    for unit in ("bytes", "KB", "MB"):
        if value < 1000:  # noqa: PLR2004
            if unit == "bytes":
                return translate_count(count, "{n} byte", "{n} bytes")
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{decimal(value)} GB"


def file_format(encoding: str, delimiter: str, sheet: str | None, header_row: int) -> str:
    """Return how a file was read: `utf-8, semicolon`, or its sheet; and an unusual header row."""
    if sheet is not None:
        how = translate("sheet {sheet}", sheet=sheet)
    else:
        separator = translate_word(DELIMITERS.get(delimiter, delimiter))
        how = ", ".join(part for part in (encoding, separator) if part)
    if not how or header_row <= 1:
        return how
    return translate("{how}, header in row {row}", how=how, row=header_row)


def elapsed(seconds: float) -> str:
    """Return a measured duration: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:  # noqa: PLR2004
        return f"{decimal(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def html_size(*texts: str) -> int:
    """Return the bytes that texts take in an HTML page, escaped."""
    return sum(len(escape(text).encode()) for text in texts)


_MOST: Final = 300
_PASSWORD: Final = re.compile(r"(?<=:)[^:/@]+(?=@)")


@dataclass(frozen=True, slots=True)
class GivenFlags:
    """The settings flags of the command line, so that a proposed command can repeat them.

    Attributes:
        config: the settings file; empty if a command finds it.
        flags: the flags by setting, without passwords.
        language: the language that --lang gave; empty if it was not given.
    """

    config: str = ""
    flags: Mapping[str, str | bool] = field(default_factory=dict)
    language: str = ""

    @classmethod
    def of(cls, settings: Settings) -> GivenFlags:
        """Return the flags that these settings were loaded with."""
        config = "" if settings.config is None else str(settings.config)
        flags = {
            name: value if isinstance(value, bool) else _PASSWORD.sub("***", str(value))
            for name, value in settings.flags.items()
        }
        return cls(config, flags, asked_language())

    def text_for(self, command: str) -> str:
        """Return the flags that another command takes too, with a blank before each word."""
        words = ["--config", self.config] if self.config else []
        for name in FLAGS[command]:
            value = self.flags.get(name)
            if value:
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        words += ["--lang", self.language] if self.language else []
        return "".join(f" {shlex.quote(plain(word, _MOST))}" for word in words)


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for an output that is no input, like `to-fix-2.csv`."""
    names = {PurePath(each).name for each in taken}
    stem, _, ending = name.partition(".")
    numbered = (f"{stem}-{count}.{ending}" for count in range(2, len(names) + 3))
    return next(each for each in (name, *numbered) if each not in names)


def release_command(inbox: str | None, place: str, flags: str = "") -> str:
    """Return the command that releases a held file.

    It can be pasted if the inbox is known and the file's name can be shown as it is. Otherwise it
    has INBOX instead of the inbox, and a blank for what a terminal must not show.

    Args:
        inbox: folder or address; None if it was not recorded.
        place: the place of the file, relative to the inbox.
        flags: for the same settings, as `GivenFlags.text_for` gives them.
    """
    path = f"{inbox or 'INBOX'}/{place}"
    if inbox and plain(path, len(path)) == path:
        return f"importer release {shlex.quote(path)}{flags}"
    return f"importer release {plain(path, _MOST)}{flags}"


WORKBOOK: Final = ".xlsx"
"""Ending of a file of rejected rows that is a workbook; every other is a CSV."""


def rejected_paths(path: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that `write_rejected` writes: `path`, or one beside it for each input.

    Args:
        path: the path that the user named: `to-fix.csv`.
        names: of the inputs; `a.csv` and `b.csv` lead to `to-fix-a.csv` and `to-fix-b.csv`.

    Raises:
        UsageError: several files would go into a device or pipe.
    """
    if len(names) <= 1:
        return (path,)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(
            f"{path} cannot take the rejected rows of several files.",
            "Give the name of a file; each input gets one with its own name added.",
        )
    paths: list[Path] = []
    taken: set[str] = set()
    for name in map(readable_name, names):
        stem = PurePath("stdin" if name == "-" else name.removesuffix(".gz")).stem
        number, label = 1, stem
        while label.casefold() in taken:
            number += 1
            label = f"{stem}-{number}"
        taken.add(label.casefold())
        paths.append(path.with_name(f"{path.stem}-{label}{path.suffix}"))
    return tuple(paths)
