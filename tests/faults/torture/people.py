"""The people: who is connected, by which devices, and how they come and go.

Law: everybody comes in the end, however long the gateways are away, within some patience; whoever was here is closed at
the end.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import aiohttp

from bot.auth import Tokens
from bot.participant import Participant, Role
from bot.transcript import Frame
from tests.faults.torture.cast import Cast
from tests.faults.torture.history import History
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.thrift import Thrift

TOKEN_LASTS = timedelta(days=2)
_COMES_WITHIN = 5
"""Times their patience that somebody tries to come before the run is given up."""


class People:
    """Agents and buyers. Each starts at another of the `urls`, and is shown everything in one of the two languages."""

    def __init__(
        self,
        cast: Cast,
        urls: tuple[str, ...],
        secret: str,
        history: History,
        chance: random.Random,
        patience: timedelta,
        on_card: Callable[[Frame], None],
    ) -> None:
        self.clients: list[RecordingClient] = []
        """Whoever is here."""
        self.agents: dict[str, list[RecordingClient]] = {}
        """The devices of each agent."""
        self.violations: list[str] = []
        self._cast = cast
        self._urls = urls
        self._tokens = Tokens(secret)
        self._history = history
        self._chance = chance
        self._patience = patience.total_seconds()
        self._on_card = on_card
        self._names = {person.id: person.name for person in (*cast.shop.agents, *cast.shop.buyers)}
        self._thrift = Thrift()
        self._came = 0

    async def __aenter__(self) -> "People":
        # A session's own connector opens a hundred connections and no more.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*[self.leave(client) for client in list(self.clients)])
        await self._http.close()

    async def open_shop(self) -> None:
        """All agents come; the first has two devices."""
        ids = [agent.id for agent in self._cast.shop.agents]
        came = await asyncio.gather(*[self.come(Role.AGENT, id) for id in [*ids, ids[0]]])
        self.agents = {id: [client] for id, client in zip(ids, came, strict=False)}
        self.agents[ids[0]].append(came[-1])

    async def come(self, role: Role, person_id: str) -> RecordingClient:
        """A device of somebody, connected; a second one has `#2` in its name. Raises Refused, TimeoutError."""
        who = f"{role} {person_id}"
        others = sum(client.who.partition("#")[0] == who for client in self.clients)
        first = self._came % len(self._urls)
        client = RecordingClient(
            f"{who}#{others + 1}" if others else who,
            self._history,
            [*self._urls[first:], *self._urls[:first]],
            lambda: self.token(role, person_id),
            chance=random.Random(self._chance.getrandbits(64)),
            thrift=self._thrift,
            on_card=self._on_card,
            locale=("zh-CN", "en")[self._came % 2],
            http=self._http,
            patience=self._patience,
        )
        self._came += 1
        self.clients.append(client)
        async with asyncio.timeout(self._patience * _COMES_WITHIN):
            while True:
                with contextlib.suppress(TimeoutError):
                    await client.start()
                    return client

    async def leave(self, client: RecordingClient) -> None:
        """Somebody's device is put away for good."""
        if client in self.clients:
            self.clients.remove(client)
            self.violations += [f"{client.who}: {violation}" for violation in client.violations]
            await client.aclose()

    def token(self, role: Role, person_id: str) -> str:
        """A token of anybody."""
        who = Participant(
            role=role,
            id=person_id,
            shop_id=self._cast.shop.shop.id,
            name=self._names[person_id],
            expires=datetime.now(UTC) + TOKEN_LASTS,
        )
        return self._tokens.sign(who)
