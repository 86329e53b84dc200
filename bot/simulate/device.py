"""One device of a simulated person: its connections one after another, and all that they showed of each conversation.

Law: it is either connected, coming back, or away; coming back, a person also reads the conversations that are new to
them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol

import aiohttp

from bot.client import ChatClient, CommandFailed
from bot.simulate.evidence import Entry
from bot.simulate.sightings import Sightings
from bot.transcript import Frame
from cards.card import Audience
from cards.texts import Locale

COMMAND_LIMIT = 30.0
"""Seconds that a command may take, through whatever reconnecting."""
_PAGE = 200
"""Entries of a conversation new to them that somebody reads."""


class Diary(Protocol):
    """Takes down what a device is told."""

    def entry(self, conversation_id: str) -> None:
        """An entry of that conversation."""

    def event(self, frame: Frame) -> None:
        """Any other frame that answers no command."""


class Device:
    """`name` says whose it is and which. Its `client` is to be started, and the device to be closed.

    `newcomer`: whoever connects reads what their conversations hold already, also the first time.
    """

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
        diary: Diary | None = None,
        newcomer: bool = False,
    ) -> None:
        self.name = name
        self.audience = audience
        self.person_id = person_id
        self._urls = urls
        self._token = token
        self._locale = locale
        self._http = http
        self._sightings = sightings
        self._diary = diary
        self._reads_all = newcomer
        self._known: set[str] = set()
        self._earlier: dict[str, list[Entry]] = {}
        self._complaints: list[str] = []
        self._found: dict[str, list[Entry]] = {}
        self._finding: set[asyncio.Task[None]] = set()
        self.client = self._new_client({})

    def _new_client(self, cursors: dict[str, int]) -> ChatClient:
        return ChatClient(
            self._urls,
            self._token,
            locale=self._locale,
            cursors=cursors,
            on_entry=self._saw,
            on_event=self._event,
            http=self._http,
            patience=COMMAND_LIMIT,
        )

    async def leave(self) -> None:
        """Be away, until `come_back`."""
        await self.aclose()
        for conversation_id, entries in self.client.logs.items():
            self._earlier.setdefault(conversation_id, []).extend(entries)
        self._complaints += self.client.violations
        self.client.violations.clear()
        self.client.logs.clear()

    async def come_back(self) -> None:
        """Connect again and go on where it left. Raises as ChatClient.start."""
        self._known = {*self._earlier, *self._found}
        self._reads_all = True
        self.client = self._new_client(self.client.cursors)
        await self.client.start()

    async def aclose(self) -> None:
        """Leave for good."""
        for task in self._finding:
            task.cancel()
        await self.client.aclose()
        await asyncio.gather(*self._finding, return_exceptions=True)

    @property
    def complaints(self) -> list[str]:
        """What its clients say of the protocol."""
        return [*self._complaints, *self.client.violations]

    def entries(self, conversation_id: str) -> list[Entry]:
        """What it showed of that conversation, in the order it came."""
        live = [*self._earlier.get(conversation_id, ()), *self.client.logs.get(conversation_id, ())]
        return [
            *(entry for entry in self._found.get(conversation_id, ()) if not live or entry["seq"] < live[0]["seq"]),
            *live,
        ]

    def conversations(self) -> Iterable[str]:
        """Those it has shown anything of."""
        return {*self.client.logs, *self._earlier, *self._found}

    def _saw(self, conversation_id: str, entry: Entry) -> None:
        if self._diary:
            self._diary.entry(conversation_id)
        self._sightings.saw(self.name, self.audience == "agent", entry)

    def _event(self, frame: Frame) -> None:
        """A conversation that came to its agent while they were away is on their desk now, and they read it."""
        if self._diary:
            self._diary.event(frame)
        if frame["type"] != "welcome":
            return
        for conversation in frame["conversations"]:
            id = conversation["conversation_id"]
            reads = self._reads_all or self.client.connections > 1
            if reads and id not in {*self._known, *self.client.logs} and conversation["seq"]:
                task = asyncio.create_task(self._find(id, conversation["seq"]))
                self._finding.add(task)
                task.add_done_callback(self._finding.discard)
            self._known.add(id)

    async def _find(self, conversation_id: str, seq: int) -> None:
        with contextlib.suppress(CommandFailed, ConnectionError, TimeoutError):
            page = await self.client.history(conversation_id, before=seq + 1, limit=_PAGE)
            self._found[conversation_id] = page["entries"]
            for entry in page["entries"]:
                self._sightings.saw(self.name, self.audience == "agent", entry)
