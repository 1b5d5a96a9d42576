"""The ledger: what was planned, what was tried, and how it ended.

It holds no readable phone, e-mail or name of a candidate, only keyed hashes and masked texts. For
the recruiter's page it also holds sessions and the audit trail.
"""

from importer.ledger.ledger import Ledger, open_and_lock

__all__ = ["Ledger", "open_and_lock"]
