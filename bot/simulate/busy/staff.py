"""The agents of a busy shop: each with their devices, here or away, and a record of when.

Law: whoever leaves first ends what they are doing, so the fate of every command is known.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from bot.simulate.busy.evidence import Notebook, Shift, now_ms
from bot.simulate.device import Device
from bot.simulate.people import People


class Away(Exception):
    """The agent is not here."""


class Worker:
    """An agent; `number` says at which gateways their devices are."""

    def __init__(self, people: People, agent_id: str, number: int, devices: int, chance: random.Random) -> None:
        self.id = agent_id
        self.shift = Shift(agent_id)
        self.devices: list[Device] = []
        self.notebooks: list[Notebook] = []
        self.here = False
        self._people = people
        self._number = number
        self._count = devices
        self._chance = chance
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._taking_since: int | None = None
        self._out_since: int | None = None
        self._left: int | None = None

    async def come(self) -> None:
        """Connect every device. Raises as ChatClient.start."""
        if self._out_since is not None:
            self.shift.out.append((self._out_since, now_ms()))
        if not self.devices:
            shop_id = self._people.shop_id
            for number in range(1, self._count + 1):
                notebook = Notebook(f"agent {self.id}, device {number}", "agent", self.id, shop_id)
                place = self._number + number
                self.devices.append(await self._people.device("agent", self.id, number, place, notebook))
                self.notebooks.append(notebook)
        else:
            await asyncio.gather(*[device.come_back() for device in self.devices])
        if self._left is not None:
            self.shift.away.append((self._left, now_ms()))
        self._left = self._out_since = None
        self.here = True
        if self.devices[0].client.welcome["state"] == "online":
            self._taking_since = now_ms()

    async def leave(self) -> None:
        """End what is under way, and be away."""
        self.here = False
        self._stop_taking()
        await self._idle.wait()
        self._left = now_ms()
        for notebook in self.notebooks:
            notebook.here()
        await asyncio.gather(*[device.leave() for device in self.devices])
        self._out_since = now_ms()

    async def be(self, state: str) -> None:
        """Be `online` or `suspended`, for as long as it is until the next call. Raises CommandFailed."""
        if state == "suspended":
            self._stop_taking()
            await self.devices[0].client.be(state)
            self._out_since = now_ms()
        else:
            assert self._out_since is not None
            self.shift.out.append((self._out_since, now_ms()))
            self._out_since = None
            await self.devices[0].client.be(state)
            self._taking_since = now_ms()

    def _stop_taking(self) -> None:
        if self._taking_since is not None:
            self.shift.taking.append((self._taking_since, now_ms()))
            self._taking_since = None

    def day_is_over(self) -> None:
        """Close the record."""
        self._stop_taking()
        for notebook in self.notebooks:
            notebook.here()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Device]:
        """One of the devices; the agent does not leave meanwhile. Raises Away."""
        if not self.here:
            raise Away(self.id)
        self._at_work += 1
        self._idle.clear()
        try:
            yield self._chance.choice(self.devices)
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._idle.set()
