"""Whom the ledger knows: opens it with the one HMAC key under which its people are recognised.

Under another key everybody would look new and be contacted again, so a ledger that holds
submissions is never opened for sending with a key that is not its own.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.errors import CredentialsError, LedgerError
from importer.history import skip_known
from importer.identity import Identity, fingerprint, hmac_key
from importer.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Json, Plan
    from importer.settings import Settings

ORGANIZATION, KEY = "organization", "hmac_key"
"""What a run notes beside its settings: for whom it sent, and a fingerprint of the key."""


@dataclass(frozen=True, slots=True)
class History:
    """A ledger, and the identity that its keys were made with."""

    ledger: Ledger
    identity: Identity

    def applied_to(self, plan: Plan, settings: Settings) -> Plan:
        """The plan without those whom earlier runs dealt with."""
        return skip_known(plan, self.ledger, self.identity, settings, now=datetime.now(UTC))

    def noted(self, settings: Settings) -> dict[str, Json]:
        """What a new run remembers of its settings, organization and key."""
        return {
            **settings.shaping(),
            ORGANIZATION: self.identity.organization,
            KEY: fingerprint(self.identity.hmac_key),
        }


@contextmanager
def looking(settings: Settings) -> Iterator[History | None]:
    """The history for a look, without credentials; None where there is no ledger yet.

    Raises:
        LedgerError: the ledger cannot be read, or its people were hashed under another key.
    """
    ledger = Ledger.open_existing(settings.ledger)
    if ledger is None:
        yield None
        return
    with ledger:
        last = ledger.runs(limit=1)
        try:
            organization = settings.credentials().organization_id
        except CredentialsError:
            organization = str(last[0].settings.get(ORGANIZATION, "")) if last else ""
        yield _history(ledger, settings, organization, create=False)


def writing(ledger: Ledger, settings: Settings, organization: str) -> History:
    """The history for a run; makes the HMAC key where the ledger is new.

    Raises:
        LedgerError: its people were hashed under another key, or the key is gone.
    """
    return _history(ledger, settings, organization, create=not ledger.runs(limit=1))


def _history(ledger: Ledger, settings: Settings, organization: str, *, create: bool) -> History:
    secret = hmac_key(settings, create=create)
    last = ledger.runs(limit=1)
    known = last[0].settings.get(KEY) if last else None
    if known is not None and known != fingerprint(secret):
        raise LedgerError(
            "The HMAC key is not the one under which this ledger knows its people.",
            "Put the ledger's key back (IMPORTER_HMAC_KEY, or the .key file beside the ledger): "
            "under another key everybody would be contacted again.",
        )
    return History(ledger, Identity(secret, organization, settings.round))
