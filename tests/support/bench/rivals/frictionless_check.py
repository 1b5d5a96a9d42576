"""Frictionless validates the same columns: presence, e-mail, country, and the looks of a phone.

It cannot tell a valid phone from one that only looks like it; nor does it look for duplicates here.
"""

import sys
from pathlib import Path

from frictionless import Resource, Schema

SCHEMA = {
    "fields": [
        {"name": "First Name", "type": "string", "constraints": {"required": True}},
        {"name": "Last Name", "type": "string"},
        {
            "name": "Mobile",
            "type": "string",
            "constraints": {"required": True, "pattern": r"[+(]?[0-9][0-9 ().-]{5,20}"},
        },
        {"name": "Email", "type": "string", "format": "email"},
        {"name": "Country", "type": "string", "constraints": {"pattern": "[A-Z]{2}"}},
        {"name": "Campaign", "type": "string", "constraints": {"required": True}},
        {"name": "Candidate ID", "type": "string"},
        {
            "name": "Meeting Template",
            "type": "string",
            "constraints": {"enum": ["onsite-45", "video-30"]},
        },
        {"name": "Job Title", "type": "string", "constraints": {"required": True}},
    ]
}


def main(file: Path) -> None:
    """Validate one file."""
    resource = Resource(
        path=file.name, basepath=str(file.parent), schema=Schema.from_descriptor(SCHEMA)
    )
    report = resource.validate()
    sys.stdout.write(f"valid: {report.valid}, {report.stats['errors']} errors\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
