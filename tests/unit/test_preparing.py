"""From spreadsheets to a plan: it only looks, and stops for nothing that one row has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import TemplateError, UsageError
from importer.model import Counts
from importer.preparing import prepare
from tests.place import GOOD, Place, place

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


@pytest.fixture
def desk() -> Iterator[Place]:
    """A folder to plan in."""
    with place() as desk:
        yield desk


def test_preparing_changes_nothing(desk: Place) -> None:
    """The folder is what it was."""
    names = desk.files(ROWS)
    before = {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")}
    plan = prepare(names, desk.settings)
    assert plan.counts == Counts(read=6, ready=6)
    assert {path: path.stat().st_mtime_ns for path in desk.folder.rglob("*")} == before


def test_what_cannot_be_prepared(desk: Place) -> None:
    """No file at all, or a template that breaks a rule, is an error; a bad file is a problem."""
    with pytest.raises(UsageError):
        prepare([], desk.settings)
    assert prepare([str(desk.folder / "none.csv")], desk.settings).counts == Counts()
    (desk.folder / "templates" / "participants" / "manager.yaml").write_text("- {}\n")
    with pytest.raises(TemplateError, match=r"manager\.yaml"):
        desk.plan([GOOD])
