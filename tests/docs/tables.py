"""The documents' tables, made from the program; `python -m tests.docs.tables` writes them again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.cli.main import COMMANDS
from importer.errors import EXIT_MEANING, RUN_AGAIN
from importer.model import STATE_MEANING
from importer.sandbox.personalities import PERSONALITIES
from importer.settings import Settings
from importer.settings.page_settings import ROLE_MEANING, PageSettings, WebhookSettings
from importer.settings.settings import NightlySettings
from importer.settings.values import descriptions
from schemas.codes import WORDS
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
DOCUMENTS: Final = (README, *sorted((ROOT / "importer" / "docs").glob("*.md")))
BLOCK: Final = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def made() -> dict[str, str]:
    """Name of a table -> its text as Markdown."""
    return {
        "commands": _table(
            ("command", "what it does"),
            ((f"`importer {name}`", summary) for name, (_, summary) in COMMANDS.items()),
        ),
        "columns": _table(
            ("column", "sent as", "what it says", "also understood"),
            (
                (
                    f"`{column.name}`",
                    f"`{column.api_key}`" if column.api_key else "",
                    column.about,
                    ", ".join(column.aliases),
                )
                for column in COLUMNS
            ),
        ),
        "settings": _table(
            ("setting", "default", "what it is"),
            (
                (f"`{name}`", _default(name), descriptions(Settings)[name])
                for name in Settings.model_fields
                if name
                not in {
                    **NightlySettings.model_fields,
                    **PageSettings.model_fields,
                    **WebhookSettings.model_fields,
                }
            ),
        ),
        "page-settings": _table(
            ("setting", "default", "what it is"),
            (
                (f"`{name}`", _default(name), descriptions(Settings)[name])
                for name in PageSettings.model_fields
            ),
        ),
        "webhook-settings": _table(
            ("setting", "default", "what it is"),
            (
                (f"`{name}`", _default(name), descriptions(Settings)[name])
                for name in WebhookSettings.model_fields
            ),
        ),
        "roles": _table(
            ("role", "may"),
            ((f"`{role.value}`", meaning) for role, meaning in ROLE_MEANING.items()),
        ),
        "nightly-settings": _table(
            ("setting", "default", "what it is"),
            (
                (f"`{name}`", _default(name), descriptions(Settings)[name])
                for name in NightlySettings.model_fields
            ),
        ),
        "states": _table(
            ("state", "meaning"),
            ((f"`{state.value}`", text) for state, text in STATE_MEANING.items()),
        ),
        "exit-codes": _table(
            ("code", "meaning"),
            ((f"`{code.value}`", meaning) for code, meaning in EXIT_MEANING.items()),
        ),
        "run-again": _table(
            ("code", "run the same command again?"),
            ((f"`{code.value}`", text) for code, text in RUN_AGAIN.items()),
        ),
        "codes": _table(
            ("code", "severity", "message", "what to do"),
            (
                (
                    f"`{code.value}`",
                    words.severity.value,
                    words.message.replace("{detail}", "…").replace("{header}", "…"),
                    words.fix,
                )
                for code, words in WORDS.items()
            ),
        ),
        "personalities": _table(
            ("`--behave`", "argument", "default", "how the API behaves"),
            (
                (f"`{each.name}`", each.argument, each.default, each.description)
                for each in PERSONALITIES.values()
            ),
        ),
    }


def written(text: str) -> str:
    """Return the text of a document with every table as it should be."""
    tables = made()
    return BLOCK.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", text)


def _default(name: str) -> str:
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    if value is None or value in ("", {}, ()):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |\n"
        for line in lines
    )


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(written(document.read_text("utf-8")), "utf-8")
