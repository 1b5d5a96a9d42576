"""Read phones in any usual spelling, many at once, as E.164."""

from importer.phones.parser import drop_remarks, read_phones

__all__ = ["drop_remarks", "read_phones"]
