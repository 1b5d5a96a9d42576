"""Clean the cells of a file: text, countries, e-mails, booleans, names and phones."""

from importer.normalise.rows import normalise

__all__ = ["normalise"]
