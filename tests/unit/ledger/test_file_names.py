"""A file that is called after a person: the ledger keeps no name, and still finds the file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from importer.errors import UsageError
from importer.ledger import Ledger
from importer.ledger.connection import migrate
from importer.ledger.nights import Claim, NightFile
from importer.ledger.records import SourceFile
from importer.masking import find_file
from importer.model import State
from tests.unit.ledger.ledger_builders import Clock, new_run, planned_row

if TYPE_CHECKING:
    from pathlib import Path

NOW = Clock().now()
PERSONAL = ("CV Ada Lovelace.csv", "ada.lovelace.xlsx", "+442079460018.csv", "Smith_John_2026.csv")
# No word that could be part of a random id in hexadecimal digits.
TOLD = ("Ada", "ada.", "ovelace", "mith", "ohn", "2079460018")


def file(name: str, folder: str = "/lists") -> SourceFile:
    """Return a file of a run; its content is its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return SourceFile(name, f"{folder}/{name}", digest, len(name))


def told(folder: Path) -> set[str]:
    """Return the names that the ledger's files hold."""
    whole = b"".join(each.read_bytes() for each in folder.glob("importer.db*"))
    return {word for word in TOLD if word.encode() in whole}


def test_no_file_name_of_a_person_is_written(url: str, tmp_path: Path) -> None:
    """Not with a run, its path, a night, its reason, or a claim that has ended."""
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(replace(new_run(), sources=tuple(map(file, PERSONAL))), [])
        for position, name in enumerate(PERSONAL):
            ledger.nights.write(
                NightFile("n", position, "", name, "s", NOW, "held", reason=f"{name} is odd.")
            )
            ledger.nights.note_path(run, file(name).sha256, f"/done/{name}")
        assert ledger.runs.find(run).sources[0].path == "/done/CV A••• L•••.csv"
        assert {each.reason for each in ledger.nights.of_night("n")} >= {"CV A••• L•••.csv is odd."}
    assert told(tmp_path) == set()


def test_a_finished_claim_of_a_person_s_file_is_gone(url: str) -> None:
    """While it is open its path is needed: it is where the file is in the inbox."""
    claims = [Claim("sftp://h/in", path, "1", NOW, "me") for path in ("list.csv", "ada.csv")]
    with Ledger.open(url) as ledger:
        for claim in claims:
            assert ledger.claims.take(claim)
        assert {each.path for each in ledger.claims.open("sftp://h/in")} == {"list.csv", "ada.csv"}
        for claim in claims:
            ledger.claims.note_returned(claim, NOW)
        assert ledger.claims.open("sftp://h/in") == ()
        with ledger._database.engine.connect() as connection:
            left = connection.exec_driver_sql("SELECT path FROM claims").scalars().all()
        assert left == ["list.csv"]
        assert ledger.claims.take(claims[1])


def test_a_masked_file_is_found_where_it_was(tmp_path: Path) -> None:
    """By its masked name; of several that look alike, by its content."""
    for name in ("Ada Lovelace.csv", "Alan Lee.csv"):
        (tmp_path / name).write_text(name)
    content = hashlib.sha256(b"Alan Lee.csv").hexdigest()
    kept = f"{tmp_path}/A••• L•••.csv"
    assert find_file(kept, content) == f"{tmp_path}/Alan Lee.csv"
    assert find_file(kept, "0" * 64) == kept  # neither
    (tmp_path / "Alan Lee.csv").unlink()
    assert find_file(kept, content) == f"{tmp_path}/Ada Lovelace.csv"  # its content has changed
    assert find_file(f"{tmp_path}/no/A•••.csv", content) == f"{tmp_path}/no/A•••.csv"
    assert find_file("list.csv", content) == "list.csv"
    assert find_file("-", content) == "-"


def test_files_that_look_alike_are_told_apart(url: str) -> None:
    """`resolve --file` takes the name that the worklist shows; a disk's name if it is clear."""
    names = ("Ada Lovelace.csv", "Alan Lee.csv", "list.csv")
    rows = [planned_row(f"k{position}")._replace(source=position) for position in range(3)]
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(replace(new_run(), sources=tuple(map(file, names))), rows)
        shown = [each.name for each in ledger.runs.find(run).sources]
        assert shown == ["A••• L•••.csv", "A••• L•••.csv (2)", "list.csv"]
        ledger.submissions.intend(run, ["k0", "k1", "k2"])
        with pytest.raises(UsageError, match="Several files have a row 2"):
            ledger.doubts.resolve(run, 2, sent=False, by="ops")
        for name in names[:2]:  # it may be either
            with pytest.raises(UsageError, match="Several files have a row 2"):
                ledger.doubts.resolve(run, 2, sent=False, by="ops", source=name)
        for name, key in zip(shown, ("k0", "k1", "k2"), strict=True):
            assert ledger.doubts.resolve(run, 2, sent=False, by="ops", source=name).key == key


def test_a_name_of_the_disk_names_a_masked_file(url: str) -> None:
    """If only one file of the run can be meant."""
    sources = (file("Ada Lovelace.csv"), file("list.csv"))
    rows = [planned_row(f"k{position}")._replace(source=position) for position in range(2)]
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(replace(new_run(), sources=sources), rows)
        ledger.submissions.intend(run, ["k0", "k1"])
        resolved = ledger.doubts.resolve(run, 2, sent=True, by="ops", source="Ada Lovelace.csv")
        assert resolved.key == "k0"


ROWS_OF_0006 = """
INSERT INTO runs VALUES ('20260101-080000-aaaa', '2026-01-01 08:00:00.000000', NULL, 'plan',
    '{"campaign": "camp-42"}', '', 'host', 1);
INSERT INTO run_sources VALUES
    ('20260101-080000-aaaa', 0, 'Ada Lovelace.csv', '/x/ada.csv', 'sha', 5);
INSERT INTO submissions ("key", run, source, "row", campaign, external_id, person, masked,
    body_hash, state, code, message, attempts, planned_at) VALUES
    ('k1', '20260101-080000-aaaa', 0, 2, 'camp-42', 'A-1', 'p1', '+44 •••• 0018', 'b', 'created',
     '', '', 1, '2026-01-01 08:00:00.000000');
INSERT INTO night_files (night, position, folder, name, sha256, at, ending, reason, facts) VALUES
    ('n', 0, '', 'Smith_John_2026.csv', 's', '2026-01-01 08:00:00.000000', 'held', '', '{}');
INSERT INTO claims (inbox, path, version, claimed_at, holder, place, sha256, returned_at) VALUES
    ('sftp://h/in', 'ada.csv', '1', '2026-01-01 08:00:00.000000', 'me', '', '',
     '2026-01-01 08:00:00.000000'),
    ('sftp://h/in', 'open ada.csv', '1', '2026-01-01 08:00:00.000000', 'me', '', '', NULL);
"""


def test_names_in_a_ledger_of_before_are_masked(url: str, tmp_path: Path) -> None:
    """The upgrade masks them as they are written since; nothing else changes."""
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection, "0006")
        for statement in ROWS_OF_0006.split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with Ledger.open(url) as ledger:
        (source,) = ledger.runs.list()[0].sources
        assert (source.name, source.path) == ("A••• L•••.csv", "/x/a•••.csv")
        assert ledger.nights.of_night("n")[0].name == "S•••_J•••_2026.csv"
        assert [each.path for each in ledger.claims.open("sftp://h/in")] == ["open ada.csv"]
        assert ledger.submissions.records(["k1"])["k1"].state is State.CREATED
    assert len(list(tmp_path.glob("importer.db-before-0016-*"))) == 1
