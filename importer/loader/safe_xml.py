"""Parse XML of foreign files as a stream; refuse document types, entities and references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from importer.loader.sheet import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


LONGEST_TEXT: Final = 1 << 20
"""Most bytes without a tag; a cell in Excel has at most 32,767 characters."""

_SMALL: Final = 1 << 26


def small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on the chunks of a part that should be small, such as the list of sheets.

    Raises:
        Refusal: it is large.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _SMALL:
            detail = f"a part of the workbook has more than {_SMALL:,} bytes"
            raise Refusal(Code.FILE_TOO_LARGE, detail)
        yield chunk


def parse(
    chunks: Iterable[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Parse a document, and call a function for each event.

    Args:
        chunks: the document, chunk by chunk.
        start: called with the name, without its prefix, and the attributes of each element.
        end: called with the same name when it ends.
        text: called with text, in pieces.

    Raises:
        Refusal: it is not well-formed, has a document type, or has a text too long for a cell.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
    if end is not None:
        ended = end
        parser.EndElementHandler = lambda name: ended(name.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    untagged = 0  # bytes since the last tag ended, which the parser keeps
    try:
        for chunk in chunks:
            last = chunk.rfind(b">")
            untagged = untagged + len(chunk) if last < 0 else len(chunk) - last
            if untagged > LONGEST_TEXT + len(chunk):
                detail = f"a cell has more than {LONGEST_TEXT:,} bytes"
                raise Refusal(Code.FILE_TOO_LARGE, detail)
            parser.Parse(chunk, False)  # noqa: FBT003 (expat takes it by position)
        parser.Parse(b"", True)  # noqa: FBT003
    except (expat.ExpatError, ValueError, LookupError) as error:  # of the callers, too
        raise Refusal(Code.FILE_UNREADABLE, "a part of the workbook is damaged") from error


def _refuse(*_: object) -> None:
    raise Refusal(Code.FILE_UNREADABLE, "a part of the workbook declares a document type")
