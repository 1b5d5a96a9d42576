"""Held files of an inbox in a store: seen and released on the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from importer.ledger import Ledger
from importer.nightly.inbox import FAILED, HELD, WORKING
from importer.settings import load_settings
from tests.support.recruiter import GOOD, make_list, open_site, write_project
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Recruiter
    from tests.support.remote_inboxes import S3Server


def nights(ann: Recruiter) -> str:
    """Return the page of the nights as soon as nothing is under way."""
    wait_until(lambda: "x-reload" in ann.browser.get("/nights/far/status").headers)
    return ann.browser.get("/nights").text


def forms(page: str) -> dict[str, str]:
    """Return what each form of an inbox elsewhere does -> its address."""
    found = re.findall(r'action="(/nights/far/\w+/(?:\w+/)?(look|release))"', page)
    return {what: path for path, what in found}


def test_a_held_file_elsewhere_is_released(
    tmp_path: Path, api: Sandbox, s3_server: S3Server
) -> None:
    """It is in the staging folder for the next night; a fault of the store is said."""
    settings = load_settings(write_project(tmp_path, api.base_url))
    with Ledger.open(settings.ledger) as ledger:
        ledger.nights.begin("night-1", datetime.now(UTC), s3_server.address)
    data = make_list(*GOOD)
    s3_server.put(f"{HELD}/acme/odd.csv", data)
    s3_server.put(f"{HELD}/acme/odd.csv.check.html", "a page about it")
    s3_server.put(f"{FAILED}/broken.csv", "x")
    with open_site(settings) as site, site.sign_in() as ann:
        page = ann.browser.get("/nights").text
        assert s3_server.address in page
        assert "odd.csv" not in page
        s3_server.wire.refuses = (b"GET ",)
        ann.post(forms(page)["look"])
        assert "refuses access" in nights(ann)
        s3_server.wire.refuses = ()
        ann.post(forms(page)["look"])
        page = nights(ann)
        assert "acme/odd.csv" in page
        assert "broken.csv" in page
        assert ".check.html" not in page
        assert 'pill check">2<' in ann.browser.get("/").text
        held = re.search(r'action="(/nights/far/\w+/\w+/release)"', page)
        assert held is not None
        assert ann.post(held[1]).status_code == 303
        page = nights(ann)
        assert "odd.csv is released." in page
        assert (
            settings.desk / next(iter(_folders(settings.desk))) / WORKING / "acme/odd.csv"
        ).read_bytes() == data
        assert "released a held file" in ann.browser.get("/history").text
        assert held[1] not in page  # it waits for the night
        ann.post(held[1])
        assert "released already" in nights(ann)
        gone = held[1].replace("release", "").rsplit("/", 2)[0] + f"/{'0' * 32}/release"
        assert ann.post(gone).status_code == 409
        assert ann.post(f"/nights/far/{'0' * 32}/look").status_code == 404


def _folders(workspace: Path) -> list[str]:
    return [each.name for each in workspace.iterdir() if each.is_dir()]
