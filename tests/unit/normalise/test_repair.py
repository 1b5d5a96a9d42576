"""Names come out of quotation marks and encodings if that is certain, and else stay as they are."""

from __future__ import annotations

import polars as pl
import pytest

from importer.normalise.names import decode_names, find_name_faults, unquote_names


def repaired(name: str | None) -> str | None:
    """Return one name after repairing."""
    result: str | None = unquote_names(decode_names(pl.Series([name], dtype=pl.String)))[0]
    return result


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("'Ada'", "Ada"),
        ("`Lovelace`", "Lovelace"),
        ("“Ada”", "Ada"),
        ("„Ada“", "Ada"),
        ("«Ada»", "Ada"),
        ('""Ada""', "Ada"),
        ("'O'Brien'", "O'Brien"),
        ("O&#39;Brien", "O'Brien"),
        ("O&#039;Neil", "O'Neil"),
        ("O&#x27;Neil", "O'Neil"),
        ("Jos&eacute;", "José"),
        ("Smith &amp; Co", "Smith & Co"),
        ("=?utf-8?Q?Jos=C3=A9?=", "José"),
        ("=?UTF-8?B?Sm9zw6k=?=", "José"),
        ("=?iso-8859-1?q?Jos=E9?= Díaz", "José Díaz"),
        ("Jos\\u00e9", "José"),
        ("Jos%C3%A9", "José"),
        ("Mary%20Ann", "Mary Ann"),
        ("JosÃ©", "José"),
        ("GarcÃ\u00ada", "García"),
        ("MÃ¼ller", "Müller"),
        ("PelÃ\u00a0", "Pelà"),
        ("JosÃƒÂ©", "José"),
        ("Oâ€™Brien", "O’Brien"),
        ("Å\u0081ukasz", "Łukasz"),
        ("Ð˜Ð²Ð°Ð½", "Иван"),
    ],
)
def test_what_programs_do_to_names_is_undone(cell: str, name: str) -> None:
    """Quotation marks, entities, encoded words, escapes, UTF-8 read as another encoding."""
    assert repaired(cell) == name


@pytest.mark.parametrize(
    "name",
    [
        *("O'Brien", "'t Hooft", "'Abd al-Rahman", "d’Artagnan", 'Robert "Bob" Smith', "D'"),
        *("José", "Ângela", "Åsa", "João", "Müller", "SÃO", "Ünal", "Łukasz", "Иван", "李小龙"),
        *("100%", "A&B", "AT&T;", "Ñandú", "Šárka", "Åke", "LÂM", None),
    ],
)
def test_names_that_are_right_stay(name: str | None) -> None:
    """An apostrophe is no quotation mark, and an accent no wrong encoding."""
    assert repaired(name) == name


@pytest.mark.parametrize(
    "cell", ["=?utf-8?Q?Jos", "Jos%E9", "JosÃ© \u0161\u0161Ã¶\u20ac", "Jos&unknown;"]
)
def test_what_cannot_be_repaired_for_certain_is_the_rows_problem(cell: str) -> None:
    """It stays as it is, and it is no name to be sent."""
    assert repaired(cell) == cell
    assert find_name_faults(pl.Series([cell])).null_count() == 0
