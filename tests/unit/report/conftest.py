"""Plans to report on, built by hand: made-up people, real shapes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import polars as pl
import pytest

from importer import problems
from importer.ledger.records import ArrangedMeeting, RowOutcome, SubmissionRecord
from importer.model import Counts, Group, Plan, RowStatus, RunReport, Source, State, Table
from importer.planning.plan import KNOWN
from importer.report import view
from importer.report.outcomes import outcome_frame
from schemas.codes import Code, Severity
from schemas.columns import COLUMNS, GROUP, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.model import Json

MEETING: Mapping[str, Json] = {
    "title": "Interview for Warehouse Lead",
    "timezone": "Europe/London",
    "duration": 45,
    "openHours": [{"days": [1, 2, 3, 4, 5], "start": "09:00", "end": "17:00"}],
    "videoConferencing": False,
    "location": "1 High Street, Leeds",
}
PEOPLE: tuple[Mapping[str, Json], ...] = (
    {
        "name": "Grace Hopper",
        "email": "grace.hopper@example.com",
        "isOrganizer": True,
        "isCalendarConnected": True,
    },
)


def table(
    name: str,
    headers: Sequence[str],
    cells: Sequence[Sequence[str | None]],
    mapping: Mapping[str, str],
    *,
    delimiter: str = ",",
    sheet: str | None = None,
    extra: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> Table:
    """Return a table as the loader gives it: row 2 is the first below the header."""
    frame = pl.DataFrame(
        [(row, *line) for row, line in enumerate(cells, start=2)],
        schema={ROW: pl.UInt32, **dict.fromkeys(headers, pl.String)},
        orient="row",
    )
    source = Source(
        name=name,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        path=None,
        size=1234,
        encoding="" if sheet else "utf-8",
        delimiter="" if sheet else delimiter,
        sheet=sheet,
    )
    return Table(source, frame, mapping, extra or {}, (), problems.empty(), notes)


def group(rows: int, *, campaign: str = "camp-42", meeting: str = "onsite-45") -> Group:
    """Return a group as grouping gives it."""
    return Group(
        campaign=campaign,
        external_campaign="",
        meeting=meeting,
        participants="hiring-manager",
        bindings={"job_title": "Warehouse Lead"},
        meeting_configuration=MEETING,
        meeting_participants=PEOPLE,
        rows=rows,
    )


class MakeTable(Protocol):
    """Makes a table as the loader gives it."""

    def __call__(
        self,
        name: str,
        headers: Sequence[str],
        cells: Sequence[Sequence[str | None]],
        mapping: Mapping[str, str],
        *,
        delimiter: str = ",",
        sheet: str | None = None,
        extra: Mapping[str, str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Table:
        """Return the table; row 2 is the first below the header."""


class MakePlan(Protocol):
    """Makes a plan from tables and problems: a row with an error is a rejected one."""

    def __call__(
        self,
        tables: Sequence[Table],
        found: Sequence[pl.DataFrame] = (),
        *,
        groups: int = 1,
    ) -> Plan:
        """Return the plan; its ready rows are dealt out to this many groups."""


def make_plan(
    tables: Sequence[Table], found: Sequence[pl.DataFrame] = (), *, groups: int = 1
) -> Plan:
    """Return a plan from tables and problems: see `MakePlan`."""
    frame = problems.concat(found)
    by_row = frame.filter(pl.col(ROW).is_not_null())
    status = (
        pl.when(pl.col("severity") == Severity.ERROR)
        .then(pl.lit(RowStatus.REJECTED.value))
        .when(pl.col("code") == Code.DUPLICATE_IN_FILE)
        .then(pl.lit(RowStatus.DUPLICATE.value))
        .when(pl.col("code") == Code.ALREADY_IMPORTED)
        .then(pl.lit(RowStatus.ALREADY_IMPORTED.value))
    )
    known = (
        by_row.select(SOURCE, ROW, status.alias("status"))
        .drop_nulls("status")
        .sort("status", descending=True)
        .unique([SOURCE, ROW], keep="first", maintain_order=True)
    )
    every = [
        each.frame.select(pl.lit(position).cast(pl.UInt16).alias(SOURCE), ROW)
        for position, each in enumerate(tables)
    ]
    rows = (
        pl.concat(every)
        .join(known, on=[SOURCE, ROW], how="left", maintain_order="left")
        .with_columns(pl.col("status").fill_null(RowStatus.READY.value))
    )
    count = {state: rows.filter(pl.col("status") == state.value).height for state in RowStatus}
    ready = rows.filter(pl.col("status") == RowStatus.READY.value).drop("status")
    ready = ready.with_columns(
        (pl.int_range(pl.len()) % groups).cast(pl.UInt32).alias(GROUP),
        *(pl.lit(None, pl.String).alias(column.name) for column in COLUMNS),
    ).with_columns(
        pl.lit("+442079460018").alias("phone_number"),
        pl.concat_str(pl.lit("Ada"), pl.col(ROW)).alias("first_name"),
        pl.lit("camp-42").alias("campaign"),
    )
    return Plan(
        tables=tuple(tables),
        groups=tuple(
            group(ready.filter(pl.col(GROUP) == position).height, campaign=f"camp-{42 + position}")
            for position in range(groups if ready.height else 0)
        ),
        frame=ready,
        rows=rows,
        problems=frame,
        counts=Counts(
            read=rows.height,
            ready=count[RowStatus.READY],
            rejected=count[RowStatus.REJECTED],
            duplicates=count[RowStatus.DUPLICATE],
            already_imported=count[RowStatus.ALREADY_IMPORTED],
            warnings=frame.filter(pl.col("severity") == Severity.WARNING).height,
        ),
        hash="3fa9c1" + "0" * 58,
        known=pl.DataFrame(schema=KNOWN),
    )


@pytest.fixture(name="make_plan")
def make_plan_fixture() -> MakePlan:
    """Return the maker of plans."""
    return make_plan


@pytest.fixture(name="make_table")
def make_table_fixture() -> MakeTable:
    """Return the maker of tables."""
    return table


STARTED = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


def row_outcome(
    row: int,
    state: State | None = None,
    *,
    status: RowStatus = RowStatus.READY,
    codes: str = "",
    conversation_id: str | None = None,
    message: str = "",
    source: int = 0,
    remote: str | None = None,
    meeting: ArrangedMeeting | None = None,
) -> RowOutcome:
    """Return what the ledger says of a row; a state other than planned comes with an attempt."""
    sent = state not in {None, State.PLANNED, State.UNSENT}
    if state is None:
        return RowOutcome(source, row, status, codes, None)
    submission = SubmissionRecord(
        key="ab" * 32,
        state=state,
        run="20261122-153000-3f2a",
        source_name="recruiter.csv",
        row=row,
        campaign="camp-42",
        external_id="c-17-ab12",
        person="cd" * 32,
        email=None,
        candidate=None,
        name=None,
        masked="+44 •••• 0018",
        body_hash="ef" * 32,
        conversation_id=conversation_id,
        http_status=None,
        code="http-500" if state is State.DOUBTFUL else "",
        message=message,
        attempts=1 if sent else 0,
        resends=0,
        sent_at=STARTED if sent else None,
        settled_at=None,
        remote_status=remote,
        remote_at=STARTED if remote else None,
        decided_by=None,
        meeting_state=meeting.state if meeting else None,
        meeting_at=meeting.at if meeting else None,
    )
    return RowOutcome(source, row, status, codes, submission)


@pytest.fixture(name="row_outcome")
def row_outcome_fixture() -> Callable[..., RowOutcome]:
    """Return the maker of what the ledger says of a row."""
    return row_outcome


@pytest.fixture
def outcomes() -> tuple[RowOutcome, ...]:
    """Return the results of the recruiter's six rows: one of nearly everything."""
    return (
        row_outcome(2, State.CREATED, conversation_id="conv-1"),
        row_outcome(3, status=RowStatus.REJECTED, codes="value-changed phone-too-short"),
        row_outcome(4, State.DOUBTFUL, message="The server failed (500)."),
        row_outcome(5, State.UNSENT, message="No connection to +44 20 7946 0018."),
        row_outcome(6, status=RowStatus.DUPLICATE, codes="duplicate-in-file"),
        row_outcome(7, State.PLANNED),
    )


@pytest.fixture
def run_report() -> RunReport:
    """Return a run of 75 seconds that left doubtful rows."""
    return RunReport(
        run="20261122-153000-3f2a",
        counts=Counts(read=6, ready=4, rejected=1, duplicates=1),
        states={},
        started=STARTED,
        finished=STARTED + timedelta(seconds=75),
        exit_code=5,
    )


class MakeView(Protocol):
    """Makes the view of a run with these rows."""

    def __call__(
        self, report: RunReport, rows: Sequence[RowOutcome], files: Sequence[str] = ("a.csv",)
    ) -> view.RunView:
        """Return the view; counts and states of the report come from the rows."""


def make_view(
    report: RunReport, rows: Sequence[RowOutcome], files: Sequence[str] = ("a.csv",)
) -> view.RunView:
    """Return the view of a run with these rows: see `MakeView`."""
    status = Counter(row.status for row in rows)
    known = [row.submission for row in rows if row.submission]
    report = dataclasses.replace(
        report,
        states=Counter(each.state for each in known),
        counts=Counts(
            read=len(rows),
            ready=status[RowStatus.READY],
            rejected=status[RowStatus.REJECTED],
            duplicates=status[RowStatus.DUPLICATE],
            already_imported=status[RowStatus.ALREADY_IMPORTED],
        ),
    )
    progress = [(each.remote_status, each.meeting_state, 1) for each in known]
    return view.run_view(report, outcome_frame(rows, files), files, progress=progress)


@pytest.fixture(name="make_view")
def make_view_fixture() -> MakeView:
    """Return the maker of views."""
    return make_view


@pytest.fixture
def run_view(run_report: RunReport, outcomes: tuple[RowOutcome, ...]) -> view.RunView:
    """Return the view of that run."""
    return make_view(run_report, outcomes, ["recruiter.csv"])


@pytest.fixture
def recruiter() -> Table:
    """Return a recruiter's export: semicolons, six rows, one extra column."""
    return table(
        "recruiter.csv",
        ["First name", "Surname", "Mobile", "E-mail", "Job Title"],
        [
            ["Ada", "Lovelace", "+442079460018", "ada@example.com", "Warehouse Lead"],
            ["Jürgen", "Müller", "0207 94", "juergen@example.com", "Warehouse Lead"],
            [None, "O'Brien", "+44 20 7946 0019", "o.brien@example.com", None],
            ["=HYPERLINK(1)", "Curie", "call me", "@curie", "Packer; nights"],
            ["Ada", "Lovelace", "020 7946 0018", None, "Warehouse Lead"],
            ["Gabriel", "García", "+442079460021", "gabriel@example.com", "Packer"],
        ],
        {
            "First name": "first_name",
            "Surname": "last_name",
            "Mobile": "phone_number",
            "E-mail": "email",
        },
        delimiter=";",
        extra={"Job Title": "job_title"},
    )


@pytest.fixture
def recruiter_plan(recruiter: Table) -> Plan:
    """Return its plan: rows 3, 4 and 5 are rejected, 6 repeats 2, and 7 has a warning."""
    return make_plan(
        [recruiter],
        [
            problems.one(Code.PHONE_TOO_SHORT, row=3, column="phone_number", value="0207 94"),
            problems.one(Code.FIRST_NAME_MISSING, row=4, column="first_name"),
            problems.one(Code.PLACEHOLDER_MISSING, row=4, column="job_title", detail="job_title"),
            problems.one(Code.PHONE_INVALID, row=5, column="phone_number", value="call me"),
            problems.one(
                Code.EMAIL_INVALID,
                row=5,
                column="email",
                value="@curie",
                detail="there is nothing before the @",
            ),
            problems.one(Code.DUPLICATE_IN_FILE, row=6, detail="row 2"),
            problems.one(
                Code.PHONE_NOT_MOBILE, row=7, column="phone_number", value="+442079460021"
            ),
            problems.one(
                Code.VALUE_CHANGED,
                row=6,
                column="phone_number",
                value="020 7946 0018",
                detail="`020 7946 0018` -> `+442079460018`",
            ),
        ],
    )
