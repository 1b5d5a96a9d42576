"""Any written phone and its country become E.164 or a code, in bulk."""

from importer.phones.parser import to_e164

__all__ = ["to_e164"]
