"""The same person in the same campaign has one key, and nobody else has it."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import SettingsError
from importer.planning.identity import PREVIEW_KEY, Identity, hmac_key, key_file, key_id
from importer.settings import Settings, load_settings
from schemas.columns import KEY as KEY_COLUMN
from tests.support.rows import ADA, GRACE, frame

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32
OURS = Identity(KEY, "org-1")


def key(identity: Identity = OURS, /, **changes: str | None) -> str:
    """Return the submission key of Ada's row with some cells changed."""
    return str(identity.keys(frame({**ADA, **changes})).item())


@pytest.fixture(autouse=True)
def _no_key_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMPORTER_HMAC_KEY", raising=False)
    monkeypatch.delenv("IMPORTER_SECRETS_DIR", raising=False)


def test_a_key_is_the_hmac_of_its_parts_with_their_lengths() -> None:
    """The bulk way gives what the standard library gives for the written-out message: 128 bits."""
    assert key() == hmac.digest(KEY, MESSAGE, "sha256").hex()[:32]


MESSAGE = b"10:submission,5:org-1,10:id:camp-42,13:+442079460018,0:,"


def test_names_are_signed_under_all_digits_of_the_key() -> None:
    """As they were before keys had 128 bits: a ledger of then knows its people still."""
    whole = hmac.digest(KEY, MESSAGE, "sha256").hex()
    secret = hmac.digest(KEY, f"4:name,64:{whole},".encode(), "sha256")

    def sign(text: str) -> str:
        return hashlib.blake2s(text.encode(), key=secret, digest_size=3).hexdigest()

    rows = frame(ADA).with_columns(pl.lit(key()).alias(KEY_COLUMN))
    kept = "".join(map(sign, ("Ada/Lovelace", "ada", "ada"))) + f"/{sign('lov')}{sign('lovelace')}"
    assert OURS.names(rows) == [kept]
    assert OURS.names(rows.with_columns(OURS.whole_keys(rows))) == [kept]
    assert OURS.find_other_names(rows, {key(): kept}) == []
    other = rows.with_columns(first_name=pl.lit("Ben"))
    assert OURS.find_other_names(other, {key(): kept}) == [key()]
    one_name = rows.with_columns(first_name=pl.lit("Ángela Ruiz"), last_name=None)
    words = ("Ángela Ruiz/", "ang", "angela")
    assert OURS.names(one_name) == ["".join(map(sign, words)) + f"/{sign('rui')}{sign('ruiz')}"]
    cyrillic = rows.with_columns(first_name=pl.lit("Анна"), last_name=pl.lit("Roe"))
    signs = f"{sign('Анна/Roe')}~{sign('анн')}{sign('анна')}/{sign('roe')}{sign('roe')}"
    assert OURS.names(cyrillic) == [signs]
    assert OURS.names(rows.with_columns(first_name=None)) == [None]


def test_a_key_longer_than_a_block_is_hashed_first() -> None:
    """RFC 2104 asks for it, and the standard library agrees."""
    message = b"6:person,13:+442079460018,"
    found = Identity(b"x" * 100, "o").persons(frame(ADA)).item()
    assert found == hmac.digest(b"x" * 100, message, "sha256").hex()[:16]


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "other@example.com"},
        {"email": None},
        {"first_name": "Grace"},
        {"candidate_id": "A-1"},
        {"job_title": "Chef"},
        {"meeting_template": "other"},
        {"external_campaign": "REQ-1"},
    ],
)
def test_what_is_not_the_person_or_the_campaign_leaves_the_key(
    changes: dict[str, str | None],
) -> None:
    """Tonight's list recognises people of last night's, whatever else it says about them."""
    assert key(**changes) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"phone_number": "+442079460019"},
        {"phone_number": None},
        {"campaign": "camp-43"},
        {"campaign": None, "external_campaign": "camp-42"},
    ],
)
def test_another_person_or_campaign_has_another_key(changes: dict[str, str | None]) -> None:
    """A campaignId and an externalCampaignId of the same text are two campaigns."""
    assert key(**changes) != key()


def test_organization_round_and_secret_are_part_of_the_key() -> None:
    """Another round may write to the same people again."""
    others = [
        Identity(KEY, "org-2"),
        Identity(KEY, "org-1", "second"),
        Identity(b"j" * 32, "org-1"),
    ]
    assert len({key(), *(key(other) for other in others)}) == 4


def test_an_email_is_one_person_in_any_case() -> None:
    """If there is no phone, the e-mail says who it is."""
    assert key(phone_number=None, email="ADA@Example.com") == key(phone_number=None)


def test_a_row_without_phone_and_email_has_no_identity() -> None:
    """Two unknown people must never share a key."""
    with pytest.raises(ValueError, match="neither phone nor e-mail"):
        OURS.keys(frame(ADA, {**ADA, "phone_number": None, "email": None}))


def test_a_person_is_the_same_in_every_campaign_and_round() -> None:
    """The contact guard looks across campaigns; it knows people under the HMAC key alone."""
    rows = frame(ADA, {**ADA, "campaign": "camp-43"}, GRACE)
    found = OURS.persons(rows).to_list()
    assert found[0] == found[1] != found[2]
    assert Identity(KEY, "org-2", "second").persons(rows).to_list() == found


def test_no_rows_have_no_keys() -> None:
    """An empty frame is no special case."""
    assert OURS.keys(frame(ADA).clear()).to_list() == []


parts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


@given(
    st.tuples(parts, parts, parts, st.booleans(), parts),
    st.tuples(parts, parts, parts, st.booleans(), parts),
)
def test_two_keys_are_equal_only_when_all_parts_are(
    one: tuple[str, str, str, bool, str], other: tuple[str, str, str, bool, str]
) -> None:
    """No shifting of letters from one part to the next makes two submissions one."""

    def of(organization: str, campaign: str, person: str, own: bool, round_: str) -> str:  # noqa: FBT001
        column = "campaign" if own else "external_campaign"
        row = {"phone_number": person, column: campaign}
        return str(Identity(KEY, organization, round_).keys(frame(row)).item())

    assert (of(*one) == of(*other)) == (one == other)


@given(st.emails(), st.sampled_from(["gmail.com", "googlemail.com", "outlook.com", "x.example"]))
def test_one_person_has_the_hashes_that_bulk_gives(address: str, provider: str) -> None:
    """What the API's list shows is compared with what was sent, one by one."""
    email = f"{address.rpartition('@')[0]}@{provider}"
    rows = frame(ADA, {"email": email}, {"candidate_id": "A-1", "email": "a@b.example"})
    assert OURS.emails(rows)[1] == OURS.email(email)
    assert OURS.persons(rows)[1] == OURS.person(None, email)
    assert OURS.persons(rows)[0] == OURS.person(ADA["phone_number"], ADA["email"])
    assert OURS.candidates(rows).to_list() == [None, None, OURS.candidate(" A-1 ")]
    assert OURS.emails(frame({"phone_number": "+1"})).to_list() == [None]


def test_a_person_of_nothing_has_no_hash() -> None:
    """Two unknown people must never look like one."""
    with pytest.raises(ValueError, match="neither phone nor e-mail"):
        OURS.person(None, None)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """The same body is the same body, and a changed one is not."""
    body = {"a": "ü", "b": [1, True, None]}
    assert OURS.digest(body) == OURS.digest({"b": [1, True, None], "a": "ü"})
    assert OURS.digest(body) != OURS.digest({"a": "ü", "b": [1, True, 0]})


def test_a_body_hash_changes_with_its_row_and_its_group() -> None:
    """Null is not the same as empty, and letters do not move between columns."""
    rows = frame(ADA, ADA, GRACE, {**ADA, "last_name": None}, {**ADA, "last_name": ""})
    shared = pl.Series(["g", "h", "g", "g", "g"])
    found = OURS.bodies(rows, shared, ["first_name", "last_name"]).to_list()
    assert len(set(found)) == 5
    assert OURS.bodies(rows.head(1), shared.head(1), ["first_name", "last_name"])[0] == found[0]


def test_repr_shows_neither_key_nor_organization() -> None:
    """An identity in a log line gives nothing away."""
    assert repr(Identity(b"secret", "org-1", "second")) == "Identity(round='second')"


def test_the_key_file_lies_beside_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named in the settings, else after the SQLite file, else beside importer.yaml."""
    monkeypatch.chdir(tmp_path)
    beside = load_settings(None, {"ledger": "sqlite:///data/night.db"})
    assert key_file(beside) == tmp_path / "data" / "night.db.key"
    assert key_file(load_settings(None, {"ledger": "postgresql://db/night"})) == (
        tmp_path / "importer.key"
    )
    assert key_file(load_settings(None, {"hmac_key_file": "k"})) == tmp_path / "k"


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    """The file has mode 0600, and every later call reads the same key."""
    settings = Settings(hmac_key_file=tmp_path / "k")
    made = hmac_key(settings, create=True)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert hmac_key(settings, create=True) == hmac_key(settings, create=False) == made
    assert [file.name for file in tmp_path.iterdir()] == ["k"]
    assert len(made) == 32


def test_two_that_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    """The second process keeps what the first wrote, whole."""
    settings = Settings(hmac_key_file=tmp_path / "k")
    with ThreadPoolExecutor(8) as many:
        found = set(many.map(lambda _: hmac_key(settings, create=True), range(32)))
    assert len(found) == 1


def test_a_preview_makes_no_key(tmp_path: Path) -> None:
    """`check` writes nothing: it counts with a fixed key if there is none."""
    settings = Settings(hmac_key_file=tmp_path / "k")
    assert hmac_key(settings, create=False) == PREVIEW_KEY
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_the_environment_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes no file; blanks around it do not count."""
    settings = Settings(hmac_key_file=tmp_path / "k")
    monkeypatch.setenv("IMPORTER_HMAC_KEY", " " + "s" * 40 + "\n")
    given_key = hmac_key(settings, create=True)
    monkeypatch.setenv("IMPORTER_HMAC_KEY", "s" * 40)
    assert hmac_key(settings, create=True) == given_key != PREVIEW_KEY
    assert list(tmp_path.iterdir()) == []


def test_a_short_key_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the place, never the secret."""
    monkeypatch.setenv("IMPORTER_HMAC_KEY", "hunter2")
    with pytest.raises(SettingsError, match=r"IMPORTER_HMAC_KEY: .* fewer than 32") as refused:
        hmac_key(Settings(), create=False)
    assert "hunter2" not in str(refused.value)
    monkeypatch.delenv("IMPORTER_HMAC_KEY")
    (tmp_path / "k").write_text("")
    with pytest.raises(SettingsError, match="k: the HMAC key has fewer"):
        hmac_key(Settings(hmac_key_file=tmp_path / "k"), create=True)


def test_a_key_that_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    """A missing folder and a folder in its place are messages, not tracebacks."""
    with pytest.raises(SettingsError, match="cannot be written"):
        hmac_key(Settings(hmac_key_file=tmp_path / "no" / "k"), create=True)
    with pytest.raises(SettingsError, match="must be a file"):
        hmac_key(Settings(hmac_key_file=tmp_path), create=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="must be a file"):
        hmac_key(Settings(hmac_key_file=tmp_path / "pipe"), create=True)
    (tmp_path / "noise").write_bytes(b"\xff" * 40)
    with pytest.raises(SettingsError, match="is not text") as refused:
        hmac_key(Settings(hmac_key_file=tmp_path / "noise"), create=True)
    assert "own key" in str(refused.value.fix)


def test_a_fingerprint_tells_keys_apart_and_gives_none_away() -> None:
    """A ledger can notice that it is opened under another key."""
    assert key_id(KEY) == key_id(KEY) != key_id(b"j" * 32)
    assert len(key_id(KEY)) == 16


def test_a_new_key_is_noted_and_then_put_on_disk(tmp_path: Path) -> None:
    """The ledger knows it before its file is there; file and folder are synced."""
    settings, happened = Settings(hmac_key_file=tmp_path / "k"), []

    def note(key: bytes) -> None:
        happened.append(("note", key, (tmp_path / "k").exists()))

    def sync(number: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file"
        happened.append((kind, b"", (tmp_path / "k").exists()))

    made = hmac_key(settings, create=True, note=note, fsync=sync)
    assert happened == [("note", made, False), ("file", b"", False), ("folder", b"", True)]
    assert hmac_key(settings, create=True, note=note, fsync=sync) == made
    assert len(happened) == 3
