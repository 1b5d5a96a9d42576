"""Masks show enough to recognise somebody one knows, and too little to reach them."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.masking import mask, mask_email, mask_file_name, mask_phone, scrub, scrub_name


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("+442079460018", "+44 •••• 0018"),
        ("+12025550104", "+1 •••• 0104"),
        ("+61491570006", "+61 •••• 0006"),
        ("+35312345678", "+353 •••• 5678"),
        ("+3541234567", "+354 •••• 567"),
        ("+6834002", "+683 ••••"),
        ("+29012345", "+290 •••• 5"),
        ("020 7946 0018", "•••• 0018"),
    ],
)
def test_a_phone_shows_its_country_and_last_digits(phone: str, masked: str) -> None:
    """Four digits at most, and at least four of the national number stay hidden."""
    assert mask_phone(phone) == masked


def test_no_example_number_can_be_read_from_its_mask() -> None:
    """For every country, at least four national digits are hidden."""
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number(region)
        assert example is not None
        national = phonenumbers.national_significant_number(example)
        e164 = f"+{example.country_code}{national}"
        shown = re.findall(r"\d+", mask_phone(e164))
        assert shown[0] == str(example.country_code)
        assert len(national) - sum(map(len, shown[1:])) >= 4


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("ada@example.com", "a•••@e•••.com"),
        ("al@example.co.uk", "•••@e•••.uk"),
        ("ada@x.org", "a•••@•••.org"),
        ("ada@localhost", "a•••@l•••"),
    ],
)
def test_an_email_shows_first_letters_and_ending(address: str, masked: str) -> None:
    """The domain is masked as well: many people have one of their own name."""
    assert mask_email(address) == masked


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("", ""),
        ("  ", ""),
        ("+442079460018", "+44 •••• 0018"),
        ("(020) 7946-0018", "•••• 0018"),
        ("ada@example.com", "a•••@e•••.com"),
        ("Ada Lovelace", "A•••"),
        ("Bo", "•••"),
        ("12345", "1•••"),
    ],
)
def test_any_value_is_masked_by_what_it_looks_like(value: str, masked: str) -> None:
    """Phones, e-mails and names all have their mask."""
    assert mask(value) == masked


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("phone +44 20 7946 0018 is taken", "phone +44 •••• 0018 is taken"),
        ("phone=+442079460018&x", "phone=+44 •••• 0018&x"),
        ("?p=%2B442079460018", "?p=+44 •••• 0018"),
        ("(020) 7946-0018", "(•••• 0018"),
        ("tel:020\u00a07946\u20110018", "tel:•••• 0018"),
        ("s3://in-78733801/020 7946 0018.csv", "s3://in-78733801/•••• 0018.csv"),
        ("sftp://ada@leeds.example/in", "sftp://a•••@l•••.example/in"),
        ("https://+442079460018", "https://+44 •••• 0018"),
        ("<ada@example.com> exists", "<a•••@e•••.com> exists"),
        ("email=ada%40example.com&x", "email=a•••@e•••.com&x"),
        ('{"email":"ada@example.com"}', '{"email":"a•••@e•••.com"}'),
    ],
)
def test_phones_and_emails_in_free_text_become_masks(text: str, scrubbed: str) -> None:
    """The API's own words may repeat what we sent; the ledger may not."""
    assert scrub(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "campaign camp-42 not found",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "id 12345678-1234-1234-1234-123456789012",
        "imp-0123456789abcdef01234567",
        "it belongs to this ledger, 1234567a, since 2026-11-22",
        "ledger 12345678 and ledger, 01234567",
        "Plan 012345678901",
        "id 0123456789ab",
        "at 2024-01-31T10:00:00.123Z",
        "status 422, line 12",
        "@ noon",
        "s3://bucket-78733801/to/inbox/acme belongs to ledger ffffffff",
        "gs://candidates-20261127-0815/in, https://192.168.100.200:8080/in",
    ],
)
def test_ids_dates_and_small_numbers_stay(text: str) -> None:
    """What helps to find the cause is not masked."""
    assert scrub(text) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("candidates-20261122.csv", "candidates-20261122.csv"),
        ("22.11.2026 leeds.xlsx", "22.11.2026 leeds.xlsx"),
        ("export_20261122_0230.csv", "export_20261122_0230.csv"),
        ("run 20261122-190850-b8de of 2026-11-22", "run 20261122-190850-b8de of 2026-11-22"),
        ("/srv/2026/11/list.csv", "/srv/2026/11/list.csv"),
        ("+14155550001.csv", "+1 •••• 0001.csv"),
        ("20261122 07700900123.csv", "20261122 •••• 0123.csv"),
        ("20261399.csv", "•••• 1399.csv"),
        ("+20261122.csv", "+20 •••• 22.csv"),
    ],
)
def test_dates_in_names_of_files_stay(name: str, shown: str) -> None:
    """Files are called by the day; nobody's phone is a day that exists, or hardly."""
    assert scrub_name(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("CV Ada Lovelace.csv", "CV A••• L•••.csv"),
        ("ada.lovelace.xlsx", "a•••.l•••.xlsx"),
        ("AdaLovelace.csv.gz", "A•••.csv.gz"),
        ("+442079460018.csv", "+44 •••• 0018.csv"),
        ("Smith_John_2026.csv", "S•••_J•••_2026.csv"),
        ("O'Neil candidates.csv", "O••• candidates.csv"),
        ("April_Jones.csv", "A•••_J•••.csv"),
        ("/lists/Ada.zip/list.csv", "/lists/A•••.zip/list.csv"),
        ("sftp://host/in/Ada.csv", "sftp://host/in/A•••.csv"),
        ("李雷.csv", "•••.csv"),
        ("Ada", "A•••"),
    ],
)
def test_a_file_called_after_a_person_is_masked(name: str, shown: str) -> None:
    """The ledger outlives the file; folders stay, for the file is found there again."""
    assert mask_file_name(name) == shown


@pytest.mark.parametrize(
    "name",
    [
        "list.csv", "candidates-20261122.csv", "CandidateExport (2).xlsx", "april.csv", "-",
        "Applicants week 47.ods", "/home/ada/lists/nightly_export_20261122_0230.csv.gz", "2026.csv",
        "workday export final v2.csv", "a.csv",
    ],
)  # fmt: skip
def test_a_file_called_after_nobody_keeps_its_name(name: str) -> None:
    """Every word of it is known to be nobody's name."""
    assert mask_file_name(name) == name


@given(
    st.text(max_size=20),
    st.sampled_from(["+44 20 7946 0018", "+442079460018", "ada@example.com", "+1-202-555-0104"]),
    st.sampled_from(["", " ", ": ", '"', "'", "<", "(", "=", "\n"]),
)
def test_nothing_around_a_value_keeps_it_readable(before: str, value: str, gap: str) -> None:
    """Whatever text stands before it, the value itself is gone."""
    assert value not in scrub(f"{before}{gap}{value}")
