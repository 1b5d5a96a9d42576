"""The floor: Polars reads the file, and nothing is looked at."""

import sys

import polars as pl

if __name__ == "__main__":
    pl.read_csv(sys.argv[1])
