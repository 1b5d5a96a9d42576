"""Files become tables: whatever a spreadsheet program writes, as text, on the rows that it shows.

A file goes through `content` (bytes, hash), `archive` (gzip, zip), then `delimited` or `workbook`
(cells), and `assemble` (header, columns). `load` never raises for a bad file: a `Refusal` on the
way becomes a problem of the whole file.
"""

from importer.loader.names import expand
from importer.loader.table import load

__all__ = ["expand", "load"]
