"""Phone numbers as people spell them: examples of every country, and random ones."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

if TYPE_CHECKING:
    from collections.abc import Iterator

Cell: TypeAlias = tuple[str, str | None]
"""A number as written, and the country in which it is read."""

REGIONS: Final = tuple(sorted(phonenumbers.SUPPORTED_REGIONS))
CALLING_CODES: Final = tuple(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
_FORMATS: Final = (
    PhoneNumberFormat.NATIONAL,
    PhoneNumberFormat.INTERNATIONAL,
    PhoneNumberFormat.E164,
    PhoneNumberFormat.RFC3966,
)
_AROUND: Final = ("{} x12", "{} ext. 345", "{};ext=3", "{} / {}", "{}/", "({})", "'{}", "{}.0")
_NOISE: Final = (" ", "-", ".", "/", "(", ")", " (0) ", "0", "7", "x", ",", "+", "\u00a0", "\u0663")


# ---- every example ---------------------------------------------------------------------------


def examples(*, thorough: bool, regions: tuple[str, ...] = REGIONS) -> Iterator[Cell]:
    """Yield every example number of every type and country, in every form that people use.

    Args:
        thorough: every form in every context; else one context each, drawn by a seeded source.
        regions: the countries, ISO alpha-2.
    """
    random = Random(5)
    for number in _example_numbers(regions):
        home = phonenumbers.region_code_for_country_code(number.country_code or 0)
        own = phonenumbers.region_code_for_number(number) or home
        for text in _forms(number):
            contexts = (own, home, random.choice(regions), None)
            for country in contexts if thorough else (random.choice(contexts),):
                yield text, country if country != "001" else None


@cache
def _example_numbers(regions: tuple[str, ...]) -> tuple[PhoneNumber, ...]:
    """Return the examples of phonenumbers, valid and invalid."""
    return tuple(_every_example_number(regions))


def _every_example_number(regions: tuple[str, ...]) -> Iterator[PhoneNumber]:
    """Yield examples of every type and country, and of numbers without a country."""
    for region in regions:
        for kind in PhoneNumberType.values():
            if (number := phonenumbers.example_number_for_type(region, kind)) is not None:
                yield number
        if (number := phonenumbers.invalid_example_number(region)) is not None:
            yield number
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        if (number := phonenumbers.example_number_for_non_geo_entity(code)) is not None:
            yield number


def _forms(number: PhoneNumber) -> Iterator[str]:
    """Yield one number in many spellings, right and wrong."""
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
    """Return the trunk prefix and the international prefix of a calling code."""
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    abroad = (metadata and metadata.international_prefix) or "00"
    return (metadata and metadata.national_prefix) or "0", abroad if abroad.isdecimal() else "00"


@cache
def _carriers(code: str) -> tuple[str, ...]:
    """Return digits that may choose a carrier, from the pattern in the metadata."""
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    prefix = (metadata and metadata.national_prefix_for_parsing) or ""
    if "(" not in prefix:
        return ()
    digits = "".join(sign if sign.isdecimal() else " " for sign in prefix.replace("\\d", "5"))
    return tuple(sorted({part for part in digits.split() if len(part) <= 5}))[:12]


# ---- random inputs ---------------------------------------------------------------------------


def random_inputs(seed: int, count: int, regions: tuple[str, ...] = REGIONS) -> Iterator[Cell]:
    """Yield random cells that are nearly valid, some in broken spellings."""
    random, examples_of = Random(seed), _example_numbers(regions)
    numbers = [phonenumbers.national_significant_number(number) for number in examples_of]
    codes = [str(number.country_code) for number in examples_of]
    for _ in range(count):
        which = random.randrange(len(numbers))
        code, national = codes[which], _changed(numbers[which], random)
        trunk, abroad = _dialled(code)
        start = random.choice(
            ("", "", trunk, trunk, code, "+" + code, "+" + code, f"+{code} (0)", "00" + code,
             abroad + code, code + trunk, f"+{code}{trunk}", "+", "0", str(random.randrange(1000)))
        )  # fmt: skip
        text = _written(start + national, random)
        yield text, _context(code, random, regions)


def _changed(national: str, random: Random) -> str:
    """Return the number with other digits after its beginning, and sometimes another length."""
    kept = random.randrange(len(national) + 1)
    size = len(national) + random.choice((0, 0, 0, 0, 0, 0, -1, 1, -2, 2, -3, 3, 6))
    return national[:kept] + "".join(random.choices("0123456789", k=max(0, size - kept)))


def _written(digits: str, random: Random) -> str:
    """Return the digits with some punctuation, and rarely something that does not belong there."""
    if random.random() < 0.4:
        return digits
    for _ in range(random.randrange(4)):
        cut = random.randrange(len(digits) + 1)
        digits = digits[:cut] + random.choice((" ", "-", ".", " ", "(", ") ")) + digits[cut:]
    if random.random() < 0.1:
        cut = random.randrange(len(digits) + 1)
        digits = digits[:cut] + random.choice(_NOISE) + digits[cut:]
    return digits


def _context(code: str, random: Random, regions: tuple[str, ...]) -> str | None:
    """Choose mostly a country of the calling code; else another, none, or one without phones."""
    chance = random.random()
    if chance < 0.75:
        region = random.choice(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[int(code)])
        return region if region != "001" else None
    return random.choice(regions) if chance < 0.9 else random.choice((None, "AQ"))
