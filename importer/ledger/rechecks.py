"""Find open rows of a run that must not be sent any more.

The reason is what other runs did after this run was planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from importer.ledger.submissions import OTHER, WHO_OPTED_OUT, sendable_by
from importer.ledger.tables import reached, submissions
from importer.model import State
from schemas.codes import Code

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from importer.ledger.database import Database


_CONTACTS: Final = {"email": Code.EMAIL_OF_ANOTHER, "candidate": Code.CANDIDATE_ID_OF_ANOTHER}
"""Column -> the code of a row that shares its value with another person."""


class Rechecks:
    """Find open rows of a run that other runs affect. Each method is one transaction.

    Args:
        database: an open database.

    Raises:
        LedgerError: from every method, if the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def contacted_by_others(self, run: str, since: datetime) -> list[str]:
        """Return the keys of unsent rows whose person another run has contacted since a time."""
        another = select(1).where(
            OTHER.person == submissions.c.person,
            reached(OTHER.state),
            OTHER.sent_at >= since,
            OTHER.run != run,
        )
        wanted = select(submissions.c.key).where(*sendable_by(run), another.exists())
        return self._database.read(lambda c: list(c.scalars(wanted)))

    def opted_out(self, run: str) -> list[str]:
        """Return the keys of unsent rows whose person has opted out in any conversation."""
        s = submissions.c
        wanted = select(s.key).where(*sendable_by(run), s.person.in_(WHO_OPTED_OUT))

        def read(connection: Connection) -> list[str]:
            if connection.execute(WHO_OPTED_OUT.limit(1)).first() is None:
                return []
            return list(connection.scalars(wanted))

        return self._database.read(read)

    def shared_contacts(self, run: str) -> dict[str, Code]:
        """Return the keys of unsent rows whose e-mail or candidate id another person has, too.

        The other person is in the same campaign, in another run, and was not rejected. The rows of
        the run itself were checked against each other when it was planned.
        """

        def read(connection: Connection) -> dict[str, Code]:
            found: dict[str, Code] = {}
            for column, code in _CONTACTS.items():
                found |= dict.fromkeys(connection.scalars(_sharing(run, column)), code)
            return found

        return self._database.read(read)


def _sharing(run: str, column: str) -> Select[tuple[str]]:
    """Return the query for the keys of unsent rows that share a contact with another person."""
    s = submissions.c
    another = select(1).where(
        OTHER[column] == s[column],
        OTHER.campaign == s.campaign,
        OTHER.person != s.person,
        OTHER.run != run,
        OTHER.state != State.REJECTED.value,
    )
    return select(s.key).where(*sendable_by(run), s[column].is_not(None), another.exists())
