"""The workbook of the samples: `python -m tests.support.bench.workbook FILE` writes it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Final

from openpyxl import Workbook
from openpyxl.styles import Font

HEADERS: Final = (
    "Candidate Name",
    "Mobile No.",
    "E-Mail Address",
    "Country",
    "Campaign ID",
    "Applicant ID",
    "Meeting Type",
    "Interviewers",
    "Job Title",
    "Hiring Manager Name",
    "Hiring Manager Email",
    "Business Hours Only",
    "Available From",
)
_LEEDS: Final = ("camp-chef", "W", "onsite-45", "hiring-manager", "Chef de Partie")
_VIDEO: Final = ("camp-care", "W", "video-30", "panel", "Care Assistant")
_ROWS: Final[tuple[tuple[str, str | int, str, str, tuple[str, ...]], ...]] = (
    # phones as people type them: as text, and as numbers that lost their + or leading zero
    ("Maeve Farrell", "+44 20 7946 0031", "maeve.farrell@example.org", "UK", _LEEDS),
    ("García Márquez, Gabriel", 442079460032, "gabriel.garcia@example.org", "GB", _LEEDS),
    ("Tariq Rahman", "(202) 555-0143", "tariq.rahman@example.org", "USA", _VIDEO),
    ("Wanda Quinn", 2025550144, "wanda.quinn@example.org", "United States", _VIDEO),
    ("Noor Jansen", "0491 570 006", "noor.jansen@example.org", "Australia", _VIDEO),
    ("Kofi Boateng", "+61 491 570 156", "kofi.boateng@example.org", "AU", _LEEDS),
    ("Hana Novák", 61491570157, "hana.novak@example.org", "Australia", _LEEDS),
    ("Lena Adler", "0171 39200 21", "lena.adler@example.org", "Germany", _VIDEO),
    ("Omar Hakimi", 2079460033, "omar.hakimi@example.org", "GB", _LEEDS),
    ("Selma Lindqvist", "", "selma.lindqvist@example.org", "Sweden", _VIDEO),
)
_MANAGER: Final = ("Ruth Thorne", "ruth.thorne@example.com")


def workbook() -> Workbook:
    """Return the workbook: one sheet of candidates, one of notes that is not read."""
    book = Workbook()
    sheet = book.active
    sheet.title = "Candidates"
    sheet.append(HEADERS)
    for number, (name, phone, email, country, post) in enumerate(_ROWS):
        campaign, prefix, meeting, participants, job = post
        hours = number % 2 == 0
        sheet.append(
            (
                name,
                phone,
                email,
                country,
                campaign,
                f"{prefix}-{3001 + number}",
                meeting,
                participants,
                job,
                *_MANAGER,
                hours,
                date(2026, 12, 1 + number),
            )
        )
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for column in sheet.columns:
        sheet.column_dimensions[column[0].column_letter].width = 20
    sheet.freeze_panes = "A2"
    notes = book.create_sheet("Notes")
    notes.append(("Only the first sheet is imported.",))
    return book


if __name__ == "__main__":
    workbook().save(Path(sys.argv[1]))
