"""The schemas say what good input is, cell by cell."""

from __future__ import annotations

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from schemas.candidates import EXCUSED, are_candidates, candidate

GOOD = {
    "phone_number": "+61491570006",
    "email": "ada@example.com",
    "first_name": "Ada",
    "country": "AU",
    "campaign": "camp-42",
    "external_campaign": None,
    "send_during_business_hours": "true",
    "skip_duplication_check": "false",
    EXCUSED: False,
}


def codes(**changed: object) -> set[str]:
    """Return the codes of what is wrong with a good row after some changes."""
    types = dict.fromkeys(GOOD, pl.String()) | {EXCUSED: pl.Boolean()}
    rows = pl.DataFrame([{**GOOD, **changed}], schema=types)
    try:
        candidate().validate(rows, lazy=True)
    except SchemaErrors as exc:
        assert not are_candidates(rows)
        return set(exc.failure_cases["check"])
    assert are_candidates(rows)
    return set()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, set()),
        ({"phone_number": None}, set()),
        ({"email": None}, set()),
        ({"country": None, "send_during_business_hours": None}, set()),
        ({"campaign": None, "external_campaign": "REQ-1"}, set()),
        ({"phone_number": None, "email": None, EXCUSED: True}, set()),
        ({"phone_number": None, "email": None}, {"contact-missing"}),
        ({"phone_number": "0491 570 006"}, {"phone-invalid"}),
        ({"phone_number": "+0491570006"}, {"phone-invalid"}),
        ({"phone_number": "+6149157000612345"}, {"phone-invalid"}),
        ({"phone_number": "+61491570006\n"}, {"phone-invalid"}),
        ({"email": "ada"}, {"email-invalid"}),
        ({"email": "a da@example.com"}, {"email-invalid"}),
        ({"first_name": None}, {"first-name-missing"}),
        ({"country": "Australia"}, {"country-unknown"}),
        ({"campaign": None}, {"campaign-missing"}),
        ({"send_during_business_hours": "yes"}, {"boolean-invalid"}),
        ({"skip_duplication_check": "true"}, {"skip-check-not-allowed"}),
        (
            {"first_name": None, "campaign": None, "country": "x", "email": "x"},
            {"first-name-missing", "campaign-missing", "country-unknown", "email-invalid"},
        ),
    ],
)
def test_each_cell_is_checked(changed: dict[str, object], expected: set[str]) -> None:
    """Everything that is wrong with a row is found at once."""
    assert codes(**changed) == expected
