"""How the ledger stores values: few bytes in the database, plain texts and times in Python.

A submission takes a fifth of the space that hex digits and readable times would take. Other code
sees plain values; only SQL that is written by hand must know the stored form.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from sqlalchemy import BigInteger, DateTime, LargeBinary, SmallInteger, Text, TypeDecorator
from sqlalchemy.dialects import sqlite

from importer.masking import DOTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine


# ---- times ------------------------------------------------------------------------------------


class Moment(TypeDecorator[datetime]):
    """A point in time: timezone-aware in Python, UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a time into UTC; raise ValueError if it has no zone."""
        del dialect
        return _in_utc(value)

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], datetime | None] | None:
        """Return UTC; SQLite stores text in UTC, with or without its zone."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        read = datetime.fromisoformat  # a third of the time that SQLAlchemy's own way takes
        return lambda text: None if text is None else read(text).replace(tzinfo=UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC; the server may return any zone."""
        del dialect
        return None if value is None else value.astimezone(UTC)


class Instant(TypeDecorator[datetime]):
    """A point in time as 8 bytes: microseconds since 1970 in SQLite, a server's own type there."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column."""
        wanted = BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(wanted)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turn a time into UTC; raise ValueError if it has no zone."""
        at = _in_utc(value)
        return at if at is None or dialect.name != "sqlite" else to_microseconds(at)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        if value is None:
            return None
        if dialect.name != "sqlite":
            return value.astimezone(UTC)  # type: ignore[no-any-return]
        return _EPOCH + timedelta(microseconds=value)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return the microseconds from 1970 to a time."""
    return (at - _EPOCH) // _MICROSECOND


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("the ledger takes no time without a zone")
    return value.astimezone(UTC)


# ---- ids of runs ------------------------------------------------------------------------------

_RUN: Final = re.compile(r"(\d{8}-\d{6})-([0-9a-f]{4})", re.ASCII)
_RUNS_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SUFFIX_BITS: Final = 16
_NO_RUN: Final = -(1 << 63)
"""Less than the number of any run; no run has it."""


@lru_cache(maxsize=1024)
def number_of_run(run: str) -> int | None:
    """Return a run's id as a number of six bytes: its second since 2000, and its random end.

    The numbers are in the order of the ids. Return None for a text that is no id of a run.
    """
    found = _RUN.fullmatch(run)
    if found is None:
        return None
    try:
        at = datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    seconds = (at - _RUNS_SINCE) // timedelta(seconds=1)
    return seconds << _SUFFIX_BITS | int(found[2], 16)


def run_of_number(number: int) -> str:
    """Return the id of a run: `20261122-153000-3f2a`."""
    at = _RUNS_SINCE + timedelta(seconds=number >> _SUFFIX_BITS)
    return f"{at:%Y%m%d-%H%M%S}-{number & (1 << _SUFFIX_BITS) - 1:04x}"


class RunId(TypeDecorator[str]):
    """The id of a run, stored as a number; a text that is not such an id matches no row."""

    impl = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> int | None:
        """Return its number."""
        del dialect
        if value is None:
            return None
        number = number_of_run(value)
        return _NO_RUN if number is None else number

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], str | None] | None:
        """Return a function that makes the id; rows of one run come one after another."""
        del dialect, coltype
        known: dict[int | None, str | None] = {None: None}

        def read(number: int | None) -> str | None:
            found = known.get(number)
            if found is None and number is not None:
                found = known[number] = run_of_number(number)
            return found

        return read


# ---- one of a few words -----------------------------------------------------------------------


class Word(TypeDecorator[str]):
    """One of a few words, stored as its place among them.

    Args:
        words: the words; new ones go to the end.
    """

    impl = SmallInteger
    cache_ok = True

    def __init__(self, words: tuple[StrEnum, ...]) -> None:
        super().__init__()
        self.words = words
        self._numbers = {word.value: number for number, word in enumerate(words)}

    def process_bind_param(self, value: str | None, dialect: Dialect) -> int | None:
        """Return the place of a word; raise ValueError if it is none of them."""
        del dialect
        if value is None:
            return None
        try:
            return self._numbers[value]
        except KeyError:
            raise ValueError(f"{value!r} is not one of the words of this column") from None

    def process_literal_param(self, value: str | None, dialect: Dialect) -> str:
        """Return the place of a word as SQL."""
        return str(self.process_bind_param(value, dialect))

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], str | None] | None:
        """Return a function that gives the word."""
        del dialect, coltype
        words: dict[int | None, str | None] = {None: None}
        words.update(enumerate(word.value for word in self.words))
        return words.__getitem__

    def number(self, word: StrEnum) -> int:
        """Return the place of a word."""
        return self._numbers[word.value]


# ---- hashes and ids ---------------------------------------------------------------------------

_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){4,127}", re.ASCII)
_HEX_RUNS: Final = re.compile(rb"([0-9a-f]{8,254})").split
_LENGTHS: Final = tuple(bytes([length]) for length in range(256))
_UUID_LENGTH: Final = 36
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{64}", re.ASCII)
_WHOLE_SIZES: Final = frozenset({8, 16, 32})
_WHOLE_DIGITS: Final = frozenset(2 * size for size in _WHOLE_SIZES)
_IS_HEX: Final = 0x80
_EMPTY: Final = b"\0"
_MOST: Final = 127


def pack(text: str) -> bytes:
    """Pack a text: runs of 8 or more hex digits take half their length.

    Each part follows a byte that says its length: below 128 bytes of UTF-8, from 129 on (less 128)
    bytes of hex digits; 128 is a UUID with its hyphens. Equal texts have equal bytes.
    """
    if len(text) == _UUID_LENGTH and _UUID.fullmatch(text):
        return _LENGTHS[_IS_HEX] + bytes.fromhex(text.replace("-", ""))
    parts = list[bytes]()
    for place, piece in enumerate(_HEX_RUNS(text.encode())):
        size = len(piece)
        if place % 2:
            if size % 2:
                return _pack_odd(text)
            parts += (_LENGTHS[_IS_HEX + size // 2], unhexlify(piece))
        elif size > _MOST:
            return _pack_odd(text)
        elif piece:
            parts += (_LENGTHS[size], piece)
    return b"".join(parts)


def _pack_odd(text: str) -> bytes:
    """Pack a text in which a run has an odd length, or another part is long."""
    parts = []
    end = 0
    for found in _HEX.finditer(text):
        parts += _literal(text[end : found.start()])
        parts += [_LENGTHS[_IS_HEX + len(found[0]) // 2], bytes.fromhex(found[0])]
        end = found.end()
    return b"".join([*parts, *_literal(text[end:])])


def _literal(text: str) -> list[bytes]:
    data = text.encode()
    pieces = []
    for start in range(0, len(data), _MOST):
        piece = data[start : start + _MOST]
        pieces += [bytes([len(piece)]), piece]
    return pieces


def unpack(data: bytes) -> str:
    """Return the text that `pack` packed."""
    if data[:1] == bytes([_IS_HEX]):
        digits = data[1:].hex()
        return "-".join(digits[at : at + length] for at, length in _UUID_PARTS)
    parts = []
    at = 0
    while at < len(data):
        size = data[at]
        end = at + 1 + size % _IS_HEX
        piece = data[at + 1 : end]
        parts.append(piece if size < _IS_HEX else piece.hex().encode())
        at = end
    return b"".join(parts).decode()


def pack_hash(text: str) -> bytes:
    """Pack a hash: 16, 32 or 64 hex digits become as few bytes as they are.

    Any other text is packed as `pack` does, and never has the length of a hash.
    """
    if _WHOLE.fullmatch(text):
        return bytes.fromhex(text)
    data = pack(text)
    while len(data) in _WHOLE_SIZES:
        data += _EMPTY
    return data


def pack_hash_column(hashes: pl.Series) -> list[bytearray | None]:
    """Pack many hashes, as `pack_hash` does; those of one length in a tenth of the time.

    SQLite's driver takes a bytearray at once; for bytes it first looks for an adapter, which takes
    longer than all else that it does with a value.
    """
    given = hashes.drop_nulls()
    sizes = given.str.len_bytes().unique().to_list()
    data = _read_hex(given.str.join("").item()) if len(sizes) == 1 else None
    if data is None or sizes[0] not in _WHOLE_DIGITS:
        packed = [bytearray(pack_hash(text)) for text in given]
    else:
        size = sizes[0] // 2
        packed = [data[start : start + size] for start in range(0, len(data), size)]
    if given.len() == hashes.len():
        return list[bytearray | None](packed)
    rest = iter(packed)
    return [None if is_null else next(rest) for is_null in hashes.is_null()]


def _read_hex(digits: str) -> bytearray | None:
    """Return the bytes of lower-case hex digits; None if they are something else."""
    try:
        data = bytearray.fromhex(digits)
    except ValueError:
        return None
    return data if data.hex() == digits else None


def pack_text_column(texts: pl.Series) -> list[bytearray | None]:
    """Pack many texts, as `pack` does.

    Those in ASCII that end with hex digits take a third of the time: `A-17-0123456789abcdef`, and
    `0123456789abcdef/01234567` with digits on both sides of one slash.
    """
    text, rest, last = pl.col("text"), pl.col("rest"), pl.col("last")
    packed = (
        texts.rename("text")
        .to_frame()
        .with_columns(start=text.str.find(_HEX_RUN))
        .with_columns(
            before=text.str.slice(0, "start"), rest=text.str.slice("start").str.splitn("/", 2)
        )
        .unnest("rest")
        .rename({"field_0": "rest", "field_1": "last"})
        .select(
            pl.when(
                text.str.len_bytes() == text.str.len_chars(),
                pl.col("start") <= _MOST,
                rest.str.contains(_ONLY_HEX),
                last.is_null() | (last == "") | last.str.contains(_ONLY_HEX),
            ).then(
                pl.when(pl.col("start") > 0)
                .then(_size_byte(pl.col("start")) + pl.col("before").cast(pl.Binary))
                .otherwise(b"")
                + _hex_part(rest)
                + pl.when(last.is_null()).then(b"").otherwise(b"\x01/")
                + pl.when(last != "").then(_hex_part(last)).otherwise(b"")
            )
        )
        .to_series()
        .to_list()
    )
    return [
        bytearray(data) if data is not None else None if given is None else bytearray(pack(given))
        for data, given in zip(packed, texts, strict=True)
    ]


def unpack_text_column(packed: pl.Series) -> pl.Series:
    """Return the texts that `pack` packed; in bulk those of words and hex digits like the first."""
    given = packed.drop_nulls()
    if not given.len():
        return packed.cast(pl.String)
    first: bytes = given[0] or _EMPTY
    at = 1 + first[0] if first[0] < _IS_HEX else 0
    data = pl.col("packed")
    digits = data.bin.slice(at + 1).bin.encode("hex")
    if first[0] == _IS_HEX:
        spelled = pl.concat_str((digits.str.slice(*part) for part in _UUID_PARTS), separator="-")
    elif len(first) > at and len(first) == at + 1 + first[at] - _IS_HEX:
        spelled = pl.concat_str(pl.lit(first[1:at].decode()), digits)
    else:
        spelled = pl.lit(None, pl.String)
    alike = data.bin.starts_with(first[: at + 1]) & (data.bin.size() == len(first))
    texts = (
        packed.rename("packed")
        .to_frame()
        .select(pl.when(alike).then(spelled))
        .to_series()
        .alias(packed.name)
    )
    others = (texts.is_null() & packed.is_not_null()).arg_true()
    if not others.len():
        return texts
    return texts.scatter(others, [unpack(data) for data in packed.gather(others)])


_UUID_PARTS: Final = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
"""The places of digits between the hyphens of a UUID: offset and length."""
_HEX_RUN: Final = "[0-9a-f]{8}"
_ONLY_HEX: Final = "^(?:[0-9a-f]{2}){4,127}$"


def _size_byte(sizes: pl.Expr, more: int = 0) -> pl.Expr:
    """Return the byte that says the size of a part, less than 128."""
    bytes_of = {size: _LENGTHS[size + more] for size in range(_IS_HEX)}
    return sizes.replace_strict(bytes_of, default=None, return_dtype=pl.Binary)


def _hex_part(digits: pl.Expr) -> pl.Expr:
    """Return hex digits as a part of a packed text; null if they are none."""
    return _size_byte(digits.str.len_bytes() // 2, _IS_HEX) + digits.str.decode("hex", strict=False)


def unpack_hash(data: bytes) -> str:
    """Return the text that `pack_hash` packed."""
    return data.hex() if len(data) in _WHOLE_SIZES else unpack(data)


class _Binary(TypeDecorator[str]):
    """A text that is stored as bytes."""

    impl = LargeBinary
    cache_ok = True


class Hash(_Binary):
    """Hex digits of a hash, stored as bytes."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Return its bytes."""
        del dialect
        return None if value is None else pack_hash(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return its digits."""
        del dialect
        return None if value is None else unpack_hash(bytes(value))


class Packed(_Binary):
    """An id with hex digits in it, such as `conv_3f2a…`, stored as bytes."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Return its bytes."""
        del dialect
        return None if value is None else pack(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text."""
        del dialect
        return None if value is None else unpack(bytes(value))


def shorten_masks(masked: pl.Series) -> pl.Series:
    """Return masked people as `shorten_mask` does."""
    return masked.str.replace_all(_DOT, _SHORT_DOT, literal=True)


def lengthen_masks(masked: pl.Series) -> pl.Series:
    """Return masked people as people read them."""
    return masked.str.replace_all(_SHORT_DOT, _DOT, literal=True)


def shorten_mask(masked: str) -> str:
    """Return a masked person with dots of one byte each."""
    return masked.replace(_DOT, _SHORT_DOT)


class Masked(TypeDecorator[str]):
    """A masked person; each dot takes one byte instead of three."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the short form."""
        del dialect
        return None if value is None else shorten_mask(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text that people read."""
        del dialect
        return None if value is None else value.replace(_SHORT_DOT, _DOT)


_DOT: Final = DOTS[0]
_SHORT_DOT: Final = "\x07"
