"""The settings that only `importer nightly` goes by; a part of `Settings`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from importer.settings.values import Seconds, Wait

_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_PERCENT: Final = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*%")


def _share(value: object) -> object:
    """`50%` as 0.5; anything else as it is."""
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else float(found[1]) / 100


def _time(value: str) -> str:
    """A time of day."""
    if not re.fullmatch(_CLOCK, value.strip()):
        raise ValueError('must be a time of day such as "06:00"')
    return value.strip()


def _hours(value: str) -> str:
    """From one time of day to another, over midnight where the second is the earlier one."""
    start, _, end = value.replace(" ", "").partition("-")
    if not (re.fullmatch(_CLOCK, start) and re.fullmatch(_CLOCK, end)) or start == end:
        raise ValueError('must be hours such as "08:00-20:00"')
    return f"{start}-{end}"


def _zone(value: str) -> str:
    """A time zone of the IANA database."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError("must be a time zone such as Europe/London") from exc
    return value


def _server(value: str) -> str:
    """A mail server as `host` or `host:port`."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
        raise ValueError("must be a mail server such as smtp.example.com:587")
    return value


def _address(value: str) -> str:
    """An e-mail address, roughly: the mail server has the last word."""
    if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value):
        raise ValueError("must be an e-mail address such as importer@example.com")
    return value


Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=100, allow_inf_nan=False)]
TimeOfDay = Annotated[str, AfterValidator(_time)]
Hours = Annotated[str, AfterValidator(_hours)]
Zone = Annotated[str, AfterValidator(_zone)]
Server = Annotated[str, AfterValidator(_server)]
Address = Annotated[str, AfterValidator(_address)]


class NightlySettings(BaseModel):
    """When files are taken and sent at night, which are held, and who hears of it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # when a file is taken, and when its rows are sent
    quiet_s: Wait = 60.0
    """Seconds for which a file must not have changed before it is taken."""
    patience_s: Wait = 900.0
    """Longest wait for files that are still being written, seconds; the next night takes them."""
    done_marker: bool = False
    """Take a file only once another one, called FILE.done, lies beside it."""
    desk: Path = Path("desk")
    """Folder of this machine in which a night works on the files of a remote inbox."""
    remote_timeout_s: Seconds = 30.0
    """Seconds to wait for a remote inbox in every step of the network."""
    remote_file_s: Wait = 1800.0
    """Longest time in which a file must have come from a remote inbox, seconds."""
    timezone: Zone = "UTC"
    """Time zone of send_between, of deadline, and of the dates that folders are called by."""
    send_between: Hours | None = None
    """Hours in which people are written to, such as 08:00-20:00; any by default."""
    deadline: TimeOfDay | None = None
    """Time of day when the night ends, such as 06:00; 12 hours after its start by default."""
    outage_wait_s: Wait = 600.0
    """Seconds after which the night tries again, when the API takes nothing."""
    grace_s: Wait = 30.0
    """Seconds in which requests under way may finish once the process is told to end."""

    # what is held until a person looks
    max_rejected_share: Share = 0.2
    """Hold a file with a larger share of rejected rows than this, such as 20%."""
    guard_files: int = Field(default=7, ge=0, le=1_000)
    """With how many of the folder's last files a new one is compared; 0 for no comparison."""
    guard_after: int = Field(default=3, ge=1, le=1_000)
    """How many files a folder must have imported before new ones are compared."""
    guard_rows: Share | None = 0.5
    """Hold a file whose rows are more or fewer than usual by a larger share than this."""
    guard_rejected: Share | None = 0.1
    """Hold a file whose share of rejected rows is larger than usual by more than this."""
    guard_known: Share | None = 0.5
    """The same for its share of rows that bring nobody new: imported already, or repeated."""
    guard_countries: Share | None = 0.2
    """Hold a file with a larger share of rows from countries that the last ones did not have."""
    guard_columns: bool = True
    """Hold a file that has columns that the last one did not have, or lacks some."""

    # who hears of it
    notify: Literal["always", "files", "problems"] = "files"
    """When to send a message: always, after a night with files, or with problems."""
    mail_to: tuple[Address, ...] = ()
    """Who gets the morning's message by e-mail: a list, such as [ops@example.com]."""
    mail_from: Address = "importer@localhost.localdomain"
    """Sender of the morning's e-mail."""
    smtp: Server = "localhost:25"
    """Mail server; its password is IMPORTER_SMTP_PASSWORD in the environment."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to the mail server is protected."""
    smtp_user: str | None = None
    """User at the mail server; none by default."""
    log_file: Path | None = None
    """File that the night's events are appended to, as JSON lines; standard error by default."""
    metrics_file: Path | None = None
    """File for Prometheus's textfile collector, such as /var/lib/node_exporter/importer.prom."""
