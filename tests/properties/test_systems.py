"""A list of any people under the headers of any system reads back as the same people."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from importer.loader import load
from importer.model import RowStatus
from tests.support.tables import SETTINGS, check_tables

if TYPE_CHECKING:
    from random import Random

SYSTEMS: Final[dict[str, dict[str, str]]] = {
    "greenhouse": {
        "candidate_id": "Candidate ID",
        "first_name": "First Name",
        "last_name": "Last Name",
        "phone_number": "Phone Number(s)",
        "email": "Email Address(es)",
    },
    "bullhorn": {
        "candidate_id": "ID",
        "first_name": "First Name",
        "last_name": "Last Name",
        "phone_number": "Mobile Phone",
        "email": "Email 1",
    },
    "icims": {
        "candidate_id": "System ID",
        "first_name": "Person : Full Name: First",
        "last_name": "Person : Full Name: Last",
        "phone_number": "Person : Phones: Mobile",
        "email": "Person : Email",
    },
    "taleo": {
        "candidate_id": "Candidate Identifier",
        "first_name": "First Name",
        "last_name": "Last Name",
        "phone_number": "Mobile Phone",
        "email": "Email",
    },
    "jobvite": {
        "candidate_id": "Candidate ID",
        "first_name": "Candidate First Name",
        "last_name": "Candidate Last Name",
        "phone_number": "Candidate Mobile Phone",
        "email": "Candidate Email",
    },
    "workday": {
        "candidate_id": "Candidate ID",
        "first_name": "Legal Name - First Name",
        "last_name": "Legal Name - Last Name",
        "phone_number": "Phone Number",
        "email": "Email Address",
    },
    "civicrm": {
        "candidate_id": "Contact ID",
        "first_name": "First Name",
        "last_name": "Last Name",
        "phone_number": "Phone-Primary-Mobile",
        "email": "Email-Primary",
    },
    "personio": {
        "candidate_id": "Bewerber-ID",
        "first_name": "Vorname",
        "last_name": "Nachname",
        "phone_number": "Telefonnummer",
        "email": "E-Mail-Adresse",
    },
    "google contacts": {
        "first_name": "First Name",
        "last_name": "Last Name",
        "phone_number": "Phone 1 - Value",
        "email": "E-mail 1 - Value",
    },
}
OTHERS: Final = ("Company", "Source", "Stage", "Owner", "Job Title", "Notes", "Date Added")
NAMES: Final = (
    *("Ada", "Grace", "Zoë", "José", "Łukasz", "Søren", "Ann-Kathrin", "Иван", "山田", "François"),
    *("O'Neil", "Lee", "de la Cruz", "Nuñez", "Weiß", "Müller-Lüdenscheid", "García Márquez"),
)

people = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1, max_size=8)


@given(
    system=st.sampled_from(sorted(SYSTEMS)),
    names=people,
    order=st.randoms(use_true_random=False),
    others=st.sets(st.sampled_from(OTHERS)),
    delimiter=st.sampled_from(",;\t|~"),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
)
@settings(max_examples=50, deadline=None)
def test_people_of_any_system_read_back(
    *,
    system: str,
    names: list[tuple[str, str]],
    order: Random,
    others: set[str],
    delimiter: str,
    encoding: str,
) -> None:
    """Whatever the order of the columns, those beside them, the delimiter and the encoding."""
    headers = SYSTEMS[system]
    rows = [
        {
            "candidate_id": f"C-{number}",
            "first_name": first,
            "last_name": last,
            "phone_number": f"+1415555{100 + number:04}",
            "email": f"p{number}@example.com",
        }
        for number, (first, last) in enumerate(names)
    ]
    columns = [*headers, *sorted(others)]
    order.shuffle(columns)
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow([headers.get(column, column) for column in columns])
    writer.writerows([row.get(column, "x") for column in columns] for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidates.csv"
        path.write_bytes(out.getvalue().encode(encoding))
        found = check_tables(load(str(path), SETTINGS))
    assert set(found.rows["status"]) == {RowStatus.READY}
    read = found.frame.select(*headers).rows(named=True)
    assert read == [{column: row[column] for column in headers} for row in rows]
