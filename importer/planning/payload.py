"""A row of a group becomes a request body, rendered when it is sent and not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer.masking import mask_email, mask_phone
from importer.model import PlannedRow, RowStatus, Submission
from importer.planning.placeholders import compiled
from schemas.columns import GROUP, OWN, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from importer.model import Group, Json, Plan
    from importer.planning.identity import Identity
    from importer.settings import Settings


_AT_ONCE: Final = 10_000  # rows whose keys are made in one go
_ID_DIGITS: Final = 24
_WANTED: Final = (SOURCE, ROW, GROUP, *sorted(OWN))
_SHAPING: Final = ("conversation", "skip_duplication_check", "send_during_business_hours")
_PLAIN: Final = (
    ("phone_number", "phoneNumber"),
    ("email", "emailAddress"),
    ("country", "countryCode"),
    ("first_name", "firstName"),
    ("last_name", "lastName"),
)


class Renderer:
    """Renders the bodies of one group's rows; what they share is made once."""

    def __init__(self, group: Group, settings: Settings) -> None:
        campaign = {"campaignId": group.campaign, "externalCampaignId": group.external_campaign}
        self._campaign: dict[str, Json] = {key: each for key, each in campaign.items() if each}
        self._may_skip = settings.skip_duplication_check
        self._business_hours = settings.send_during_business_hours
        shared: dict[str, Json] = {}
        if settings.conversation == "auto-schedule":
            shared["meetingParticipants"] = list(group.meeting_participants)
            shared["meetingConfiguration"] = group.meeting_configuration
        self._shared = shared
        self._filled = compiled(shared)

    def body(self, row: Mapping[str, str | None], external_id: str) -> dict[str, Json]:
        """The request body of a row; parts that rows share are the same objects in each.

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


def external_id(candidate_id: str | None, key: str) -> str:
    """The row's own id, else one made from its submission key.

    An id that is an e-mail address or a phone is not taken: the ledger keeps what is returned.
    """
    if candidate_id and "@" not in candidate_id and not candidate_id.startswith("+"):
        return candidate_id
    return f"imp-{key[:_ID_DIGITS]}"


def submissions(
    plan: Plan,
    identity: Identity,
    settings: Settings,
    rows: pl.DataFrame | None = None,
    only: Container[str] | None = None,
) -> Iterator[Submission]:
    """The submissions of a plan, made one by one in order of its frame.

    Args:
        plan: gives the groups.
        identity: makes keys and hashes.
        settings: shape the bodies.
        rows: the part of `plan.frame` that is wanted; all of it by default.
        only: keys that are wanted; the bodies of others are not rendered.
    """
    frame = _whole(plan) if rows is None else rows
    renderers: dict[int, Renderer] = {}
    shared = _shared(plan, identity, settings)
    for part in frame.iter_slices(_AT_ONCE):
        hashes = _hashes(part, identity, shared)
        wanted = part.select(_WANTED)
        for hashed, row in zip(hashes.iter_rows(), wanted.iter_rows(named=True), strict=True):
            key, person, body_hash = hashed
            if only is not None and key not in only:
                continue
            number = row[GROUP]
            group = plan.groups[number]
            if number not in renderers:
                renderers[number] = Renderer(group, settings)
            own_id = external_id(row["candidate_id"], key)
            yield Submission(
                key=key,
                external_id=own_id,
                source=row[SOURCE],
                row=row[ROW],
                campaign=group.campaign or group.external_campaign,
                person=person,
                masked=_masked(row),
                body=renderers[number].body(row, own_id),
                body_hash=body_hash,
            )


def planned_rows(plan: Plan, identity: Identity, settings: Settings) -> Iterator[PlannedRow]:
    """Every row of a plan as the ledger keeps it, the ready ones first; no body is rendered."""
    codes = (
        plan.problems.filter(pl.col(ROW).is_not_null())
        .group_by(SOURCE, ROW)
        .agg(
            pl.col("code").unique(maintain_order=True).cast(pl.String).str.join(" ").alias("codes")
        )
    )
    shared = _shared(plan, identity, settings)
    noted = (
        _whole(plan)
        .select(*_WANTED, "campaign", "external_campaign")
        .join(codes, on=[SOURCE, ROW], how="left", maintain_order="left")
    )
    for part in noted.iter_slices(_AT_ONCE):
        hashes = _hashes(part, identity, shared)
        for hashed, row in zip(hashes.iter_rows(), part.iter_rows(named=True), strict=True):
            key, person, body_hash = hashed
            group = plan.groups[row[GROUP]]
            yield PlannedRow(
                row[SOURCE],
                row[ROW],
                RowStatus.READY.value,
                row["codes"] or "",
                key,
                group.campaign or group.external_campaign,
                external_id(row["candidate_id"], key),
                person,
                _masked(row),
                body_hash,
            )
    others = plan.rows.filter(pl.col("status") != RowStatus.READY.value)
    for more in (codes, plan.known):
        others = others.join(more, on=[SOURCE, ROW], how="left", maintain_order="left")
    for source, number, status, noted_codes, key in others.select(
        SOURCE, ROW, "status", "codes", "key"
    ).iter_rows():
        yield PlannedRow(source, number, status, noted_codes or "", key)


def _whole(plan: Plan) -> pl.DataFrame:
    """All ready rows of a plan; a plan that is only to be shown is never sent."""
    if not plan.whole:
        raise ValueError("this plan can be shown, not sent: it has not kept its rows")
    return plan.frame


def _shared(plan: Plan, identity: Identity, settings: Settings) -> pl.Series:
    """For each group a hash of what it gives to the bodies of its rows."""
    shaping = settings.shaping()
    return pl.Series(
        [
            identity.digest(
                [
                    group.campaign,
                    group.external_campaign,
                    group.meeting_configuration,
                    group.meeting_participants,
                    [shaping[name] for name in _SHAPING],
                ]
            )
            for group in plan.groups
        ],
        dtype=pl.String,
    )


def _hashes(part: pl.DataFrame, identity: Identity, shared: pl.Series) -> pl.DataFrame:
    """Key, person and body hash of each row."""
    return pl.DataFrame(
        [
            identity.keys(part),
            identity.persons(part),
            identity.bodies(part, shared.gather(part[GROUP]), sorted(OWN)),
        ]
    )


def _masked(row: Mapping[str, str | None]) -> str:
    phone, email = row["phone_number"], row["email"]
    return mask_phone(phone) if phone else mask_email(email or "")
