"""`importer explain`: what a code, setting, state, exit code or document means."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.markdown import Markdown
from rich.text import Text

from importer.errors import EXIT_MEANING, Exit, UsageError
from importer.model import STATE_MEANING, State
from importer.settings import Settings
from importer.settings.settings import NightlySettings
from schemas.codes import WORDS, Code, Severity
from schemas.columns import BY_NAME

if TYPE_CHECKING:
    from rich.console import RenderableType

_CONSEQUENCE = {
    Severity.ERROR: "An error: the row is not sent.",
    Severity.WARNING: "A warning: the row is sent.",
    Severity.INFO: "For information: the row is sent.",
}


@click.command(
    short_help="Explain a code, setting, column, state, exit code or document.",
    context_settings={"ignore_unknown_options": True},  # `--rate-per-s` is a topic
)
@click.argument("topic", required=False, metavar="[TOPIC]")
def explain(topic: str | None) -> None:
    """Explain TOPIC: a code of a problem, a setting, a column, a state, an exit code, a document.

    Without TOPIC, list what can be explained.
    """
    console = Console()
    if topic is None:
        console.print(_overview())
        return
    wanted = topic.strip().lower().removeprefix("--")
    found = next((each for each in (wanted, wanted.replace("-", "_")) if each in _topics()), None)
    if found is None:
        raise UsageError(f"There is nothing called {topic} to explain.", _did_you_mean(wanted))
    console.print(_explanation(found))


def _documents() -> dict[str, str]:
    """Name of a document -> its text."""
    folder = files("importer") / "docs"
    return {
        each.name.removesuffix(".md"): each.read_text("utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".md")
    }


def _topics() -> list[str]:
    codes, states = [code.value for code in Code], [state.value for state in State]
    exits = [str(code.value) for code in Exit]
    return [*codes, *states, *exits, *Settings.model_fields, *BY_NAME, *_documents()]


def _did_you_mean(wanted: str) -> str:
    close = difflib.get_close_matches(wanted, _topics(), n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "`importer explain` lists what there is."


def _explanation(topic: str) -> RenderableType:
    """All that is known of a topic; a word may be several things, such as a code and a state."""
    parts: list[RenderableType] = []
    if topic in set(Code):
        parts.append(_of_code(Code(topic)))
    if topic in set(State):
        parts.append(_titled(f"State {topic}", STATE_MEANING[State(topic)]))
    if topic.isdigit():
        parts.append(_titled(f"Exit code {topic}", EXIT_MEANING[Exit(int(topic))]))
    if topic in Settings.model_fields:
        parts.append(_of_setting(topic))
    if topic in BY_NAME:
        parts.append(_of_column(topic))
    if topic in _documents():
        parts.append(Markdown(_documents()[topic]))
    return Group(*parts)


def _titled(title: str, *lines: str) -> RenderableType:
    return Group(Text(title, style="bold"), *(Text(f"  {line}") for line in lines if line), Text())


def _of_code(code: Code) -> RenderableType:
    words = WORDS[code]
    message = words.message.replace("{detail}", "…").replace("{header}", "…")
    return _titled(f"Code {code.value}", message, words.fix, _CONSEQUENCE[words.severity])


def _of_setting(name: str) -> RenderableType:
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    kind = "Setting of nightly imports" if name in NightlySettings.model_fields else "Setting"
    return _titled(
        f"{kind} {name}",
        field.description or "",
        "No default." if default in (None, "", {}, ()) else f"Default: {shown}",
        f"In importer.yaml as `{name}:`, in the environment as IMPORTER_{name.upper()}.",
    )


def _of_column(name: str) -> RenderableType:
    column = BY_NAME[name]
    sent = f"Sent as {column.api_key}." if column.api_key else ""
    return _titled(f"Column {name}", column.about, sent)


def _overview() -> RenderableType:
    documents = ", ".join(_documents())
    return Group(
        _titled("Documents", documents),
        _titled("Codes of problems", ", ".join(code.value for code in Code)),
        _titled("States of a submission", ", ".join(state.value for state in State)),
        _titled("Exit codes", ", ".join(str(code.value) for code in Exit)),
        _titled("Settings", ", ".join(Settings.model_fields)),
        _titled("Columns", ", ".join(BY_NAME)),
    )
