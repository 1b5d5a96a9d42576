"""Help: the documents that come with the importer, as pages; every code has an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.routing import Route

from importer.web.pages import render, words_of
from schemas.codes import WORDS, Code, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token
    from starlette.requests import Request
    from starlette.responses import Response


FIRST: Final = ("page", "spreadsheets", "codes", "templates", "guarantees")
"""The documents that recruiters need, in the order of the page; the others follow."""

_NOT_ID: Final = re.compile(r"[^\w]+")
_OURS: Final = re.compile(r"([a-z]+)\.md(#[\w-]+)?")
_ELSEWHERE: Final = re.compile(r"https://")


@dataclass(frozen=True, slots=True)
class HelpDocument:
    """A document of the importer.

    Attributes:
        name: as in its address.
        title: its first heading.
        summary: its first sentence, as plain text.
        html: the rest; made from Markdown that came with the program, without any HTML of its own.
    """

    name: str
    title: str
    summary: str
    html: Markup


@cache
def help_documents() -> dict[str, HelpDocument]:
    """Return the documents by name, those for recruiters first."""
    folder = files("importer") / "docs"
    texts = {
        each.name.removesuffix(".md"): each.read_text("utf-8")
        for each in folder.iterdir()
        if each.name.endswith(".md")
    }
    order = [*(name for name in FIRST if name in texts), *sorted(texts.keys() - set(FIRST))]
    return {name: _document(name, texts[name], texts.keys()) for name in order}


def _document(name: str, text: str, known: Sequence[str] | object) -> HelpDocument:
    """Render a document."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL))
    title, summary = name, ""
    for position, token in enumerate(tokens):
        if token.type == "inline":
            _mend_links(token, known)
        if token.type == "heading_open":
            said = tokens[position + 1].content
            token.attrSet("id", _NOT_ID.sub("-", said.lower()).strip("-"))
            if token.tag == "h1":
                title = said
        elif token.type == "tr_open":
            _name_row(token, tokens[position + 2])
        elif token.type == "paragraph_open" and not summary:
            summary = _plain(tokens[position + 1])
        elif token.type == "table_open":
            token.attrSet("class", "rows")
    body = tokens[3:] if tokens[:1] and tokens[0].tag == "h1" else tokens
    html = parser.renderer.render(body, parser.options, {})
    return HelpDocument(name, title, summary, Markup(html))  # noqa: S704 - rendered without HTML


def _name_row(row: Token, first: Token) -> None:
    """Give a row of a table the code or setting of its first cell as its address."""
    parts = first.children or []
    if len(parts) == 1 and parts[0].type == "code_inline":
        row.attrSet("id", _NOT_ID.sub("-", parts[0].content).strip("-"))


def _mend_links(inline: Token, known: object) -> None:
    """Lead links to other documents to their pages; other files of the project are not here."""
    kept = []
    is_open = False
    for token in inline.children or []:
        if token.type == "image":
            continue
        if token.type == "link_open":
            target = str(token.attrGet("href") or "")
            ours = _OURS.fullmatch(target)
            if ours is not None and ours[1] in known:  # type: ignore[operator]  # a set of names
                token.attrSet("href", f"/help/{ours[1]}{ours[2] or ''}")
            elif not _ELSEWHERE.match(target) and not target.startswith("#"):
                is_open = True
                continue
        elif token.type == "link_close" and is_open:
            is_open = False
            continue
        kept.append(token)
    inline.children = kept


def _plain(inline: Token) -> str:
    """The first sentence of a paragraph, without marks."""
    parts = [" " if each.type == "softbreak" else each.content for each in inline.children or []]
    return re.split(r"(?<=[.:]) ", "".join(parts))[0].rstrip(":")


def show_help(request: Request) -> Response:
    """List the documents."""
    documents = help_documents()
    return render(request, "help.html.j2", documents=documents.values())


def show_messages(request: Request) -> Response:
    """Show every message about a list, in a recruiter's words and language."""
    words = words_of(request)
    found = [
        (code, *words.problem(code, "…", "…"), Severity(WORDS[code].severity)) for code in Code
    ]
    return render(request, "messages.html.j2", messages=found, error=Severity.ERROR)


def show_document(request: Request) -> Response:
    """Show a document."""
    documents = help_documents()
    document = documents.get(request.path_params["name"])
    if document is None:
        raise HTTPException(404)
    return render(request, "document.html.j2", document=document)


ROUTES: Final = [
    Route("/help", show_help),
    Route("/help/messages", show_messages),
    Route("/help/{name}", show_document),
]
