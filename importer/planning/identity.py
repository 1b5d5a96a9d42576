"""Who a row is about: submission keys and keyed hashes of persons and bodies.

The submission key is an HMAC over organization, campaign, person and round. It is unique across
runs, and without the HMAC key nobody can tell from it who was contacted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.errors import SettingsError
from importer.masking import mask, mask_email, mask_phone, scrub
from importer.settings.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from importer.model import Json
    from importer.settings import Settings

__all__ = ["Identity", "fingerprint", "hmac_key", "mask", "mask_email", "mask_phone", "scrub"]


PREVIEW_KEY: Final = b"a preview: nothing is sent or kept under this key"
_MIN_CHARACTERS: Final = 32
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_BLOCK: Final = 64  # bytes that SHA-256 takes at a time


@dataclass(frozen=True, slots=True)
class Identity:
    """Recognises persons and submissions without storing who they are.

    Attributes:
        hmac_key: secret; the same for as long as the ledger lives.
        organization: organization id of the credentials.
        round: the setting of that name; another round may contact the same people again.
    """

    hmac_key: bytes = field(repr=False)
    organization: str = field(repr=False)
    round: str = ""

    def keys(self, frame: pl.DataFrame) -> pl.Series:
        """The submission keys of checked rows, as hex text of 64 characters.

        Args:
            frame: rows with the canonical columns; each has a phone or an e-mail.

        Raises:
            ValueError: a row has neither.
        """
        campaign = pl.when(pl.col("campaign").is_not_null()).then(
            pl.concat_str(pl.lit("id:"), "campaign")
        )
        external = pl.concat_str(pl.lit("external:"), pl.col("external_campaign").fill_null(""))
        parts = (
            pl.lit(_net("submission") + _net(self.organization)),
            _net_expr(campaign.otherwise(external)),
            _net_expr(_person()),
            pl.lit(_net(self.round)),
        )
        return self._hashed(frame, pl.concat_str(parts)).alias("key")

    def persons(self, frame: pl.DataFrame) -> pl.Series:
        """A hash of each row's person alone (phone, else e-mail), as hex text."""
        parts = (pl.lit(_net("person")), _net_expr(_person()))
        return self._hashed(frame, pl.concat_str(parts)).alias("person")

    def person(self, phone: str | None, email: str | None) -> str:
        """The hash that `persons` gives for one person."""
        schema = {"phone_number": pl.String, "email": pl.String}
        one = pl.DataFrame({"phone_number": [phone], "email": [email]}, schema=schema)
        return str(self.persons(one).item())

    def bodies(self, frame: pl.DataFrame, shared: pl.Series, columns: Sequence[str]) -> pl.Series:
        """A hash of what each row's body is made of, as hex text; no body need be rendered.

        Args:
            frame: the rows.
            shared: for each row the digest of what its group gives to the body.
            columns: the columns that a body can take from its row; null is not empty text.
        """
        own = [_net_expr(pl.col(name)).fill_null("-,") for name in columns]
        parts = (pl.lit(_net("row")), _net_expr(pl.lit(shared)), *own)
        return self._hashed(frame, pl.concat_str(parts)).alias("body_hash")

    def digest(self, value: Json) -> str:
        """A hash of a JSON value, whatever the order of its keys, as hex text."""
        text = _CANONICAL.encode(value)
        return hmac.digest(self.hmac_key, f"{_net('body')}{text}".encode(), "sha256").hex()

    def _hashed(self, frame: pl.DataFrame, message: pl.Expr) -> pl.Series:
        """One hash a row; a message without a person is null, and a mistake of the caller."""
        messages = frame.select(message.cast(pl.Binary).alias("message")).to_series()
        if messages.null_count():
            raise ValueError("a row with neither phone nor e-mail has no identity")
        return pl.Series(_hmacs(self.hmac_key, messages.to_list()), dtype=pl.String)


def _hmacs(key: bytes, messages: Iterable[bytes]) -> list[str]:
    """HMAC-SHA256 of each message, from the two states that the key alone decides.

    This is RFC 2104 by hand, because copying two hash states is almost three times as fast as
    `hmac.digest`, which sets them up again for each message; a test holds the two together.
    """
    padded = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    found = []
    for message in messages:
        within, around = inner.copy(), outer.copy()
        within.update(message)
        around.update(within.digest())
        found.append(around.hexdigest())
    return found


def _person() -> pl.Expr:
    """The phone, else the e-mail in lower case."""
    return pl.coalesce(pl.col("phone_number"), pl.col("email").str.to_lowercase())


def _net(text: str) -> str:
    """A part with its length in bytes in front, so that no two lists of parts read the same."""
    return f"{len(text.encode())}:{text},"


def _net_expr(text: pl.Expr) -> pl.Expr:
    """`_net` in bulk."""
    return pl.concat_str(text.str.len_bytes().cast(pl.String), pl.lit(":"), text, pl.lit(","))


def fingerprint(key: bytes) -> str:
    """What a ledger can keep to notice that it is opened under another HMAC key."""
    return hmac.digest(key, b"fingerprint", "sha256").hex()[:16]


def key_file(settings: Settings) -> Path:
    """Where the HMAC key lies: as set, else beside the SQLite ledger, else beside importer.yaml."""
    if settings.hmac_key_file is not None:
        return settings.hmac_key_file
    ledger = settings.ledger_file
    return ledger.with_name(f"{ledger.name}.key") if ledger else settings.folder / "importer.key"


def hmac_key(settings: Settings, *, create: bool) -> bytes:
    """The secret under which people are recognised.

    Args:
        settings: say where it lies; IMPORTER_HMAC_KEY in the environment goes before.
        create: make it, mode 0600, where there is none; else a fixed key serves for a preview.

    Raises:
        SettingsError: the key is too short, or its file cannot be read or made.
    """
    given = Secrets.read().importer_hmac_key
    if given is not None:
        return _key(given.get_secret_value(), "IMPORTER_HMAC_KEY")
    file = key_file(settings)
    try:
        return _key(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        if not create:
            return PREVIEW_KEY
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{file}: the HMAC key cannot be read.") from exc
    try:
        _make(file)
        return _key(file.read_text("utf-8"), str(file))
    except OSError as exc:
        raise SettingsError(
            f"{file}: the HMAC key cannot be written ({exc.strerror}).",
            "Make the folder writable, or set hmac_key_file.",
        ) from exc


def _key(text: str, place: str) -> bytes:
    """The key as bytes; a short one is no secret."""
    if len(text.strip()) < _MIN_CHARACTERS:
        raise SettingsError(f"{place}: the HMAC key has fewer than {_MIN_CHARACTERS} characters.")
    return hashlib.sha256(text.strip().encode()).digest()


def _make(file: Path) -> None:
    """Write a new key in one step: whoever comes second finds it whole and keeps it."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(f"{secrets.token_hex(32)}\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(name, file)
        except FileExistsError:
            return
    finally:
        Path(name).unlink()
