"""`make parity`: the bulk road of phones beside phonenumbers itself, on every kind of number.

Two things are compared. First, all columns of `to_e164` judged in bulk with those judged by
phonenumbers one by one: no difference is allowed. Second, the numbers with what phonenumbers reads
in the raw cell: we may refuse what it takes, but never make another number of it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

import phonenumbers
import polars as pl
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
)

from importer.phones import bulk, exact
from importer.phones.cells import to_e164

if TYPE_CHECKING:
    from collections.abc import Iterator

Cell: TypeAlias = tuple[str, str | None]
"""A number as written, and the country in which it is read."""

RANDOM_INPUTS: Final = 2_000_000
CHUNK: Final = 100_000
REGIONS: Final = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))
CALLING_CODES: Final = tuple(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_DECIMAL: Final = re.compile(r"[.,]0+\s*$")
"""A spreadsheet's decimal at the end of a cell, which phonenumbers takes for digits."""

_FORMATS: Final = (
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.INTERNATIONAL,
    PhoneNumberFormat.E164,
    PhoneNumberFormat.RFC3966,
)
_AROUND: Final = ("{} x12", "{} ext. 345", "{};ext=3", "{} / {}", "{}/", "({})", "'{}", "{}.0")
_NOISE: Final = (" ", "-", ".", "/", "(", ")", " (0) ", "0", "7", "x", ",", "+", "\u00a0", "\u0663")


# ---- every example ---------------------------------------------------------------------------


def examples(*, thorough: bool) -> Iterator[Cell]:
    """Every example number of every type and country, in every form that people give it.

    Args:
        thorough: every form in every context; else one context each, drawn by a seeded source.
    """
    random = Random(5)
    for number in _example_numbers():
        home = phonenumbers.region_code_for_country_code(number.country_code or 0)
        own = phonenumbers.region_code_for_number(number) or home
        for text in _forms(number):
            contexts = (own, home, random.choice(REGIONS), None)
            for country in contexts if thorough else (random.choice(contexts),):
                yield text, country if country != "001" else None


def _example_numbers() -> Iterator[PhoneNumber]:
    """What phonenumbers gives as examples, and the invalid ones."""
    for region in REGIONS:
        for kind in PhoneNumberType.values():
            if (number := phonenumbers.example_number_for_type(region, kind)) is not None:
                yield number
        if (number := phonenumbers.invalid_example_number(region)) is not None:
            yield number
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        if (number := phonenumbers.example_number_for_non_geo_entity(code)) is not None:
            yield number


def _forms(number: PhoneNumber) -> Iterator[str]:
    """One number in many spellings, right and wrong."""
    for style in _FORMATS:
        written = phonenumbers.format_number(number, style)
        yield from (written, written[:-1], written + "4")
        yield from (around.format(written, written) for around in _AROUND)
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    trunk, abroad = _dialled(code)
    spread = "-".join((national[:2], national[2:5], national[5:]))
    starts = ["", trunk, code, code + trunk, "00" + code, "+" + code, f"+{code} (0)", f"+{code}0"]
    starts += [abroad + code, "+" + abroad + code, "+0", "00", f"{trunk}15", f"0041{trunk}", "0015"]
    for start in starts:
        yield from (start + national, start + spread, start + national[:-1], start + national + "1")
    for carrier in _carriers(code):
        yield from (carrier + national, trunk + carrier + national)
    yield from (national[cut:] for cut in range(1, min(5, len(national))))


@cache
def _dialled(code: str) -> tuple[str, str]:
    """The digits for a long-distance call and for one abroad, as far as there are such."""
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    abroad = (metadata and metadata.international_prefix) or "00"
    return (metadata and metadata.national_prefix) or "0", abroad if abroad.isdecimal() else "00"


@cache
def _carriers(code: str) -> tuple[str, ...]:
    """Digits that may choose a carrier there: the beginnings in the metadata's own pattern."""
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    prefix = (metadata and metadata.national_prefix_for_parsing) or ""
    if "(" not in prefix:
        return ()
    digits = "".join(sign if sign.isdecimal() else " " for sign in prefix.replace("\\d", "5"))
    return tuple(sorted({part for part in digits.split() if len(part) <= 5}))[:12]


# ---- inputs by chance ------------------------------------------------------------------------


def random_inputs(seed: int, count: int) -> Iterator[Cell]:
    """Cells by chance that are nearly valid, some in broken spellings."""
    random = Random(seed)
    numbers = [phonenumbers.national_significant_number(number) for number in _example_numbers()]
    codes = [str(number.country_code) for number in _example_numbers()]
    for _ in range(count):
        which = random.randrange(len(numbers))
        code, national = codes[which], _changed(numbers[which], random)
        trunk, abroad = _dialled(code)
        start = random.choice(
            ("", "", trunk, trunk, code, "+" + code, "+" + code, f"+{code} (0)", "00" + code,
             abroad + code, code + trunk, f"+{code}{trunk}", "+", "0", str(random.randrange(1000)))
        )  # fmt: skip
        text = _written(start + national, random)
        yield text, _context(code, random)


def _changed(national: str, random: Random) -> str:
    """The number with other digits behind its beginning, and now and then another length."""
    kept = random.randrange(len(national) + 1)
    size = len(national) + random.choice((0, 0, 0, 0, 0, 0, -1, 1, -2, 2, -3, 3, 6))
    return national[:kept] + "".join(random.choices("0123456789", k=max(0, size - kept)))


def _written(digits: str, random: Random) -> str:
    """The digits with some punctuation, and seldom something that does not belong there."""
    if random.random() < 0.4:
        return digits
    for _ in range(random.randrange(4)):
        cut = random.randrange(len(digits) + 1)
        digits = digits[:cut] + random.choice((" ", "-", ".", " ", "(", ") ")) + digits[cut:]
    if random.random() < 0.1:
        cut = random.randrange(len(digits) + 1)
        digits = digits[:cut] + random.choice(_NOISE) + digits[cut:]
    return digits


def _context(code: str, random: Random) -> str | None:
    """A country of the calling code, mostly; another, none, or one without phones, else."""
    chance = random.random()
    if chance < 0.75:
        region = random.choice(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)])
        return region if region != "001" else None
    return random.choice(REGIONS) if chance < 0.9 else random.choice((None, "AQ"))


# ---- comparing -------------------------------------------------------------------------------


def differences(cells: list[Cell]) -> tuple[int, list[tuple[object, ...]]]:
    """How many numbers were valid, and each cell on which the roads differ, with both verdicts."""
    texts = pl.Series([text for text, _ in cells], dtype=pl.String)
    countries = pl.Series([country for _, country in cells], dtype=pl.String)
    slow = to_e164(texts, countries, judge=exact.judge)
    fast = to_e164(texts, countries, judge=partial(bulk.judge, few=1))
    found: list[tuple[object, ...]] = []
    for cell, one, other in zip(cells, slow.iter_rows(), fast.iter_rows(), strict=True):
        if one != other:
            found.append((*cell, one, other))
        elif one[0] is not None and _another(cell, str(one[0])):
            found.append((*cell, one, "phonenumbers reads another number in the raw cell"))
    return slow["e164"].count(), found


def _another(cell: Cell, e164: str) -> bool:
    """Whether phonenumbers finds a valid number in the raw cell, and not this one."""
    text, country = cell
    if _DECIMAL.search(text) is not None:
        return False
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) != e164


def _compare_random(seed: int, count: int) -> tuple[int, int, list[tuple[object, ...]]]:
    cells = list(random_inputs(seed, count))
    return len(cells), *differences(cells)


def _compare_examples(start: int) -> tuple[int, int, list[tuple[object, ...]]]:
    cells = list(examples(thorough=True))[start : start + CHUNK]
    return len(cells), *differences(cells)


def main() -> int:
    """Compare everything on every core, print what differs; exit 1 if anything does."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--random", type=int, default=RANDOM_INPUTS, help="inputs by chance")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    started = time.perf_counter()
    total = sum(1 for _ in examples(thorough=True))
    chunks = -(-chosen.random // CHUNK)
    sizes = [min(CHUNK, chosen.random - CHUNK * chunk) for chunk in range(chunks)]
    workers = min(8, os.cpu_count() or 1)
    read = valid = different = 0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        work = [pool.submit(_compare_examples, start) for start in range(0, total, CHUNK)]
        work += [
            pool.submit(_compare_random, chosen.seed * 1_000_000 + chunk, size)
            for chunk, size in enumerate(sizes)
        ]
        for done in work:
            cells, usable, found = done.result()
            read, valid, different = read + cells, valid + usable, different + len(found)
            for difference in found[:20]:
                sys.stdout.write(f"{difference}\n")
    sys.stdout.write(
        f"{read:,} cells ({total:,} from examples), {valid:,} of them valid numbers, phonenumbers "
        f"{phonenumbers.__version__}: {different:,} differences, "
        f"{time.perf_counter() - started:.0f} s on {workers} cores\n"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
