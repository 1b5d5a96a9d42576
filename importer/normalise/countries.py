"""Read countries: names and codes in eight languages become ISO 3166-1 alpha-2.

Babel has the official names; the aliases below are other names that people write.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import polars as pl
from babel import Locale
from babel.core import get_global
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS

from importer.normalise.text import fold_words

_LOCALES: Final = "en de de_AT de_CH fr es es_MX it nl pl pt pt_PT"
_NO_COUNTRIES: Final = "AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ"
"""Babel's codes that are not countries of ISO 3166-1, except XK (Kosovo), which has phones."""

CODES: Final = sorted(SUPPORTED_REGIONS - set(_NO_COUNTRIES.split()))
"""Alpha-2 codes: a cell that has one needs no look-up."""

_NOWHERE: Final = "001"
"""phonenumbers' region of a number that belongs to no country."""

_ALIASES: Final = {
    "AE": "UAE, Emirates, United Arab Emirates, VAE, EAU, ZEA",
    "BA": "Bosnia, Bosnien, Bosnie, Bosnië, Bośnia, Bósnia",
    "BE": "Kingdom of Belgium",
    "BN": "Brunei Darussalam",
    "BO": "Bolivia Plurinational State of",
    "BR": "Brasil",
    "BY": "Belarus, Weissrussland, Biélorussie, Bielorrusia, Wit-Rusland",
    "CD": "DR Congo, DRC, RDC, Democratic Republic of the Congo, Congo Kinshasa, "
    "Demokratische Republik Kongo, République démocratique du Congo, "
    "República Democrática del Congo, Repubblica Democratica del Congo, "
    "Democratische Republiek Congo, Demokratyczna Republika Konga, "
    "República Democrática do Congo",
    "CG": "Republic of the Congo, Congo Brazzaville",
    "CH": "Swiss, Confoederatio Helvetica",
    "CI": "Ivory Coast, Cote d Ivoire, Elfenbeinküste, Costa de Marfil, Costa d'Avorio, "
    "Ivoorkust, Wybrzeże Kości Słoniowej, Costa do Marfim",
    "CN": "PRC, VR China, People's Republic of China, Volksrepublik China, "
    "Mainland China, Chine, Chiny",
    "CV": "Cape Verde, Cabo Verde, Kap Verde",
    "CZ": "Czech Republic, Czechia, Tschechische Republik, Tschechei, République tchèque, "
    "República Checa, Repubblica Ceca, Tsjechische Republiek, Republika Czeska, "
    "República Tcheca",
    "DE": "BRD, Federal Republic of Germany, Bundesrepublik Deutschland, Bundesrepublik, "
    "République fédérale d'Allemagne",
    "EE": "Estland",
    "ES": "Kingdom of Spain, Königreich Spanien, Reino de España",
    "FK": "Malvinas, Islas Malvinas",
    "FR": "French Republic, République française, Metropolitan France",
    "GB": "UK, Great Britain, Britain, England, Scotland, Wales, Northern Ireland, "
    "United Kingdom of Great Britain and Northern Ireland, The United Kingdom, "
    "Großbritannien, Vereinigtes Königreich, VK, Schottland, Nordirland, "
    "Grande Bretagne, Royaume Uni, Angleterre, Écosse, Pays de Galles, Irlande du Nord, "
    "Gran Bretaña, Reino Unido, Inglaterra, Escocia, Gales, Irlanda del Norte, "
    "Gran Bretagna, Regno Unito, Inghilterra, Scozia, Galles, Irlanda del Nord, "
    "Groot Brittannië, Verenigd Koninkrijk, Engeland, Schotland, Noord Ierland, "
    "Wielka Brytania, Zjednoczone Królestwo, Anglia, Szkocja, Walia, Irlandia Północna, "
    "Grã Bretanha, Escócia, País de Gales, Irlanda do Norte",
    "GM": "The Gambia, Republic of The Gambia",
    "GR": "Hellas, Hellenic Republic",
    "HK": "Hong Kong, Hongkong, Hong Kong SAR",
    "IE": "Republic of Ireland, Éire, Eire, Republik Irland, République d'Irlande, ROI",
    "IR": "Islamic Republic of Iran, Iran Islamic Republic of",
    "IT": "Italian Republic, Repubblica Italiana",
    "KG": "Kyrgyz Republic, Kirgistan, Kirgisistan",
    "KP": "DPRK, Democratic People's Republic of Korea",
    "KR": "South Korea, Republic of Korea, Korea Republic of, ROK, Südkorea, "
    "Corée du Sud, Corea del Sur, Corea del Sud, Zuid Korea, Korea Południowa, Coreia do Sul",
    "KZ": "Kasachstan, Kazachstan",
    "LA": "Lao, Lao People's Democratic Republic",
    "LK": "Ceylon",
    "MD": "Republic of Moldova, Moldova Republic of, Moldawien, Moldavie, Moldavia, Moldavië",
    "MK": "Macedonia, North Macedonia, FYROM, Mazedonien, Macédoine, Macedonië, Macedônia",
    "MM": "Myanmar, Burma, Birma, Birmanie, Birmania",
    "MO": "Macao, Macau",
    "MX": "Méjico, United Mexican States",
    "NL": "Holland, The Netherlands, Kingdom of the Netherlands, Hollande, Holanda, Olanda, "
    "Holandia, Nederland, Niederlande, Die Niederlande, Pays Bas, Países Bajos, Paesi Bassi",
    "PH": "The Philippines",
    "PS": "Palestine, State of Palestine, Palästina, Palestina, Palestyna",
    "PT": "Portuguese Republic, República Portuguesa",
    "RO": "Roumania, Rumania",
    "RU": "Russia, Russian Federation, Russische Föderation, Fédération de Russie, "
    "Federación de Rusia, Federazione Russa, Russische Federatie, Federacja Rosyjska, "
    "Federação Russa",
    "SA": "KSA, Kingdom of Saudi Arabia",
    "SK": "Slovak Republic, Slowakische Republik, República Eslovaca, Repubblica Slovacca",
    "ST": "Sao Tome and Principe",
    "SY": "Syrian Arab Republic",
    "SZ": "Swaziland, Swasiland",
    "TL": "East Timor, Timor Leste, Osttimor, Timor oriental, Timor Oriental",
    "TR": "Turkey, Turkiye, Türkei, Turquie, Turquía, Turchia, Turkije, Turcja, Turquia",
    "TW": "Taiwan, Republic of China, Taiwan Province of China, Chinese Taipei",
    "TZ": "United Republic of Tanzania, Tanzania United Republic of",
    "UA": "The Ukraine",
    "US": "USA, U.S., U.S.A., US of A, United States, United States of America, America, "
    "The United States, The United States of America, Amerika, "
    "Vereinigte Staaten, Vereinigte Staaten von Amerika, "
    "États Unis d'Amérique, Amérique, EEUU, EE. UU., E.E.U.U., Estados Unidos de América, "
    "Stati Uniti d'America, Verenigde Staten van Amerika, VS, "
    "Stany Zjednoczone Ameryki, Stany Zjednoczone Ameryki Północnej, Ameryka, "
    "Estados Unidos da América, EUA",
    "VA": "Vatican, Holy See, Vatican City State, Vatikan, Vaticano, Watykan, Vaticaanstad",
    "VE": "Bolivarian Republic of Venezuela",
    "VN": "Viet Nam",
    "XK": "Republic of Kosovo",
    "ZA": "RSA, Republic of South Africa, Republik Südafrika",
}
"""Alpha-2 code -> names that people write, besides Babel's."""

_CALLING: Final = r"^([^0-9+]*?)[\s(,:/-]*(?:\+|00)?\s?([1-9][0-9]{0,2})[\s)]*$"
"""Pattern of a calling code, with or without a name or code before it."""

_CODE_FIRST: Final = r"^[\s(]*((?:\+|00)\s?[1-9][0-9]{0,2})[\s)(,:/-]+(\pL[^0-9]*?)[\s)]*$"
"""A calling code before the name: `+49 Germany`, `+1 (US)`."""

_FLAG: Final = r"[\x{1f1e6}-\x{1f1ff}]+"
_NUMBER_CELL: Final = r"^([1-9][0-9]{0,2})\.0+$"

_UNCLEAR: Final = ("congo", "kongo", "korea", "saintmartin", "saomartinho")
"""Folded names that several countries share: they stay unknown."""


@cache
def _table() -> pl.DataFrame:
    """Return a frame of folded names and codes with their alpha-2 codes."""
    codes: dict[str, str] = {}
    for locale in _LOCALES.split():
        for code, name in Locale.parse(locale).territories.items():
            if re.fullmatch("[A-Z]{2}", code) and code not in _NO_COUNTRIES:
                without_brackets = re.sub(r"\s*[(\[].*", "", name)
                for word in (code, name, without_brackets, *_spelled_out(name, locale)):
                    codes.setdefault(word, code)
    known = set(codes.values())
    for code, became in get_global("territory_aliases").items():
        if re.fullmatch("[A-Z]{3}", code) and len(became) == 1 and became[0] in known:
            codes.setdefault(code, became[0])
    for calling, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        if regions[0] in known:
            codes |= {f"+{calling}": regions[0], f"00{calling}": regions[0]}
    for code, names in _ALIASES.items():
        codes.update(dict.fromkeys(names.split(", "), code))
    words = fold_words(pl.Series("word", list(codes)))
    table = pl.DataFrame([words, pl.Series("code", list(codes.values()))])
    return table.filter(~words.is_in(_UNCLEAR)).unique("word", keep="last", maintain_order=True)


def _spelled_out(name: str, locale: str) -> tuple[str, ...]:
    """Return the name as people write it without `&` or umlauts."""
    if locale.startswith("de"):
        return (name.translate(_UMLAUTS), name.replace("&", "und"))
    return (name.replace("&", "and"),)


_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def read_countries(cells: pl.Series) -> pl.Series:
    """Read countries as ISO 3166-1 alpha-2; an empty cell or an unknown country is null.

    Args:
        cells: tidy text: a name in English, German, French, Spanish, Italian, Dutch, Polish or
            Portuguese, a code of two or three letters, or a calling code (`+44`, `0044`,
            `44`), alone or after a name. A calling code alone means its main country.
    """
    distinct = cells.drop_nulls().unique()
    if distinct.is_in(CODES).all():
        return cells  # loading the names of all languages takes longer than reading most lists
    texts = (
        distinct.str.replace(_NUMBER_CELL, "${1}")
        .str.replace(rf"^(.*\pL.*){_FLAG}|{_FLAG}(.*\pL.*)$", "${1}${2}")
        .str.replace(_CODE_FIRST, "${2} ${1}")
    )
    read = (
        pl.DataFrame({"cell": distinct, "word": fold_words(texts)})
        .join(_table(), on="word", how="inner")
        .select("cell", "code")
    )
    read = pl.concat([read, _read_with_calling_codes(distinct, texts)]).unique("cell", keep="last")
    return cells.replace_strict(
        read["cell"], read["code"], default=None, return_dtype=pl.String
    ).alias(cells.name)


def _read_with_calling_codes(distinct: pl.Series, texts: pl.Series) -> pl.DataFrame:
    """Read cells that are a calling code, or a name and a calling code, as `cell` and `code`.

    In `United Kingdom (+44)` the name counts. A name with the calling code of another country is
    left unread.
    """
    text = pl.col("text")
    frame = pl.DataFrame({"cell": distinct, "text": texts}).filter(text.str.contains(_CALLING))
    frame = frame.select(
        "cell",
        text.str.extract(_CALLING, 1).alias("name"),
        text.str.extract(_CALLING, 2).cast(pl.Int64).alias("calling"),
    )
    words = frame.with_columns(fold_words(frame["name"]).alias("word"))
    known = words.join(_table(), on="word", how="left", maintain_order="left")
    main = {
        calling: regions[0]
        for calling, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        if regions[0] != _NOWHERE
    }
    own = pl.col("code").replace_strict(calling_codes(), default=None, return_dtype=pl.Int64)
    alone = pl.col("calling").replace_strict(main, default=None, return_dtype=pl.String)
    return known.select(
        "cell",
        pl.when(pl.col("word") == "")
        .then(alone)
        .when(own == pl.col("calling"))
        .then(pl.col("code"))
        .alias("code"),
    ).filter(pl.col("code").is_not_null())


@cache
def calling_codes() -> dict[str, int]:
    """Return alpha-2 -> calling code; several countries share +1, +7, +39, +44 and others."""
    return {
        region: code
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        if region != _NOWHERE
    }
