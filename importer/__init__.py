"""Candidate spreadsheets become interview-scheduling conversations.

The Python API: the names in `__all__`, each imported when it is first used. `check` needs no ledger
and no network. The command line and the nightly import use the same functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importer.deliver import deliver as send
    from importer.deliver import reconcile, resume
    from importer.errors import Exit, ImporterError
    from importer.model import Counts, Outcome, Plan, RunReport, State, Table
    from importer.prepare import prepare as check
    from importer.problems import in_words as problems_of
    from importer.sending.run_options import Observer, RunOptions, SilentObserver
    from importer.sending.sender import ReconcileReport
    from importer.settings import Credentials, Settings, load_settings

__all__ = [
    "Counts",
    "Credentials",
    "Exit",
    "ImporterError",
    "Observer",
    "Outcome",
    "Plan",
    "ReconcileReport",
    "RunOptions",
    "RunReport",
    "Settings",
    "SilentObserver",
    "State",
    "Table",
    "check",
    "load_settings",
    "problems_of",
    "reconcile",
    "resume",
    "send",
]

_PLACES: Final = {
    "Counts": "importer.model:Counts",
    "Credentials": "importer.settings:Credentials",
    "Exit": "importer.errors:Exit",
    "ImporterError": "importer.errors:ImporterError",
    "Observer": "importer.sending.run_options:Observer",
    "Outcome": "importer.model:Outcome",
    "Plan": "importer.model:Plan",
    "ReconcileReport": "importer.sending.sender:ReconcileReport",
    "RunOptions": "importer.sending.run_options:RunOptions",
    "RunReport": "importer.model:RunReport",
    "Settings": "importer.settings:Settings",
    "SilentObserver": "importer.sending.run_options:SilentObserver",
    "State": "importer.model:State",
    "Table": "importer.model:Table",
    "check": "importer.prepare:prepare",
    "load_settings": "importer.settings:load_settings",
    "problems_of": "importer.problems:in_words",
    "reconcile": "importer.deliver:reconcile",
    "resume": "importer.deliver:resume",
    "send": "importer.deliver:deliver",
}
"""Each name of the API -> the module and the name that it has there.

Type checkers and editors cannot follow it. For them the imports above and `__all__` say it again.
"""


def __getattr__(name: str) -> object:
    """Import a name of the API when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'importer' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """Return the names of the API, and the names that every module has."""
    return sorted({*globals(), *__all__})
