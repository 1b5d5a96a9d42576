"""Turn exceptions of remote stores into sentences, and say which are worth a retry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.nightly.remote.address import Address


class RemoteFault(ConfigurationError):
    """A remote inbox failed; the text has no personal data and no content of files.

    Args:
        message: what is wrong.
        fix: what to do about it.
        passing: whether another attempt may help.
    """

    def __init__(self, message: str, fix: str = "", *, passing: bool = False) -> None:
        super().__init__(message, fix)
        self.passing = passing


class RemoteStopped(RemoteFault):
    """The night ended during a transfer."""

    exit_code = Exit.INTERRUPTED


_WAYS: Final = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account.",
    "az": "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with its key.",
    "abfs": "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with its key.",
    "sftp": "Give it a key that the server knows: ~/.ssh/config, ~/.ssh/id_ed25519, or an agent.",
}
"""Scheme -> where its credentials come from."""

_WORDS: Final[tuple[tuple[frozenset[str], str, str], ...]] = (
    (
        frozenset({"BadHostKeyException"}),
        "{place} shows another host key than known_hosts has for it.",
        "Ask its owner why. Until then nothing is sent there.",
    ),
    (
        frozenset({"UnknownHostKey"}),
        "The host key of {place} is not in known_hosts.",
        "Get the key from the server's owner, and put it into ~/.ssh/known_hosts.",
    ),
    (
        frozenset({
            "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
            "ProfileNotFound", "TokenRetrievalError", "SSOTokenLoadError",
            "UnauthorizedSSOTokenError", "DefaultCredentialsError", "CredentialUnavailableError",
        }),
        "There are no credentials for {place}.",
        "{way}",
    ),
    (
        frozenset({
            "AuthenticationException", "PasswordRequiredException", "ClientAuthenticationError",
            "PermissionError",
        }),
        "{place} refuses access: the credentials are wrong or lack permission.",
        "{way} They must allow listing, reading, writing and deleting there.",
    ),
    (
        frozenset({"FileNotFoundError", "ResourceNotFoundError"}),
        "{address} does not exist: the bucket or the folder is missing.",
        "Make it, or correct its name.",
    ),
)  # fmt: skip
"""Names of exception classes of any library -> what is wrong, and what to do."""

_PASSING: Final = frozenset({
    "OSError", "EOFError", "SSHException", "HTTPClientError", "ConnectionError", "ClientError",
    "HttpError", "FSTimeoutError", "ResponseParserError", "ServiceRequestError",
    "ServiceResponseError",
})  # fmt: skip
"""Names of exception classes worth retrying."""


def explain(address: Address, error: Exception) -> RemoteFault:
    """Return the fault that an exception of a remote store means, without quoting the exception."""
    if isinstance(error, RemoteFault):
        return error
    names, kind = _names(error), type(error).__name__
    words = {
        "place": f"{address.scheme}://{address.host}",
        "address": str(address),
        "way": _WAYS[address.scheme],
    }
    for marks, message, fix in _WORDS:
        if names & marks:
            return RemoteFault(message.format(**words), fix.format(**words))
    if names & _PASSING or "Timeout" in kind:
        return RemoteFault(
            f"{words['place']} does not answer properly ({kind}).",
            "The next night continues.",
            passing=True,
        )
    return RemoteFault(
        f"{words['place']} cannot be used ({kind}).", "Check its address and its settings."
    )


@contextmanager
def gate(address: Address) -> Iterator[None]:
    """Turn every exception of a remote store into a RemoteFault."""
    try:
        yield
    except Exception as error:  # whatever its libraries raise
        raise explain(address, error) from error


def _names(error: BaseException) -> set[str]:
    """Return the class names of an exception and of its cause."""
    raised = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    names = {each.__name__ for one in raised for each in type(one).__mro__}
    if "SSHException" in names and "known_hosts" in str(error):
        names.add("UnknownHostKey")  # paramiko has no class for it
    return names
