"""Files become tables: whatever a spreadsheet program writes, as text, on the rows that it shows.

A file goes through `content` (bytes, hash), `archive` (gzip, zip), then `delimited` or `workbook`
(cells), and `assemble` (header, columns). `load` never raises for a bad file: a `Refusal` on the
way becomes a problem of the whole file. `open_pieces` gives the same, a long text part by part.
"""

from importer.loader.chunks import PIECE, Pieces, Uneven, open_pieces
from importer.loader.files import expand
from importer.loader.table import load

__all__ = ["PIECE", "Pieces", "Uneven", "expand", "load", "open_pieces"]
