"""The morning's message: a mail by SMTP and a post to a webhook; the second door to the network.

A message says how many and which files, and nothing of a person. Whether it arrives or not, the
import is over by then and stays as it is.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Any, Final

import httpx
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    wait_exponential_jitter,
)

from importer.errors import Exit, ImporterError
from importer.nightly.inbox import NIGHTS
from importer.report.night_html import write_night
from importer.report.night_report import slack_of, subject_of, text_of, write_metrics
from importer.settings.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from importer.nightly.inbox import Inbox
    from importer.report.night_report import NightReport
    from importer.settings import Settings


_TRIES: Final = 4
_TIMEOUT_S: Final = 20.0
_FOR_GOOD: Final = 500
"""From here on an answer of SMTP says: never."""
_AGAIN: Final = frozenset({408, 425, 429, 503})
"""Statuses that say: not taken, try later."""


class NotDelivered(Exception):
    """A message surely did not arrive; its text is the cause's class or status."""


class MessageRefused(Exception):
    """The same, and another try would be answered the same."""


class MaybeDelivered(Exception):
    """A message may have arrived, so it is not sent again; its text is the cause's class."""


def send(
    settings: Settings,
    subject: str,
    text: str,
    post: Mapping[str, Any],
    *,
    now: datetime,
    sleep: Callable[[float], object],
    stopped: Callable[[], bool] = lambda: False,
    timeout_s: float = _TIMEOUT_S,
) -> dict[str, str]:
    """Sends the message wherever the settings want it, each once, with retries.

    A retry follows only what surely did not arrive. Nothing is raised.

    Args:
        settings: recipients and mail server; the webhook's address is a secret.
        subject: of the mail.
        text: of the mail.
        post: the JSON for the webhook.
        now: the date of the mail.
        sleep: waits for that many seconds.
        stopped: whether the process was told to end; then nothing is tried again.
        timeout_s: longest silence of a server.

    Returns:
        Way (`mail`, `webhook`) -> `sent`, or why it was not; ways that nobody wants are left out.
    """
    ways: dict[str, Callable[[], None]] = {}
    try:
        secrets = Secrets.read()
    except Exception as exc:  # noqa: BLE001 - a message never fails the night
        return {"settings": type(exc).__name__}
    if settings.mail_to:
        mail = _mail(settings, subject, text, now)
        password = secrets.importer_smtp_password
        said = "" if password is None else password.get_secret_value()
        ways["mail"] = lambda: _send_mail(settings, mail, said, timeout_s)
    if secrets.importer_webhook_url is not None:
        address = secrets.importer_webhook_url.get_secret_value()
        ways["webhook"] = lambda: _post(address, post, timeout_s)
    return {way: _tried(deliver, sleep, stopped) for way, deliver in ways.items()}


def _tried(
    deliver: Callable[[], None], sleep: Callable[[float], object], stopped: Callable[[], bool]
) -> str:
    def pause(seconds: float) -> None:
        sleep(seconds)

    def enough(state: RetryCallState) -> bool:
        return state.attempt_number >= _TRIES or stopped()

    retrying = Retrying(
        retry=retry_if_exception_type(NotDelivered),
        stop=enough,
        wait=wait_exponential_jitter(initial=1, max=30),
        sleep=pause,
    )
    try:
        retrying(deliver)
    except RetryError as exc:
        return f"not delivered ({exc.last_attempt.exception()})"
    except MessageRefused as exc:
        return f"not delivered ({exc})"
    except MaybeDelivered as exc:
        return f"perhaps delivered ({exc})"
    except Exception as exc:  # noqa: BLE001 - a message never fails the night
        return f"not delivered ({type(exc).__name__})"
    return "sent"


def _mail(settings: Settings, subject: str, text: str, now: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = settings.mail_from
    mail["To"] = ", ".join(settings.mail_to)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail


def _send_mail(settings: Settings, mail: EmailMessage, password: str, timeout_s: float) -> None:
    """Hands a mail to the server, once; raises NotDelivered, Refused or MaybeDelivered."""
    host, _, port = settings.smtp.partition(":")
    secure = settings.smtp_security
    said = False
    refused: Mapping[str, tuple[int, bytes]] = {}
    try:
        if secure == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, int(port or 465), timeout=timeout_s, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, int(port or 25), timeout=timeout_s)
        with _leaving(server):
            if secure == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user is not None:
                server.login(settings.smtp_user, password)
            said = True
            refused = server.send_message(mail)
    except smtplib.SMTPResponseException as exc:  # the server's clear no
        raise _no(exc.smtp_code) from exc
    except smtplib.SMTPRecipientsRefused as exc:
        raise _no(max(code for code, _ in exc.recipients.values())) from exc
    except smtplib.SMTPNotSupportedError as exc:
        raise MessageRefused(f"the server has no {secure}, or no login") from exc
    except (smtplib.SMTPException, OSError) as exc:
        if said:
            raise MaybeDelivered(type(exc).__name__) from exc
        raise NotDelivered(type(exc).__name__) from exc
    if refused:
        raise MessageRefused(
            f"to {len(refused)} of {len(settings.mail_to)}: SMTP {_codes(refused)}"
        )


@contextmanager
def _leaving(server: smtplib.SMTP) -> Iterator[None]:
    """Says goodbye whatever happens; what the server answers to that changes nothing any more."""
    try:
        yield
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    finally:
        server.close()


def _no(code: int) -> Exception:
    """What a server's no means: 5xx for good, anything else for now."""
    return (MessageRefused if code >= _FOR_GOOD else NotDelivered)(f"SMTP {code}")


def _codes(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return ", ".join(str(code) for code in sorted({code for code, _ in refused.values()}))


def _post(address: str, post: Mapping[str, Any], timeout_s: float) -> None:
    """Posts to a webhook, once; raises NotDelivered, Refused or MaybeDelivered."""
    try:
        with httpx.Client(timeout=timeout_s, trust_env=False, follow_redirects=False) as http:
            status = http.post(address, json=dict(post)).status_code
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise NotDelivered(type(exc).__name__) from exc
    except httpx.HTTPError as exc:
        raise MaybeDelivered(type(exc).__name__) from exc
    if status in _AGAIN:
        raise NotDelivered(f"HTTP {status}")
    if httpx.codes.is_redirect(status) or httpx.codes.is_client_error(status):
        raise MessageRefused(f"HTTP {status}")
    if not httpx.codes.is_success(status):
        raise MaybeDelivered(f"HTTP {status}")


def tell(
    night: NightReport,
    settings: Settings,
    root: Path,
    sleep: Callable[[float], object],
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Writes the night's page and metrics, and sends its message; says what did not work.

    Args:
        night: what it did.
        settings: the main ones.
        root: the inbox.
        sleep: waits between the tries of a message, in seconds.
        stopped: whether the process was told to end; then no message is tried again.
    """
    faults = []
    if night.files or night.exit_code is not Exit.OK:
        faults += _write(lambda: _page(night, root))
    metrics_file = settings.metrics_file
    if metrics_file is not None:
        faults += _write(lambda: write_metrics(night, metrics_file))
    if _wanted(night, settings):
        outcome = send(
            settings,
            subject_of(night),
            text_of(night),
            slack_of(night),
            now=night.ended,
            sleep=sleep,
            stopped=stopped,
        )
        faults += [
            f"The morning's message by {way} was {how}."
            for way, how in outcome.items()
            if how != "sent"
        ]
    return faults


def page_given_back(inbox: Inbox, now: datetime) -> list[str]:
    """Gives the night's page to an inbox that lies elsewhere; says what did not work."""
    if not (inbox.root / NIGHTS).is_dir() or not inbox.elsewhere:
        return []
    try:
        with inbox.at_work(now):
            inbox.carry_back()
    except ImporterError as exc:
        return [exc.message]
    return []


def _page(night: NightReport, root: Path) -> None:
    folder = root / NIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    write_night(night, folder / f"{night.id}.html", root)


def _wanted(night: NightReport, settings: Settings) -> bool:
    problems = night.exit_code is not Exit.OK or night.doubtful_open > 0
    files = bool(night.files) and settings.notify == "files"
    return settings.notify == "always" or problems or files


def _write(write: Callable[[], None]) -> list[str]:
    try:
        write()
    except ImporterError as exc:
        return [exc.message]
    except OSError as exc:
        return [f"{exc.filename} cannot be written: {exc.strerror}."]
    return []
