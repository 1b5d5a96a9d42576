"""What remote stores raise, in words: every cause that we know, and nothing that they quote."""

from __future__ import annotations

import errno
from typing import Final

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
    ReadTimeoutError,
)
from paramiko import AuthenticationException, BadHostKeyException, RSAKey, SSHException

from importer.nightly.remote.address import Address
from importer.nightly.remote.backends import RemoteFault, explain, translate_errors

SECRET: Final = "ada@example.com"
ADDRESS: Final = Address.parse("s3://bucket/inbox")
KEY: Final = RSAKey.generate(2048)


class DefaultCredentialsError(Exception):
    """As google-auth calls it."""


class ClientAuthenticationError(Exception):
    """As azure-core calls it."""


class ResourceNotFoundError(Exception):
    """As azure-core calls it."""


@pytest.mark.parametrize(
    ("error", "result", "passing"),
    [
        (NoCredentialsError(), "There are no credentials", False),
        (ProfileNotFound(profile=SECRET), "There are no credentials", False),
        (DefaultCredentialsError(SECRET), "There are no credentials", False),
        (PermissionError(SECRET), "refuses access", False),
        (ClientAuthenticationError(SECRET), "refuses access", False),
        (AuthenticationException(SECRET), "refuses access", False),
        (FileNotFoundError(SECRET), "does not exist", False),
        (ResourceNotFoundError(SECRET), "does not exist", False),
        (BadHostKeyException(SECRET, KEY, KEY), "another host key", False),
        (SSHException(f"Server {SECRET} not found in known_hosts"), "host key of", False),
        (SSHException(SECRET), "does not answer properly (SSHException)", True),
        (EOFError(), "does not answer", True),
        (ConnectionResetError(SECRET), "does not answer", True),
        (TimeoutError(SECRET), "does not answer", True),
        (OSError(errno.EIO, SECRET), "does not answer", True),
        (EndpointConnectionError(endpoint_url=SECRET), "does not answer", True),
        (ReadTimeoutError(endpoint_url=SECRET), "does not answer", True),
        (ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"), "does not answer", True),
        (ParamValidationError(report=SECRET), "cannot be used (ParamValidationError)", False),
        (ZeroDivisionError(SECRET), "cannot be used (ZeroDivisionError)", False),
    ],
)
def test_each_cause_has_its_sentence(error: Exception, result: str, *, passing: bool) -> None:
    """Whether another try may help is known of each."""
    fault = explain(ADDRESS, error)
    assert result in fault.message
    assert fault.passing is passing
    assert fault.fix != ""
    assert SECRET not in str(fault)


def test_a_cause_behind_another_one() -> None:
    """What a library raised for it counts as well."""
    error = OSError(errno.EINVAL, SECRET)
    error.__cause__ = NoCredentialsError()
    assert "no credentials" in explain(ADDRESS, error).message


def test_nothing_else_comes_through_the_gate() -> None:
    """A fault of ours stays what it is."""
    with pytest.raises(RemoteFault, match="does not answer"), translate_errors(ADDRESS):
        raise ConnectionResetError
    with pytest.raises(RemoteFault, match=r"^mine$"), translate_errors(ADDRESS):
        raise RemoteFault("mine")
