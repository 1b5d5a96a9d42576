"""Clean cells: Unicode, countries, e-mails, booleans, names and phones."""

from importer.normalise.rows import normalise

__all__ = ["normalise"]
