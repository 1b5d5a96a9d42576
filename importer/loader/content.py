"""The bytes of a file, read once, with their hash."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from typing import BinaryIO

STDIN: Final = "-"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it lies on the disk.

    Attributes:
        data: all of it.
        sha256: hex digest of `data`.
        path: absolute; None for standard input.
    """

    data: bytes = field(repr=False)
    sha256: str
    path: Path | None


def read(name: str, max_bytes: int) -> Content:
    """Reads a file, or standard input for `-`.

    Raises:
        Refusal: it cannot be opened, or is larger than `max_bytes`.
    """
    if name == STDIN:
        return _content(sys.stdin.buffer, None, max_bytes)
    path = Path(name)
    try:
        if path.is_dir():
            raise Refusal(Code.FILE_UNREADABLE, "it is a folder")
        with path.open("rb") as file:
            return _content(file, path.absolute(), max_bytes)
    except FileNotFoundError:
        raise Refusal(Code.FILE_UNREADABLE, "there is no such file") from None
    except PermissionError:
        raise Refusal(Code.FILE_UNREADABLE, "we may not open it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refusal(Code.FILE_UNREADABLE, f"it cannot be opened ({_reason(error)})") from None


def _content(file: BinaryIO, path: Path | None, max_bytes: int) -> Content:
    data = bytearray()
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        data += chunk
        digest.update(chunk)
        if len(data) > max_bytes:
            raise Refusal(Code.FILE_TOO_LARGE, f"more than {max_bytes:,} bytes (max_bytes)")
    return Content(bytes(data), digest.hexdigest(), path)


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
