"""What a user would write: pandas, with `apply` for what needs Python, and a CSV of the faults."""

import re
import sys
from pathlib import Path

import pandas as pd
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def phone(row: "pd.Series[str]") -> str | None:
    """Return the phone in E.164, or None."""
    try:
        number = phonenumbers.parse(row["Mobile"], row["Country"])
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def fault(row: "pd.Series[str]") -> str:
    """Return what is wrong with a row, or nothing."""
    if not row["First Name"]:
        return "no first name"
    if row["Phone"] is None:
        return "phone"
    if row["Email"] and EMAIL.fullmatch(row["Email"]) is None:
        return "e-mail"
    return "" if row["Campaign"] else "campaign"


def main(file: Path) -> None:
    """Check one file."""
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    for column in frame.columns:
        frame[column] = frame[column].str.strip()
    if len(frame):
        frame["Phone"] = frame.apply(phone, axis=1)
        frame["Fault"] = frame.apply(fault, axis=1)
        twice = frame.duplicated(["Phone", "Campaign"])
        frame.loc[(frame["Fault"] == "") & twice, "Fault"] = "duplicate"
        frame[frame["Fault"] != ""].to_csv(sys.stdout, index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
