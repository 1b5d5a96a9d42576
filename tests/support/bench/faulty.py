"""Made-up candidates with every row wrong: `python -m tests.support.bench.faulty ROWS FILE.csv`."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from tests.support.bench.people import people
from tests.support.bench.phones import numbers_of_all_countries


def write(path: Path, rows: int, *, seed: int = 1) -> None:
    """Write this many rows, each wrong in phone, e-mail, country and campaign: CSV, UTF-8."""
    frame = people(0, rows, phones=numbers_of_all_countries(), seed=seed)
    frame.with_columns(
        (pl.col("Mobile").str.slice(0, 6)).alias("Mobile"),
        pl.col("Email").str.replace("@", " at ", literal=True).alias("Email"),
        (pl.col("Country") + "zz").alias("Country"),
        pl.lit(None, dtype=pl.String).alias("Campaign"),
    ).write_csv(path)


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
