"""A plain loop of phonenumbers over the phones of a file: parse, is it valid, E.164."""

import csv
import sys
from pathlib import Path

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat


def main(file: Path) -> None:
    """Read every phone in the country of its row."""
    good = 0
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                number = phonenumbers.parse(row["Mobile"], row["Country"])
            except NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                phonenumbers.format_number(number, PhoneNumberFormat.E164)
                good += 1
    sys.stdout.write(f"{good} valid\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
