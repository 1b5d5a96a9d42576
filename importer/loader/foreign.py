"""Files that are no spreadsheets: what they are, in words that help."""

from __future__ import annotations

import codecs
import re
from typing import Final

from importer.loader.refusal import Refusal
from schemas.codes import Code

_HEAD: Final = 1000
_KINDS: Final = (
    (re.compile(r"%PDF-"), "it is a PDF"),
    (re.compile(r"\{\\rtf"), "it is a rich text document"),
    (re.compile(r"(?:\x89PNG|GIF8|\xff\xd8\xff)"), "it is a picture"),
    (re.compile(r"SQLite format 3"), "it is a database"),
    (
        re.compile(r"\s*(?:<!doctype html|<html|<head|<table|<meta)", re.IGNORECASE),
        "it is a web page",
    ),
    (re.compile(r"\s*<\?xml(?s:.){0,500}?office:spreadsheet"), "it is an XML spreadsheet of 2003"),
    (re.compile(r"\s*<\?xml"), "it is XML"),
    (re.compile(r'\s*[\[{]\s*(?:["{\[]|\})'), "it is JSON"),
)


def refuse(data: bytes) -> None:
    """Refuses what is plainly no table, by its first characters.

    Raises:
        Refusal: it names what the file is.
    """
    head = data[:_HEAD].removeprefix(codecs.BOM_UTF8).decode("latin-1")
    for pattern, said in _KINDS:
        if pattern.match(head):
            raise Refusal(Code.FILE_UNREADABLE, said)
