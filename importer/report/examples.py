"""The body of one row of each group, as a report shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from importer.identity import Identity
from importer.payload import submissions
from schemas.columns import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json, Plan
    from importer.settings import Settings

PREVIEW: Final = Identity(hmac_key=b"preview", organization="preview")
"""Makes the keys of examples where nobody has the real ones."""


def examples(
    plan: Plan, settings: Settings, identity: Identity = PREVIEW
) -> dict[int, tuple[str, Mapping[str, Json]]]:
    """Position of a group -> its first row in words, and the request body of that row.

    Args:
        plan: what a run would send.
        settings: shape the bodies.
        identity: makes the external ids of rows that have none of their own.
    """
    first = plan.frame.unique(GROUP, keep="first", maintain_order=True)
    several = len(plan.tables) > 1
    found = {}
    groups = first[GROUP].to_list()
    for group, each in zip(groups, submissions(plan, identity, settings, first), strict=True):
        file = f" of {plan.tables[each.source].source.name}" if several else ""
        found[group] = (f"row {each.row}{file}", each.body)
    return found
