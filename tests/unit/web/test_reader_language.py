"""The page speaks the reader's language: as the browser says, or as they chose at the foot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from importer.sandbox.server import start_sandbox
from importer.settings import load_settings
from importer.web.page_app import preferred
from tests.docs.catalogues import read
from tests.support.recruiter import BAD, GOOD, Recruiter, make_list, open_site, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.web.conftest import OpenPage

WORD = re.compile(r"[^<>]{12,}(?=<)")
CSS = re.compile(r"<(?:style|script|code|pre|bdi).*?</(?:style|script|code|pre|bdi)>", re.DOTALL)


@pytest.fixture(scope="module")
def kim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recruiter]:
    """Yield a recruiter with a German browser, and a page whose API is the sandbox."""
    with start_sandbox() as api:
        settings = load_settings(write_project(tmp_path_factory.mktemp("page"), api.base_url))
        with open_site(settings) as site, site.sign_in() as kim:
            kim.browser.headers["accept-language"] = "de-DE,de;q=0.9,en;q=0.5"
            yield kim


def english_in(page: str) -> list[str]:
    """Return the texts of a page that the German catalogue has under their English."""
    known = {
        text
        for message in read("de")
        for text in (message.id if isinstance(message.id, tuple) else [message.id])
        if " " in text and message.string != message.id
    }
    shown = [" ".join(text.split()) for text in WORD.findall(CSS.sub("", page))]
    return [text for text in shown if text in known]


def test_every_page_of_a_list_is_german(kim: Recruiter) -> None:
    """From the start to the question before sending; the list has every kind of row."""
    list_id = kim.upload(make_list(*GOOD, *BAD), campaign="german")
    pages = ["/", "/lists/new", "/history", "/nights", "/doubts", "/audit", "/sessions", "/help"]
    pages += [f"/lists/{list_id}{part}" for part in ("", "/fix", "/columns", "/preview", "/send")]
    for path in pages:
        answer = kim.browser.get(path)
        assert answer.status_code == 200, path
        assert '<html lang="de">' in answer.text, path
        assert english_in(answer.text) == [], path
    text = kim.browser.get(f"/lists/{list_id}/fix").text
    assert "Die Person hat keinen Vornamen." in text


def test_what_is_refused_is_said_in_german(kim: Recruiter) -> None:
    """By the page and before it."""
    assert "Gehen Sie zurück zur Startseite." in kim.browser.get("/no-such-page").text
    refused = kim.browser.post("/lists/new", data={"csrf": "wrong"})
    assert "Das ist nicht möglich" in refused.text


def test_the_switch_is_remembered(page: OpenPage) -> None:
    """It leads back to the page where it was, works before signing in, and can be undone."""
    with page.signed_in() as visitor:
        assert '<html lang="en">' in visitor.get("/history").text
        form = 'action="/language/de?back=/history"'
        assert form in visitor.get("/history").text
        answer = visitor.post("/language/de?back=/history", headers={"origin": page.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/history")
        assert "Verlauf" in visitor.get("/history").text
        visitor.post("/language/en?back=/", headers={"origin": page.url})
        visitor.headers["accept-language"] = "de"
        assert '<html lang="en">' in visitor.get("/").text


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", ""]
)
def test_the_switch_leads_nowhere_else(page: OpenPage, back: str) -> None:
    """Only to a path of the page itself."""
    with page.visitor() as visitor:
        answer = visitor.post("/language/de", params={"back": back})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_another_website_changes_no_language(page: OpenPage) -> None:
    """The cookie is set only for a form of the page itself, and only for a language that is."""
    with page.visitor() as visitor:
        answer = visitor.post("/language/de", headers={"origin": "https://evil.example"})
        assert "set-cookie" not in answer.headers
        assert visitor.post("/language/xx").status_code in {401, 403, 404}
        assert visitor.get("/language/de").status_code in {303, 404}


def test_the_browser_says_what_it_prefers() -> None:
    """In the order of the weights; what has none counts as 1, and 0 means never."""
    assert preferred("en;q=0.3, de-AT, fr;q=0.8, nl;q=0") == ["de-at", "fr", "en"]
    assert preferred("") == []
