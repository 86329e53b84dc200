"""The simulated people: agents and buyers, each connected by devices to the gateways."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp

from bot.auth import Tokens
from bot.participant import Participant, Role
from bot.shopfile import Person, ShopFile
from bot.simulate.device import Device, Diary
from bot.simulate.sightings import Sightings
from cards.card import Audience
from cards.texts import Locale

TOKEN_LASTS = timedelta(days=1)


class People:
    """Everybody who is connected. `urls` are the gateways; agents and buyers are spread over them."""

    def __init__(self, urls: tuple[str, ...], secret: str, file: ShopFile, sightings: Sightings) -> None:
        self._urls = urls
        self._tokens = Tokens(secret)
        self._file = file
        self._names = {(role, person.id): person.name for role, people in _roles(file) for person in people}
        self._locale = Locale.ZH_CN if file.shop.locale.startswith("zh") else Locale.EN
        self._sightings = sightings
        self._stack = contextlib.AsyncExitStack()
        self._agents: dict[str, asyncio.Future[Device]] = {}
        self.devices: list[Device] = []
        self.shop_id = file.shop.id

    async def __aenter__(self) -> "People":
        # A session's own connector opens a hundred connections and no more.
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for agent in self._agents.values():
            agent.cancel()
        await asyncio.gather(*self._agents.values(), return_exceptions=True)
        await asyncio.gather(*[device.aclose() for device in self.devices])
        await self._stack.aclose()

    def place_of(self, agent_id: str) -> int:
        """The number of that agent's gateway. The agent must have come already."""
        return list(self._agents).index(agent_id) % len(self._urls)

    async def agent(self, agent_id: str) -> Device:
        """That agent, who comes when first asked for. Raises as ChatClient.start."""
        if agent_id not in self._agents:
            self._agents[agent_id] = asyncio.create_task(
                self._connect("agent", agent_id, f"agent {agent_id}", len(self._agents))
            )
        return await asyncio.shield(self._agents[agent_id])

    async def buyer(self, buyer_id: str, device: int, place: int) -> Device:
        """A device of that buyer on a gateway. Raises as ChatClient.start."""
        return await self._connect("buyer", buyer_id, f"buyer {buyer_id}, device {device}", place)

    async def device(
        self, audience: Audience, person_id: str, number: int, place: int, diary: Diary, *, shop_id: str | None = None
    ) -> Device:
        """A device of anybody, who reads what is there when they come; `agent` gives an agent's first.

        Raises as ChatClient.start.
        """
        name = f"{audience} {person_id}, device {number}"
        device = await self._connect(audience, person_id, name, place, diary, shop_id)
        if audience == "agent" and shop_id in (None, self.shop_id) and person_id not in self._agents:
            self._agents[person_id] = asyncio.get_running_loop().create_future()
            self._agents[person_id].set_result(device)
        return device

    def showing(self) -> dict[str, list[Device]]:
        """Of each conversation the devices that showed anything of it."""
        showing: dict[str, list[Device]] = {}
        for device in self.devices:
            for conversation_id in device.conversations():
                showing.setdefault(conversation_id, []).append(device)
        return showing

    def complaints(self) -> list[str]:
        """What every device's clients say of the protocol."""
        return [f"{device.name}: {what}" for device in self.devices for what in device.complaints]

    async def _connect(
        self,
        audience: Audience,
        person_id: str,
        name: str,
        place: int,
        diary: Diary | None = None,
        shop_id: str | None = None,
    ) -> Device:
        first = place % len(self._urls)
        device = Device(
            name,
            audience,
            person_id,
            [*self._urls[first:], *self._urls[:first]],
            partial(self._token, Role(audience), person_id, shop_id or self._file.shop.id),
            locale=self._locale,
            http=self._http,
            sightings=self._sightings,
            diary=diary,
            newcomer=diary is not None,
        )
        await device.client.start()
        self.devices.append(device)
        return device

    def _token(self, role: Role, person_id: str, shop_id: str) -> str:
        return self._tokens.sign(
            Participant(
                role=role,
                id=person_id,
                shop_id=shop_id,
                name=self._names.get((role, person_id), person_id),
                expires=datetime.now(UTC) + TOKEN_LASTS,
            )
        )


def _roles(file: ShopFile) -> tuple[tuple[Role, tuple[Person, ...]], ...]:
    return (Role.AGENT, file.agents), (Role.BUYER, file.buyers)
