"""Uploaded lists in an object store: a real one of our own, behind a wire that can be cut."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from importer.errors import SettingsError
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import QUEUE
from importer.settings import load_settings
from importer.work.queued_lists import QueuedLists
from importer.work.upload_store import new_id, open_upload_store
from tests.support.recruiter import BAD, GOOD, make_list, open_site, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Recruiter
    from tests.support.remote_inboxes import S3Server


@contextmanager
def machine(folder: Path, api: Sandbox, remote: S3Server) -> Iterator[Recruiter]:
    """Yield the page on a machine whose lists are in the store; all machines share a ledger."""
    folder.mkdir(exist_ok=True)
    file = write_project(folder, api.base_url, f"uploads: {remote.address}")
    ledger = {"ledger": f"sqlite:///{folder.parent / 'shared.db'}"}
    settings = load_settings(file).model_copy(update=ledger)
    with open_site(settings) as site, site.sign_in() as ann:
        yield ann


def test_a_list_in_a_store_goes_its_way(tmp_path: Path, api: Sandbox, s3_server: S3Server) -> None:
    """List and corrections are there as soon as they are accepted, and gone when it is deleted."""
    data = make_list(*GOOD, BAD[0])
    with machine(tmp_path / "one", api, s3_server) as ann:
        list_id = ann.upload(data, "März.csv", campaign="in-a-store")
        assert s3_server.files() == {f"{list_id}/list/März.csv": data}
        ann.correct(list_id, 5, "First Name", "Nan")
        corrections = s3_server.files()[f"{list_id}/list/März.csv.corrections.jsonl"]
        assert b'"Nan"' in corrections
        copies = [each for each in (tmp_path / "one/desk").rglob("*") if each.is_file()]
        assert {each.stat().st_mode & 0o077 for each in copies if list_id in str(each)} == {0}
        assert ann.browser.get("/health/ready").json()["checks"]["uploads"] == "ok"
        run = ann.start(list_id)
        assert "All 4 rows are through" in ann.wait_until_sent(run)
        assert b"Nan,Nameless" in ann.browser.get(f"{run}/results.csv").content
        assert ann.post(f"/lists/{list_id}/delete").status_code == 303
    assert s3_server.files() == {}
    assert not [each for each in (tmp_path / "one/desk").rglob("*") if list_id in str(each)]


def test_another_machine_goes_on(tmp_path: Path, api: Sandbox, s3_server: S3Server) -> None:
    """It fetches the list with its corrections, and sends each person once."""
    with machine(tmp_path / "one", api, s3_server) as ann:
        list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign="two-machines")
        ann.correct(list_id, 5, "First Name", "Nan")
    with machine(tmp_path / "two", api, s3_server) as ann:
        assert "All 4 rows are ready" in ann.browser.get(f"/lists/{list_id}").text
        ann.correct(list_id, 5, "First Name", "Nancy", seen=1)
        assert "All 4 rows are through" in ann.wait_until_sent(ann.start(list_id))
    names = [
        each["firstName"]
        for each in api.conversations.entries
        if each["campaignId"] == "two-machines"
    ]
    assert sorted(names) == ["Ada", "Cy", "Ed", "Nancy"]


def test_a_store_that_is_away_takes_nothing(
    tmp_path: Path, api: Sandbox, s3_server: S3Server
) -> None:
    """Nothing counts that is not there: no list, and no correction; later all is well."""
    with machine(tmp_path / "one", api, s3_server) as ann:
        list_id = ann.upload(make_list(*GOOD, BAD[0]), campaign="away")
        s3_server.refuse_writing(refused=True)
        other = ann.new_id()
        assert ann.put(other, make_list(*GOOD)).status_code == 503
        answer = ann.correct(list_id, 5, "First Name", "Nan")
        assert answer.status_code == 503
        assert "cannot be reached now" in answer.text
        assert "1 row needs fixing" in ann.browser.get(f"/lists/{list_id}").text
        assert ann.post(f"/lists/{list_id}/delete").status_code == 503
        s3_server.refuse_writing(refused=False)
        assert ann.put(other, make_list(*GOOD)).status_code == 201
        ann.post("/lists/new", id=other, meeting="onsite", participants="panel", campaign="away")
        ann.wait_until_checked(other)
        assert "All 3 rows are ready" in ann.browser.get(f"/lists/{other}").text
    assert f"{list_id}/list/list.csv" in s3_server.files()
    with machine(tmp_path / "one", api, s3_server) as ann:  # it deletes what it could not before
        assert ann.browser.get(f"/lists/{list_id}").status_code == 410
        ann.wait_until_checked(ann.upload(make_list(*GOOD), campaign="later"))
    assert f"{list_id}/list/list.csv" not in s3_server.files()


def test_a_worker_deletes_old_lists_of_the_queue_in_a_store(
    tmp_path: Path, api: Sandbox, s3_server: S3Server
) -> None:
    """What the store did not delete is deleted the next time."""
    settings = load_settings(write_project(tmp_path, api.base_url, f"uploads: {s3_server.address}"))
    list_id = new_id()
    s3_server.put(f"{list_id}/list/list.csv", "a list")
    with (
        Ledger.open(f"sqlite:///{tmp_path / 'queue.db'}") as ledger,
        closing(QueuedLists(settings, ledger)) as lists,
    ):
        ledger.lists.add(list_id, QUEUE)
        deleted = ListState.DELETED.value
        ledger.lists.change(list_id, {ListState.UPLOADING}, state=deleted)
        lists.delete_old()
    assert s3_server.files() == {}


@pytest.mark.parametrize(
    "address", ["sftp://host/lists", "s3://key:secret@bucket/x", "s3://", "ftp://x/y"]
)
def test_an_address_that_is_no_store(tmp_path: Path, address: str) -> None:
    """A message says so before the page starts, without the secret."""
    settings = load_settings(write_project(tmp_path, "http://127.0.0.1:1", f"uploads: {address}"))
    with pytest.raises(SettingsError, match="uploads") as raised:
        open_upload_store(settings)
    assert "secret" not in str(raised.value)
