"""Flags go over environment over importer.yaml over defaults, and each mistake names its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from importer.errors import CredentialsError, Exit, SettingsError
from importer.nightly.ownership import MARKER_NAME
from importer.settings import Settings, load_settings
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with nothing of ours in the environment."""
    for name in list(os.environ):
        if name.upper().startswith(("IMPORTER_", "POPP_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(text: str, flags: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of an importer.yaml in the current folder."""
    Path("importer.yaml").write_text(text, "utf-8")
    return load_settings(None, flags or {})


def refused(text: str, flags: Mapping[str, object] | None = None) -> list[str]:
    """Return the lines of the message that settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        given(text, flags)
    assert caught.value.exit_code is Exit.SETUP
    return caught.value.message.splitlines()


def test_every_setting_has_a_default(here: Path) -> None:
    """Without a file, a variable or a flag everything is as documented."""
    settings = load_settings(None, {})
    assert settings.base_url == "https://api.joinpopp.com/v1"
    assert settings.ledger == f"sqlite:///{here}/importer.db"
    assert settings.templates == here / "templates"
    assert settings.rate_per_s == 5
    assert settings.concurrency == 4
    assert settings.on_problems == "block"
    assert settings.conversation == "auto-schedule"
    assert settings.skip_duplication_check is False
    assert settings.duplicate_statuses == (409,)
    assert settings.folder == here
    assert settings.file is None


def test_flags_go_over_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer to the user's fingers, the stronger; None on the command line says nothing."""
    text = "rate_per_s: 1\nconcurrency: 1\ncampaign: a\nmeeting: m\n"
    monkeypatch.setenv("IMPORTER_CONCURRENCY", "2")
    monkeypatch.setenv("IMPORTER_CAMPAIGN", "42")
    settings = given(text, {"campaign": "c", "rate_per_s": None})
    assert settings.rate_per_s == 1
    assert settings.concurrency == 2
    assert settings.campaign == "c"
    assert settings.meeting == "m"


def test_an_environment_variable_is_text_until_its_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers, switches, lists and mappings are read; an id of digits stays text."""
    result = {
        "IMPORTER_CAMPAIGN": "0042",
        "IMPORTER_RATE_PER_S": "7.5",
        "IMPORTER_RECONCILE": "no",
        "IMPORTER_COLUMNS": "{Tel (mob): phone_number}",
        "IMPORTER_DUPLICATE_STATUSES": "[400, 409]",
        "IMPORTER_MAX_FAILURES": "20",
        "IMPORTER_MAX_BYTES": "5 MB",
        "IMPORTER_MEETING": "",
    }
    for name, value in result.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None, {})
    assert settings.campaign == "0042"
    assert settings.rate_per_s == 7.5
    assert settings.reconcile is False
    assert settings.columns == {"Tel (mob)": "phone_number"}
    assert settings.duplicate_statuses == (400, 409)
    assert settings.max_failures == 20
    assert settings.max_bytes == 5_000_000
    assert settings.meeting is None


def test_the_other_campaign_of_a_stronger_place_wins() -> None:
    """`--external-campaign` replaces the campaign of the file; both in one place is a mistake."""
    settings = given("campaign: a\n", {"external_campaign": "REQ-1"})
    assert (settings.campaign, settings.external_campaign) == (None, "REQ-1")
    result = "campaign and external_campaign exclude each other; keep one"
    assert refused("campaign: a\nexternal_campaign: b\n") == [f"importer.yaml:1:1: {result}"]
    flags = {"campaign": "a", "external_campaign": "b"}
    assert refused("", flags) == [f"the flags: {result}"]


def test_paths_are_taken_from_where_they_are_written(here: Path) -> None:
    """A path in importer.yaml is relative to its folder, one on the command line to the current."""
    (here / "jobs").mkdir()
    (here / "jobs" / "importer.yaml").write_text("ledger: sqlite:///night.db\nhmac_key_file: k\n")
    config = Path("jobs") / "importer.yaml"
    settings = load_settings(config, {})
    assert settings.folder == here / "jobs"
    assert settings.file == here / "jobs" / "importer.yaml"
    assert settings.ledger == f"sqlite:///{here}/jobs/night.db"
    assert settings.ledger_file == here / "jobs" / "night.db"
    assert settings.templates == here / "jobs" / "templates"
    assert settings.hmac_key_file == here / "jobs" / "k"
    flags = {"ledger": "sqlite:///day.db", "templates": "t"}
    settings = load_settings(config, flags)
    assert settings.ledger == f"sqlite:///{here}/day.db"
    assert settings.templates == here / "t"


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////data/x.db", "/data/x.db"),
        ("sqlite+pysqlite:////data/x.db?timeout=5", "/data/x.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql+psycopg://db/x", None),
    ],
)
def test_only_a_sqlite_ledger_has_a_file(url: str, file: str | None) -> None:
    """The HMAC key and the backup are beside it."""
    assert given(f"ledger: '{url}'\n").ledger_file == (Path(file) if file else None)


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order() -> None:
    """Each line is `file:row:column: key: what is wrong`."""
    text = """\
rate_per_s: 0
ledgr: sqlite:///x.db
campaign: 42
columns: {"Tel": phone_numbr, "Mob": [1]}
severity: {phone-not-mobil: error, phone-invalid: bad, contact-missing: warning}
campaign: other
id_paths: id
reconcile: yes
max_failures: 101%
concurrency: 2.5
"""
    at, no_key = "importer.yaml:", "there is no such key"
    assert refused(text) == [
        f"{at}1:13: rate_per_s: must be greater than 0",
        f"{at}2:1: ledgr: {no_key}; did you mean `ledger`?",
        f"{at}3:11: campaign: must be text; put it in quotes",
        f"{at}4:18: columns.Tel: must be the name of a column; did you mean `phone_number`?",
        f"{at}4:38: columns.Mob: must be text; put it in quotes",
        f"{at}5:12: severity.phone-not-mobil: {no_key}; did you mean `phone-not-mobile`?",
        f"{at}5:51: severity.phone-invalid: must be 'error', 'warning' or 'info'",
        f"{at}6:1: campaign: the key is in row 3 already",
        f"{at}7:11: id_paths: must be a list (`- item`)",
        f"{at}8:12: reconcile: must be true or false",
        f"{at}9:15: max_failures: must be a count such as 20 or a share such as 5%",
        f"{at}10:14: concurrency: must be a whole number",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "importer.yaml:1:1: must be a mapping (`key: value`)"),
        ("base_url: http://api.example.com\n", "must begin with https://"),
        ("base_url: ftp://x\n", "must be a web address"),
        ("base_url: https://user:pw@x.org/\n", "must not contain a user name"),
        ("base_url: https://x.org/?key=1\n", "must not contain a user name, a query"),
        ("base_url: https://[x\n", "must be a web address"),
        ("ledger: importer.db\n", "must be a database URL such as sqlite:///importer.db"),
        ("default_country: Germany\n", "must be an ISO country code of two letters"),
        ("meeting: ../secret\n", "must be the name of a template, without folder or file ext"),
        ("participants: a/b\n", "must be the name of a template"),
        ("campaign: ' '\n", "must not be empty; remove the key instead"),
        ("encoding: utf-9\n", "must be a text encoding such as utf-8 or cp1252"),
        ("encoding: base64\n", "must be a text encoding"),
        ("create_path: conversations\n", "must be a path such as /conversations"),
        ("on_problems: ignore\n", "must be 'block' or 'skip'"),
        ("columns: {Tel: mobile}\n", "did you mean `phone_number`?"),
        ("columns: {Tel: phone_numbr}\n", "did you mean `phone_number`?"),
        ("columns: {Boss: Hiring Manager}\n", "such as hiring_manager_email"),
        ("conversation: both\n", "must be 'auto-schedule' or 'campaign'"),
        ("max_bytes: many\n", "must be a whole number"),
        ("max_bytes: 0\n", "must be at least 1"),
        ("max_failures: -1\n", "must be at least 0"),
        ("max_failures: some\n", "must be a count such as 20"),
        ("rate_per_s: .nan\n", "JSON has no such number"),
        ("read_timeout_s: 0\n", "must be greater than 0"),
        ("severity: {opted-out: info}\n", "opted-out must stay an error"),
        ("duplicate_statuses: [500]\n", "duplicate_statuses[0]: must be at most 499"),
        ("id_paths: []\n", "must have 1 or more items"),
        ("round: ' '\n", "must not be blank; name the round, or leave it out"),
        ("rate_per_s: 5\n\tround: x\n", "importer.yaml:2:1: a tab cannot indent"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(text: str, message: str) -> None:
    """Type, range and form are checked, each with a sentence that says what would do."""
    assert message in "\n".join(refused(text))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8765/v1", "http://localhost:1", "http://[::1]:80/v1", "https://x.org"],
)
def test_plain_http_is_for_this_machine_alone(url: str) -> None:
    """The sandbox needs no certificate; anything else does. A slash at the end goes."""
    assert given(f"base_url: {url}/\n").base_url == url


def test_a_country_may_be_written_as_people_do() -> None:
    """UK is GB, and lower case is fine."""
    assert given("default_country: uk\n").default_country == "GB"
    assert given("default_country: de\n").default_country == "DE"


def test_mistakes_of_environment_and_flags_name_variable_and_flag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All places are told in one message, the file's first."""
    monkeypatch.setenv("IMPORTER_CONCURRENCY", "many")
    monkeypatch.setenv("IMPORTER_COLUMNS", "{Tel: phone")
    monkeypatch.setenv("IMPORTER_RATE_PERS", "5")
    monkeypatch.setenv("IMPORTER_FOLDERS", "{acme: {round: two}}")
    monkeypatch.setenv("IMPORTER_SERVICE_HOST", "10.0.0.1")
    assert refused("canary: -1\n", {"rate_per_s": "fast", "round": " ", "colums": "x"}) == [
        "importer.yaml:1:9: canary: must be at least 0",
        "IMPORTER_RATE_PERS: there is no such setting; did you mean `IMPORTER_RATE_PER_S`?",
        "IMPORTER_COLUMNS:1:1: the `{` that opens here is not closed, or a comma is missing.",
        "IMPORTER_FOLDERS: can only be set in importer.yaml",
        "IMPORTER_CONCURRENCY: must be a whole number",
        "--round: must not be blank; name the round, or leave it out",
        "--rate-per-s: must be a number",
        "--colums: there is no such key; did you mean `columns`?",
    ]


def test_a_named_file_must_be_there() -> None:
    """`--config` does not fall back to defaults in silence."""
    with pytest.raises(SettingsError, match=r"none\.yaml: there is no such file\."):
        load_settings(Path("none.yaml"), {})


def test_an_empty_file_or_value_leaves_the_defaults() -> None:
    """`campaign:` without a value is as good as no line."""
    assert given("") == given("# nothing\n") == given("campaign:\nround: ~\n")


@pytest.mark.parametrize("key", ["POPP_API_KEY", "api_key", "x-api-key", "organization_id"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(key: str) -> None:
    """The message says where secrets belong."""
    (line,) = refused(f"{key}: hunter2\n")
    assert "secrets do not belong in a settings file" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "text", ["ledger: 7hunter2\n", "base_url: hunter2\n", "base_url: https://me:hunter2@x.org\n"]
)
def test_no_message_repeats_a_value(text: str) -> None:
    """A ledger's URL may hold a password."""
    assert "hunter2" not in "\n".join(refused(text))


def test_repr_hides_the_ledger() -> None:
    """Settings may be logged; a database password may not."""
    assert "hunter2" not in repr(given("ledger: postgresql://me:hunter2@db/x\n"))


def test_settings_are_frozen() -> None:
    """A change is a new object."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().rate_per_s = 9  # the model says that it is frozen


@pytest.mark.parametrize(
    ("max_failures", "allowed"),
    [("~", None), ("0", 0), ("20", 20), ("5%", 17), ("0.5 %", 1), ("100%", 340), ("'7'", 7)],
)
def test_failures_are_allowed_by_count_or_share(max_failures: str, allowed: int | None) -> None:
    """A share is of the submissions of the run, rounded down."""
    assert given(f"max_failures: {max_failures}\n").failures_allowed(340) == allowed


def test_severities_are_read_by_code() -> None:
    """Codes and severities are the closed lists of the program."""
    settings = given("severity: {phone-not-mobile: error, duplicate-in-file: info}\n")
    assert settings.severity == {
        Code.PHONE_NOT_MOBILE: Severity.ERROR,
        Code.DUPLICATE_IN_FILE: Severity.INFO,
    }


def test_only_what_shapes_rows_and_bodies_enters_the_plan() -> None:
    """Rates, paths, guards and what is done about problems change no plan."""
    plain = given("")
    same = "rate_per_s: 9\nledger: sqlite:///other.db\ntemplates: other\non_problems: skip\n"
    assert given(same).shaping() == plain.shaping()
    for text in (
        "campaign: a",
        "external_campaign: a",
        "meeting: a",
        "participants: a",
        "default_country: DE",
        "round: second",
        "send_during_business_hours: true",
        "skip_duplication_check: true",
        "conversation: campaign",
        "severity: {phone-not-mobile: error}",
    ):
        assert given(text).shaping() != plain.shaping(), text


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around them go, and repr shows neither."""
    monkeypatch.setenv("POPP_API_KEY", " key-hunter2\n")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "org-hunter2")
    credentials = load_settings(None, {}).credentials()
    assert credentials.api_key.get_secret_value() == "key-hunter2"
    assert credentials.organization_id == "org-hunter2"
    assert "hunter2" not in repr(credentials)


def test_credentials_come_from_a_secrets_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file a secret, as containers mount them; the environment is stronger."""
    (here / "secrets").mkdir()
    (here / "secrets" / "POPP_API_KEY").write_text("key-1\n")
    (here / "secrets" / "popp_organization_id").write_text("org-1\n")
    monkeypatch.setenv("IMPORTER_SECRETS_DIR", "secrets")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "org-2")
    credentials = Settings().credentials()
    assert credentials.api_key.get_secret_value() == "key-1"
    assert credentials.organization_id == "org-2"


def test_missing_credentials_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message can be followed word for word."""
    with pytest.raises(CredentialsError) as both:
        Settings().credentials()
    assert both.value.message == "POPP_API_KEY and POPP_ORGANIZATION_ID are not set."
    assert "export POPP_API_KEY=...; export POPP_ORGANIZATION_ID=..." in both.value.fix
    monkeypatch.setenv("POPP_API_KEY", "key")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "  ")
    with pytest.raises(CredentialsError) as one:
        Settings().credentials()
    assert one.value.message == "POPP_ORGANIZATION_ID is not set."
    assert one.value.exit_code is Exit.SETUP


def test_credentials_that_no_header_carries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key copied with a line break inside is told now, not as a failed request."""
    monkeypatch.setenv("POPP_API_KEY", "hunter\n2")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "org-1")
    with pytest.raises(CredentialsError, match="POPP_API_KEY contains a space") as caught:
        Settings().credentials()
    assert "hunter" not in str(caught.value)


def test_a_secrets_directory_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that failed is told, not taken for missing secrets."""
    monkeypatch.setenv("IMPORTER_SECRETS_DIR", "/nowhere/at/all")
    with pytest.raises(SettingsError, match="IMPORTER_SECRETS_DIR: there is no such folder"):
        Settings().credentials()


@pytest.mark.parametrize("result", ["true", "yes", "1"])
def test_a_rehearsal_stays_on_this_machine(
    here: Path, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    """Whatever file and environment say of the API and the ledger; credentials are made up."""
    monkeypatch.setenv("IMPORTER_REHEARSAL", result)
    monkeypatch.setenv("IMPORTER_LEDGER", "postgresql://db/real")
    monkeypatch.setenv("POPP_API_KEY", "real")
    settings = given("base_url: https://api.joinpopp.com/v1\nledger: sqlite:///real.db\n")
    assert settings.base_url == "http://127.0.0.1:8765/v1"
    assert settings.ledger == f"sqlite:///{here}/rehearsal.db"
    assert settings.credentials().api_key.get_secret_value() == "rehearsal"


def test_a_rehearsal_keeps_an_api_of_this_machine_and_the_ledger_of_a_flag() -> None:
    """The sandbox may have another port."""
    settings = given(
        "rehearsal: true\nbase_url: http://localhost:9000/v1\n", {"ledger": "sqlite:///mine.db"}
    )
    assert settings.base_url == "http://localhost:9000/v1"
    assert settings.ledger_file is not None
    assert settings.ledger_file.name == "mine.db"
    assert settings.unused_ledger_file is not None
    assert settings.unused_ledger_file.name == "importer.db"


def test_a_rehearsal_and_a_real_api_exclude_each_other() -> None:
    """The one flag that could send it elsewhere is refused, from Python too."""
    (line,) = refused("rehearsal: true\n", {"base_url": "https://api.joinpopp.com/v1"})
    assert "rehearsal contacts nobody" in line
    with pytest.raises(ValidationError, match="rehearsal contacts nobody"):
        Settings(rehearsal=True)


def test_the_strongest_source_says_whether_it_is_a_rehearsal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable goes over the file, and a flag over both."""
    monkeypatch.setenv("IMPORTER_REHEARSAL", "false")
    assert given("rehearsal: true\n").base_url == "https://api.joinpopp.com/v1"
    assert given("rehearsal: true\n", {"rehearsal": True}).base_url == "http://127.0.0.1:8765/v1"


# ---- which importer.yaml is taken ----------------------------------------------------------------


@pytest.fixture
def below(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder two levels below an importer.yaml; return that file."""
    (here / "lists" / "may").mkdir(parents=True)
    file = here / "importer.yaml"
    file.write_text("campaign: above\n", "utf-8")
    monkeypatch.chdir(here / "lists" / "may")
    monkeypatch.setenv("HOME", str(here.parent))
    return file


def test_the_nearest_file_above_is_taken(below: Path) -> None:
    """Its paths start at its own folder; a nearer file wins, and a named one over both."""
    settings = load_settings()
    assert (settings.file, settings.folder, settings.config) == (below, below.parent, None)
    assert settings.ledger == f"sqlite:///{below.parent}/importer.db"
    (below.parent / "lists" / "importer.yaml").write_text("campaign: nearer\n", "utf-8")
    assert load_settings().campaign == "nearer"
    assert load_settings(below).campaign == "above"


@pytest.mark.parametrize("end", ["git", "home"])
def test_the_search_ends_at_a_repository_and_at_home(
    below: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """What is above belongs to another project or another person; the last folder counts."""
    last = below.parent / "lists"
    if end == "git":
        (last / ".git").mkdir()
    else:
        monkeypatch.setenv("HOME", str(last))
    assert load_settings().file is None
    (last / "importer.yaml").write_text("campaign: last\n", "utf-8")
    assert load_settings().campaign == "last"


@pytest.mark.parametrize(
    ("what", "mode", "group"),
    [
        ("importer.yaml", 0o646, None),
        ("importer.yaml", 0o664, 54_321),
        (".", 0o757, None),
        (".", 0o775, 54_321),
    ],
)
def test_a_file_above_that_others_can_change_is_refused(
    below: Path, what: str, mode: int, group: int | None
) -> None:
    """By its own mode or its folder's; it is used if the user names it."""
    target = below.parent / what
    if group is not None:
        try:
            os.chown(target, -1, group)
        except PermissionError:
            pytest.skip("only root can give a file to any group")
    target.chmod(mode)
    with pytest.raises(SettingsError, match="other users can change it") as caught:
        load_settings()
    assert f"--config {below}" in caught.value.fix
    assert load_settings(below).campaign == "above"


def test_a_file_above_that_is_another_users_is_refused(below: Path) -> None:
    """A link to it, too; in a folder that everybody writes to, the current one is no exception."""
    try:
        os.chown(below, 54_321, 54_321)
    except PermissionError:
        pytest.skip("only root can give a file away")
    with pytest.raises(SettingsError, match="another user"):
        load_settings()
    os.chdir(below.parent)
    assert load_settings().campaign == "above"  # the user went there, and nobody else can write
    below.parent.chmod(0o1777)
    with pytest.raises(SettingsError, match="another user"):
        load_settings()


def test_a_file_above_in_an_inbox_is_refused(below: Path) -> None:
    """People who upload lists could upload it."""
    (below.parent / MARKER_NAME).write_text("{}", "utf-8")
    with pytest.raises(SettingsError, match="inbox"):
        load_settings()


def test_a_file_of_ours_in_a_folder_such_as_tmp_is_taken(below: Path) -> None:
    """Nobody but us and root can replace it there."""
    below.parent.chmod(0o1777)
    assert load_settings().campaign == "above"
