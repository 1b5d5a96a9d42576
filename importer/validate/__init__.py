"""Run the schemas over normalised rows, turn failures into problems, find repeats."""

from importer.validate.repeats import Repeats
from importer.validate.rows import Sifted, settle, sift

__all__ = ["Repeats", "Sifted", "settle", "sift"]
