"""Which kind of store an address names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.nightly.remote.files import ObjectFiles, S3Files
from importer.nightly.remote.server import SftpFiles

if TYPE_CHECKING:
    from importer.nightly.remote.address import Address


def files_at(address: Address, timeout_s: float) -> ObjectFiles:
    """The files of an address; nothing is connected to yet."""
    kind = {"s3": S3Files, "sftp": SftpFiles}.get(address.scheme, ObjectFiles)
    return kind(address, timeout_s)
