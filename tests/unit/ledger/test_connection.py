"""A ledger is opened privately and durably, or refused in one sentence that says what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from importer.errors import LedgerError, UsageError
from importer.ledger import Ledger
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row, settle_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from tests.unit.ledger.ledger_builders import Clock


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of every file in a folder."""
    return {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()}


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file in a folder, and when it was changed."""
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


def url_of(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"


# ---- writing ------------------------------------------------------------------------------------


def test_only_the_owner_can_read_it(file_ledger: Ledger, tmp_path: Path) -> None:
    """The file, its log and index, the lock and the files beside it are all 0600."""
    settle_submission(file_ledger, "k1", State.CREATED)
    with file_ledger.lock("a test"):
        found = modes(tmp_path)
    names = {f"importer.db{end}" for end in ("", "-wal", "-shm", "-lock", "-holder", ".last")}
    assert found == dict.fromkeys(names, 0o600)


def test_it_is_private_before_sqlite_touches_it(tmp_path: Path) -> None:
    """Even with a generous umask, and even where the folder cannot take a database."""
    code = (
        "import os, sys; os.umask(0)\n"
        "from importer.ledger import Ledger\n"
        "Ledger.open(sys.argv[1]).close()\n"
    )
    url = url_of(tmp_path / "importer.db")
    subprocess.run([sys.executable, "-c", code, url], check=True)
    assert set(modes(tmp_path).values()) == {0o600}


def test_an_open_file_is_closed_to_others(url: str, tmp_path: Path) -> None:
    """What somebody made readable is private again after opening."""
    Ledger.open(url).close()
    (tmp_path / "importer.db").chmod(0o644)
    Ledger.open(url).close()
    assert modes(tmp_path)["importer.db"] == 0o600


def test_writes_are_durable(file_ledger: Ledger) -> None:
    """Write-ahead log, full synchronous, foreign keys, and patience with other writers."""
    with file_ledger._database.engine.connect() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in (
                *("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync"),
                *("foreign_keys", "busy_timeout"),
            )
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "fullfsync": 1,
        "checkpoint_fullfsync": 1,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


def test_it_remembers(url: str, clock: Clock) -> None:
    """What one process wrote the next one reads."""
    with Ledger.open(url, now=clock.now) as ledger:
        settle_submission(ledger, "k1", State.CREATED)
    with Ledger.open(url, create=False) as ledger:
        assert ledger.submissions.records(["k1"])["k1"].state is State.CREATED


def test_no_ledger_where_none_may_be_made(url: str, tmp_path: Path) -> None:
    """`create=False` makes nothing."""
    with pytest.raises(LedgerError, match=r"no ledger .* yet"):
        Ledger.open(url, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The folder is named, and not made."""
    with pytest.raises(LedgerError, match=r"folder .*nowhere does not exist"):
        Ledger.open(url_of(tmp_path / "nowhere" / "importer.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "must be a file"),
        ("mysql://host/name", "cannot be kept in 'mysql'"),
        ("importer.db", "cannot be understood"),
        ("", "cannot be understood"),
    ],
)
def test_urls_that_name_no_ledger(url: str, words: str) -> None:
    """Memory forgets, other databases are not supported, a bare path is no URL."""
    for opening in (Ledger.open, Ledger.open_existing):
        with pytest.raises(LedgerError, match=words) as caught:
            opening(url)
        assert "ledger:" in caught.value.fix


def test_a_password_is_not_repeated() -> None:
    """Neither of a URL that is malformed, nor of a server that cannot be reached."""
    for url in ("postgresql://me:secret@[::1/x", "postgresql://me:secret@127.0.0.1:1/x"):
        with pytest.raises(LedgerError) as caught:
            Ledger.open(url)
        assert "secret" not in str(caught.value)
        assert "unexpected error" not in str(caught.value)


def test_a_missing_driver() -> None:
    """PostgreSQL without its driver says what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from importer.ledger import Ledger\n"
        "try: Ledger.open('postgresql://host/name')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.startswith("LedgerError")
    assert "pip install '.[postgres]'" in result.stdout


# ---- what is no ledger --------------------------------------------------------------------------


def make_text(path: Path) -> None:
    """Make a text file."""
    path.write_text("Name,Phone\n" * 500, encoding="utf-8")


def make_note(path: Path) -> None:
    """Make a text so short that SQLite takes it for an empty database."""
    path.write_text("buy milk\n", encoding="utf-8")


def make_other(path: Path) -> None:
    """Make a database of another program."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()


def make_newer(path: Path) -> None:
    """Make a ledger of a version that this program does not know."""
    Ledger.open(url_of(path)).close()
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE ledger_version SET version_num = '9999'")
    newer.close()


def make_damaged(path: Path) -> None:
    """Make a ledger, and overwrite pages in its middle."""
    with Ledger.open(url_of(path)) as ledger:
        ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(2_000)])
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 8192))


def make_cut(path: Path) -> None:
    """Make a ledger, and cut off all but its first page."""
    make_damaged(path)
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_text, "is not a ledger: the file is not a SQLite database"),
        (make_note, "is not a ledger: the file is not a SQLite database"),
        (make_other, "holds something other than a ledger"),
        (make_newer, "made by a newer version"),
        (make_damaged, "is damaged"),
        (make_cut, "is damaged"),
        (Path.mkdir, "is a folder"),
    ],
)
def test_what_is_no_ledger_is_refused_and_untouched(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """The file is named with what to do about it, and stays as it is."""
    path = tmp_path / "importer.db"
    make(path)
    before = {} if path.is_dir() else contents(tmp_path)
    for opening in (Ledger.open, Ledger.open_existing):
        with pytest.raises(LedgerError, match=words) as caught:
            opening(url_of(path))
        assert str(path) in caught.value.message
        assert caught.value.fix
    after = {} if path.is_dir() else contents(tmp_path)
    assert {name: after[name][0] for name in before} == {name: before[name][0] for name in before}


def make_link_to_nothing(path: Path) -> None:
    """Make a link to nothing, such as a disk that is not mounted."""
    path.symlink_to("elsewhere/importer.db")


def make_link_to_a_device(path: Path) -> None:
    """Make a link to a device that forgets what is written to it."""
    path.symlink_to(os.devnull)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is a pipe or a device"),
        (make_link_to_a_device, "is a pipe or a device"),
        (make_link_to_nothing, "is a link to elsewhere/importer.db, which does not exist"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """To open a pipe would wait forever; a new ledger behind a link would contact everybody."""
    path = tmp_path / "importer.db"
    make(path)
    for opening in (Ledger.open, Ledger.open_existing):
        with pytest.raises(LedgerError, match=words) as caught:
            opening(url_of(path))
        assert caught.value.fix
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_a_ledger_is_that_ledger(tmp_path: Path) -> None:
    """One lock for both names, and after a crash the `-wal` is looked for where it is."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "own.db", tmp_path / "importer.db"
    Ledger.open(url_of(real)).close()
    link.symlink_to("real/own.db")
    crashed = Ledger.open(url_of(link))  # it is never closed
    run = crashed.runs.begin(new_run(), [planned_row("k1")])
    crashed.submissions.intend(run, ["k1"])
    with Ledger.open(url_of(link)) as linked, Ledger.open(url_of(real)) as own:
        assert linked.doubts.list() == own.doubts.list() != ()
        with (
            linked.lock("importer run"),
            pytest.raises(LedgerError, match="in use"),
            own.lock("importer run"),
        ):
            pass
    crashed.close()
    assert list(tmp_path.iterdir()) in ([link, tmp_path / "real"], [tmp_path / "real", link])


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal", "-lock", ".last", ".key"])
def test_a_backup_never_takes_a_name_of_the_ledger_s_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A copy that is called `-wal` would be read as one."""
    monkeypatch.chdir(tmp_path)
    with Ledger.open(url_of(tmp_path / "importer.db")) as ledger:
        for target in (Path(f"importer.db{end}"), tmp_path / f"importer.db{end}"):
            before = contents(tmp_path)
            with pytest.raises(UsageError, match="the ledger itself uses"):
                ledger.backup(target)
            assert contents(tmp_path) == before


def test_an_empty_file_becomes_a_ledger(url: str, tmp_path: Path) -> None:
    """SQLite takes one for an empty database, and so do we; to a reader it is none yet."""
    (tmp_path / "importer.db").touch()
    assert Ledger.open_existing(url) is None
    with Ledger.open(url) as ledger:
        assert ledger.submissions.is_empty()


# ---- looking ------------------------------------------------------------------------------------


def test_looking_at_nothing(url: str, tmp_path: Path) -> None:
    """If there is none yet, none is made."""
    assert Ledger.open_existing(url) is None
    assert list(tmp_path.iterdir()) == []


def test_looking_leaves_no_trace(url: str, tmp_path: Path, clock: Clock) -> None:
    """Not a byte changes, not a file comes, not even for a moment of writing."""
    with Ledger.open(url, now=clock.now) as ledger:
        run = settle_submission(ledger, "k1", State.CREATED)
    before = contents(tmp_path)
    readonly = Ledger.open_existing(url)
    assert readonly is not None
    with readonly:
        assert readonly.submissions.records(["k1"])["k1"].state is State.CREATED
        assert [row.row for row in readonly.runs.rows(run)] == [2]
        assert contents(tmp_path) == before
        with pytest.raises(LedgerError, match="for reading only"):
            readonly.runs.begin(new_run(), [])
    assert contents(tmp_path) == before


def test_looking_after_a_crash(url: str, tmp_path: Path) -> None:
    """What lies only in the log that a killed process left is seen."""
    code = (
        "import os, signal, sys\n"
        "from importer.ledger import Ledger\n"
        "from tests.unit.ledger.ledger_builders import new_run, planned_row\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "ledger.runs.begin(new_run(), [planned_row('k1')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, url], check=False).returncode == -9
    log = (tmp_path / "importer.db-wal").read_bytes()
    assert log
    readonly = Ledger.open_existing(url)
    assert readonly is not None
    with readonly:
        assert list(readonly.submissions.records(["k1"])) == ["k1"]
    assert (tmp_path / "importer.db-wal").read_bytes() == log


def test_looking_while_somebody_writes(url: str) -> None:
    """A reader sees what is committed, before and after the writer opened, wrote and closed."""
    Ledger.open(url).close()
    readonly = Ledger.open_existing(url)
    assert readonly is not None
    with readonly:
        assert readonly.submissions.is_empty()
        with Ledger.open(url) as ledger:
            assert readonly.submissions.is_empty()
            ledger.runs.begin(new_run(), [planned_row("k1")])
            assert list(readonly.submissions.records(["k1"])) == ["k1"]
        assert list(readonly.submissions.records(["k1"])) == ["k1"]


def test_a_change_during_a_look_is_noticed(url: str) -> None:
    """A file read without locks is read again when a writer changed it meanwhile."""
    with Ledger.open(url) as ledger:
        ledger.runs.begin(new_run(), [planned_row("k1")])
    readonly = Ledger.open_existing(url)
    assert readonly is not None
    seen: list[int | None] = []

    def slow(connection: Connection) -> int:
        number = connection.scalar(text("SELECT count(*) FROM submissions"))
        if not seen:
            with Ledger.open(url) as ledger:
                ledger.runs.begin(new_run(), [planned_row("k2")])
        seen.append(number)
        return int(number or 0)

    with readonly:
        assert readonly._database.read(slow) == 2
    assert seen == [1, 2]


@contextmanager
def nobody() -> Iterator[None]:
    """Run as a user without rights; root could write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_the_right_to_write() -> None:
    """To write is refused in words, to look is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there, new = folder / "importer.db", folder / "new.db"
        Ledger.open(url_of(there)).close()
        there.chmod(0o444)
        folder.chmod(0o555)
        with nobody():
            with pytest.raises(LedgerError, match=r"cannot be written.*write access"):
                Ledger.open(url_of(there))
            with pytest.raises(LedgerError, match="cannot be created: Permission denied"):
                Ledger.open(url_of(new))
            readonly = Ledger.open_existing(url_of(there))
            assert readonly is not None
            with readonly:
                assert readonly.submissions.is_empty()
        folder.chmod(0o755)
