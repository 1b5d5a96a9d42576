"""Write the files of the corpus again: `python -m tests.corpus.make [FOLDER]`.

Needs LibreOffice (`soffice`) for the workbooks that it saves. `NAME.json` beside a file says how it
should be read, and is written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.corpus import text_files, workbooks


def main(folder: Path) -> None:
    """Write all files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (text_files.TEXTS | text_files.ARCHIVES).items():
        (folder / name).write_bytes(data)
    workbooks.write(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "files")
