"""What holds a file until a person looks, and what does not."""

from __future__ import annotations

import pytest

from importer.nightly.anomalies import FileFacts, check_rejected_share, find_anomalies
from importer.settings import Settings

USUAL: FileFacts = {
    "rows": 100, "rejected": 0.02, "known": 0.1, "countries": {"GB": 0.9, "US": 0.1},
    "columns": ["first_name", "phone_number"],
}  # fmt: skip
LAST = (USUAL, USUAL, USUAL)


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"rows": 151}, "It has 151 rows, 100 are usual"),
        ({"rows": 49}, "It has 49 rows, 100 are usual"),
        ({"rejected": 0.13}, "13% of its rows are rejected, 2% are usual"),
        ({"known": 0.61}, "61% of its rows contain nobody new, 10% are usual"),
        ({"countries": {"GB": 0.7, "FR": 0.3}}, "30% of its rows are from countries"),
        ({"columns": ["first_name", "email"]}, "It lacks columns (phone_number)"),
    ],
)
def test_an_odd_file_is_held_with_a_sentence(change: FileFacts, result: str) -> None:
    """The sentence has the numbers and the setting."""
    reasons = find_anomalies({**USUAL, **change}, LAST, Settings())
    assert result in reasons[0]
    assert "guard_" in reasons[0]


@pytest.mark.parametrize(
    "change",
    [{}, {"rows": 150}, {"rows": 50}, {"rejected": 0.12}, {"known": 0.6},
     {"countries": {"GB": 0.8, "FR": 0.2}}],
)  # fmt: skip
def test_what_stays_within_the_thresholds_goes(change: FileFacts) -> None:
    """A threshold itself is still allowed."""
    assert find_anomalies({**USUAL, **change}, LAST, Settings()) == []


def test_a_new_folder_has_nothing_to_compare_with() -> None:
    """Three files must have been imported first."""
    odd: FileFacts = {**USUAL, "rows": 10_000}
    assert find_anomalies(odd, LAST[:2], Settings()) == []
    assert find_anomalies(odd, LAST, Settings(guard_files=0)) == []


def test_each_guard_can_be_turned_off() -> None:
    """With none of them everything goes."""
    odd: FileFacts = {
        "rows": 1,
        "rejected": 1.0,
        "known": 1.0,
        "countries": {"FR": 1.0},
        "columns": [],
    }
    off = Settings(
        guard_rows=None, guard_rejected=None, guard_known=None, guard_countries=None,
        guard_columns=False,
    )  # fmt: skip
    assert find_anomalies(odd, LAST, off) == []
    assert len(find_anomalies(odd, LAST, Settings())) == 5


def test_too_many_rejected() -> None:
    """The policy needs no history."""
    assert check_rejected_share({"rejected": 0.2}, Settings()) == []
    assert "21% of its rows" in check_rejected_share({"rejected": 0.21}, Settings())[0]
