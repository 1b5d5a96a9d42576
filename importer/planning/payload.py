"""Make submissions of the rows of a plan: keyed hashes, externalId, and the request body.

A body is rendered only when it is sent.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer.masking import mask_email, mask_phone
from importer.model import PlannedRow, RowStatus, Submission
from importer.planning.placeholders import compile_value
from schemas.columns import (
    BODY_HASH,
    CANDIDATE_HASH,
    EMAIL_HASH,
    GROUP,
    KEY,
    OWN,
    PERSON,
    ROW,
    SOURCE,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from importer.model import Group, Json, Plan
    from importer.planning.identity import Identity
    from importer.settings import Settings


_AT_ONCE: Final = 10_000  # rows that are made into submissions at once
KEY_DIGITS: Final = 16
"""Hex digits of the submission's key in an externalId: 64 bits, so that no two are alike."""

HASHES: Final = (KEY, PERSON, EMAIL_HASH, CANDIDATE_HASH, BODY_HASH)
"""Columns of a plan's frame with keyed hashes: submission, person, mailbox, candidate id, body."""

_WANTED: Final = (SOURCE, ROW, GROUP, *sorted(OWN))
_SHAPING: Final = (
    "conversation",
    "conversation_fields",
    "skip_duplication_check",
    "send_during_business_hours",
)
_NO_ID: Final = "imp"
_EDGES: Final = "-_.:/ "
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
_WORD: Final = re.compile(r"[^\W_]+")
_SHORT: Final = 3  # characters; a shorter name counts only as a word of its own
_PHONE_DIGITS: Final = 7
_PLAIN: Final = (
    ("phone_number", "phoneNumber"),
    ("email", "emailAddress"),
    ("country", "countryCode"),
    ("first_name", "firstName"),
    ("last_name", "lastName"),
)


class Renderer:
    """Renders the bodies of one group's rows; the shared parts are made once."""

    def __init__(self, group: Group, settings: Settings) -> None:
        campaign = {"campaignId": group.campaign, "externalCampaignId": group.external_campaign}
        self._campaign: dict[str, Json] = {key: each for key, each in campaign.items() if each}
        self._may_skip = settings.skip_duplication_check
        self._business_hours = settings.send_during_business_hours
        shared: dict[str, Json] = dict(group.conversation_fields)
        if settings.conversation == "auto-schedule":
            shared["meetingParticipants"] = list(group.meeting_participants)
            shared["meetingConfiguration"] = group.meeting_configuration
        self._shared = shared
        self._filled = compile_value(shared)

    def body(self, row: Mapping[str, str | None], external_id: str) -> dict[str, Json]:
        """The request body of a row; shared parts are the same objects in each body.

        Args:
            row: canonical columns, tidy; null is left out.
            external_id: what reconciliation looks for.
        """
        body: dict[str, Json] = {}
        for column, key in _PLAIN:
            value = row[column]
            if value:
                body[key] = value
        body.update(self._campaign)
        body["externalId"] = external_id
        if self._may_skip and row["skip_duplication_check"] == "true":
            body["skipDuplicationCheck"] = True
        hours = row["send_during_business_hours"]
        if hours:
            body["shouldSendDuringBusinessHours"] = hours == "true"
        elif self._business_hours is not None:
            body["shouldSendDuringBusinessHours"] = self._business_hours
        filled = self._shared if self._filled is None else self._filled(row)
        body.update(cast("Mapping[str, Json]", filled))
        return body


def external_id(pattern: str, row: Mapping[str, str | None], key: str) -> str:
    """The externalId of a submission; part of the submission's key makes it unique.

    A candidate id that contains a name, phone or e-mail of its row is left out, because the ledger
    stores the externalId.

    Args:
        pattern: setting `external_id`, such as `{candidate_id}-{key}`.
        row: canonical columns, tidy.
        key: of the submission.
    """
    own = (row["candidate_id"] or "").strip()
    if not own or _is_personal(own, row):
        own = "" if pattern.replace("{candidate_id}", "").strip(_EDGES) != "{key}" else _NO_ID
    text = pattern.replace("{candidate_id}", own).replace("{key}", key[:KEY_DIGITS])
    return text.strip(_EDGES)


def _is_personal(text: str, row: Mapping[str, str | None]) -> bool:
    """Whether a candidate id identifies a person: an address, or a name or phone of the row."""
    if "@" in text or text.startswith("+"):
        return True
    folded = _fold(text)
    words = set(_WORD.findall(folded))
    names = " ".join(row[column] or "" for column in ("first_name", "last_name", "full_name"))
    for name in _WORD.findall(_fold(names)):
        if name in words or (len(name) >= _SHORT and name in folded):
            return True
    mailbox = "".join(_WORD.findall(_fold((row["email"] or "").partition("@")[0])))
    if len(mailbox) >= _SHORT and mailbox in "".join(_WORD.findall(folded)):
        return True
    digits, phone = _NOT_DIGITS.sub("", text), _NOT_DIGITS.sub("", row["phone_number"] or "")
    return len(phone) >= _PHONE_DIGITS and phone[-_PHONE_DIGITS:] in digits


def _fold(text: str) -> str:
    """A text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def submissions(
    plan: Plan,
    identity: Identity,
    settings: Settings,
    rows: pl.DataFrame | None = None,
    only: Container[str] | None = None,
) -> Iterator[Submission]:
    """The submissions of a plan, in order of its frame.

    Args:
        plan: gives the groups.
        identity: makes keys and hashes.
        settings: shape the bodies.
        rows: part of `plan.frame`; all of it by default.
        only: keys; no other submission is made.
    """
    frame = _require_whole(plan) if rows is None else rows
    renderers: dict[int, Renderer] = {}
    for part in frame.iter_slices(_AT_ONCE):
        for row in _with_hashes(part, plan, identity, settings).iter_rows(named=True):
            key = row[KEY]
            if only is not None and key not in only:
                continue
            number = row[GROUP]
            group = plan.groups[number]
            if number not in renderers:
                renderers[number] = Renderer(group, settings)
            own_id = external_id(settings.external_id, row, key)
            yield Submission(
                key=key,
                external_id=own_id,
                source=row[SOURCE],
                row=row[ROW],
                campaign=group.campaign or group.external_campaign,
                person=row[PERSON],
                masked=_masked(row),
                body=renderers[number].body(row, own_id),
                body_hash=row[BODY_HASH],
                email=row[EMAIL_HASH],
                candidate=row[CANDIDATE_HASH],
            )


def planned_rows(plan: Plan, identity: Identity, settings: Settings) -> Iterator[PlannedRow]:
    """Every row of a plan as the ledger stores it, ready rows first; no body is rendered."""
    codes = (
        plan.problems.filter(pl.col(ROW).is_not_null())
        .group_by(SOURCE, ROW)
        .agg(
            pl.col("code").unique(maintain_order=True).cast(pl.String).str.join(" ").alias("codes")
        )
    )
    ready = _require_whole(plan).join(codes, on=[SOURCE, ROW], how="left", maintain_order="left")
    for part in ready.iter_slices(_AT_ONCE):
        found = _with_hashes(part, plan, identity, settings).with_columns(part["codes"])
        names = identity.names(found)
        for row, name in zip(found.iter_rows(named=True), names, strict=True):
            key = row[KEY]
            group = plan.groups[row[GROUP]]
            yield PlannedRow(
                row[SOURCE],
                row[ROW],
                RowStatus.READY.value,
                row["codes"] or "",
                key,
                group.campaign or group.external_campaign,
                external_id(settings.external_id, row, key),
                row[PERSON],
                _masked(row),
                row[BODY_HASH],
                row[EMAIL_HASH],
                row[CANDIDATE_HASH],
                name,
            )
    others = plan.rows.filter(pl.col("status") != RowStatus.READY.value)
    for more in (codes, plan.known):
        others = others.join(more, on=[SOURCE, ROW], how="left", maintain_order="left")
    for source, number, status, its_codes, key in others.select(
        SOURCE, ROW, "status", "codes", "key"
    ).iter_rows():
        yield PlannedRow(source, number, status, its_codes or "", key)


def _require_whole(plan: Plan) -> pl.DataFrame:
    """The ready rows of a plan; raises ValueError for a plan that can only be shown."""
    if not plan.whole:
        raise ValueError("this plan can only be shown: it did not keep its rows")
    return plan.frame


def identify(plan: Plan, identity: Identity, settings: Settings) -> Plan:
    """The plan with the keyed hashes of its rows as columns (`HASHES`).

    Args:
        plan: that can be sent.
        identity: makes the hashes; it does not make its own hashes again.
        settings: shape the bodies.
    """
    return replace(plan, frame=hash_rows(_require_whole(plan), plan, identity, settings))


def hash_people(frame: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Add the hashes of submission, person, mailbox and candidate id to rows.

    Hashes of this identity stay; those of another identity are replaced.
    """
    if KEY in frame.columns:
        first = frame.head(1)
        if first[KEY].equals(identity.keys(first)):
            return frame
        frame = frame.drop(HASHES, strict=False)  # made before the ledger's key was known
    return frame.with_columns(
        identity.keys(frame).alias(KEY),
        identity.persons(frame).alias(PERSON),
        identity.emails(frame).alias(EMAIL_HASH),
        identity.candidates(frame).alias(CANDIDATE_HASH),
    )


def hash_rows(
    frame: pl.DataFrame, plan: Plan, identity: Identity, settings: Settings
) -> pl.DataFrame:
    """Add all `HASHES` to rows of a plan; hashes of this identity stay."""
    frame = hash_people(frame, identity)
    if BODY_HASH in frame.columns:
        return frame
    numbers = frame[GROUP].unique()
    shared = (
        frame[GROUP]
        .replace_strict(
            numbers,
            [_hash_shared(plan.groups[number], identity, settings) for number in numbers],
            return_dtype=pl.String,
        )
        .cast(pl.String)
    )  # without rows the type would stay that of the numbers
    return frame.with_columns(identity.bodies(frame, shared, sorted(OWN)).alias(BODY_HASH))


def _hash_shared(group: Group, identity: Identity, settings: Settings) -> str:
    """A hash of what a group adds to the bodies of its rows."""
    shaping = settings.shaping()
    return identity.digest(
        [
            group.campaign,
            group.external_campaign,
            group.meeting_configuration,
            group.meeting_participants,
            [shaping[name] for name in _SHAPING if name in shaping],
            *([group.conversation_fields] if group.conversation_fields else []),
        ]
    )


def _with_hashes(
    part: pl.DataFrame, plan: Plan, identity: Identity, settings: Settings
) -> pl.DataFrame:
    """The columns that a submission needs, with hashes."""
    return hash_rows(part, plan, identity, settings).select(*_WANTED, *HASHES)


def _masked(row: Mapping[str, str | None]) -> str:
    phone, email = row["phone_number"], row["email"]
    return mask_phone(phone) if phone else mask_email(email or "")
