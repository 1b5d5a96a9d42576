"""Read phones in any usual spelling, in bulk, as E.164."""

from importer.phones.parser import read_phones

__all__ = ["read_phones"]
