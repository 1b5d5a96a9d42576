"""The night's page, metrics and message: a mail by SMTP and a post to a webhook.

A message says how many files there were and how they ended. It has no personal data. The import is
over by then, and nothing here can change it.
"""

from __future__ import annotations

import smtplib
import socket
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

from importer.errors import Exit, ImporterError, SettingsError
from importer.nightly.inbox import NIGHTS
from importer.report.html import write_night
from importer.report.night_report import mail_subject, night_text, webhook_post, write_metrics
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
_PERMANENT: Final = 500
"""SMTP codes from here on mean a permanent refusal."""
_TEMPORARY: Final = frozenset({408, 425, 429, 503})
"""HTTP statuses of a webhook that did not take the message, but may take it later."""


class NotDelivered(Exception):
    """A message did not arrive; the text is the class or status of the cause."""


class MessageRefused(Exception):
    """A message did not arrive, and another attempt would not help."""


class MaybeDelivered(Exception):
    """A message may have arrived, so it is not sent again."""


def _never() -> bool:
    return False


def send_message(
    settings: Settings,
    subject: str,
    text: str,
    post: Mapping[str, Any],
    *,
    now: datetime,
    sleep: Callable[[float], None],
    stopped: Callable[[], bool] = _never,
    timeout_s: float = _TIMEOUT_S,
) -> dict[str, str]:
    """Send the message through every channel of the settings; never raise.

    A message is sent again only if it certainly did not arrive.

    Args:
        settings: recipients and mail server; the webhook's address is among the secrets.
        subject: the subject of the mail.
        text: the text of the mail.
        post: the JSON for the webhook.
        now: the date of the mail.
        sleep: waits between attempts, in seconds.
        stopped: whether the process was told to end; if so, nothing is tried again.
        timeout_s: seconds to wait for a server.

    Returns:
        Channel (`mail`, `webhook`) -> `sent`, or why it was not; only channels that are set. If
        the secrets cannot be read, one entry for both.
    """
    channels: dict[str, Callable[[], None]] = {}
    try:
        secrets = Secrets.read()
    except SettingsError as exc:
        return {"mail or webhook": f"not delivered ({exc.message})"}
    if settings.mail_to:
        mail = _mail(settings, subject, text, now)
        password = secrets.importer_smtp_password
        secret = "" if password is None else password.get_secret_value()
        channels["mail"] = lambda: _send_mail(settings, mail, secret, timeout_s)
    if secrets.importer_webhook_url is not None:
        address = secrets.importer_webhook_url.get_secret_value()
        channels["webhook"] = lambda: _post(address, post, timeout_s)
    return {
        channel: _deliver_with_retries(deliver, sleep, stopped)
        for channel, deliver in channels.items()
    }


def _deliver_with_retries(
    deliver: Callable[[], None], sleep: Callable[[float], None], stopped: Callable[[], bool]
) -> str:
    def enough(state: RetryCallState) -> bool:
        return state.attempt_number >= _TRIES or stopped()

    retrying = Retrying(
        retry=retry_if_exception_type(NotDelivered),
        stop=enough,
        wait=wait_exponential_jitter(initial=1, max=30),
        sleep=sleep,
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
    """Send a mail to the server, once; raise NotDelivered, MessageRefused or MaybeDelivered."""
    delivered = False
    refused: Mapping[str, tuple[int, bytes]] = {}
    try:
        with _mail_server(settings, password, timeout_s) as server:
            delivered = True
            refused = server.send_message(mail)
    except smtplib.SMTPResponseException as exc:  # a definite answer
        raise _refusal(exc.smtp_code) from exc
    except smtplib.SMTPRecipientsRefused as exc:
        raise _refusal(max(code for code, _ in exc.recipients.values())) from exc
    except smtplib.SMTPNotSupportedError as exc:
        raise MessageRefused(f"the server has no {settings.smtp_security}, or no login") from exc
    except (smtplib.SMTPException, OSError) as exc:
        if delivered:
            raise MaybeDelivered(type(exc).__name__) from exc
        raise NotDelivered(type(exc).__name__) from exc
    if refused:
        raise MessageRefused(
            f"to {len(refused)} of {len(settings.mail_to)}: SMTP {_codes(refused)}"
        )


def try_mail(settings: Settings, timeout_s: float = _TIMEOUT_S) -> str:
    """Connect to the mail server, encrypt, log in and quit, without sending a mail.

    Returns:
        What works, in a sentence.

    Raises:
        NotDelivered: it does not answer, or not properly.
        MessageRefused: it refuses the login, or does not encrypt.
    """
    secret = Secrets.read().importer_smtp_password
    password = "" if secret is None else secret.get_secret_value()
    try:
        with _mail_server(settings, password, timeout_s) as server:
            server.ehlo_or_helo_if_needed()
    except smtplib.SMTPResponseException as exc:
        raise _refusal(exc.smtp_code) from exc
    except smtplib.SMTPNotSupportedError as exc:
        raise MessageRefused(f"the server has no {settings.smtp_security}, or no login") from exc
    except (smtplib.SMTPException, OSError) as exc:
        raise NotDelivered(type(exc).__name__) from exc
    host, security, to = settings.smtp, settings.smtp_security, ", ".join(settings.mail_to)
    if settings.smtp_user is None:
        return f"{host} answers ({security}); no mail was sent to {to}"
    return f"{host} answers ({security}) and takes the login; no mail was sent to {to}"


def try_webhook(timeout_s: float = _TIMEOUT_S) -> str:
    """Connect to the webhook's server and encrypt, without making a request.

    Any request could be taken for a message. The address is a secret, so only its host is shown.

    Returns:
        What works, in a sentence; empty if there is no webhook.

    Raises:
        NotDelivered: it does not answer, or its certificate is not trusted.
        MessageRefused: the address is not an https URL.
    """
    secret = Secrets.read().importer_webhook_url
    if secret is None:
        return ""
    try:
        url = httpx.URL(secret.get_secret_value())
    except httpx.InvalidURL as exc:
        raise MessageRefused("IMPORTER_WEBHOOK_URL is not a URL") from exc
    if url.scheme not in {"http", "https"} or not url.host:
        raise MessageRefused("IMPORTER_WEBHOOK_URL must begin with https://")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        with socket.create_connection((url.host, port), timeout=timeout_s) as connection:
            if url.scheme == "https":
                context = httpx.create_ssl_context(trust_env=False)
                context.wrap_socket(connection, server_hostname=url.host).close()
    except OSError as exc:
        raise NotDelivered(type(exc).__name__) from exc
    return f"{url.host} answers; a night will post its message there, but nothing was posted now"


@contextmanager
def _mail_server(settings: Settings, password: str, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """Open a session with the mail server, encrypted and logged in as the settings say."""
    host, _, port = settings.smtp.partition(":")
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, int(port or 465), timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, int(port or 25), timeout=timeout_s)
    with _quit_after(server):
        if settings.smtp_security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user is not None:
            server.login(settings.smtp_user, password)
        yield server


@contextmanager
def _quit_after(server: smtplib.SMTP) -> Iterator[None]:
    """End the session in any case; the server's answer to that does not matter."""
    try:
        yield
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    finally:
        server.close()


def _refusal(code: int) -> Exception:
    """Return the exception for an SMTP code: 5xx is permanent."""
    return (MessageRefused if code >= _PERMANENT else NotDelivered)(f"SMTP {code}")


def _codes(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return ", ".join(str(code) for code in sorted({code for code, _ in refused.values()}))


def _post(address: str, post: Mapping[str, Any], timeout_s: float) -> None:
    """Post to a webhook, once; raise NotDelivered, MessageRefused or MaybeDelivered."""
    try:
        with httpx.Client(timeout=timeout_s, trust_env=False, follow_redirects=False) as http:
            status = http.post(address, json=dict(post)).status_code
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise NotDelivered(type(exc).__name__) from exc
    except httpx.HTTPError as exc:
        raise MaybeDelivered(type(exc).__name__) from exc
    if status in _TEMPORARY:
        raise NotDelivered(f"HTTP {status}")
    if httpx.codes.is_redirect(status) or httpx.codes.is_client_error(status):
        raise MessageRefused(f"HTTP {status}")
    if not httpx.codes.is_success(status):
        raise MaybeDelivered(f"HTTP {status}")


def notify(
    night: NightReport,
    settings: Settings,
    root: Path,
    sleep: Callable[[float], None],
    stopped: Callable[[], bool] = _never,
) -> list[str]:
    """Write the night's page and metrics, and send its message; return what did not work.

    Args:
        night: the report of the night.
        settings: the main ones.
        root: the inbox.
        sleep: waits between attempts to send a message, in seconds.
        stopped: whether the process was told to end; if so, nothing is tried again.
    """
    faults = []
    if night.files or night.exit_code is not Exit.OK:
        faults += _write(lambda: _page(night, root))
    metrics_file = settings.metrics_file
    if metrics_file is not None:
        faults += _write(lambda: write_metrics(night, metrics_file))
    if _is_wanted(night, settings):
        outcome = send_message(
            settings,
            mail_subject(night),
            night_text(night),
            webhook_post(night),
            now=night.ended,
            sleep=sleep,
            stopped=stopped,
        )
        faults += [
            f"The night's message by {channel} was {how}."
            for channel, how in outcome.items()
            if how != "sent"
        ]
    return faults


def upload_page(inbox: Inbox, now: datetime) -> list[str]:
    """Upload the night's page to a remote inbox; return what did not work."""
    if not inbox.is_remote or not (inbox.folders.root / NIGHTS).is_dir():
        return []
    try:
        with inbox.lock(now):
            inbox.upload_results()
    except ImporterError as exc:
        return [exc.message]
    return []


def _page(night: NightReport, root: Path) -> None:
    folder = root / NIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    write_night(night, folder / f"{night.id}.html", root)


def _is_wanted(night: NightReport, settings: Settings) -> bool:
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
