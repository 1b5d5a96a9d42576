"""Find people who are in the files twice, and contacts or ids that two people share.

Rows come part by part. Hashes, places and names of earlier rows are kept for the comparison. Only
the few rows that share a hash with another are compared in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import polars as pl

from importer.problems import at, empty
from schemas.codes import WORDS, Code, Severity
from schemas.columns import ROW, SOURCE, fold_campaign, mailboxes
from schemas.namesakes import names_differ

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from importer.settings import Settings


_CODES: Final = (
    Code.DUPLICATE_IN_FILE,
    Code.PHONE_OF_ANOTHER_NAME,
    Code.EMAIL_OF_ANOTHER,
    Code.EMAIL_SHARED,
    Code.CANDIDATE_ID_OF_ANOTHER,
)
_SHARED: Final = (Code.EMAIL_OF_ANOTHER, Code.CANDIDATE_ID_OF_ANOTHER)

NOT_SENT: Final = frozenset({Code.DUPLICATE_IN_FILE, Code.PHONE_OF_ANOTHER_NAME})
"""Rows with these codes are left out at any severity: otherwise one person is sent twice."""

_PHONE, _MAILBOX, _CANDIDATE = "#phone", "#mailbox", "#candidate"
_CAMPAIGN: Final = "#campaign"
_SHAREABLE: Final = (
    pl.col(_PHONE) ^ pl.col(_CAMPAIGN),
    pl.col(_MAILBOX),
    pl.col(_CANDIDATE),
)
"""Two rows are compared if one of these hashes is equal in both; a phone counts in a campaign."""

_FIRST, _LAST = "first_name", "last_name"
_RECORD: Final = {
    SOURCE: pl.UInt16,
    ROW: pl.UInt32,
    _PHONE: pl.UInt64,
    _MAILBOX: pl.UInt64,
    _CANDIDATE: pl.UInt64,
    _CAMPAIGN: pl.UInt64,
    _FIRST: pl.String,
    _LAST: pl.String,
}
_COLUMNS: Final = (
    *(SOURCE, ROW, _FIRST, _LAST, "phone_number", "email", "candidate_id"),
    *("campaign", "external_campaign"),
)


_Key: TypeAlias = tuple[int | None, ...]
"""The key of a row: its kind, a hash, and the campaign unless it counts in every campaign."""


class _Row(NamedTuple):
    """The compared values of a row; a contact is None if the row has none."""

    source: int
    row: int
    phone: int | None
    mailbox: int | None
    candidate: int | None
    campaign: int | None
    first: str | None
    last: str | None

    def list_keys(self) -> list[_Key]:
        """List the keys: a phone counts in a campaign; a mailbox and an id also across them."""
        found: list[_Key] = []
        for kind, value in enumerate((self.phone, self.mailbox, self.candidate)):
            if value is not None and self.campaign is not None:
                found.append((kind, value, self.campaign))
        for kind, value in enumerate((self.mailbox, self.candidate), start=3):
            if value is not None:
                found.append((kind, value))
        return found


class DuplicateFinder:
    """Finds repeats in rows that come part by part; the first good row of a person counts.

    People are compared within a campaign. A row that is held back is not kept for comparison.

    Args:
        names: the names of the files, in order.
        settings: severities, `allow_shared_contact`.

    Attributes:
        severities: the severities of the codes that it can find.
    """

    def __init__(self, names: Sequence[str], settings: Settings) -> None:
        self._names = names
        self.severities = {code: WORDS[code].severity for code in _CODES}
        if settings.allow_shared_contact:
            self.severities |= dict.fromkeys(_SHARED, Severity.WARNING)
        self.severities |= {
            code: severity for code, severity in settings.severity.items() if code in _CODES
        }
        self._by_mail_alone: dict[tuple[int | None, int | None], _Row] = {}
        self._spellings = {
            (column, fold_campaign(spelling)): spelling
            for column, spelling in (
                ("campaign", settings.campaign),
                ("external_campaign", settings.external_campaign),
            )
            if spelling is not None
        }
        self._rows = pl.DataFrame(schema=_RECORD)

    def find(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Find a problem for each row that repeats a person, or shares a contact or an id.

        Args:
            frame: the next good rows, in order, with the canonical columns.
        """
        if not frame.height:
            return empty()
        rows = _with_hashes(frame.select(*_COLUMNS))
        sharing, earlier = self._find_sharing(rows)
        found, held = self._compare(rows, sharing, earlier)
        if held:
            rows = rows.with_row_index("#at").filter(~pl.col("#at").is_in(held))
        self._rows = pl.concat([self._rows, rows.select(*_RECORD)])
        return self._problems(frame, found)

    def _find_sharing(self, rows: pl.DataFrame) -> tuple[list[int], pl.DataFrame]:
        """Find the positions of rows that share a hash with another, and their earlier rows."""
        sharing = pl.Series([False]).new_from_index(0, rows.height)
        again = pl.Series([False]).new_from_index(0, self._rows.height)
        for shared in _SHAREABLE:
            here = rows.select(shared.alias("it"))["it"]
            before = self._rows.select(shared.alias("it"))["it"]
            known = here.is_in(before.implode()) & here.is_not_null()
            sharing |= known
            if here.n_unique() + max(0, here.null_count() - 1) < here.len():
                sharing |= here.is_duplicated() & here.is_not_null()  # this takes twice as long
            if known.any():
                again |= before.is_in(here.filter(known).implode()).fill_null(value=False)
        return sharing.arg_true().to_list(), self._rows.filter(again)

    def find_campaign_spellings(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Find the rows whose campaign differs only in case or blanks from an earlier one.

        The API would see two campaigns, and one person could be contacted in both.

        Args:
            frame: the next good rows, in order, with the canonical columns.
        """
        parts = []
        for column in ("campaign", "external_campaign"):
            first = {
                spelling: self._spellings.setdefault((column, fold_campaign(spelling)), spelling)
                for spelling in frame[column].drop_nulls().unique(maintain_order=True)
            }
            other = {spelling: right for spelling, right in first.items() if spelling != right}
            if other:
                rows = frame.filter(pl.col(column).is_in(list(other)))
                right = pl.col(column).replace_strict(other, return_dtype=pl.String)
                parts.append(at(rows, Code.CAMPAIGN_SPELLING, column=column, detail=right))
        return pl.concat(parts) if parts else empty()

    def _compare(
        self, rows: pl.DataFrame, sharing: list[int], earlier: pl.DataFrame
    ) -> tuple[dict[int, tuple[Code, str]], list[int]]:
        """Compare rows with the rows before them that have a key in common, in order.

        Args:
            rows: all rows of this part.
            sharing: positions of those to compare.
            earlier: rows of earlier parts that share something with one of them.

        Returns:
            Position -> code and place of the earlier row; positions of the rows that are held back.
        """
        owners: dict[_Key, _Row] = {}  # the first row with a key counts
        for record in earlier.iter_rows():
            row = _Row(*record)
            for key in row.list_keys():
                owners.setdefault(key, row)
        found: dict[int, tuple[Code, str]] = {}
        held = []
        records = rows.select(*_RECORD)[sharing].iter_rows()
        for position, record in zip(sharing, records, strict=True):
            row = _Row(*record)
            its_keys = row.list_keys()
            sharers = [owners[key] for key in its_keys if key in owners]
            verdict = _compare(row, sharers)
            namesake = self._find_by_mail_alone(row, sharers)
            if verdict is not None:
                code, other = verdict
                if code in _SHARED and namesake and self.severities[code] is not Severity.ERROR:
                    code, other = Code.PHONE_OF_ANOTHER_NAME, namesake
                found[position] = code, self._place(row, other)
                if code is Code.PHONE_OF_ANOTHER_NAME or self.severities[code] is Severity.ERROR:
                    held.append(position)
                    continue
            if row.phone is None and namesake is None:
                self._by_mail_alone[row.mailbox, row.campaign] = row
            for key in its_keys:
                owners.setdefault(key, row)
        return found, held

    def _find_by_mail_alone(self, row: _Row, sharers: list[_Row]) -> _Row | None:
        """Find an earlier row that the API cannot tell from this one: both have one e-mail only."""
        if row.phone is not None or row.mailbox is None:
            return None
        known = self._by_mail_alone.get((row.mailbox, row.campaign))
        same = (
            each
            for each in sharers
            if each.phone is None and (each.mailbox, each.campaign) == (row.mailbox, row.campaign)
        )
        return known or next(same, None)

    def _problems(self, frame: pl.DataFrame, found: dict[int, tuple[Code, str]]) -> pl.DataFrame:
        """Return the problems, code by code, each at the cell that is shared."""
        parts = []
        for code in _CODES:
            rows = {position: place for position, (its, place) in found.items() if its is code}
            if not rows:
                continue
            part = frame[list(rows)].with_columns(pl.Series("#detail", list(rows.values())))
            for column, some in _by_column(part, code):
                if some.height:
                    parts.append(at(some, code, column=column, detail=pl.col("#detail")))
        return pl.concat(parts) if parts else empty()

    def _place(self, row: _Row, other: _Row) -> str:
        """Return `row 14`, or `row 14 of other.csv` if it is in another file."""
        if row.source == other.source:
            return f"row {other.row}"
        return f"row {other.row} of {self._names[other.source]}"


def _by_column(part: pl.DataFrame, code: Code) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the rows with a problem, by the column that the problem is shown at."""
    if code is Code.CANDIDATE_ID_OF_ANOTHER:
        yield "candidate_id", part
    elif code in {Code.EMAIL_OF_ANOTHER, Code.EMAIL_SHARED}:
        yield "email", part
    else:
        phone = pl.col("phone_number").is_not_null()
        yield "phone_number", part.filter(phone)
        yield "email", part.filter(~phone)


def _compare(row: _Row, earlier: list[_Row]) -> tuple[Code, _Row] | None:
    """Compare a row with earlier rows that share a key: the code, and the row that it repeats."""
    here = [other for other in earlier if other.campaign == row.campaign]
    for other in here:
        if row.phone is not None and row.phone == other.phone:
            code = Code.PHONE_OF_ANOTHER_NAME if _differ(row, other) else Code.DUPLICATE_IN_FILE
            return code, other
    for other in here:
        if row.mailbox is not None and row.mailbox == other.mailbox:
            adds_nothing = row.phone is None and not _differ(row, other)
            return Code.DUPLICATE_IN_FILE if adds_nothing else Code.EMAIL_OF_ANOTHER, other
    for other in earlier:
        known = (row.phone is not None and row.phone == other.phone) or (
            row.mailbox is not None and row.mailbox == other.mailbox
        )
        if not known and (other.campaign == row.campaign or _differ(row, other)):
            return Code.CANDIDATE_ID_OF_ANOTHER, other
    for other in earlier:
        two_phones = row.phone is not None and other.phone not in {None, row.phone}
        if two_phones and row.mailbox is not None and row.mailbox == other.mailbox:
            return Code.EMAIL_SHARED, other
    return None


def _differ(row: _Row, other: _Row) -> bool:
    if (row.first, row.last) == (other.first, other.last):
        return False  # most repeats; comparing words takes far longer
    return names_differ((row.first, row.last), (other.first, other.last))


def _with_hashes(rows: pl.DataFrame) -> pl.DataFrame:
    """Add contacts, candidate id and campaign as hashes; null if the row has none."""
    hashed = {
        _PHONE: (_hashed(pl.col("phone_number")),),
        _MAILBOX: (_hashed(mailboxes(pl.col("email"))),),
        _CANDIDATE: (_hashed(pl.col("candidate_id")),),
        _CAMPAIGN: (_hashed(pl.col("campaign")), _hashed(pl.col("external_campaign"), seed=4)),
    }
    return rows.with_columns(pl.coalesce(found).alias(name) for name, found in hashed.items())


def _hashed(text: pl.Expr, seed: int = 3) -> pl.Expr:
    """Hash a text; null stays null."""
    return pl.when(text.is_not_null()).then(text.hash(seed=seed))
