"""The first half of the road: from spreadsheets to a plan. It needs no ledger and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.grouping import group
from importer.loader import expand, load
from importer.normalise import normalise
from importer.planning import assemble
from importer.templates import Templates
from importer.validate import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.model import Plan
    from importer.people import Look
    from importer.settings import Settings


def prepare(files: Sequence[str], settings: Settings, look: Look | None = None) -> Plan:
    """From spreadsheets to a plan; touches no network and writes nothing.

    Args:
        files: paths, folders, patterns, or `-`; what cannot be read becomes a problem.
        settings: what shapes rows and bodies.
        look: what earlier runs did; without it every good row is ready.

    Raises:
        InputError: a template cannot be used.
        UsageError: there is no such file.
    """
    tables = [load(name, settings) for name in expand(files)]
    tidy = [normalise(table, position, settings) for position, table in enumerate(tables)]
    checked = validate(tidy, tables, settings)
    grouped = group(checked, Templates(settings.templates), settings)
    plan = assemble(tables, checked, grouped, settings)
    return plan if look is None else look.applied_to(plan, settings)
