"""Turn the rows of a plan into submissions: keyed hashes, externalId and request body.

A body is rendered only when it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from importer.masking import mask_digits, mask_email, mask_phone
from importer.model import PlannedRow, RowStatus, Submission
from importer.planning.external_ids import external_id, external_ids
from importer.planning.identity import shorten_keys
from importer.planning.placeholders import TOKEN, compile_value
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
    from collections.abc import Container, Iterator

    from importer.model import Group, Json, Plan
    from importer.planning.identity import Identity
    from importer.settings import Settings


_AT_ONCE: Final = 10_000  # rows that are made into submissions at once
_LINES_AT_ONCE: Final = 25_000
_FEW: Final = 50  # rows of a group that are faster rendered one by one
_ESCAPED: Final = r'["\\\x00-\x1f]'  # what JSON does not take in a text
_HEAD: Final = ("externalId", "skipDuplicationCheck", "shouldSendDuringBusinessHours")
HASHES: Final = (KEY, PERSON, EMAIL_HASH, CANDIDATE_HASH, BODY_HASH)
"""Columns of a plan's frame with keyed hashes: submission, person, mailbox, candidate id, body."""

_WANTED: Final = (SOURCE, ROW, GROUP, *sorted(OWN))
_SHAPING: Final = (
    "conversation",
    "conversation_fields",
    "skip_duplication_check",
    "send_during_business_hours",
)
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
        """Return the request body of a row; shared parts are the same objects in each body.

        Args:
            row: canonical columns, tidy; null is left out.
            external_id: the id that reconciliation looks for.
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

    def as_json(self, rows: pl.DataFrame) -> pl.Series | None:
        """Return the bodies of rows as JSON, made in bulk; None if only `body` can make them.

        Args:
            rows: canonical columns in which `escape_texts` escaped every text, and `externalId`.
        """
        head = {*dict(_PLAIN).values(), *self._campaign, *_HEAD}
        if not head.isdisjoint(self._shared):
            return None  # a field of the settings replaces a value in its place
        pieces: list[str | pl.Expr] = ["{"]
        for column, key in _PLAIN:
            text = pl.concat_str(pl.lit(f'"{key}":"'), column, pl.lit('",'))
            pieces.append(pl.when(pl.col(column) != "").then(text).otherwise(pl.lit("")))
        pieces += [f'"{key}":{_dump(value)},' for key, value in self._campaign.items()]
        pieces += ['"externalId":"', pl.col("externalId"), '"']
        if self._may_skip:
            skip = pl.col("skip_duplication_check") == "true"
            skipped = pl.lit(',"skipDuplicationCheck":true')
            pieces.append(pl.when(skip).then(skipped).otherwise(pl.lit("")))
        usual, hours = self._business_hours, pl.col("send_during_business_hours")
        pieces.append(
            pl.when(hours == "true")
            .then(pl.lit(_hours(value=True)))
            .when(hours != "")
            .then(pl.lit(_hours(value=False)))
            .otherwise(pl.lit("" if usual is None else _hours(value=usual)))
        )
        for key, value in self._shared.items():
            pieces += [f",{_dump(key)}:", *_json_pieces(value)]
        pieces.append("}")
        return rows.select(
            pl.concat_str(pl.lit(each) if isinstance(each, str) else each for each in pieces)
        ).to_series()


def _hours(*, value: bool) -> str:
    return f',"shouldSendDuringBusinessHours":{_dump(value)}'


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_pieces(value: Json) -> Iterator[str | pl.Expr]:
    """Yield the compact JSON of a value, in which each of our placeholders is a column."""
    if isinstance(value, str):
        end = 0
        yield '"'
        for match in TOKEN.finditer(value):
            name = match.group("ours")
            if name in OWN:
                yield _dump(value[end : match.start()])[1:-1]
                yield pl.col(name).fill_null(pl.lit(match.group()))
                end = match.end()
        yield _dump(value[end:])[1:]
    elif isinstance(value, Mapping):
        for place, (key, each) in enumerate(value.items()):
            yield f"{',' if place else '{'}{_dump({key: 0})[1:-2]}"
            yield from _json_pieces(each)
        yield "}" if value else "{}"
    elif isinstance(value, Sequence):
        for place, each in enumerate(value):
            yield "," if place else "["
            yield from _json_pieces(each)
        yield "]" if value else "[]"
    else:
        yield _dump(value)


def escape_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Escape every text for JSON; the texts that need it are few."""
    escaped = []
    for column in rows.iter_columns():
        if column.dtype == pl.String and column.str.contains(_ESCAPED).any():
            odd = column.filter(column.str.contains(_ESCAPED).fill_null(value=False)).unique()
            escaped.append(column.replace(odd, [_dump(text)[1:-1] for text in odd]))
    return rows.with_columns(escaped)


def payload_lines(
    plan: Plan, identity: Identity, settings: Settings, files: Sequence[str]
) -> Iterator[pl.Series]:
    """Yield a line `{"source", "row", "key", "body"}` of JSON for each ready row, many at once.

    Args:
        plan: the plan that can be sent.
        identity: makes the keys.
        settings: shape the bodies.
        files: names, by their position in the plan.
    """
    renderers = [Renderer(group, settings) for group in plan.groups]
    for part in _require_whole(plan).iter_slices(_LINES_AT_ONCE):
        rows = hash_keys(part, identity).select(*_WANTED, KEY)
        own_ids = external_ids(rows, settings.external_id)
        rows = rows.with_columns(own_ids.alias("externalId")).with_row_index("#at")
        bodies = [
            found.select("#at", body=_render(renderers[number], found))
            for (number,), found in rows.partition_by(GROUP, as_dict=True).items()
        ]
        names = pl.col(SOURCE).replace_strict(
            range(len(files)), [_dump(name) for name in files], return_dtype=pl.String
        )
        yield (
            rows.join(pl.concat(bodies), on="#at", maintain_order="left")
            .select(
                pl.concat_str(
                    *(pl.lit('{"source":'), names, pl.lit(',"row":'), pl.col(ROW)),
                    *(pl.lit(',"key":"'), pl.col(KEY), pl.lit('","body":'), "body", pl.lit("}")),
                )
            )
            .to_series()
        )


def _render(renderer: Renderer, rows: pl.DataFrame) -> pl.Series:
    """Render the bodies of rows of one group, as compact JSON."""
    found = renderer.as_json(escape_texts(rows)) if rows.height >= _FEW else None
    if found is not None:
        return found
    return pl.Series(
        [_dump(renderer.body(row, row["externalId"])) for row in rows.iter_rows(named=True)]
    )


def submissions(
    plan: Plan,
    identity: Identity,
    settings: Settings,
    rows: pl.DataFrame | None = None,
    only: Container[str] | None = None,
) -> Iterator[Submission]:
    """Yield the submissions of a plan, in order of its frame.

    Args:
        plan: gives the groups.
        identity: makes keys and hashes.
        settings: shape the bodies.
        rows: part of `plan.frame`; all of it by default.
        only: keys; no other submission is made.
    """
    frame = _require_whole(plan) if rows is None else rows
    renderers: dict[int, Renderer] = {}
    for slice_ in frame.iter_slices(_AT_ONCE):
        part = hash_keys(slice_, identity)
        if only is not None:
            part = part.filter(pl.Series([key in only for key in part[KEY]], dtype=pl.Boolean))
        found = hash_rows(part, plan, identity, settings).select(*_WANTED, *HASHES)
        for row in found.iter_rows(named=True):
            key = row[KEY]
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
                masked=_mask(row["phone_number"], row["email"]),
                body=renderers[number].body(row, own_id),
                body_hash=row[BODY_HASH],
                email=row[EMAIL_HASH],
                candidate=row[CANDIDATE_HASH],
            )


class RowsByKey:
    """Finds rows of a plan by their keys, in a time that hardly grows with the plan.

    It keeps 12 bytes for each row: a part of its key, in order, and its position.

    Args:
        frame: rows with their submission keys.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        parts = _start_of(frame[KEY])
        self._frame = frame
        self._positions = parts.arg_sort()
        self._parts = parts.gather(self._positions)

    def find(self, keys: Sequence[str]) -> pl.DataFrame:
        """Return the rows with these keys, in the order of the plan; unknown keys are left out."""
        wanted = _start_of(pl.Series(keys, dtype=pl.String))
        first = self._parts.search_sorted(wanted)
        last = self._parts.search_sorted(wanted, side="right")  # keys may begin alike
        places = pl.int_ranges(first, last, eager=True).explode(empty_as_null=False)
        rows = self._frame[self._positions.gather(places).unique().sort()]
        return rows.filter(pl.col(KEY).is_in(keys))


def _start_of(keys: pl.Series) -> pl.Series:
    """Return the first 64 bits of each key."""
    return keys.str.head(16).str.to_integer(base=16, dtype=pl.UInt64)


def planned_rows(plan: Plan, identity: Identity, settings: Settings) -> Iterator[pl.DataFrame]:
    """Yield every row of a plan as the ledger stores it; render no body.

    Each frame has many rows, with the fields of `PlannedRow` as columns. Ready rows come first, in
    the order of the plan.
    """
    codes = _codes(plan.problems)
    places = _require_whole(plan).select(SOURCE, ROW)
    codes_of_ready = places.join(codes, on=[SOURCE, ROW], how="left", maintain_order="left")
    campaigns = [group.campaign or group.external_campaign for group in plan.groups]
    for start in range(0, plan.frame.height, _PLANNED_AT_ONCE):
        part = plan.frame.slice(start, _PLANNED_AT_ONCE)
        found = hash_rows(_hash_whole_keys(part, identity), plan, identity, settings)
        numbers = found[GROUP].unique()
        names = [campaigns[number] for number in numbers]
        yield found.select(
            pl.col(SOURCE).alias("source"),
            pl.col(ROW).alias("row"),
            pl.lit(RowStatus.READY.value).alias("status"),
            codes_of_ready["codes"].slice(start, part.height).fill_null(""),
            pl.col(KEY).alias("key"),
            pl.col(GROUP)
            .replace_strict(numbers, names, return_dtype=pl.String)
            .cast(pl.String)
            .alias("campaign"),
            external_ids(found, settings.external_id).alias("external_id"),
            pl.col(PERSON).alias("person"),
            _mask_people(found).alias("masked"),
            pl.col(BODY_HASH).alias("body_hash"),
            pl.col(EMAIL_HASH).alias("email"),
            pl.col(CANDIDATE_HASH).alias("candidate"),
            pl.Series("name", identity.names(found), pl.String),
        )
    others = plan.rows.filter(pl.col("status") != RowStatus.READY.value)
    if not others.height:
        return
    for more in (codes, plan.known):
        others = others.join(more, on=[SOURCE, ROW], how="left", maintain_order="left")
    yield others.select(
        pl.col(SOURCE).alias("source"),
        pl.col(ROW).alias("row"),
        "status",
        pl.col("codes").fill_null(""),
        "key",
        *(
            pl.lit(PlannedRow._field_defaults[name], pl.String).alias(name)
            for name in PlannedRow._fields[_AFTER_KEY:]
        ),
    )


_PLANNED_AT_ONCE: Final = 50_000
_AFTER_KEY: Final = PlannedRow._fields.index("key") + 1


def _hash_whole_keys(frame: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Add submission keys, also with all their bits; drop the hashes of another identity."""
    whole = identity.whole_keys(frame)
    keys = shorten_keys(whole).alias(KEY)
    if KEY in frame.columns and not frame[KEY].equals(keys):
        frame = frame.drop(HASHES, strict=False)  # made before the ledger's key was known
    return frame.with_columns(keys, whole)


def _mask_people(frame: pl.DataFrame) -> pl.Series:
    """Return the masked person of each row; phones of one country and length at once."""
    phone = pl.col("phone_number")
    rows = frame.select(
        phone,
        "email",
        kind=pl.when(phone.str.contains(_CLEAN_PHONE)).then(
            pl.concat_str(phone.str.slice(1, 3), phone.str.len_bytes() - 1)
        ),
    )
    kinds = rows["kind"].drop_nulls().unique()
    masks = [mask_digits(kind[:3], int(kind[3:])) for kind in kinds]
    begins = [f"{begin} " if shown else begin for begin, shown in masks]
    begin = pl.col("kind").replace_strict(kinds, begins, return_dtype=pl.String)
    shown = pl.col("kind").replace_strict(
        kinds, [shown for _, shown in masks], return_dtype=pl.UInt32
    )
    masked = rows.select(pl.concat_str(begin, phone.str.tail(shown))).to_series()
    others = masked.is_null()
    if not others.any():
        return masked
    masked_singly = [_mask(*row) for row in rows.filter(others).select(phone, "email").iter_rows()]
    return masked.scatter(others.arg_true(), masked_singly)


_CLEAN_PHONE: Final = r"^\+[1-9][0-9]{2,}$"


def _codes(problems: pl.DataFrame) -> pl.DataFrame:
    """Return each row's problem codes, joined by spaces: `#source`, `#row`, `codes`.

    Most rows have one problem; grouping those, too, takes five times as long.
    """
    found = problems.filter(pl.col(ROW).is_not_null()).select(SOURCE, ROW, codes="code")
    several = found.select(SOURCE, ROW).is_duplicated()
    text = pl.col("codes").cast(pl.String)
    grouped = found.filter(several).group_by(SOURCE, ROW)
    more = grouped.agg(pl.col("codes").unique(maintain_order=True).cast(pl.String).str.join(" "))
    return pl.concat([found.filter(~several).with_columns(text), more])


def _require_whole(plan: Plan) -> pl.DataFrame:
    """Return the ready rows; raise ValueError for a plan that can only be shown."""
    if not plan.whole:
        raise ValueError("this plan can only be shown: it did not keep its rows")
    return plan.frame


def identify(plan: Plan, identity: Identity) -> Plan:
    """Return the plan with the submission keys of its rows, without other hashes.

    Args:
        plan: the plan that can be sent.
        identity: makes the keys; it does not make its own keys again.
    """
    return with_keys(plan, hash_keys(_require_whole(plan), identity)[KEY])


def with_keys(plan: Plan, keys: pl.Series) -> Plan:
    """Return the plan with these submission keys of its rows, without other hashes.

    A million rows have 300 MB of other hashes; they are made for a few rows at a time.
    """
    frame = plan.frame.drop(HASHES, strict=False)
    return replace(plan, frame=frame.with_columns(keys.alias(KEY)))


def hash_keys(frame: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Add the submission keys to rows; keep hashes of this identity, drop another's."""
    if KEY in frame.columns:
        first = frame.head(1)
        if first[KEY].equals(identity.keys(first)):
            return frame
        frame = frame.drop(HASHES, strict=False)  # made before the ledger's key was known
    return frame.with_columns(identity.keys(frame).alias(KEY))


def hash_people(frame: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Add the hashes of submission, person, mailbox and candidate id to rows.

    Hashes of this identity stay; hashes of another identity are replaced.
    """
    frame = hash_keys(frame, identity)
    if PERSON in frame.columns:
        return frame
    return frame.with_columns(
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
    )  # without rows it would still have the type of the numbers
    return frame.with_columns(identity.bodies(frame, shared, sorted(OWN)).alias(BODY_HASH))


def _hash_shared(group: Group, identity: Identity, settings: Settings) -> str:
    """Hash what a group adds to the bodies of its rows."""
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


def _mask(phone: str | None, email: str | None) -> str:
    return mask_phone(phone) if phone else mask_email(email or "")
