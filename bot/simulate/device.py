"""One live connection of a simulated person, and all that it showed them of each conversation.

Law: it is either connected or coming back; coming back, a person also reads the conversations that are new to them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import aiohttp

from bot.client import ChatClient, CommandFailed
from bot.simulate.evidence import Entry
from bot.simulate.sightings import Sightings
from bot.transcript import Frame
from cards.card import Audience
from cards.texts import Locale

COMMAND_LIMIT = 30.0
"""Seconds that a command may take, through whatever reconnecting."""


class Device:
    """`name` says whose it is and which. Its `client` is to be started, and the device to be closed."""

    def __init__(
        self,
        name: str,
        audience: Audience,
        person_id: str,
        urls: list[str],
        token: Callable[[], str],
        *,
        locale: Locale,
        http: aiohttp.ClientSession,
        sightings: Sightings,
    ) -> None:
        self.name = name
        self.audience = audience
        self.person_id = person_id
        self.client = ChatClient(
            urls,
            token,
            locale=locale,
            on_entry=lambda _, entry: self._saw(entry),
            on_event=self._event,
            http=http,
            patience=COMMAND_LIMIT,
        )
        self._sightings = sightings
        self._known: set[str] = set()
        self._found: dict[str, list[Entry]] = {}
        self._finding: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Leave for good."""
        for task in self._finding:
            task.cancel()
        await self.client.aclose()
        await asyncio.gather(*self._finding, return_exceptions=True)

    def entries(self, conversation_id: str) -> list[Entry]:
        """What it showed of that conversation, in the order it came."""
        live = self.client.logs.get(conversation_id, [])
        return [
            *(entry for entry in self._found.get(conversation_id, ()) if not live or entry["seq"] < live[0]["seq"]),
            *live,
        ]

    def conversations(self) -> Iterable[str]:
        """Those it has shown anything of."""
        return {*self.client.logs, *self._found}

    def _saw(self, entry: Entry) -> None:
        self._sightings.saw(self.name, self.audience == "agent", entry)

    def _event(self, frame: Frame) -> None:
        """A conversation that came to its agent while they were away is on their desk now, and they read it."""
        if frame["type"] != "welcome":
            return
        for conversation in frame["conversations"]:
            id = conversation["conversation_id"]
            if self.client.connections > 1 and id not in {*self._known, *self.client.logs}:
                task = asyncio.create_task(self._find(id, conversation["seq"]))
                self._finding.add(task)
                task.add_done_callback(self._finding.discard)
            self._known.add(id)

    async def _find(self, conversation_id: str, seq: int) -> None:
        with contextlib.suppress(CommandFailed, ConnectionError, TimeoutError):
            page = await self.client.history(conversation_id, before=seq + 1)
            self._found[conversation_id] = page["entries"]
            for entry in page["entries"]:
                self._saw(entry)
