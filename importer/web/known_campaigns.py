"""The campaigns that the API knows, to choose from on the page; nobody waits for it long."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

from importer.errors import ImporterError
from importer.sending.campaigns import CampaignList, list_campaigns
from importer.sending.client import Client

if TYPE_CHECKING:
    from importer.settings import Credentials, Settings


_PATIENCE_S: Final = 1.0
"""How long a page waits for the first answer; it never waits for a newer one."""

_LONGEST_S: Final = 5.0
_FRESH_S: Final = 300.0
_AGAIN_S: Final = 60.0


class KnownCampaigns:
    """Asks the API for its campaigns in the background, and keeps the answer for a while.

    Args:
        settings: of the server; with `preflight: off`, the API is not asked.
        credentials: of the API.
    """

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._lock = threading.Lock()
        self._found = CampaignList(unknown="no answer yet")
        self._due = time.monotonic()
        self._answered = threading.Event()

    def look(self) -> CampaignList:
        """Return what the API said last; if that is old, it is asked again in the background."""
        if self._settings.preflight == "off":
            return CampaignList()
        with self._lock:
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + _AGAIN_S
                threading.Thread(target=self._ask, name="campaigns", daemon=True).start()
        self._answered.wait(_PATIENCE_S)
        return self._found

    def _ask(self) -> None:
        async def ask() -> CampaignList:
            async with Client(self._settings, self._credentials) as client:
                async with asyncio.timeout(_LONGEST_S):
                    return await list_campaigns(client, self._settings.conversation)

        found = CampaignList(unknown="no answer")
        try:
            found = asyncio.run(ask())
        except (ImporterError, TimeoutError) as error:
            found = CampaignList(unknown=type(error).__name__)
        finally:
            if not found.unknown:
                self._due = time.monotonic() + _FRESH_S
            if found.titles or not self._found.titles:
                self._found = found  # an answer that fails later takes nothing away
            self._answered.set()
