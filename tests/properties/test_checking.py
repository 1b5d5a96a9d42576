"""Laws of checking that hold for any spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.normalise import normalise
from importer.normalise.text import tidy
from importer.settings import Settings
from importer.settings.values import FATAL
from schemas.codes import Code, Severity
from schemas.columns import BY_NAME, ROW, SOURCE
from tests.support.tables import SETTINGS, Row, check_tables, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import CheckedRows

CALM = settings(deadline=None, max_examples=25)

ODD = st.text(
    st.sampled_from("aZé '-,.@<>:+0\u00a0\u200b\u200c\u200d\u202e\u0301\ufeff\t\n\x00ع\u094dक👩李"),
    max_size=12,
)
PHONES = st.sampled_from(
    (
        *("+61491570006", "0491 570 006", "020 7946 0018", "0044 20 79460018", "+1 202 555 0104"),
        *("call me", "12", "4.47E+11", "\u202a+61491570156\u202c", "+61491570156 / +61491570157"),
    )
)
EMAILS = st.sampled_from(
    (
        *("ada@example.com", "Ada@Example.COM", "mailto:bob@example.org", "Bob <bob@example.org>"),
        *("cy @example.com", "jürgen@example.com", "ada", "a@b@example.com", "x@example.test"),
    )
)
COUNTRIES = st.sampled_from(("GB", "Deutschland", "Australia", "holland", "Atlantis", "+44"))
FLAGS = st.sampled_from(("yes", "nein", "x", "perhaps", "0"))
NAMES = st.sampled_from(("Ada", "García Márquez, Gabriel", "Dr. Anna Müller", "李小龙", "José"))
CELLS: Mapping[str, st.SearchStrategy[str | None]] = {
    "phone_number": PHONES,
    "email": EMAILS,
    "first_name": NAMES,
    "last_name": NAMES,
    "full_name": NAMES,
    "country": COUNTRIES,
    "campaign": st.sampled_from(("a", "b")),
    "external_campaign": st.sampled_from(("a", "b")),
    "candidate_id": ODD,
    "meeting_template": ODD,
    "participant_template": ODD,
    "send_during_business_hours": FLAGS,
    "skip_duplication_check": FLAGS,
    "job": ODD,
    "shift": ODD,
}
assert not BY_NAME.keys() - CELLS.keys()
ROWS = st.fixed_dictionaries({name: st.none() | cell | ODD for name, cell in CELLS.items()})
LISTS = st.lists(ROWS, max_size=8)
CHOICES = st.builds(
    Settings,
    campaign=st.none() | st.just("camp-42"),
    default_country=st.none() | st.just("GB"),
    skip_duplication_check=st.booleans(),
    severity=st.dictionaries(
        st.sampled_from(sorted(set(Code) - FATAL)), st.sampled_from(Severity), max_size=4
    ),
)


def cells(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return rows by column name, whatever the order of the columns."""
    return frame.select(sorted(frame.columns)).to_dicts()


def told(result: CheckedRows) -> set[tuple[Any, ...]]:
    """Return the problems, whatever their order within a row."""
    return set(result.problems.rows())


@CALM
@given(LISTS)
def test_normalising_twice_is_normalising_once(rows: list[Row]) -> None:
    """What was tidied and read is read again as itself."""
    once = normalise(table(rows, columns=tuple(CELLS)), 0, SETTINGS).clean
    again = normalise(table(once.drop(SOURCE, ROW).to_dicts(), columns=tuple(CELLS)), 0, SETTINGS)
    assert cells(again.clean) == cells(once)
    assert not again.problems.filter(
        pl.col("code").is_in([Code.VALUE_CHANGED.value, Code.EMAIL_INVALID.value])
    ).height


@CALM
@given(LISTS, st.permutations(tuple(CELLS)), CHOICES)
def test_the_order_of_columns_changes_nothing(
    rows: list[Row], columns: list[str], choices: Settings
) -> None:
    """The same rows, statuses and problems."""
    first = check_tables(table(rows, columns=tuple(CELLS)), settings=choices)
    second = check_tables(table(rows, columns=columns), settings=choices)
    assert first.frame.equals(second.frame)
    assert first.rows.equals(second.rows)
    assert first.problems.equals(second.problems)


@CALM
@given(LISTS, LISTS, CHOICES)
def test_every_row_that_was_read_has_one_status(
    rows: list[Row], more: list[Row], choices: Settings
) -> None:
    """Read = ready + rejected + duplicate, and each status has its reason."""
    result = check_tables(table(rows), table(more), settings=choices)
    places = [(0, row + 2) for row in range(len(rows))] + [(1, row + 2) for row in range(len(more))]
    assert result.rows.select(SOURCE, ROW).rows() == places
    by_status = {
        status: set(part.select(SOURCE, ROW).rows())
        for (status,), part in result.rows.group_by("status")
    }
    assert by_status.keys() <= {"ready", "rejected", "duplicate"}
    wrong = result.problems.filter(pl.col("severity") == "error").select(SOURCE, ROW).rows()
    again = result.problems.filter(pl.col("code") == "duplicate-in-file").select(SOURCE, ROW)
    assert by_status.get("rejected", set()) == set(wrong)
    assert by_status.get("duplicate", set()) == set(again.rows()) - set(wrong)
    assert result.frame.select(SOURCE, ROW).rows() == [
        place for place in places if place in by_status.get("ready", set())
    ]


@CALM
@given(LISTS, CHOICES)
def test_ready_rows_can_be_sent(rows: list[Row], choices: Settings) -> None:
    """A name, a way to reach the person, one campaign at least, each person and campaign once."""
    frame = check_tables(table(rows, columns=tuple(CELLS)), settings=choices).frame
    {code for code, severity in choices.severity.items() if severity is not Severity.ERROR}
    people = set()
    for row in frame.to_dicts():
        assert row["first_name"]
        assert row["phone_number"] or row["email"]
        assert row["campaign"] or row["external_campaign"]
        person = row["phone_number"] or (row["email"] or "").lower()
        where = ("id", row["campaign"]) if row["campaign"] else ("ext", row["external_campaign"])
        assert (person, where) not in people
        people.add((person, where))


@CALM
@given(LISTS, ROWS, st.integers(0, 8))
def test_one_bad_row_changes_nothing_for_the_others(rows: list[Row], bad: Row, place: int) -> None:
    """A row that is rejected leaves every other row with the same cells, status and problems."""
    at = min(place, len(rows))
    bad = {**bad, "country": "Atlantis"}
    whole = [*rows[:at], bad, *rows[at:]]
    numbers = [row for row in range(len(whole)) if row != at]
    alone = check_tables(table(rows, columns=tuple(CELLS)))
    among = check_tables(table(whole, columns=tuple(CELLS)))
    renumbered = {old + 2: new + 2 for old, new in zip(numbers, range(len(rows)), strict=True)}
    assert among.rows["status"].to_list()[at] == "rejected"

    def without_places(result: CheckedRows, places: Mapping[int, int]) -> list[tuple[object, ...]]:
        return [
            (places[row["#row"]], *(cell for name, cell in row.items() if name != "#row"))
            for row in result.frame.to_dicts()
        ]

    same = {row + 2: row + 2 for row in range(len(rows))}
    assert without_places(among, renumbered) == without_places(alone, same)
    names = {f"row {old}": f"row {new}" for old, new in renumbered.items()}
    shifted = {
        (*problem[:1], renumbered[problem[1]], *problem[2:6], names.get(problem[6], problem[6]))
        for problem in told(among)
        if problem[1] in renumbered
    }
    assert shifted == told(alone)


@CALM
@given(st.lists(st.none() | ODD | st.text(max_size=20), max_size=20))
def test_the_cheap_look_misses_nothing(texts: list[str | None]) -> None:
    """A cell among odd cells and a cell alone become the same, and tidying twice is once."""
    frame = pl.DataFrame(
        {"line": texts, "text": texts}, schema={"line": pl.String, "text": pl.String}
    )
    together, _ = tidy(frame, {"line"})
    alone = [tidy(frame[place : place + 1], {"line"})[0].row(0) for place in range(len(texts))]
    assert together.rows() == alone
    again, _ = tidy(together, {"line"})
    assert again.equals(together)
    assert all(cell is None or cell == cell.strip(" ") for cell in again["line"])
