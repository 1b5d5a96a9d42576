"""Exclude the rows of a plan that earlier runs dealt with: imported, doubtful, rejected, contacted.

People who opted out are excluded here, too. `reject_opted_out` in `importer/ledger/submissions.py`
checks again when the intent to send is written.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import polars as pl

from importer import problems
from importer.errors import CredentialsError, LedgerError
from importer.model import RowStatus, State
from importer.planning.identity import Identity, hmac_key, key_file, key_id
from importer.planning.payload import hash_keys, hash_people, hash_rows
from importer.planning.plan import exclude_rows
from importer.settings.secrets import Secrets
from schemas.codes import Code
from schemas.columns import (
    BODY_HASH,
    CANDIDATE_HASH,
    EMAIL_HASH,
    KEY,
    PERSON,
    ROW,
    SOURCE,
    fold_campaign,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import SubmissionRecord
    from importer.model import Json, Plan
    from importer.settings import Settings


_DONE = frozenset({State.CREATED, State.DUPLICATE})
_OPEN = frozenset({State.DOUBTFUL, State.SENDING})


def skip_known(
    plan: Plan, ledger: Ledger, identity: Identity, settings: Settings, *, now: datetime
) -> Plan:
    """Exclude the rows of a plan that earlier runs dealt with, each with a reason.

    Args:
        plan: a new plan, made from the files.
        ledger: the ledger, which is only read.
        identity: makes the keys and hashes of the ledger.
        settings: `contact_window_days`, `allow_recent`, `allow_shared_contact` and
            `retry_rejected`.
        now: UTC, the end of the contact window.
    """
    if not plan.frame.height or ledger.submissions.is_empty():
        return plan
    frame = hash_keys(plan.frame, identity)
    known = _look_up(frame[KEY], ledger)
    reached = known.filter(pl.col("state").is_in(_DONE | _OPEN))
    strangers = _find_strangers(frame, reached, identity, settings)
    others = hash_people(frame.join(reached, on=KEY, how="anti", maintain_order="left"), identity)
    verdicts = [
        *_classify_strangers(frame, ledger, strangers),
        *_find_known(frame, reached.filter(~pl.col(KEY).is_in(strangers))),
        *_find_unchanged(replace(plan, frame=others), known, ledger, identity, settings),
        *_find_unwanted(others, ledger, settings, now),
        *_find_shared(others, ledger, settings),
        *_find_spellings(frame, ledger),
    ]
    plan = replace(plan, frame=others)  # every other row has a verdict
    if not verdicts:
        return plan
    excluded = pl.concat([verdict[0] for verdict in verdicts])
    return exclude_rows(
        plan,
        excluded.unique([SOURCE, ROW], keep="first", maintain_order=True),
        problems.concat(verdict[1] for verdict in verdicts),
    )


def _look_up(keys: pl.Series, ledger: Ledger) -> pl.DataFrame:
    """Return what the ledger knows about these keys, as a frame with the schema `_KNOWN`."""
    parts = [
        pl.DataFrame(part, schema=_KNOWN, orient="row")
        for part in ledger.submissions.known(keys.to_list())
    ]
    return pl.concat([pl.DataFrame(schema=_KNOWN), *parts])


_KNOWN: Final = {
    KEY: pl.String,
    "state": pl.String,
    "run": pl.String,
    "row": pl.UInt32,
    "name": pl.String,
}
"""Column -> type of a frame of known submissions, as in `KnownSubmission`."""

_Verdict = tuple[pl.DataFrame, pl.DataFrame]


def _classify(
    frame: pl.DataFrame,
    column: str,
    details: Mapping[str, str] | pl.DataFrame,
    code: Code,
    status: RowStatus,
) -> _Verdict:
    """Find the rows whose value in a column is a key of `details`, each with its reason.

    Args:
        frame: the rows.
        column: the name of a text column.
        details: value -> reason; or a frame with this column and `#detail`.
        code: the code of the problem.
        status: the status that the rows get.
    """
    if not isinstance(details, pl.DataFrame):
        details = pl.DataFrame(
            {column: list(details), "#detail": list(details.values())},
            schema={column: pl.String, "#detail": pl.String},
        )
    done = column == KEY and status is RowStatus.ALREADY_IMPORTED
    key = pl.col(KEY) if done else pl.lit(None, pl.String)
    hit = frame.join(details, on=column, how="inner", maintain_order="left")
    return (
        hit.select(SOURCE, ROW, pl.lit(status.value).alias("status"), key.alias("key")),
        problems.at(hit, code, column=_COLUMNS.get(code), detail=pl.col("#detail")),
    )


_COLUMNS: Final = {
    Code.PHONE_OF_ANOTHER_NAME: "phone_number",
    Code.EMAIL_OF_ANOTHER: "email",
    Code.CANDIDATE_ID_OF_ANOTHER: "candidate_id",
}


def _find_strangers(
    frame: pl.DataFrame, reached: pl.DataFrame, identity: Identity, settings: Settings
) -> list[str]:
    """Find the keys that the ledger has for a person with a clearly different name.

    The API identifies people by phone, or by e-mail if there is no phone. So it cannot contact this
    person. But "nothing to do" would drop the row silently.
    """
    if settings.allow_shared_contact:
        return []
    named = reached.filter(pl.col("name").fill_null("") != "")
    rows = frame.join(named.select(KEY), on=KEY, how="semi", maintain_order="left")
    return identity.find_other_names(rows, dict(named.select(KEY, "name").iter_rows()))


def _classify_strangers(
    frame: pl.DataFrame, ledger: Ledger, strangers: Sequence[str]
) -> list[_Verdict]:
    if not strangers:
        return []
    known = ledger.submissions.records(strangers)
    details = {key: _place_in_file(known[key]) for key in strangers}
    has_phone = pl.col("phone_number").is_not_null()
    return [
        _classify(frame.filter(rows), KEY, details, code, RowStatus.REJECTED)
        for rows, code in (
            (has_phone, Code.PHONE_OF_ANOTHER_NAME),
            (~has_phone, Code.EMAIL_OF_ANOTHER),
        )
    ]


def _find_known(frame: pl.DataFrame, same: pl.DataFrame) -> list[_Verdict]:
    """Find the rows that are already imported, and those that may be.

    Args:
        frame: the rows.
        same: known submissions of the same people, who were contacted or may have been.
    """
    place = pl.format("run {}, row {}", "run", "row").alias("#detail")
    return [
        _classify(frame, KEY, known.select(KEY, place), code, RowStatus.ALREADY_IMPORTED)
        for states, code in ((_DONE, Code.ALREADY_IMPORTED), (_OPEN, Code.POSSIBLY_SENT))
        if (known := same.filter(pl.col("state").is_in(states))).height
    ]


def _find_unchanged(
    plan: Plan, known: pl.DataFrame, ledger: Ledger, identity: Identity, settings: Settings
) -> list[_Verdict]:
    """Find the rows that the API has rejected and whose body has not changed.

    Nobody was contacted, but the API would reject them again. `retry_rejected` sends them anyway.
    """
    rejected = known.filter(pl.col("state") == State.REJECTED.value)
    if settings.retry_rejected or not rejected.height:
        return []
    refused = ledger.submissions.records(rejected[KEY])
    frame = plan.frame.join(rejected.select(KEY), on=KEY, how="semi", maintain_order="left")
    rows = hash_rows(frame, plan, identity, settings)
    again = {
        key: _place_and_reason(refused[key])
        for key, body_hash in rows.select(KEY, BODY_HASH).iter_rows()
        if body_hash == refused[key].body_hash
    }
    return [_classify(frame, KEY, again, Code.REJECTED_BEFORE, RowStatus.REJECTED)] if again else []


def _find_unwanted(
    others: pl.DataFrame, ledger: Ledger, settings: Settings, now: datetime
) -> list[_Verdict]:
    """Find people who opted out, or were contacted by any campaign within the contact window.

    Args:
        others: rows with `HASHES`, of people that no earlier run reached in the same campaign.
        ledger: the ledger, which is only read.
        settings: `contact_window_days` and `allow_recent`.
        now: UTC, the end of the contact window.
    """
    persons = others[PERSON].unique(maintain_order=True)
    found: list[_Verdict] = []
    out = {
        person: f"seen on {contact.remote_at:%Y-%m-%d}"
        for person, contact in ledger.submissions.opted_out(persons).items()
    }
    if out:
        found.append(_classify(others, PERSON, out, Code.OPTED_OUT, RowStatus.REJECTED))
    if settings.contact_window_days and not settings.allow_recent:
        since = now - timedelta(days=settings.contact_window_days)
        recent = {
            person: f"on {contact.requested_at:%Y-%m-%d} by run {contact.run}"
            for person, contact in ledger.submissions.contacted(persons, since).items()
            if person not in out
        }
        if recent:
            found.append(
                _classify(others, PERSON, recent, Code.CONTACTED_RECENTLY, RowStatus.REJECTED)
            )
    return found


def _find_shared(frame: pl.DataFrame, ledger: Ledger, settings: Settings) -> list[_Verdict]:
    """Find rows whose e-mail or candidate id the ledger has for another person of the campaign.

    It may be the same person with a corrected phone, or somebody else. The user has to decide.

    Args:
        frame: rows with `HASHES`.
        ledger: the ledger, which is only read.
        settings: `allow_shared_contact`.
    """
    if settings.allow_shared_contact or not frame.height:
        return []
    emails = frame[EMAIL_HASH].drop_nulls().unique(maintain_order=True).to_list()
    candidates = frame[CANDIDATE_HASH].drop_nulls().unique(maintain_order=True).to_list()
    places = _places_of_people(ledger.submissions.related(emails, candidates))
    found: dict[Code, dict[str, str]] = {}
    campaign = pl.coalesce("campaign", "external_campaign").alias("#campaign")
    for column, code in _SHARED.items():
        known = [value for its, value, _ in places if its == column]
        rows = frame.filter(pl.col(column).is_in(known)) if known else frame.clear()
        for key, person, value, name in rows.select(KEY, PERSON, column, campaign).iter_rows():
            people = places.get((column, value, name), {})
            other = next((place for who, place in people.items() if who != person), None)
            if other is not None:
                found.setdefault(code, {})[key] = other
    return [
        _classify(frame, KEY, details, code, RowStatus.REJECTED) for code, details in found.items()
    ]


_SHARED: Final = {
    EMAIL_HASH: Code.EMAIL_OF_ANOTHER,
    CANDIDATE_HASH: Code.CANDIDATE_ID_OF_ANOTHER,
}


def _places_of_people(
    related: Iterable[SubmissionRecord],
) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return (column, hash, campaign) -> person in the ledger -> the place of their row."""
    places: dict[tuple[str, str, str], dict[str, str]] = {}
    for each in related:
        if each.state is State.REJECTED:  # nobody was contacted
            continue
        where = _place_in_file(each)
        for column, value in ((EMAIL_HASH, each.email), (CANDIDATE_HASH, each.candidate)):
            if value is not None:
                places.setdefault((column, value, each.campaign), {})[each.person] = where
    return places


def _find_spellings(frame: pl.DataFrame, ledger: Ledger) -> list[_Verdict]:
    """Find rows whose campaign differs from one in the ledger only in case or spaces."""
    spelled = dict.fromkeys(ledger.submissions.campaigns())
    known = {fold_campaign(name): name for name in spelled}
    campaign = pl.coalesce("campaign", "external_campaign")
    names = frame.select(campaign.alias("#campaign"))["#campaign"].unique().drop_nulls()
    wrong = {
        name: known[fold_campaign(name)]
        for name in names
        if name not in spelled and fold_campaign(name) in known
    }
    if not wrong:
        return []
    with_names = frame.with_columns(campaign.alias("#campaign"))
    return [_classify(with_names, "#campaign", wrong, Code.CAMPAIGN_SPELLING, RowStatus.REJECTED)]


def find_no_longer_sendable(
    ledger: Ledger, run: str, settings: Settings, *, now: datetime
) -> dict[str, Code]:
    """Find the open submissions that must no longer be sent; return key -> reason.

    Args:
        ledger: the ledger, which is only read.
        run: the id of the run.
        settings: `contact_window_days` and `allow_recent`.
        now: UTC, the end of the contact window.
    """
    found = {}
    if settings.contact_window_days and not settings.allow_recent:
        since = now - timedelta(days=settings.contact_window_days)
        found = dict.fromkeys(
            ledger.rechecks.contacted_by_others(run, since), Code.CONTACTED_RECENTLY
        )
    return found | dict.fromkeys(ledger.rechecks.opted_out(run), Code.OPTED_OUT)


def _place_and_reason(known: SubmissionRecord) -> str:
    """Return the run and row of a rejected submission, and the reason."""
    return f"{_place(known)} ({known.message})" if known.message else _place(known)


def _place(known: SubmissionRecord) -> str:
    return f"run {known.run}, row {known.row}"


def _place_in_file(known: SubmissionRecord) -> str:
    return f"run {known.run}, {known.source_name} row {known.row}"


ORGANIZATION, HMAC_KEY, ALLOWED = "organization", "hmac_key", "allow_shared_contact"
"""What a run stores besides its settings: the organization, the key's id and a permission."""


@dataclass(frozen=True, slots=True)
class History:
    """The identity and the ledger for a check, which only reads.

    Attributes:
        identity: makes the keys and hashes of the ledger; a preview if there is no key yet.
        ledger: open for reading; None if there is none yet.
    """

    identity: Identity
    ledger: Ledger | None = None

    def exclude_known(self, plan: Plan, settings: Settings) -> Plan:
        """Return the plan without the rows that earlier runs dealt with."""
        if self.ledger is None:
            return plan
        return skip_known(plan, self.ledger, self.identity, settings, now=datetime.now(UTC))


@dataclass(frozen=True, slots=True, eq=False)
class OpenRows:
    """Keeps only the rows that a run may still send, so that the other rows need no memory.

    Attributes:
        identity: makes the keys.
        keys: the keys of the submissions that the run may still send.
    """

    identity: Identity
    keys: pl.Series

    def exclude_known(self, plan: Plan, settings: Settings) -> Plan:
        """Return the plan with only the open rows; the status of each row stays the same."""
        del settings
        frame = hash_keys(plan.frame, self.identity)
        return replace(plan, frame=frame.filter(pl.col(KEY).is_in(self.keys.implode())))


@dataclass(frozen=True, slots=True)
class RunHistory(History):
    """The identity and the ledger for a run, with the ledger open for writing."""

    ledger: Ledger

    def run_settings(self, settings: Settings) -> dict[str, Json]:
        """Return the settings, organization and key id that the ledger stores for a new run."""
        return {
            **settings.shaping(),
            ALLOWED: settings.allow_shared_contact,
            ORGANIZATION: self.identity.organization,
            HMAC_KEY: key_id(self.identity.hmac_key),
        }


@contextmanager
def open_history(settings: Settings, opened: Ledger | None = None) -> Iterator[History]:
    """Open the history for a check, without credentials and without writing.

    Args:
        settings: the settings, which name the ledger.
        opened: the ledger if it is already open; it stays open.

    Raises:
        LedgerError: the ledger cannot be read, has another HMAC key, or belongs to another API or
            organization.
    """
    ledger = opened or _existing(settings)
    with nullcontext() if opened else ledger or nullcontext():
        last = ledger.runs.list(limit=1) if ledger is not None else ()
        last_settings = last[0].settings if last else {}
        try:
            organization = settings.credentials().organization_id
        except CredentialsError:
            organization = str(last_settings.get(ORGANIZATION, ""))
        identity = _identity(settings, organization, last_settings, None)
        if ledger is not None and ledger.key_id == key_id(identity.hmac_key):
            ledger.check_binding(*_owner(settings, identity))
        yield History(identity, ledger)


def _existing(settings: Settings) -> Ledger | None:
    """Open the ledger for reading; without a ledger, return None and skip importing SQLAlchemy."""
    file = settings.ledger_file
    if file is not None and not file.exists():
        return None
    from importer.ledger import Ledger  # noqa: PLC0415

    return Ledger.open_existing(settings.ledger)


def bind_history(ledger: Ledger, settings: Settings, organization: str) -> RunHistory:
    """Bind a ledger to its API, organization and HMAC key; a new ledger gets a key.

    Raises:
        LedgerError: the ledger has another HMAC key, the key is lost, the key belongs to a lost
            ledger, the ledger belongs to another API or organization, or the ledger's folder is
            shared with other computers.
    """
    refuse_shared_folder(settings)
    last = ledger.runs.list(limit=1)
    last_settings = last[0].settings if last else {}
    if not last and not settings.new_ledger:
        _refuse_orphaned_key(ledger, settings)
    identity = _identity(settings, organization, last_settings, ledger if not last else None)
    ledger.remember_writes(key_file(settings), new=settings.new_ledger)
    own = key_id(identity.hmac_key)
    if ledger.key_id != own:
        ledger.note_key(own)
    ledger.bind(*_owner(settings, identity))
    return RunHistory(identity, ledger)


def refuse_shared_folder(settings: Settings) -> None:
    """Raise LedgerError if people are contacted and the ledger's folder is shared."""
    file = settings.ledger_file
    if file is None or settings.ledger_in_shared_folder or not settings.contacts_people:
        return
    from importer.ledger.shared_folder import find_shared_folder  # noqa: PLC0415 - not for a check

    shared = find_shared_folder(file)
    if shared is not None:
        raise LedgerError(
            f"The ledger {file} is in {shared.path}, which {shared.program} copies to other "
            "computers. An importer there would not know in time who was contacted here."
            if shared.program
            else f"The ledger {file} is on a network drive ({shared.file_system}). An importer on "
            "another computer would not know in time who was contacted here.",
            f"Move it to a disk of this computer, with the files beside it that begin with "
            f"{file.name}, and name it under `ledger:`. For several computers, use PostgreSQL. If "
            "only this one uses the folder, set `ledger_in_shared_folder: true`.",
        )


def _refuse_orphaned_key(ledger: Ledger, settings: Settings) -> None:
    """Raise LedgerError if an empty ledger already has a key: the key's ledger was lost."""
    file = key_file(settings)
    if has_key_in_environment():
        if ledger.key_id is None:
            raise LedgerError(
                f"The ledger {ledger.name} is new and empty, but its key is in the environment: "
                "the ledger that knows who was contacted must be elsewhere.",
                "Correct `ledger:`, or restore a backup. If a new ledger is meant, run `importer "
                "upgrade`: people who are in a list again are contacted again.",
            )
        return
    if file.exists() and ledger.key_id != key_id(hmac_key(settings, create=False)):
        raise LedgerError(
            f"The ledger {ledger.name} is empty, but its key {file} is there: the ledger that "
            "knows who was contacted is gone.",
            "Put it back, or restore a backup. If it is lost for good, or the key is meant for a "
            "new ledger, say --new-ledger: people who are in a list again are contacted again.",
        )


def _owner(settings: Settings, identity: Identity) -> tuple[str, str, str]:
    """Return the owner of a ledger: the API, and two hashes of the organization.

    The API's address is without its port. The first hash is of the organization as spelled, the
    second ignores case and outer spaces.
    """
    url = urlsplit(settings.base_url)
    return (
        f"{url.scheme}://{url.hostname or ''}{url.path.rstrip('/')}",
        identity.digest(["organization", identity.organization]),
        identity.digest(["organization", identity.organization.strip().casefold()]),
    )


def _identity(
    settings: Settings, organization: str, last_settings: Mapping[str, Json], new: Ledger | None
) -> Identity:
    """Return the identity that uses a ledger's key.

    Args:
        settings: the settings, which say where the key is.
        organization: the organization of the credentials.
        last_settings: the settings of the last run.
        new: a ledger without runs, which may get a new key; None if no key may be made.
    """

    def note(key: bytes) -> None:
        if new is not None:
            new.note_key(key_id(key))

    secret = hmac_key(settings, create=new is not None, note=note)
    _refuse_other_key(key_id(secret), last_settings.get(HMAC_KEY))
    return Identity(secret, organization, settings.round)


def require_key(ledger: Ledger, settings: Settings) -> None:
    """Raise LedgerError if a ledger has a key and this machine has a different one or none."""
    _refuse_other_key(key_id(hmac_key(settings, create=False)), ledger.key_id)


def has_key_in_environment() -> bool:
    """Return whether the ledger's key is in the environment, so it was made elsewhere."""
    return Secrets.read().importer_hmac_key is not None


def _refuse_other_key(own: str, known: Json) -> None:
    if known is not None and known != own:
        raise LedgerError(
            "The HMAC key is not the one under which this ledger knows its people.",
            "Put the ledger's key back (IMPORTER_HMAC_KEY, or the .key file beside the ledger): "
            "under another key everybody would be contacted again.",
        )
