"""Made-up candidates in any number, seeded: the samples' nightly list and the benchmark's files.

`python -m tests.support.bench.people ROWS FILE.csv [--seed N]` writes a benchmark file;
`python -m tests.support.bench.people --nightly FILE.csv` writes the nightly list of the samples.

The phones come from `tests.support.bench.phones`. Each row is one person in one campaign. If the
phones run out, they begin again in further campaigns and other spellings, so that neither rows nor
texts repeat more than they must.
"""

from __future__ import annotations

import argparse
import math
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import xlsxwriter

from tests.support.bench.phones import MOBILE, numbers, numbers_of_all_countries, words

if TYPE_CHECKING:
    from collections.abc import Sequence

GIVEN: Final = words(
    "Ada Aisha Alina Amara Anaïs Anders Aoife Bea Björn Camille Chidi Chloé Dana Daniel Ebony Elif "
    "Elodie Emeka Erik Esra Farah Fatima Finn Florian Gabriel Giulia Greta Hana Hugo Imani Inès "
    "Ivan Jamal Jana Joris José Jürgen Kaja Karim Kofi Lars Leïla Lena Luca Łukasz Maeve Malik "
    "Marta Matteo Mehmet Mira Nadia Ngozi Niamh Noor Olga Omar Paula Pedro Priya Rana Raúl Renée "
    "Rosa Ruth Sadia Samir Sean Selma Sofía Sören Tariq Thea Tomás Uma Vera Viktor Wanda Yara Zoë"
)
FAMILY: Final = words(
    "Abara Adler Ahlberg Almeida Baptiste Becker Bianchi Boateng Brandt Byrne Castillo Chaudhry "
    "Costa Dąbrowski Delacroix Demir Diallo Dubois Eriksen Farrell Fernández Fischer Fontaine "
    "García Ghosh Groß Hakimi Haugen Hoffmann Ibarra Jankowska Jansen Kaya Keane Köhler Kovač "
    "Lambert Lefèvre Lindqvist López Mancini Marchetti Mbeki Meyer Müller Muñoz Nakamura Ndiaye "
    "Novák Núñez Okafor Olsen Osei O'Brien Patel Pereira Petrov Quinn Rahman Ricci Rossi Ruiz "
    "Saïdi Santos Schäfer Schneider Silva Sørensen Szabo Tanaka Thorne Vargas Vogel Walsh Weiß "
    "Wiśniewska Yılmaz Zając Zimmermann"
)
_PLAIN: Final = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "ß": "ss", "Ł": "L", "'": ""})
JOBS: Final = ("Warehouse Operative", "Staff Nurse", "Delivery Driver", "Care Assistant", "Chef")
MEETINGS: Final = ("onsite-45", "video-30")
HEADERS: Final = (
    "First Name",
    "Last Name",
    "Mobile",
    "Email",
    "Country",
    "Campaign",
    "Candidate ID",
    "Meeting Template",
    "Job Title",
)
_NAMES: Final = ((1, GIVEN), (2, FAMILY))
CHUNK: Final = 1_000_000


def plain(name: str) -> str:
    """Return a name in the letters that an e-mail address has."""
    letters = unicodedata.normalize("NFKD", name.translate(_PLAIN))
    return "".join(letter for letter in letters if letter.isascii()).lower()


def scattered(index: pl.Expr, salt: int, below: int) -> pl.Expr:
    """Return a number below a bound that looks random and depends on index and salt alone.

    Plain arithmetic on UInt64 (two rounds of a multiplicative congruence), so that the same seed
    gives the same file with every version of Polars.
    """
    prime = 2_147_483_647
    mixed = (index + 1 + salt * 7_919).cast(pl.UInt64) % prime
    for factor in (48_271, 69_621):
        mixed = (mixed * factor + 12_345) % prime
    return (mixed // 16) % below


def one_of(index: pl.Expr, salt: int, words: Sequence[str]) -> pl.Expr:
    """Return one of some words, scattered over the rows."""
    return pl.lit(pl.Series(list(words))).gather(scattered(index, salt, len(words)))


def spelled(index: pl.Expr, salt: int) -> pl.Expr:
    """Return a phone in one of eight spellings; some need the column with the country."""
    calling, trunk, area, head, tail = (
        pl.col(name) for name in ("calling", "trunk", "area", "head", "tail")
    )
    spellings = (
        pl.concat_str(pl.lit("+"), calling, area, head, tail),
        pl.concat_str(
            pl.lit("+"), calling, pl.lit(" "), area, pl.lit(" "), head, pl.lit(" "), tail
        ),
        pl.concat_str(trunk, area, head, tail),
        pl.concat_str(trunk, area, pl.lit(" "), head, tail),
        pl.concat_str(pl.lit("("), trunk, area, pl.lit(") "), head, pl.lit("-"), tail),
        pl.concat_str(trunk, area, pl.lit("-"), head, pl.lit("-"), tail),
        pl.concat_str(pl.lit("+"), calling, pl.lit("-"), area, pl.lit("-"), head, tail),
        pl.concat_str(trunk, area, pl.lit("."), head, pl.lit("."), tail),
    )
    choice = scattered(index, salt, len(spellings))
    expression = spellings[-1]
    for position, spelling in enumerate(spellings[:-1]):
        expression = pl.when(choice == position).then(spelling).otherwise(expression)
    return expression


def people(
    start: int,
    stop: int,
    *,
    phones: pl.DataFrame,
    campaigns: int = 3,
    seed: int = 1,
) -> pl.DataFrame:
    """Return the rows between two positions of an endless list, which depends on the seed alone.

    Args:
        start: position of the first row, from 0.
        stop: position after the last.
        phones: as `numbers` gives them; when they are used up they begin again, in the next
            `campaigns` campaigns.
        campaigns: among how many campaigns the rows of one pass over the phones are scattered.
        seed: of everything.

    Returns:
        A frame of text with the columns `HEADERS`; nobody is in a campaign twice.
    """
    index = pl.col("index")
    count = phones.height
    stride = next(n for n in range(count * 5 // 8, count * 2) if math.gcd(n, count) == 1)
    frame = pl.DataFrame({"index": pl.int_range(start, stop, dtype=pl.UInt64, eager=True)})
    turn = frame.select((index * stride + seed) % count).to_series()
    given, family = (scattered(index, seed + salt, len(words)) for salt, words in _NAMES)
    campaign = (index // count) * campaigns + scattered(index, seed + 3, campaigns)
    return frame.hstack(phones[turn]).select(
        pl.lit(pl.Series(GIVEN)).gather(given).alias("First Name"),
        pl.lit(pl.Series(FAMILY)).gather(family).alias("Last Name"),
        spelled(index, seed + 4).alias("Mobile"),
        pl.concat_str(
            pl.lit(pl.Series([plain(name) for name in GIVEN])).gather(given),
            pl.lit("."),
            pl.lit(pl.Series([plain(name) for name in FAMILY])).gather(family),
            pl.lit("."),
            index + 1001,
            pl.lit("@example.org"),
        ).alias("Email"),
        pl.col("country").alias("Country"),
        pl.concat_str(pl.lit("camp-"), campaign + 1).alias("Campaign"),
        pl.concat_str(pl.lit("A-"), index + 1001).alias("Candidate ID"),
        one_of(index, seed + 5, MEETINGS).alias("Meeting Template"),
        pl.lit(pl.Series(JOBS)).gather(campaign % len(JOBS)).alias("Job Title"),
    )


def write(path: Path, rows: int, *, seed: int = 1) -> None:
    """Write a benchmark file: CSV, UTF-8, comma, a million rows at a time."""
    phones = numbers_of_all_countries()
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK):
            chunk = people(start, min(start + CHUNK, rows), phones=phones, seed=seed)
            chunk.write_csv(file, include_header=start == 0)


def nightly(rows: int = 1_000, seed: int = 7) -> pl.DataFrame:
    """Return the samples' nightly list: mobile numbers, three campaigns, two meeting templates."""
    return people(0, rows, phones=numbers(MOBILE), seed=seed)


def write_workbook(frame: pl.DataFrame, path: Path) -> None:
    """Write a list as XLSX: text cells, with shared strings as Excel writes them."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, frame.columns)
        for number, row in enumerate(frame.iter_rows(), start=1):
            for column, value in enumerate(row):
                sheet.write_string(number, column, value)


def main() -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("rows", type=int, nargs="?", default=1_000)
    parser.add_argument("--workbook", type=Path, metavar="CSV", help="write this list as XLSX")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nightly", action="store_true", help="the samples' list of 1,000 rows")
    options = parser.parse_args()
    if options.workbook:
        write_workbook(pl.read_csv(options.workbook, infer_schema=False), options.file)
    elif options.nightly:
        nightly().write_csv(options.file)
    else:
        write(options.file, options.rows, seed=options.seed)


if __name__ == "__main__":
    main()
