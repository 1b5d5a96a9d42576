"""A mail server on loopback, and what it received."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


@dataclass
class MailServer:
    """A mail server and its post.

    Attributes:
        address: `host:port`.
        mails: what it accepted, in order.
        to: the recipients of each.
        users: the signed-in user of each mail.
        encrypted: whether each came over TLS.
        greetings: how many; each client greets again once it is encrypted.
        refuses: recipients that it does not accept, with its answer.
        says_at_quit: its answer to QUIT.
        says_to_data: its answer to a mail; empty for none at all.
    """

    address: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    greetings: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    says_at_quit: str = "221 Bye"
    says_to_data: str = "250 OK"

    async def handle_EHLO(  # noqa: N802
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Answer a client that greets."""
        session.host_name = hostname
        self.greetings += 1
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Answer a client that names a recipient."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Answer a client that sends a mail."""
        if not self.says_to_data:
            await asyncio.Event().wait()
        if self.says_to_data.startswith("2"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.to.append(envelope.rcpt_tos)
            self.users.append(str(session.auth_data or ""))
            self.encrypted.append(session.ssl is not None)
        return self.says_to_data

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        """Answer a client that leaves."""
        return self.says_at_quit

    def known(self, passwords: dict[str, str]) -> Any:
        """Accept users that give the right password, and no others."""

        def authenticate(
            _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
        ) -> AuthResult:
            user, password = data.login.decode(), data.password.decode()
            right = passwords.get(user) == password
            return AuthResult(success=right, handled=False, auth_data=user)

        return authenticate


@contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, passwords: dict[str, str] | None = None
) -> Iterator[MailServer]:
    """Yield a mail server, for as long as the context lasts.

    Args:
        tls: it takes mails only after STARTTLS with this.
        passwords: it takes mails only from these users.
    """
    post = MailServer()
    loop = asyncio.new_event_loop()

    def connected() -> SMTP:
        return SMTP(
            post,
            hostname="mail.example.com",
            loop=loop,
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=passwords is not None,
            authenticator=post.known(passwords or {}),
        )

    server = loop.run_until_complete(loop.create_server(connected, "127.0.0.1", 0))
    post.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield post
    finally:
        asyncio.run_coroutine_threadsafe(_closed(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _closed(server: asyncio.Server) -> None:
    """End the server and its connections."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
