"""The audit: compares the journal of the sandbox with the ledger and the list.

It uses no code of the importer. It reads the ledger as a database and the list as a table, and
tells people apart by their e-mail address, which is not a key of the importer.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from tests.crash.installation import Installation

OPEN: Final = frozenset({"planned", "sending", "doubtful", "unsent"})
_STATES: Final = (
    *("planned", "created", "duplicate", "rejected", "unsent", "sending", "doubtful"),
)
"""States by their numbers in the ledger."""
_FIRST_ROW: Final = 2
_OLD_S: Final = 3_600.0
"""Older conversations existed before the test."""

Person = tuple[str, str]
"""E-mail address and campaign."""


class Known(NamedTuple):
    """What the ledger says of a submission."""

    row: int
    state: str
    conversation_id: str | None
    external_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings.

    Attributes:
        rows: good rows of the list.
        conversations: number that the sandbox accepted from the importer.
        states: number of submissions in each state.
        twice: people with more than one conversation.
        lost: rows that are created or duplicate without a conversation, or not in the ledger.
        hidden: rows whose conversation the ledger does not know, and does not call doubtful.
        unconfirmed: rows with a conversation that the ledger calls doubtful.
        wrong: other differences, such as an unknown person or another conversation's id.
    """

    rows: int
    conversations: int
    states: Counter[str]
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Number of submissions that are not settled."""
        return sum(self.states[state] for state in OPEN)

    @property
    def differences(self) -> list[str]:
        """Every difference between journal and ledger, in words."""
        return [*self.dangerous, *self.unconfirmed]

    @property
    def dangerous(self) -> list[str]:
        """The differences that must not be, however the API behaves."""
        return [*self.twice, *self.lost, *self.hidden, *self.wrong]


def audit(installation: Installation, *, true_ids: bool = True) -> Audit:
    """Compare the journal, the ledger and the list of an installation.

    Args:
        installation: nothing of it may be running.
        true_ids: the sandbox answers with the ids of its journal.
    """
    good = _good_rows(installation.rows)
    sent: defaultdict[Person, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries(installation.journal):
        sent[entry["emailAddress"], entry["campaignId"]].append(entry)
    known = {each.row: each for each in submissions(installation.ledger)}
    found = Audit(
        rows=len(good),
        conversations=sum(not _is_old(each) for some in sent.values() for each in some),
        states=Counter(each.state for each in known.values()),
    )
    for person, conversations in sent.items():
        if person not in good:
            found.wrong.append("a conversation is with nobody of the list")
        if len(conversations) > 1:
            found.twice.append(f"row {good.get(person)} has {len(conversations)} conversations")
    for person, row in good.items():
        if row in known:
            _compare(known[row], sent.get(person, []), found, true_ids=true_ids)
        else:
            found.lost.append(f"row {row} is not in the ledger")
    return found


def _compare(
    known: Known, conversations: list[dict[str, Any]], found: Audit, *, true_ids: bool
) -> None:
    """Compare one submission with the conversations of its person."""
    row, state = known.row, known.state
    own = [each for each in conversations if not _is_old(each)]
    if state in {"created", "duplicate"} and not conversations:
        found.lost.append(f"row {row} is {state}, and has no conversation")
    if state == "created" and conversations and not own:
        found.wrong.append(f"row {row} is created, and its conversation is an old one")
    if state == "doubtful" and own:
        found.unconfirmed.append(f"row {row} is doubtful, and has a conversation")
    if state in {"planned", "unsent", "rejected"} and own:
        found.hidden.append(f"row {row} is {state}, and has a conversation")
    if state in {"doubtful", "rejected"} and not (known.code or known.message):
        found.wrong.append(f"row {row} is {state} without a reason")
    if own and own[0]["externalId"] != known.external_id:
        found.wrong.append(f"row {row} went as {own[0]['externalId']}, not {known.external_id}")
    ids = {each["id"] for each in conversations}
    if true_ids and state == "created" and known.conversation_id not in {None, *ids}:
        found.wrong.append(f"row {row} has the id of another conversation")


def entries(journal: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal."""
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]


def submissions(ledger: Path) -> list[Known]:
    """Return what the database says about each submission; empty before it has any."""
    wanted = "SELECT row, state, conversation_id, external_id, code, message FROM submissions"
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        try:
            return list(map(read_known, connection.execute(wanted)))
        except sqlite3.OperationalError:  # killed before the tables were made
            return []


def read_known(row: Sequence[Any]) -> Known:
    """Return the row of the table as a person reads it."""
    number, state, conversation_id, external_id, code, message = row
    conversation_id = None if conversation_id is None else _read_text(bytes(conversation_id))
    return Known(
        number, _STATES[state], conversation_id, _read_text(bytes(external_id)), code, message
    )


def _read_text(data: bytes) -> str:
    """Read a packed text: parts after their lengths; 128 more marks hex digits as bytes."""
    text = ""
    while data:
        size, is_hex = data[0] % 128, data[0] > 128
        text += data[1 : size + 1].hex() if is_hex else data[1 : size + 1].decode()
        data = data[size + 1 :]
    return text


def _is_old(entry: dict[str, Any]) -> bool:
    return bool(entry["received_s"] < time.time() - _OLD_S)


def _good_rows(rows: pl.DataFrame) -> dict[Person, int]:
    """Return the spreadsheet row of each person in each campaign: the first one that names them."""
    good: dict[Person, int] = {}
    for row, person in enumerate(zip(rows["Email"], rows["Campaign"], strict=True), _FIRST_ROW):
        if person[0]:
            good.setdefault(person, row)
    return good
