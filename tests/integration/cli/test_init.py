"""`importer init` writes a project that works unchanged, and overwrites nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from importer.cli.init_command import editor_schemas
from importer.errors import Exit, SettingsError
from importer.settings import load_settings
from importer.settings.yaml_files import read_yaml
from tests.support.workspace import FAST, Workspace

if TYPE_CHECKING:
    from importer.model import Json
    from importer.sandbox.server import Sandbox

ROOT = Path(__file__).resolve().parents[3]


def test_check_accepts_the_starter_as_it_stands(starter: Workspace) -> None:
    """All of its rows are ready, and there is nothing to fix or to look at."""
    result = starter.without("POPP_API_KEY", "POPP_ORGANIZATION_ID")("check", "candidates.csv")
    assert result.code == Exit.OK
    assert "All 2 rows are ready" in result.out
    assert "To fix" not in result.err
    assert "To check" not in result.err


def test_the_first_run_is_a_rehearsal(starter: Workspace, sandbox: Sandbox) -> None:
    """It needs no credentials, and has a ledger of its own."""
    bare = starter.without("POPP_API_KEY", "POPP_ORGANIZATION_ID")
    result = bare("run", "candidates.csv", "--yes", "--base-url", sandbox.base_url, *FAST)
    assert result.code == Exit.OK, result.err
    assert sorted(entry["firstName"] for entry in sandbox.journal) == ["Anna", "Ben"]
    assert "rehearsal.db" in starter.files()
    assert "importer.db" not in starter.files()
    assert "2 created" in starter("runs").out
    assert "This was a rehearsal: nobody was contacted." in result.err


def test_a_night_that_is_a_rehearsal_says_so(starter: Workspace, sandbox: Sandbox) -> None:
    """Nobody takes its conversations for real ones; the doctor warns. It waits for no hour."""
    (starter.folder / "inbox").mkdir()
    starter.write("inbox/a.csv", (starter.folder / "candidates.csv").read_bytes())
    url = ("--base-url", sandbox.base_url)
    assert "warn  rehearsal: nobody is contacted" in starter("doctor", "inbox", *url).out
    result = starter("nightly", "inbox", "--quiet-s", "0", *url, "-q")
    assert result.code == Exit.OK, result.err
    assert "This was a rehearsal: nobody was contacted." in " ".join(result.out.split())
    assert len(sandbox.journal) == 2


def test_a_rehearsal_asks_for_its_sandbox(starter: Workspace) -> None:
    """Before anything is written; the command that starts it has the port of the settings."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = (starter.folder / "importer.yaml").read_text()
    starter.write("importer.yaml", f"{text}base_url: http://127.0.0.1:{port}/v1\n".replace(
        "base_url: https://api.joinpopp.com/v1\n", ""
    ))  # fmt: skip
    before = starter.files()
    result = starter("run", "candidates.csv", "--yes")
    assert result.code == Exit.SETUP
    assert f"importer sandbox --port {port}" in result.err
    assert starter.files() == before


def test_one_line_leads_to_real_conversations(starter: Workspace) -> None:
    """Without it the settings name the real API and a new ledger, and credentials are needed."""
    text = (starter.folder / "importer.yaml").read_text()
    assert text.count("\nrehearsal: true\n") == 1
    starter.write("importer.yaml", text.replace("\nrehearsal: true\n", "\n"))
    result = starter.without("POPP_API_KEY")("run", "candidates.csv", "--yes")
    assert result.code == Exit.SETUP
    assert "POPP_API_KEY" in result.error
    result = starter("run", "candidates.csv", "--yes")
    assert result.code == Exit.HELD
    assert "`location` of the meeting template onsite-45 is 1 High Street, Leeds." in result.error
    assert "morgan@example.com" in result.error
    assert "Examples are left, so nothing will be sent" in starter("check", "candidates.csv").out
    settings = load_settings(starter.folder / "importer.yaml")
    assert settings.base_url == "https://api.joinpopp.com/v1"
    assert settings.ledger_file == starter.folder / "importer.db"


def test_a_project_fits_a_list(tmp_path: Path) -> None:
    """Headers are mapped, templates are called as the rows call them, and the check passes."""
    workspace = Workspace(tmp_path)
    workspace.write(
        "in/list.csv",
        "Prénom,Tel (mob),Role,Boss manager,Boss manager e-mail,Pays,Campaign,Meeting template\n"
        "Anna,+12025550104,Cook,Sam Sample,sam@example.com,US,c-1,trial day\n"
        "Ben,+12025550105,Chef,Sam Sample,sam@example.com,US,c-2,call\n",
    )
    result = workspace("init", "fit", "--from", "in/list.csv")
    assert result.code == Exit.OK, result.err
    assert "importer check ../in/list.csv" in result.err
    assert not (tmp_path / "fit" / "candidates.csv").exists()
    meetings = sorted(path.name for path in (tmp_path / "fit/templates/meetings").iterdir())
    assert meetings == ["call.yaml", "trial day.yaml"]
    assert "{role}" in (tmp_path / "fit/templates/meetings/call.yaml").read_text()
    team = (tmp_path / "fit/templates/participants/hiring-manager.yaml").read_text()
    assert "{boss_manager}" in team
    assert "{boss_manager_e_mail}" in team
    settings = load_settings(tmp_path / "fit" / "importer.yaml")
    assert settings.columns["Prénom"] == "first_name"
    assert (settings.campaign, settings.meeting, settings.default_country) == (None, None, None)
    checked = Workspace(tmp_path / "fit")("check", "../in/list.csv")
    assert checked.code == Exit.OK, checked.err
    assert "All 2 rows are ready" in checked.out


def test_a_bare_list_gets_what_its_rows_lack(tmp_path: Path) -> None:
    """A made-up person to meet, a campaign, and a title without a job; the check passes."""
    workspace = Workspace(tmp_path)
    workspace.write("list.csv", "Name,Mobile,Remark\nAnna Example,+12025550104,\n")
    assert workspace("init", "--from", "list.csv").code == Exit.OK
    checked = workspace("check", "list.csv")
    assert checked.code == Exit.OK, checked.err


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"a,b\n"])
def test_a_list_that_cannot_be_read_makes_no_project(tmp_path: Path, content: bytes) -> None:
    """The message says what is wrong with it."""
    workspace = Workspace(tmp_path)
    workspace.write("list.csv", content)
    result = workspace("init", "--from", "list.csv")
    assert result.code == Exit.INPUT
    assert "Nothing was written." in result.err
    assert set(workspace.files()) == {"list.csv"}


def test_nothing_is_overwritten(starter: Workspace) -> None:
    """One file that is there already keeps all from being written, and is named."""
    (starter.folder / "importer.yaml").unlink()
    starter.write("candidates.csv", "mine")
    before = starter.files()
    result = starter("init")
    assert result.code == Exit.USAGE
    assert "candidates.csv" in result.error
    assert "importer.yaml" not in result.error
    assert starter.files() == before


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    """The folder is made, and the next step begins by going there."""
    workspace = Workspace(tmp_path)
    result = workspace("init", "new desk")
    assert result.code == Exit.OK
    assert "cd 'new desk'" in result.err
    assert Workspace(tmp_path / "new desk")("check", "candidates.csv").code == Exit.OK


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """Wrong usage, and the file stays."""
    workspace = Workspace(tmp_path)
    workspace.write("taken", "mine")
    assert workspace("init", "taken").code == Exit.USAGE
    assert workspace.files() == {"taken": b"mine"}


# ---- schemas for editors -------------------------------------------------------------------------


def test_the_starter_names_schemas_that_it_fits(starter: Workspace) -> None:
    """Each file names one in its first row, which is there and describes it."""
    for name in (
        "importer.yaml",
        "templates/meetings/onsite-45.yaml",
        "templates/participants/hiring-manager.yaml",
    ):
        file = starter.folder / name
        schema = file.parent / file.read_text().splitlines()[0].partition("$schema=")[2]
        Draft202012Validator(json.loads(schema.read_text())).validate(read(file))


@pytest.mark.parametrize("name", sorted(editor_schemas()))
def test_explain_prints_the_schemas(workspace: Workspace, name: str) -> None:
    """The ones that `init` writes."""
    result = workspace("explain", "--schema", name)
    Draft202012Validator.check_schema(json.loads(result.out))
    assert result.out == editor_schemas()[name]


@pytest.mark.parametrize("sample", ["importer.yaml", "nightly/importer.yaml"])
def test_the_samples_fit_the_schema_of_settings(sample: str) -> None:
    """A share such as 20% is one."""
    validator = Draft202012Validator(json.loads(editor_schemas()["settings"]))
    validator.validate(read(ROOT / "samples" / sample))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("settings", {"rate_per_sec": 5}),
        ("settings", {"rate_per_s": "fast"}),
        ("settings", {"on_problems": "ignore"}),
        ("settings", {"new_ledger": True}),
        ("meeting", {"title": "Interview"}),
        ("participants", []),
        ("participants", [{"isOrganizer": "yes"}]),
    ],
)
def test_editors_see_mistakes(name: str, wrong: object) -> None:
    """Unknown keys of settings, wrong values, and what is missing."""
    validator = Draft202012Validator(json.loads(editor_schemas()[name]))
    assert not validator.is_valid(wrong)


def read(file: Path) -> Json:
    """Return what a YAML file says."""
    return read_yaml(file, SettingsError).value


def test_a_messy_list_keeps_its_columns(tmp_path: Path) -> None:
    """A template takes a column with a gap: its row needs fixing, and the others are ready."""
    workspace = Workspace(tmp_path)
    rows = [f"Anna,+120255501{n},Cook,Sam,sam@example.com" for n in range(10, 30)]
    rows[3] = "Ben,+12025550113,Cook,,not given"
    rows[7] = "Cy,+12025550117,#REF!,Sam,sam@example.com"
    workspace.write("list.csv", "\n".join(["Name,Mobile,Role,Hiring Mgr,Hiring Mgr Email", *rows]))
    result = workspace("init", "--from", "list.csv")
    assert result.code == Exit.OK, result.err
    assert "row 9, Role: " in result.err
    team = (tmp_path / "templates/participants/hiring-manager.yaml").read_text()
    assert "{hiring_mgr}" in team
    assert "{hiring_mgr_email}" in team
    checked = workspace("check", "list.csv")
    assert "18 of 20 rows are ready to send; 2 need fixing." in checked.out, checked.out
    assert "Fill in “Hiring Mgr” in 1 row: 5" in checked.out
