"""The ledger: what was planned, what was tried, and how it ended.

It holds no readable phone, e-mail or name: a person is a keyed hash and a masked text.
"""

from importer.ledger.ledger import Ledger, open_and_lock

__all__ = ["Ledger", "open_and_lock"]
