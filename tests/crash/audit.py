"""The audit: compares the journal of the sandbox with the ledger and the list.

It uses no code of the importer. It reads the ledger as a database and the list as a table, and
tells people apart by their e-mail address, which is not a key of the importer.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from tests.crash.installation import Installation

OPEN: Final = frozenset({"planned", "sending", "doubtful", "unsent"})
_FIRST_ROW: Final = 2


@dataclass(frozen=True, slots=True)
class Audit:
    """What an auditor finds.

    Attributes:
        rows: good rows of the list, each of which must have become something.
        conversations: that the sandbox accepted.
        states: how many submissions stand in each state of the ledger.
        twice: people with more than one conversation.
        lost: rows that are `created` without a conversation, or are not in the ledger at all.
        hidden: conversations of rows that are not `created`.
        wrong: other differences, such as a foreign person or another conversation's id.
    """

    rows: int
    conversations: int
    states: Counter[str]
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Submissions that are not through."""
        return sum(self.states[state] for state in OPEN)

    @property
    def differences(self) -> list[str]:
        """Every difference, in words."""
        return [*self.twice, *self.lost, *self.hidden, *self.wrong]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.rows} good rows; {self.conversations} conversations; ledger: {states}; "
            f"{len(self.twice)} twice, {len(self.lost)} lost, {len(self.hidden)} hidden, "
            f"{len(self.wrong)} otherwise wrong"
        )


def audit(installation: Installation) -> Audit:
    """Compare the journal, the ledger and the list of an installation."""
    good, of_row = _good_rows(installation.rows)
    sent: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries(installation.journal):
        sent[entry["emailAddress"]].append(entry)
    known = submissions(installation.ledger)
    verdict = Audit(
        rows=len(good),
        conversations=sum(len(each) for each in sent.values()),
        states=Counter(state for _, state, _, _ in known),
    )
    for email, found in sent.items():
        if email not in good:
            verdict.wrong.append("a conversation is with nobody of the list")
        if len(found) > 1:
            verdict.twice.append(f"row {good.get(email)} has {len(found)} conversations")
    seen = set()
    for row, state, conversation, external_id in known:
        email = of_row.get(row, "")
        seen.add(email)
        found = sent.get(email, [])
        if state == "created" and not found:
            verdict.lost.append(f"row {row} is created, and has no conversation")
        if state != "created" and found:
            verdict.hidden.append(f"row {row} is {state}, and has a conversation")
        if found and found[0]["externalId"] != external_id:
            verdict.wrong.append(f"row {row} went as {found[0]['externalId']}, not {external_id}")
        ids = {entry["id"] for entry in found}
        if conversation is not None and conversation not in ids:
            verdict.wrong.append(f"row {row} has the id of another conversation")
    verdict.lost.extend(
        f"row {row} is not in the ledger" for email, row in good.items() if email not in seen
    )
    return verdict


def entries(journal: Path) -> list[dict[str, Any]]:
    """The whole lines of a sandbox's journal."""
    if not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]


def submissions(ledger: Path) -> list[tuple[int, str, str | None, str]]:
    """Row, state, conversation and external id of each submission, as the database has them."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        wanted = "SELECT row, state, conversation_id, external_id FROM submissions"
        return connection.execute(wanted).fetchall()


def _good_rows(rows: pl.DataFrame) -> tuple[dict[str, int], dict[int, str]]:
    """E-mail -> spreadsheet row of each person's first row, and the way back."""
    good: dict[str, int] = {}
    for row, email in enumerate(rows["Email"], start=_FIRST_ROW):
        if email and email not in good:
            good[email] = row
    return good, {row: email for email, row in good.items()}
