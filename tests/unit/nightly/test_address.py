"""Addresses of remote inboxes: what is understood, and what is refused without being repeated."""

from __future__ import annotations

import pytest

from importer.errors import UsageError
from importer.nightly.remote.address import Address, is_remote
from importer.nightly.remote.remote_inbox import subfolder_of


@pytest.mark.parametrize(
    ("text", "result", "below"),
    [
        ("s3://bucket/to/inbox/", "s3://bucket/to/inbox", "bucket/to/inbox/a/b.csv"),
        ("s3://bucket", "s3://bucket", "bucket/a/b.csv"),
        ("gs://bucket//inbox", "gs://bucket/inbox", "bucket/inbox/a/b.csv"),
        ("az://container/inbox", "az://container/inbox", "container/inbox/a/b.csv"),
        ("sftp://host/srv/inbox", "sftp://host/srv/inbox", "/srv/inbox/a/b.csv"),
        ("sftp://ada@host:2222/in/", "sftp://ada@host:2222/in", "/in/a/b.csv"),
        ("sftp://[::1]:22/in", "sftp://[::1]:22/in", "/in/a/b.csv"),
    ],
)
def test_what_is_understood(text: str, result: str, below: str) -> None:
    """It is written in one way, and read again it is the same."""
    address = Address.parse(text)
    assert str(address) == result
    assert Address.parse(result) == address
    assert address.below("a/b.csv") == below


@pytest.mark.parametrize(
    "text",
    [
        "sftp://ada:hunter2@host/inbox",
        "s3://key:hunter2@bucket/inbox",
        "s3://hunter2@bucket/inbox",
        "az://container@hunter2/inbox",
        "az://container/inbox?sig=hunter2",
        "ftp://hunter2/inbox",
        "s3:///hunter2",
        "s3://bucket/../hunter2",
        "sftp://host:hunter2/inbox",
    ],
)
def test_what_is_refused(text: str) -> None:
    """With what to do, and without the secret."""
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert "hunter2" not in str(caught.value)


def test_which_arguments_are_addresses() -> None:
    """A folder is none, whatever it is called."""
    assert is_remote("s3://bucket/inbox")
    assert not is_remote("inbox")
    assert not is_remote("/srv/s3:/inbox")


def test_a_held_file() -> None:
    """Its address says which inbox holds it."""
    found = Address.parse("s3://b/in/held/acme/list.csv").split_at("held", "failed")
    assert found == (Address.parse("s3://b/in"), "held/acme/list.csv")
    found = Address.parse("sftp://ada@h:22/failed/list.csv").split_at("held", "failed")
    assert found == (Address.parse("sftp://ada@h:22"), "failed/list.csv")
    assert Address.parse("s3://b/in/done/list.csv").split_at("held", "failed") is None
    assert Address.parse("s3://b/list.csv").split_at("held", "failed") is None


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("list.csv", ""), ("acme/list.csv", "acme"), ("held/list.csv", ""),
        ("failed/acme/list.csv", "acme"),
    ],
)  # fmt: skip
def test_the_subsubfolder_of_a_path(path: str, folder: str) -> None:
    """Where a file came from, or came from before it was held."""
    assert subfolder_of(path) == folder


def test_desks_do_not_meet() -> None:
    """Two addresses that look alike as names of folders have different ones."""
    one, two = Address.parse("s3://bucket/a-b"), Address.parse("s3://bucket/a/b")
    assert one.folder_name != two.folder_name
    assert one.folder_name.startswith("s3-bucket-a-b-")
