"""The ledger: what was planned, what was tried, and how it ended.

It holds no readable phone, e-mail or name of a candidate, who is a keyed hash and a masked text.
The recruiter's page adds who works with it: sessions and the audit trail.
"""

from importer.ledger.ledger import Ledger, open_and_lock

__all__ = ["Ledger", "open_and_lock"]
