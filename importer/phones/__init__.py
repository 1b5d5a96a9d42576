"""Read phones in any usual spelling, many at once, as E.164."""

from importer.phones.parser import read_phones
from importer.phones.spelling import drop_remarks

__all__ = ["drop_remarks", "read_phones"]
