"""Whom the ledger knows: opens it with the one HMAC key under which its people are recognised.

Under another key everybody would look new and be contacted again, so a ledger that holds
submissions is never opened for sending with a key that is not its own.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.errors import CredentialsError, LedgerError
from importer.history import skip_known
from importer.identity import Identity, fingerprint, hmac_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.ledger import Ledger
    from importer.model import Json, Plan
    from importer.settings import Settings

ORGANIZATION, KEY = "organization", "hmac_key"
"""What a run notes beside its settings: for whom it sent, and a fingerprint of the key."""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be known before anything is sent: who people are, and what was done for them.

    Attributes:
        identity: makes the keys that the ledger knows people by; a preview before there is one.
        ledger: open for looking at, or None where there is none yet.
    """

    identity: Identity
    ledger: Ledger | None = None

    def applied_to(self, plan: Plan, settings: Settings) -> Plan:
        """The plan without those whom earlier runs dealt with."""
        if self.ledger is None:
            return plan
        return skip_known(plan, self.ledger, self.identity, settings, now=datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class History(Look):
    """The same for a run: the ledger is there, and open for writing."""

    ledger: Ledger

    def noted(self, settings: Settings) -> dict[str, Json]:
        """What a new run remembers of its settings, organization and key."""
        return {
            **settings.shaping(),
            ORGANIZATION: self.identity.organization,
            KEY: fingerprint(self.identity.hmac_key),
        }


@contextmanager
def looking(settings: Settings) -> Iterator[Look]:
    """What a check may know; needs no credentials and writes nothing.

    Raises:
        LedgerError: the ledger cannot be read, or its people were hashed under another key.
    """
    ledger = _existing(settings)
    with ledger or nullcontext():
        last = ledger.runs(limit=1) if ledger is not None else ()
        noted = last[0].settings if last else {}
        try:
            organization = settings.credentials().organization_id
        except CredentialsError:
            organization = str(noted.get(ORGANIZATION, ""))
        yield Look(_identity(settings, organization, noted, create=False), ledger)


def _existing(settings: Settings) -> Ledger | None:
    """The ledger, open for looking at; a check without one starts without the database's tools."""
    file = settings.ledger_file
    if file is not None and not file.exists():
        return None
    from importer.ledger import Ledger  # noqa: PLC0415

    return Ledger.open_existing(settings.ledger)


def writing(ledger: Ledger, settings: Settings, organization: str) -> History:
    """The history for a run; makes the HMAC key where the ledger is new.

    Raises:
        LedgerError: its people were hashed under another key, or the key is gone.
    """
    last = ledger.runs(limit=1)
    noted = last[0].settings if last else {}
    return History(_identity(settings, organization, noted, create=not last), ledger)


def _identity(
    settings: Settings, organization: str, noted: Mapping[str, Json], *, create: bool
) -> Identity:
    secret = hmac_key(settings, create=create)
    if noted.get(KEY, fingerprint(secret)) != fingerprint(secret):
        raise LedgerError(
            "The HMAC key is not the one under which this ledger knows its people.",
            "Put the ledger's key back (IMPORTER_HMAC_KEY, or the .key file beside the ledger): "
            "under another key everybody would be contacted again.",
        )
    return Identity(secret, organization, settings.round)
