"""Trim, Unicode, countries, e-mails, booleans, names and phones: rows that can be checked."""

from importer.model import Normalised
from importer.normalise.rows import normalise

__all__ = ["Normalised", "normalise"]
