"""Run the schemas over normalised rows, turn failures into problems, find repeats."""

from importer.validate.checks import Sifted, settle, sift
from importer.validate.duplicates import Repeats

__all__ = ["Repeats", "Sifted", "settle", "sift"]
