"""The hashes of a list's people find them in other lists and in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from importer.ledger import Ledger
from importer.ledger.records import ListState, Settlement
from importer.model import State
from importer.settings import Settings
from importer.work.upload_store import new_id
from importer.work.workbench import Workbench
from schemas.columns import PERSON
from tests.unit.ledger.ledger_builders import new_run, planned_row

if TYPE_CHECKING:
    from pathlib import Path

SHORT = "0123456789abcdef"
WHOLE = SHORT + 48 * "0"
"""The hash of one person, as older versions kept it."""


def test_people_of_a_list_from_before_an_upgrade_are_recognised(tmp_path: Path) -> None:
    """In other lists and in the ledger, although its file has whole hashes."""
    settings = Settings.model_validate(
        {
            "ledger": f"sqlite:///{tmp_path / 'importer.db'}",
            "uploads": tmp_path / "uploads",
            "rehearsal": True,
            "base_url": "http://127.0.0.1:1/v1",
        }
    )
    with Ledger.open(settings.ledger) as ledger:
        workbench = Workbench(settings, settings.credentials(), ledger)
        lists = []
        for person in (WHOLE, SHORT):
            list_id = new_id()
            ledger.lists.add(list_id, "ann")
            path = workbench.place_for(list_id).parent / "people.parquet"
            pl.DataFrame({PERSON: [person], "west": ["UTC"], "east": ["UTC"]}).write_parquet(path)
            known = ledger.lists.change(list_id, {ListState.UPLOADING}, state=ListState.OPEN.value)
            assert known is not None
            lists.append(known)
        run = ledger.runs.begin(new_run(), [planned_row("k1", person=SHORT)])
        ledger.submissions.intend(run, ["k1"])
        ledger.submissions.settle(run, [Settlement("k1", State.CREATED, conversation_id="c1")])
        for mine, other in (lists, lists[::-1]):
            assert [each.list.id for each in workbench.elsewhere(mine)] == [other.id]
            assert workbench.contacted_before(mine) == 1
