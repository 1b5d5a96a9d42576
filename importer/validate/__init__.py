"""Check clean rows one by one, then find people who are in the files twice."""

from importer.validate.checks import check_rows, exclude_repeats
from importer.validate.duplicates import DuplicateFinder

__all__ = ["DuplicateFinder", "check_rows", "exclude_repeats"]
