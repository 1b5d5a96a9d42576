"""The morning's mail at a real server: encrypted, signed in, once, and never a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from importer.nightly import notifications
from importer.settings import Settings
from tests.support.certificates import Certificate, make_certificate
from tests.support.mail import MailServer, mail_server
from tests.support.sockets import silent_server

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 7, 10, 6, tzinfo=UTC)
TO = ("ops@example.com", "lead@example.com")
TEXT = "3 conversations started from 1 file.\n\nüñí.csv: imported\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return the certificate of the mail server."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def post() -> Iterator[MailServer]:
    """Yield a mail server without encryption."""
    with mail_server() as post:
        yield post


def sent(
    address: str, waits: list[float] | None = None, timeout_s: float = 10, **settings: Any
) -> str:
    """Return how the mail's sending ended."""
    chosen = Settings(
        mail_to=TO, mail_from="importer@example.org", smtp=address, **settings
    )  # fmt: skip
    sleep = (waits if waits is not None else []).append
    result = notifications.send_message(
        chosen, "Import: all well", TEXT, {}, now=NOW, sleep=sleep, timeout_s=timeout_s
    )
    assert set(result) == {"mail"}
    return result["mail"]


def test_a_mail_with_starttls_and_login(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives once, encrypted, from the user, as it was written."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    monkeypatch.setenv("IMPORTER_SMTP_PASSWORD", "correct horse")
    with mail_server(certificate.tls, {"importer": "correct horse"}) as post:
        assert sent(post.address, smtp_user="importer") == "sent"
        (mail,) = post.mails
    assert post.encrypted == [True]
    assert post.users == ["importer"]
    assert post.to == [list(TO)]
    assert mail["subject"] == "Import: all well"
    assert mail["from"] == "importer@example.org"
    assert mail["to"] == "ops@example.com, lead@example.com"
    assert mail["date"].datetime == NOW
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["message-id"].endswith("@example.org>")
    assert mail.get_content().replace("\r\n", "\n") == TEXT


@pytest.mark.parametrize(
    ("trusted", "password", "result"),
    [
        (True, "wrong", "not delivered (SMTP 535)"),
        (False, "correct horse", "not delivered (SSLCertVerificationError)"),
    ],
)
def test_a_login_that_fails(
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    *,
    trusted: bool,
    password: str,
    result: str,
) -> None:
    """A wrong password is tried once; to a server that cannot prove itself none is said."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    monkeypatch.setenv("IMPORTER_SMTP_PASSWORD", password)
    waits: list[float] = []
    with mail_server(certificate.tls, {"importer": "correct horse"}) as post:
        assert sent(post.address, waits, smtp_user="importer") == result
        assert post.mails == []
    assert len(waits) == (0 if trusted else 3)


def test_a_server_without_starttls_gets_nothing(post: MailServer) -> None:
    """Unless the settings ask for no protection."""
    assert sent(post.address) == "not delivered (the server has no starttls, or no login)"
    assert sent(post.address, smtp_security="none") == "sent"
    assert post.encrypted == [False]


@pytest.mark.parametrize(
    ("refused", "result", "mails_and_tries"),
    [
        (dict.fromkeys(TO, "550 never"), "not delivered (SMTP 550)", (0, 1)),
        (dict.fromkeys(TO, "450 later"), "not delivered (SMTP 450)", (0, 4)),
        ({TO[0]: "550 never"}, "not delivered (to 1 of 2: SMTP 550)", (1, 1)),
    ],
)
def test_recipients_that_are_refused(
    post: MailServer, refused: dict[str, str], result: str, mails_and_tries: tuple[int, int]
) -> None:
    """The result names a refused recipient, and the other recipients get the mail once."""
    post.refuses = refused
    assert sent(post.address, smtp_security="none") == result
    assert (len(post.mails), post.greetings) == mails_and_tries


@pytest.mark.parametrize(
    ("answer", "result", "tries"),
    [
        ("554 looks like spam", "not delivered (SMTP 554)", 1),
        ("451 disk full", "not delivered (SMTP 451)", 4),
        ("", "perhaps delivered (SMTPServerDisconnected)", 1),
    ],
)
def test_a_mail_that_is_not_taken(post: MailServer, answer: str, result: str, tries: int) -> None:
    """It goes again only where the server said that it did not take it, for now."""
    post.says_to_data = answer
    assert sent(post.address, smtp_security="none", timeout_s=0.3) == result
    assert post.greetings == tries


@pytest.mark.parametrize("answer", ["250 fine", "500 what", "421 busy"])
def test_a_strange_goodbye(post: MailServer, answer: str) -> None:
    """The mail was taken before it, and goes no second time."""
    post.says_at_quit = answer
    assert sent(post.address, smtp_security="none") == "sent"
    assert len(post.mails) == 1


def test_a_server_that_says_nothing() -> None:
    """The tries are few, and each ends."""
    waits: list[float] = []
    with silent_server() as url:
        result = sent(url.removeprefix("http://"), waits, timeout_s=0.1, smtp_security="none")
    assert result == "not delivered (SMTPServerDisconnected)"
    assert len(waits) == 3
