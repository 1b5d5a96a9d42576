"""The bytes of a file, read once, with their hash."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.loader import archive
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from typing import BinaryIO

STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it lies on the disk.

    Attributes:
        data: all of it.
        path: absolute; None for standard input.
    """

    data: bytes = field(repr=False)
    path: Path | None
    _digest: Future[str] = field(repr=False)

    def sha256(self) -> str:
        """Hex digest of the data; it is computed beside whatever else is done with them."""
        return self._digest.result()


def read(name: str, max_bytes: int, max_expanded_bytes: int) -> Content:
    """Reads a file, standard input for `-`, or `lists.zip/march.csv` out of an archive.

    Raises:
        Refusal: it cannot be opened, or is larger than `max_bytes`.
    """
    if name == STDIN:
        return _hashed(_bytes(sys.stdin.buffer, max_bytes), None)
    path = Path(name)
    try:
        name.encode()
        if path.is_dir():
            raise Refusal(Code.FILE_UNREADABLE, "it is a folder")
        parent = next((parent for parent in path.parents if parent.is_file()), None)
        if parent is not None:
            member = str(path.relative_to(parent))
            with parent.open("rb") as file:
                box = archive.open_zip(_bytes(file, max_bytes))
            return _hashed(archive.read_member(box, member, max_expanded_bytes), path.absolute())
        with path.open("rb") as file:
            return _hashed(_bytes(file, max_bytes), path.absolute())
    except FileNotFoundError:
        raise Refusal(Code.FILE_MISSING) from None
    except PermissionError:
        raise Refusal(Code.FILE_UNREADABLE, "we may not open it") from None
    except UnicodeEncodeError:
        raise Refusal(Code.FILE_UNREADABLE, "its name is not UTF-8; rename it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refusal(Code.FILE_UNREADABLE, f"it cannot be opened ({_reason(error)})") from None


def _bytes(file: BinaryIO, max_bytes: int) -> bytes:
    """All bytes of an open file, in one piece."""
    found = os.fstat(file.fileno())
    size = found.st_size if stat.S_ISREG(found.st_mode) else max_bytes
    if size > max_bytes:
        raise Refusal(Code.FILE_TOO_LARGE, _over(max_bytes))
    data = file.read(size + 1)
    while len(data) <= max_bytes and (more := file.read(max_bytes + 1 - len(data))):
        data += more
    if len(data) > max_bytes:
        raise Refusal(Code.FILE_TOO_LARGE, _over(max_bytes))
    return data


def _hashed(data: bytes, path: Path | None) -> Content:
    with_one_thread = ThreadPoolExecutor(max_workers=1)
    digest = with_one_thread.submit(lambda: hashlib.sha256(data).hexdigest())
    with_one_thread.shutdown(wait=False)
    return Content(data, path, digest)


def _over(max_bytes: int) -> str:
    return f"it has more than {max_bytes:,} bytes (max_bytes)"


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
