"""Run the schemas over normalised rows, turn failures into problems, find duplicates."""

from importer.validate.rows import validate

__all__ = ["validate"]
