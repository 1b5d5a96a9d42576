"""Countries are read in eight languages, and never guessed."""

from __future__ import annotations

import re

import phonenumbers
import polars as pl
import pytest
from babel import Locale

from importer.normalise.countries import CODES, calling_codes, read_countries


def read(*cells: str | None) -> list[str | None]:
    """Return the codes of some cells."""
    return read_countries(pl.Series("country", cells, dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("GB", "GB gb GBR UK U.K. uk England Scotland Wales Great_Britain Großbritannien"),
        ("GB", "Royaume-Uni Reino_Unido Regno_Unito Verenigd_Koninkrijk Wielka_Brytania"),
        ("US", "US USA U.S.A. usa United_States America États-Unis EE._UU. Stany_Zjednoczone EUA"),
        ("AE", "UAE U.A.E. United_Arab_Emirates VAE Emirats_arabes_unis"),
        ("NL", "NL Holland The_Netherlands Niederlande Pays-Bas Países_Bajos Paesi_Bassi Holanda"),
        ("DE", "DEU Germany Deutschland Allemagne Alemania Germania Duitsland Niemcy Alemanha"),
        ("AT", "Austria Österreich Oesterreich Autriche Oostenrijk"),
        ("CH", "Switzerland Schweiz Suisse Svizzera Suiza Zwitserland Szwajcaria Suíça"),
        ("IT", "Italia Italy Italien Włochy Wlochy"),
        ("ES", "Spain España Espana Spanien Hiszpania Espanha Spagna"),
        ("CZ", "Czech_Republic Czechia Tschechien Tschechische_Republik"),
        ("TR", "Turkey Türkiye Turkiye Türkei"),
        ("BO", "Bolivia Bolivia,_Plurinational_State_of"),
        ("KR", "South_Korea Republic_of_Korea Südkorea"),
        ("IE", "Ireland Eire Irland Republic_of_Ireland"),
        ("XK", "Kosovo"),
        ("US", "1 +1 001 USA_(+1)"),
        ("PL", "+48 0048 POL Polska Poland"),
        ("GB", "+44 0044 44 (+44) United_Kingdom_(+44) GB_+44"),
    ],
)
def test_names_and_codes(code: str, names: str) -> None:
    """Names, codes of two and three letters, abbreviations, calling codes with their +."""
    cells = [name.replace("_", " ") for name in names.split()]
    assert dict(zip(cells, read(*cells), strict=True)) == dict.fromkeys(cells, code)


@pytest.mark.parametrize(
    "cell",
    [
        "Korea",
        "Congo",
        "Atlantis",
        "276",
        "France (+44)",
        "EU",
        "ZZ",
        "Saint Martin",
        "-",
        "Europe",
    ],
)
def test_what_could_be_two_countries_or_none_is_unknown(cell: str) -> None:
    """An unclear or foreign word is null."""
    assert read(cell) == [None]


def test_empty_cells_stay_empty_among_others() -> None:
    """Null is null, in a mixed column and in an empty one."""
    assert read(None, "UK", None) == [None, "GB", None]
    assert read(None) == [None]
    assert read() == []


def test_every_name_of_every_language_is_read() -> None:
    """Babel's own name of each country leads back to its code, unless two share it."""
    unclear = {"MF", "SX", "AC", "TA"}
    for locale in ("en", "de", "fr", "es", "it", "nl", "pl", "pt"):
        names = {
            code: name
            for code, name in Locale.parse(locale).territories.items()
            if code in phonenumbers.SUPPORTED_REGIONS - unclear and name not in {"Congo", "Kongo"}
        }
        assert len(names) > 230
        assert read(*names.values()) == list(names), locale


def test_every_code_is_itself() -> None:
    """Alpha-2 codes of all regions with phones stand for themselves, so reading twice is once."""
    regions = sorted(phonenumbers.SUPPORTED_REGIONS - {"AC", "TA"})
    assert read(*regions) == regions
    assert all(re.fullmatch("[A-Z]{2}", region) for region in regions)


def test_calling_codes_are_shared_where_they_are() -> None:
    """Canada calls like the United States, Jersey like Britain, the Vatican like Italy."""
    codes = calling_codes()
    assert codes["CA"] == codes["US"] == 1
    assert codes["JE"] == codes["GB"] == 44
    assert codes["KZ"] == codes["RU"] == 7
    assert codes["VA"] == codes["IT"] == 39
    assert codes["DE"] != codes["FR"]
    assert "001" not in codes


def test_a_code_means_the_same_whether_the_names_are_looked_up_or_not() -> None:
    """Every code that is taken unchanged is what the table of names makes of it."""
    assert read(*CODES, "Germany") == [*CODES, "DE"]
