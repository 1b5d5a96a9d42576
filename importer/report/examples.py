"""The body of one row of each group, as a report shows it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.identity import Identity
from importer.payload import submissions
from importer.planning import SHOWN
from schemas.columns import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json, Plan
    from importer.settings import Settings

PREVIEW: Final = Identity(hmac_key=b"preview", organization="preview")
"""Makes the keys of examples where nobody has the real ones."""


def examples(
    plan: Plan, settings: Settings, identity: Identity = PREVIEW, *, most: int = SHOWN
) -> dict[int, tuple[str, Mapping[str, Json]]]:
    """Position of a group -> its first row in words, and the request body of that row.

    Args:
        plan: what a run would send.
        settings: shape the bodies.
        identity: makes the external ids of rows that have none of their own.
        most: only for so many groups, the first ones.
    """
    first = plan.frame.filter(pl.col(GROUP) < most).unique(GROUP, keep="first", maintain_order=True)
    plan = dataclasses.replace(plan, groups=plan.groups[:most])
    several = len(plan.tables) > 1
    found = {}
    groups = first[GROUP].to_list()
    for group, each in zip(groups, submissions(plan, identity, settings, first), strict=True):
        file = f" of {plan.tables[each.source].source.name}" if several else ""
        found[group] = (f"row {each.row}{file}", each.body)
    return found
