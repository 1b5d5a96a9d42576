"""The catalogues of the languages; `python -m tests.docs.catalogues` updates them.

It adds new texts to each `importer.po`, drops those that are gone, keeps the translations, compiles
the `.mo` beside it, and names what is not translated yet. A pattern of a text that the core fills
in (`importer.languages.translate_filled`) is added to the `.po` by hand, with `msgctxt "filled"`.
"""

from __future__ import annotations

import ast
import errno
import io
import os
import re
import sys
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2.ext import extract_from_ast

from importer import errors
from importer.cli.main import COMMANDS, READERS, cli, help_paragraphs
from importer.cli.setup_commands import BOUNDS, CONSEQUENCE, KINDS, help_of
from importer.errors import EXIT_MEANING, RUN_AGAIN
from importer.languages import ENGLISH, FILLED, LANGUAGES, WORD, use_language
from importer.ledger import database
from importer.model import STATE_ADVICE, STATE_MEANING, State
from importer.report.formatting import DELIMITERS
from importer.report.html import DAYS, environment
from importer.report.night_report import ENDING_MEANING, FileEnding
from importer.report.outcomes import OUTCOME_MEANING, PROGRESS_MEANING, REASONS
from importer.report.tasks import INSTRUCTIONS
from importer.report.terminal import HEADINGS
from importer.sandbox.personalities import PERSONALITIES
from importer.settings import Settings
from importer.settings.values import descriptions
from importer.web import access, check_pages, follow_pages, operations, page_app, wording
from schemas.codes import WORDS, Severity
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "importer" / "languages"
PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """A text to translate: its context, the text for one, and the text for many."""

    context: str
    one: str
    many: str = ""


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a module; it is parsed once."""
    return ast.parse(path.read_text("utf-8"))


def path_of(name: str) -> Path:
    """Return the catalogue of a language, as text."""
    return FOLDER / name / "LC_MESSAGES" / "importer.po"


def others() -> list[str]:
    """Return the languages with a catalogue."""
    return [name for name in LANGUAGES if name != ENGLISH]


def texts() -> set[Text]:
    """Return every text to translate, except the patterns that are made by hand."""
    return {
        *_of_tables(),
        *_of_modules(),
        *_of_templates(),
        *_of_commands(),
        *_of_click(),
        *_of_errors(),
        *_of_sentences(),
    }


def _of_tables() -> Iterator[Text]:
    for words in WORDS.values():
        yield Text("", words.message)
        yield Text("", words.fix)
        if words.severity is Severity.ERROR and "{detail}" in words.message:  # why a file failed
            yield Text(FILLED, words.message.replace("{detail}", "{part}"))
    for table in (INSTRUCTIONS, OUTCOME_MEANING, PROGRESS_MEANING, REASONS, EXIT_MEANING):
        yield from (Text("", text) for text in table.values())
    for meanings in (ENDING_MEANING, RUN_AGAIN, STATE_MEANING, STATE_ADVICE, CONSEQUENCE):
        yield from (Text("", text) for text in meanings.values())
    yield from (Text("", heading) for _, heading, _ in HEADINGS)
    for message, fix in (*wording.RECRUITER.values(), *wording.AT_COLUMN.values()):
        yield from (Text("", message), Text("", fix))
    page = (*wording.TASKS.values(), *check_pages.COLUMN_WORDS.values(), *access.TITLES.values())
    yield from (
        Text("", text)
        for text in (*page, *operations.ACTIONS.values(), *page_app.REFUSALS.values())
    )
    yield from (Text("", text) for text, _ in follow_pages.MEANING.values())
    yield from (Text("", text) for text in (*KINDS.values(), *BOUNDS.values()))
    yield from (Text("", column.about) for column in COLUMNS)
    for name, description in descriptions(Settings).items():
        known = help_of(name)
        yield from (Text("", each) for each in (description, known and known.words) if each)
    for word in (
        *(state.value for state in State),
        *OUTCOME_MEANING,
        *PROGRESS_MEANING,
        *(ending.value for ending in FileEnding),
        *DELIMITERS.values(),
        *DAYS,
        *(column.name.replace("_", " ") for column in COLUMNS),
        *("report", "rejected", "payloads", "groups", "rows", "ready", "to fix"),
        *("WRONG", "warn", "ok", "the file", "what was checked", "rejected rows", "results"),
    ):
        yield Text(WORD, word)


def _of_modules() -> Iterator[Text]:
    for path in sorted((ROOT / "importer").rglob("*.py")):
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if called == "plain_table":
                yield from _headers(node)
            values = [each.value if isinstance(each, ast.Constant) else None for each in node.args]
            yield from _called(called, [each if isinstance(each, str) else None for each in values])
            if path.parent.name == "web":
                yield from _of_page(node)


def _of_page(call: ast.Call) -> Iterator[Text]:
    """Yield the texts of a call in the modules of the page."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    called = call.func.id if isinstance(call.func, ast.Name) else called
    literals = [_literals(each) for each in call.args]
    if called == "words" and literals:
        yield from (Text("", text) for text in literals[0])
    elif called == "count" and len(literals) > 2 and literals[1] and literals[2]:
        yield Text("", literals[1][0], literals[2][0])
    elif called in {"refuse", "HTTPException", "Forbidden", "Refused", "_refusal"}:
        for each in call.args:
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value:
                yield Text("", each.value)


def _of_commands() -> Iterator[Text]:
    """Yield what `--help` shows: summaries, paragraphs, and the help of every option."""
    yield from (Text("", heading) for heading in READERS)
    context = click.Context(cli)
    with use_language(ENGLISH):
        commands = [cli, *filter(None, (cli.get_command(context, name) for name in COMMANDS))]
    yield from (Text("", summary) for _, summary in COMMANDS.values())
    for command in commands:
        paragraphs = help_paragraphs(command.help)
        yield from (Text("", each) for each in paragraphs if not each.startswith("\b"))
        for each in command.params:
            if isinstance(each, click.Option) and each.help:
                yield Text("", each.help)
    yield from (Text("", each.description) for each in PERSONALITIES.values())


def _of_click() -> Iterator[Text]:
    """Yield click's own texts, which it asks gettext for."""
    yield Text("", "required")  # from a table of its own
    for name in ("core", "decorators", "exceptions", "formatting", "parser", "termui", "types"):
        for node in ast.walk(ast.parse(Path(click.__file__).with_name(f"{name}.py").read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            found = [each.value for each in node.args if isinstance(each, ast.Constant)]
            words = [each for each in found if isinstance(each, str)]
            if node.func.id == "_" and words:
                yield Text("", words[0])
            elif node.func.id == "ngettext":
                yield Text("", *words[:2])


_NOT_SHOWN: Final = (
    *("# The importer wrote", "{part}ledger:", "ledger: ", "night: ", "Mapping[", "importer "),
    *("numbered names", "every clock", "UTC", "{now} UTC", "{name}:{row}:", "ALTER ROLE", "read "),
    *("character '", "mapping values", "unexpected end", "expected ", "could not find expected"),
    *("undefined alias", "that cannot start", "flow ", "opens here"),  # the YAML reader's words
)
"""How texts begin that no reader sees, or that are commands."""


def _of_errors() -> Iterator[Text]:
    """Yield the patterns of the errors that end a command, and of the words that they take."""
    kinds = {each.__name__ for each in vars(errors).values() if isinstance(each, type)}
    kinds |= {"RemoteFault", "_CheckFailed", "MessageRefused", "NotDelivered", "_wrong"}
    for path in sorted((ROOT / "importer").rglob("*.py")):
        place = path.relative_to(ROOT / "importer").as_posix()
        if place.startswith("web/"):
            continue
        here = {*kinds, "ValueError"} if place.startswith("settings/") else kinds
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            if getattr(node.exc.func, "id", getattr(node.exc.func, "attr", "")) in here:
                for each in node.exc.args:
                    ends = [each.body, each.orelse] if isinstance(each, ast.IfExp) else [each]
                    yield from (_pattern(end) for end in ends if _is_sentence(end))
    pairs = (*database._EXPLANATIONS, *database._CONNECTION_FAULTS, *database._BY_STATE.items())
    for _, words in (*pairs, ("", database._UNEXPECTED), ("", database._UNREACHABLE)):
        yield from (Text(FILLED, each) for each in words if each)
    yield from (Text(FILLED, os.strerror(number)) for number in _OF_SYSTEM)


_OF_SYSTEM: Final = (
    *(errno.EACCES, errno.ENOENT, errno.ENOSPC, errno.EISDIR, errno.ENOTDIR),
    *(errno.EROFS, errno.EEXIST, errno.EADDRINUSE),
)
"""Errors of the operating system that people meet."""


def _of_sentences() -> Iterator[Text]:
    """Yield the patterns of every text of several words where all of them are shown."""
    settings, sending = ROOT / "importer" / "settings", ROOT / "importer" / "sending"
    night = sorted((ROOT / "importer" / "nightly").rglob("*.py"))
    doubts = (sending / "reconcile.py", sending / "campaigns.py")
    server = ROOT / "importer" / "ledger" / "server_settings.py"
    for path in (*night, settings / "yaml_files.py", settings / "sources.py", *doubts, server):
        tree = parse(path)
        known = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                known |= {id(each) for each in ast.walk(node) if each is not node}
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "quantity":
                words = [each.value for each in node.args[1:] if isinstance(each, ast.Constant)]
                known |= {id(each) for each in node.args}
                one, many = [*map(str, words), f"{words[0]!s}s"][:2]
                yield from (Text(FILLED, f"1 {one}"), Text(FILLED, f"{{n}} {many}"))
            if isinstance(node, ast.expr) and id(node) not in known and _is_sentence(node):
                pattern = _pattern(node)
                if not pattern.one.startswith(_NOT_SHOWN):
                    yield pattern


def _is_sentence(node: ast.expr) -> bool:
    """Whether an expression is a text of several words."""
    words = _literals(node) if isinstance(node, ast.JoinedStr | ast.Constant) else []
    return any(re.search(r"[a-z)`]: | [A-Za-z]|[a-z] ", each) for each in words)


def _pattern(node: ast.expr) -> Text:
    """Return the pattern of a text whose values are filled in when it is made."""
    if isinstance(node, ast.Constant):
        return Text(FILLED, str(node.value))
    found, names = [], Counter[str]()
    for each in node.values if isinstance(node, ast.JoinedStr) else []:
        if isinstance(each, ast.Constant):
            found.append(str(each.value))
        elif isinstance(each, ast.FormattedValue):
            name = _name_of(each)
            names[name] += 1
            found.append(f"{{{name}{names[name] if names[name] > 1 else ''}}}")
    whole = re.sub(r"^\{\w+\} ?(?=[A-Z][a-z]|`)", "", "".join(found))  # a sentence of its own
    return Text(FILLED, re.sub(r"(?<=\.) \{\w+\}$", "", whole))


_SAID: Final = frozenset(
    {
        *(
            "what",
            "why",
            "reason",
            "doubt",
            "meant",
            "error",
            "strerror",
            "value",
            "how",
            "message",
        ),
        *("called", "other", "rows", "files", "form", "last", "stays", "hours", "when", "words"),
        *("exc", "exception", "refused", "unknown", "notbyexternalid", "quantity"),
    }
)
"""Names of values that are texts of their own."""


def _name_of(value: ast.FormattedValue) -> str:
    """Return a name for a value, after the expression that it comes from."""
    node = value.value.func if isinstance(value.value, ast.Call) else value.value
    if getattr(node, "id", "") == "len":
        return "n"
    name = getattr(node, "id", getattr(node, "attr", "value"))
    name = re.sub(r"[^a-z]", "", name.lower()) or "value"
    return "part" if name in _SAID or "part" in name else name


def _literals(node: ast.expr) -> list[str]:
    """Return the texts of an expression, such as both ends of a choice."""
    values = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return [value for value in values if isinstance(value, str) and len(value) > 1]


def _headers(call: ast.Call) -> Iterator[Text]:
    """Yield the headers of a table, which may be in a list of their own."""
    for each in call.args:
        for node in ast.walk(each):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield Text(WORD, node.value)


def _of_templates() -> Iterator[Text]:
    known = environment()
    for path in sorted((ROOT / "importer").rglob("*.j2")):
        tree = known.parse(path.read_text("utf-8"))
        for _, called, found in extract_from_ast(
            tree, gettext_functions=("_", "counted", "word"), babel_style=False
        ):
            yield from _called(called, list(found) if isinstance(found, tuple) else [found])


def _called(name: str, literals: list[str | None]) -> Iterator[Text]:
    """Yield the text of a call, if it is one that translates a literal."""
    if name in {"translate", "_"} and literals and literals[0]:
        yield Text("", literals[0])
    elif name in {"translate_word", "word"} and literals and literals[0]:
        yield Text(WORD, literals[0])
    elif name in {"translate_count", "counted"}:
        one, many = ([each for each in literals if each] + ["", ""])[:2]
        if one and many:
            yield Text("", one, many)


def literals_of_source() -> str:
    """Return all literal text of the source, in which the words of a pattern must be found."""
    found = []
    for package in ("importer", "schemas"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(parse(path)):
                value = node.value if isinstance(node, ast.Constant) else None
                found += [value] if isinstance(value, str) else []
    return "\n".join(found)


def is_in_source(pattern: str, source: str) -> bool:
    """Whether the text of a pattern between its placeholders is made of texts of the source."""
    return all(_is_made_of(piece, source) for piece in PLACE.split(pattern)[::2])


def _is_made_of(text: str, source: str) -> bool:
    """Whether a text consists of at most four parts that are in the source."""
    for _ in range(4):
        if text in source:
            return True
        longest = bisect_left(range(len(text)), x=True, key=lambda n: text[: n + 1] not in source)
        text = text[longest:]
    return not text


def read(name: str) -> Catalog:
    """Return the catalogue of a language; empty if there is none yet."""
    path = path_of(name)
    if not path.is_file():
        return Catalog(locale=name)
    with path.open("rb") as file:
        return read_po(file, locale=name)


def updated(name: str) -> Catalog:
    """Return the catalogue of a language with the texts of the source, translated as it was."""
    old, source = read(name), literals_of_source()
    new = Catalog(locale=name, project="importer", version="1", charset="utf-8")
    shapes = {
        PLACE.sub("7", str(each.id)): str(each.id)
        for each in old
        if each.context == FILLED and each.string
    }
    for text in sorted(texts()):
        one = text.one
        if text.context == FILLED:  # a pattern that was made by hand has better names
            one = shapes.get(PLACE.sub("7", one), one)
        key = (one, text.many) if text.many else one
        before = old.get(one, text.context or None)
        kept = before.string if before is not None and before.id == key else None
        new.add(key, kept, context=text.context or None)
    collected = {message.id for message in new if message.context == FILLED}
    for message in old:
        by_hand = message.context == FILLED and message.string and message.id not in collected
        if by_hand and is_in_source(str(message.id), source):
            new.add(message.id, message.string, context=FILLED)
    new.creation_date = new.revision_date = old.creation_date
    return new


def compiled(catalogue: Catalog) -> bytes:
    """Return the `.mo` of a catalogue."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def as_text(catalogue: Catalog) -> bytes:
    """Return the `.po` of a catalogue; without places in the source, which change daily."""
    out = io.BytesIO()
    write_po(out, catalogue, width=100, no_location=True, sort_output=True)
    return out.getvalue()


def main() -> None:
    """Write the catalogues, and name what is not translated."""
    for name in others():
        catalogue, path = updated(name), path_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_text(catalogue))
        path.with_suffix(".mo").write_bytes(compiled(catalogue))
        for message in catalogue:
            strings = message.string if isinstance(message.string, tuple) else (message.string,)
            if message.id and not all(strings):
                print(f"{name}: not translated: {message.id}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
