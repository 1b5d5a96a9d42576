"""The results ledger: what was intended, what was tried, and with what result.

Nothing in it says a readable phone, e-mail or name: a person is a keyed hash and a masked text.
"""

from importer.ledger.ledger import Ledger, open_and_lock

__all__ = ["Ledger", "open_and_lock"]
