"""Reading the API's conversations page by page, at the shared rate; asking again is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from importer.model import MaybeSent, NotSent
from importer.sending.circuit_breaker import StoppedWaiting
from importer.sending.responses import is_2xx, is_4xx, is_redirect
from importer.sending.retry import Policy, backoff_s, pause_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from importer.model import Response
    from importer.sending.circuit_breaker import StopSwitch
    from importer.sending.rate_limiter import RateLimiter
    from importer.sending.responses import Page
    from importer.settings import Settings


class ConversationSource(Protocol):
    """What reading needs of the client."""

    async def conversations(self, token: str | None = None) -> Page:
        """One page of the list; raises NotSent or MaybeSent."""
        ...

    async def conversation(self, conversation_id: str) -> Page:
        """One conversation; raises NotSent or MaybeSent."""
        ...


class ListUnreadable(Exception):
    """The list cannot be read to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads pages, each as often as it takes within the bounds of the policy."""

    client: ConversationSource
    limiter: RateLimiter
    settings: Settings
    switch: StopSwitch
    sleep: Callable[[float], Awaitable[object]]
    random: Callable[[], float]

    async def pages(self) -> AsyncIterator[Page]:
        """The list from its start to its end.

        Raises:
            ListUnreadable: it was not read to an end that the API states. Pages come before that.
        """
        token: str | None = None
        tokens: set[str] = set()
        count, total = 0, 0
        until = self.limiter.time() + self.settings.max_list_s
        for number in range(self.settings.max_pages):
            if number and self.limiter.time() > until:
                raise ListUnreadable(
                    f"The list of conversations was not read to its end within max_list_s "
                    f"({self.settings.max_list_s:g} s): {count} conversations."
                )
            page = await self._page(partial(self.client.conversations, token))
            yield page
            count, total = count + len(page.conversations), max(total, page.total or 0)
            token = page.next_token
            if token is None:
                if page.incomplete:
                    raise ListUnreadable(
                        f"The list of conversations is not complete: {page.incomplete}."
                    )
                if count < total:
                    raise ListUnreadable(
                        f"The list of conversations shows {count} of {total} conversations."
                    )
                return
            if token in tokens:
                raise ListUnreadable("The list of conversations goes in a circle.")
            tokens.add(token)
        raise ListUnreadable(
            f"The list of conversations is longer than max_pages ({self.settings.max_pages})."
        )

    async def each(self, conversation_ids: Sequence[str]) -> AsyncIterator[Page]:
        """Conversations one by one; those that the API does not have are left out."""
        for conversation_id in conversation_ids:
            ask = partial(self.client.conversation, conversation_id)
            yield await self._page(ask, HTTPStatus.NOT_FOUND)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run stops."""
        try:
            await self.switch.wait_for(lambda: self.sleep(seconds))
        except StoppedWaiting as exc:
            raise ListUnreadable("Interrupted before the list of conversations was read.") from exc

    async def _page(self, ask: Callable[[], Awaitable[Page]], *known: int) -> Page:
        """One page; reading is harmless, so whatever may pass is tried again."""
        policy = Policy.of(self.settings)
        said = ""
        for attempt in range(1, policy.attempts + 1):
            permitted_at = await self._permit()
            wait_s = backoff_s(attempt, policy, self.random)
            try:
                page = await ask()
            except (NotSent, MaybeSent) as exc:
                said = str(exc)
            else:
                response = page.response
                said = f"HTTP {response.status}"
                if response.refusal:
                    said = f"{said}, {response.refusal}"
                self.limiter.apply_quota(response.remaining, response.reset_s, policy.max_wait_s)
                if _is_good(response) or response.status in known:
                    self.limiter.note_success()
                    return page
                if _is_final(response):
                    break
                if _is_busy(response):
                    wait_s = pause_s(response, attempt, policy, self.random)
                    self.limiter.hold(wait_s)
                    self.limiter.slow_down(permitted_at)
            if attempt < policy.attempts:
                await self.pause(wait_s)
        raise ListUnreadable(f"The list of conversations cannot be read ({said}).")

    async def _permit(self) -> float:
        try:
            return await self.switch.wait_for(self.limiter.acquire)
        except StoppedWaiting as exc:
            raise ListUnreadable("Interrupted before the list of conversations was read.") from exc


def _is_good(response: Response) -> bool:
    return is_2xx(response.status) and response.readable and not response.refusal


def _is_busy(response: Response) -> bool:
    return response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def _is_final(response: Response) -> bool:
    """Whether asking again would bring the same: a redirect, or a no that does not mean "later"."""
    no = is_redirect(response.status) or is_4xx(response.status)
    return no and response.status not in {408, 425, 429}
