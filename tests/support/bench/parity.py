"""`make parity`: compare the bulk judge of phones with phonenumbers, on every kind of number.

Two things are compared. First, all columns of `read_phones` judged in bulk with those judged by
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
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl
from phonenumbers import NumberParseException, PhoneNumberFormat

from importer.phones import bulk, reference
from importer.phones.parser import read_phones
from tests.support.bench.spellings import examples, random_inputs

if TYPE_CHECKING:
    from importer.phones.reference import Validator
    from tests.support.bench.spellings import Cell

RANDOM_INPUTS: Final = 2_000_000
CHUNK: Final = 250_000
_DECIMAL: Final = re.compile(r"[.,]0+\s*$")
"""A spreadsheet's decimal at the end of a cell, which phonenumbers takes for digits."""

EVERYTHING_IN_BULK: Final = partial(bulk.validate, few=1)
"""The bulk judge, even for countries that hardly occur."""


def differences(
    cells: list[Cell], validate: Validator = EVERYTHING_IN_BULK
) -> tuple[int, list[tuple[object, ...]]]:
    """Return how many numbers are valid, and the cells with different verdicts, with both."""
    texts = pl.Series([text for text, _ in cells], dtype=pl.String)
    countries = pl.Series([country for _, country in cells], dtype=pl.String)
    slow = read_phones(texts, countries, validate=reference.validate)
    fast = read_phones(texts, countries, validate=validate)
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
    """Compare everything on every core, and print what differs; exit 1 if anything does."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--random", type=int, default=RANDOM_INPUTS, help="random inputs")
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
