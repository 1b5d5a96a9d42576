"""Keyed hashes that identify a row: person, mailbox, candidate id, name, submission and body.

All are HMAC-SHA256 under the ledger's key. The submission key is the hash of organization,
campaign, person and round. It is the same in every run; without the HMAC key it does not reveal
who was contacted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.errors import SettingsError
from importer.settings.secrets import Secrets
from schemas.columns import KEY, mailbox, mailboxes
from schemas.namesakes import differs_from_signs, sign_names, signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from importer.model import Json
    from importer.settings import Settings


KEY_DIGITS: Final = 32
"""Hex digits of a submission key: the first 128 bits of its HMAC.

The key keeps people from being contacted twice, and two people from being taken for one. With 128
bits, two of a thousand million keys are alike with a chance of 1 in 10^21. Who does not know the
HMAC key cannot search for keys that are alike, so the 256 bits against such a search are not
needed.
"""

HASH_DIGITS: Final = 16
"""Hex digits of the other hashes: the first 64 bits of their HMAC.

They find rows to compare: a person contacted lately, a mailbox of somebody else, a changed body.
Equal texts have equal hashes, so nothing is missed. With ten million rows in the ledger and a list
of a million, one row is held back for another person's hash with a chance of 1 in 1.8 million, and
it is named with its reason.
"""

PREVIEW_KEY: Final = b"a preview: nothing is sent or kept under this key"
_MIN_CHARACTERS: Final = 32
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Recognises people and submissions without storing personal data.

    Attributes:
        hmac_key: secret; the same for the whole life of the ledger.
        organization: organization id of the credentials.
        round: the setting of that name; another round may contact the same people again.
    """

    hmac_key: bytes = field(repr=False)
    organization: str = field(repr=False)
    round: str = ""

    # ---- in bulk: a hash for each row of a frame, as hex text --------------------------------

    def keys(self, frame: pl.DataFrame) -> pl.Series:
        """Return the submission keys of checked rows.

        Args:
            frame: rows with the canonical columns; each has a phone or an e-mail.

        Raises:
            ValueError: a row has neither.
        """
        return shorten_keys(self.whole_keys(frame))

    def whole_keys(self, frame: pl.DataFrame) -> pl.Series:
        """Return the submission keys with all their bits, by which names are signed.

        Args and exceptions as for `keys`.
        """
        campaign = pl.when(pl.col("campaign").is_not_null()).then(
            pl.concat_str(pl.lit("id:"), "campaign")
        )
        external = pl.concat_str(pl.lit("external:"), pl.col("external_campaign").fill_null(""))
        message = pl.concat_str(
            pl.lit(_netstring("submission") + _netstring(self.organization)),
            _netstrings(campaign.otherwise(external)),
            _netstrings(_PERSON),
            pl.lit(_netstring(self.round)),
        )
        return self._hash_all(frame, message).alias(WHOLE_KEY)

    def persons(self, frame: pl.DataFrame) -> pl.Series:
        """Return a hash of each row's person alone (phone, else e-mail)."""
        return _shorten(self._hash_all(frame, _parts("person", _PERSON))).alias("person")

    def emails(self, frame: pl.DataFrame) -> pl.Series:
        """Return a hash of the mailbox of each row's e-mail; null if it has none."""
        message = _parts("email", mailboxes(pl.col("email")))
        return _shorten(self._hash_some(frame, message)).alias("email")

    def candidates(self, frame: pl.DataFrame) -> pl.Series:
        """Return a hash of each row's candidate id; null if it has none."""
        message = _parts("candidate", pl.col("candidate_id").str.strip_chars())
        return _shorten(self._hash_some(frame, message)).alias("candidate")

    def names(self, frame: pl.DataFrame) -> list[str | None]:
        """Return the signs of each row's name, which only its own submission has, or None.

        Args:
            frame: rows with the canonical columns, and perhaps with `WHOLE_KEY`.
        """
        first, last = _NAME
        names = zip(
            self._secrets(frame), frame[first].to_list(), frame[last].to_list(), strict=True
        )
        return [text or None for text in sign_names(names)]

    def find_other_names(self, frame: pl.DataFrame, signs: Mapping[str, str | None]) -> list[str]:
        """Find the submission keys whose name is clearly different from the ledger's.

        Args:
            frame: rows with their submission keys, and with the canonical columns.
            signs: submission key -> the signs that the ledger has, or None.
        """
        rows = zip(frame.select(KEY, *_NAME).iter_rows(), self._secrets(frame), strict=True)
        return [
            key
            for (key, first, last), secret in rows
            if (kept := signs.get(key)) and differs_from_signs(first, last, kept, signer(secret))
        ]

    def _secrets(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the secrets under which the names of rows are signed, one for each submission."""
        whole = frame[WHOLE_KEY] if WHOLE_KEY in frame.columns else self.whole_keys(frame)
        message = _parts("name", pl.col(WHOLE_KEY).bin.encode("hex"))
        return self._hash_all(whole.to_frame(), message).to_list()

    def bodies(self, frame: pl.DataFrame, shared: pl.Series, columns: Sequence[str]) -> pl.Series:
        """Return a hash of the parts of each row's body, without rendering it.

        Args:
            frame: the rows.
            shared: for each row, a digest of the part of the body that its group adds.
            columns: the columns that a body can take from its row; null differs from empty text.
        """
        own = [_netstrings(pl.col(name)).fill_null("-,") for name in columns]
        parts = (pl.lit(_netstring("row")), _netstrings(pl.lit(shared)), *own)
        return _shorten(self._hash_all(frame, pl.concat_str(parts))).alias("body_hash")

    # ---- one at a time -----------------------------------------------------------------------

    def person(self, phone: str | None, email: str | None) -> str:
        """Return the hash that `persons` gives for one person.

        Raises:
            ValueError: there is neither phone nor e-mail.
        """
        text = phone if phone is not None else email.lower() if email is not None else None
        if text is None:
            raise ValueError(_NO_PERSON)
        return self._hash(_netstring("person") + _netstring(text))[:HASH_DIGITS]

    def email(self, address: str) -> str:
        """Return the hash that `emails` gives for one address, in any spelling."""
        return self._hash(_netstring("email") + _netstring(mailbox(address)))[:HASH_DIGITS]

    def candidate(self, candidate_id: str) -> str:
        """Return the hash that `candidates` gives for one candidate id."""
        own = _netstring("candidate") + _netstring(candidate_id.strip())
        return self._hash(own)[:HASH_DIGITS]

    def digest(self, value: Json) -> str:
        """Return a hash of a JSON value as hex text; the order of keys does not matter."""
        return self._hash(_netstring("body") + _CANONICAL.encode(value))

    def _hash(self, message: str) -> str:
        return hmac.digest(self.hmac_key, message.encode(), "sha256").hex()

    def _hash_all(self, frame: pl.DataFrame, message: pl.Expr) -> pl.Series:
        """Hash each row; raise ValueError if a row has no person."""
        hashed = self._hash_some(frame, message)
        if hashed.null_count():
            raise ValueError(_NO_PERSON)
        return hashed

    def _hash_some(self, frame: pl.DataFrame, message: pl.Expr) -> pl.Series:
        """Hash each row, to 32 bytes; null if the message is null."""
        messages = frame.select(message.cast(pl.Binary).alias("message")).to_series()
        return pl.Series(_hash_many(self.hmac_key, messages.to_list()), dtype=pl.Binary)


WHOLE_KEY: Final = "#whole"
"""The column of submission keys with all their bits, as bytes."""


def shorten_keys(whole: pl.Series) -> pl.Series:
    """Return submission keys as hex text, of their first bits."""
    return _shorten(whole, KEY_DIGITS).alias("key")


def _shorten(hashes: pl.Series, digits: int = HASH_DIGITS) -> pl.Series:
    """Return the first digits of hashes as hex text."""
    return hashes.bin.slice(0, digits // 2).bin.encode("hex")


def _hash_many(key: bytes, messages: Sequence[bytes | None]) -> list[bytes | None]:
    """Return the HMAC-SHA256 (RFC 2104) of many messages under one key; None for None.

    The states after the padded key are made once: 0.5 to 0.6 microseconds a message, where
    `hmac.digest` takes 1.4 (200,000 messages, Python 3.11, OpenSSL 3.0).
    """
    block = key if len(key) <= _BLOCK else hashlib.sha256(key).digest()
    start_inner, start_outer = (
        hashlib.sha256(bytes(byte ^ pad for byte in block.ljust(_BLOCK, b"\0"))).copy
        for pad in _PADS
    )
    hashes = list[bytes | None]()
    add = hashes.append
    for message in messages:
        if message is None:
            add(None)
            continue
        inner, outer = start_inner(), start_outer()
        inner.update(message)
        outer.update(inner.digest())
        add(outer.digest())
    return hashes


_BLOCK: Final = 64  # bytes, of SHA-256
_PADS: Final = (0x36, 0x5C)  # RFC 2104: of the inner and of the outer hash
_NAME: Final = ("first_name", "last_name")
_PERSON: Final = pl.coalesce(pl.col("phone_number"), pl.col("email").str.to_lowercase())
_NO_PERSON: Final = "a row with neither phone nor e-mail has no identity"


def _parts(kind: str, text: pl.Expr) -> pl.Expr:
    """Join the two parts of a message, in bulk."""
    return pl.concat_str(pl.lit(_netstring(kind)), _netstrings(text))


def _netstring(text: str) -> str:
    """Return a part after its length in bytes, so that different lists of parts differ."""
    return f"{len(text.encode())}:{text},"


def _netstrings(text: pl.Expr) -> pl.Expr:
    """Apply `_netstring` in bulk."""
    return pl.concat_str(text.str.len_bytes().cast(pl.String), pl.lit(":"), text, pl.lit(","))


def key_id(key: bytes) -> str:
    """Return what a ledger stores of its HMAC key, to notice another one."""
    return hmac.digest(key, b"fingerprint", "sha256").hex()[:16]


def key_file(settings: Settings) -> Path:
    """Return the HMAC key's place: as set, else beside a SQLite ledger, else importer.yaml."""
    if settings.hmac_key_file is not None:
        return settings.hmac_key_file
    ledger = settings.ledger_file
    return ledger.with_name(f"{ledger.name}.key") if ledger else settings.folder / "importer.key"


_PUT_BACK: Final = (
    "Put the ledger's own key back. For a first run, remove the file or unset the variable: the "
    "importer then makes a key."
)


def hmac_key(
    settings: Settings,
    *,
    create: bool,
    note: Callable[[bytes], None] | None = None,
    fsync: Callable[[int], None] = os.fsync,
) -> bytes:
    """Return the HMAC key, by which people are recognised.

    Args:
        settings: say where it is; IMPORTER_HMAC_KEY in the environment overrides the file.
        create: make it, mode 0600, if there is none; if False, return a fixed key for previews.
        note: called with a new key before its file is made.
        fsync: puts its file and folder on disk.

    Raises:
        SettingsError: the key is too short, or its file cannot be read or made.
    """
    given = Secrets.read().importer_hmac_key
    if given is not None:
        return _key(given.get_secret_value(), "IMPORTER_HMAC_KEY")
    file = key_file(settings)
    try:
        if file.exists() and not file.is_file():  # opening a pipe would block forever
            raise SettingsError(f"{file}: the HMAC key must be a file.", _PUT_BACK)
        return _key(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        if not create:
            return PREVIEW_KEY
    except OSError as exc:
        raise SettingsError(
            f"{file}: the HMAC key cannot be read ({exc.strerror}).",
            "Give yourself read access to it.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{file}: the HMAC key is not text.", _PUT_BACK) from exc
    try:
        from importer.atomic_file import write_durably  # noqa: PLC0415 - not for a check

        text = f"{secrets.token_hex(32)}\n"
        if note is not None:
            note(_key(text, str(file)))
        write_durably(file, text.encode(), replace=False, fsync=fsync)
        return _key(file.read_text("utf-8"), str(file))
    except OSError as exc:
        raise SettingsError(
            f"{file}: the HMAC key cannot be written ({exc.strerror}).",
            "Make the folder writable, or set hmac_key_file.",
        ) from exc


def _key(text: str, place: str) -> bytes:
    """Return the key as bytes; refuse a short one, because it can be guessed."""
    if len(text.strip()) < _MIN_CHARACTERS:
        raise SettingsError(
            f"{place}: the HMAC key has fewer than {_MIN_CHARACTERS} characters.", _PUT_BACK
        )
    return hashlib.sha256(text.strip().encode()).digest()
