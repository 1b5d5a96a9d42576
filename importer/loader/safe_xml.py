"""XML out of foreign files: streamed, without document types, entities or anything outside."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from importer.loader.sheet import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def parse(
    chunks: Iterable[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Walks through a document.

    Args:
        chunks: the document, part by part.
        start: called with the name, without its prefix, and the attributes of each element.
        end: called with the same name when it ends.
        text: called with text, in pieces.

    Raises:
        Refusal: it is no well-formed XML, or has a document type.
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
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)  # noqa: FBT003 (expat takes it by position)
        parser.Parse(b"", True)  # noqa: FBT003
    except (expat.ExpatError, ValueError, LookupError) as error:  # of the callers, too
        raise Refusal(Code.FILE_UNREADABLE, "a part of the workbook is damaged") from error


def _refuse(*_: object) -> None:
    raise Refusal(Code.FILE_UNREADABLE, "a part of the workbook declares a document type")
