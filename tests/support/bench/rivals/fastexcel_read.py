"""The floor of a workbook: fastexcel reads its first sheet into a frame of text."""

import sys
from pathlib import Path

import fastexcel

if __name__ == "__main__":
    book = fastexcel.read_excel(Path(sys.argv[1]).read_bytes())
    book.load_sheet(0, header_row=None, dtypes="string").to_polars()
