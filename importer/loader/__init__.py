"""Read files as tables: every cell as text, with the row numbers of the spreadsheet program.

A file goes through `files` (bytes, archives), then `delimited` or `workbook` (cells), then `table`
(header, columns). `load` never raises for a bad file: a `Refusal` becomes a problem of the whole
file. `open_pieces` reads a long text in parts, with the same result.
"""

from importer.loader.chunks import PIECE, NotInChunks, Pieces, open_pieces, open_read
from importer.loader.files import expand
from importer.loader.table import load

__all__ = ["PIECE", "NotInChunks", "Pieces", "expand", "load", "open_pieces", "open_read"]
