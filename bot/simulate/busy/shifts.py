"""The agents' coming and going while a shop is busy: short absences, long ones, and times without new conversations."""

import asyncio
import contextlib
import random

from bot.client import CommandFailed
from bot.simulate.busy.evidence import Deed
from bot.simulate.busy.hours import Hours
from bot.simulate.busy.staff import Away, Worker

OFF = 0.3
"""The share of the agents that may be away or suspended at once, though one may always."""
_LINGER_S = 2.0
"""How long a gateway takes for granted that whoever left is still here."""


class Shifts:
    """Has agents leave and come back until the shop closes."""

    def __init__(self, hours: Hours, workers: list[Worker], seed: int) -> None:
        self.deeds: list[Deed] = []
        self._hours = hours
        self._chance = random.Random(seed)
        self._off = asyncio.Semaphore(max(1, int(len(workers) * OFF)) if len(workers) > 1 else 0)
        self._over = asyncio.Event()

    async def run(self, worker: Worker) -> None:
        """One agent's day, from their coming until the shop is over; then they are here, and online."""
        await self._pause(self._chance.uniform(0, 0.5))
        await worker.come()
        while not self._over.is_set():
            await self._pause(self._chance.uniform(0.5, 3))
            if self._chance.random() < 0.3:
                await self._take_one(worker)
            if self._off.locked() or self._over.is_set():
                continue
            async with self._off:
                await self._chance.choice([self._suspend, self._leave_shortly, self._leave_long])(worker)

    def close(self) -> None:
        """The shop is over: whoever is away comes back."""
        self._over.set()

    async def _suspend(self, worker: Worker) -> None:
        await worker.be("suspended")
        await self._pause(self._chance.uniform(1, 4))
        await worker.be("online")

    async def _leave_shortly(self, worker: Worker) -> None:
        await self._leave(worker, self._chance.uniform(0.2, self._hours.times.grace.total_seconds() / 2))

    async def _leave_long(self, worker: Worker) -> None:
        """For so long that whoever waits for them is given to others."""
        times = self._hours.times
        noticed = max(times.grace.total_seconds(), _LINGER_S) + times.lease.total_seconds() / 3
        await self._leave(worker, noticed + self._chance.uniform(0.5, 4))

    async def _leave(self, worker: Worker, seconds: float) -> None:
        await worker.leave()
        await self._pause(seconds)
        await worker.come()

    async def _take_one(self, worker: Worker) -> None:
        """A conversation that waits, from the list."""
        with contextlib.suppress(Away):
            async with worker.at_work() as device:
                waiting = list(device.client.waiting.values())
                if not waiting:
                    return
                item = self._chance.choice(waiting)
                reply = "ok"
                try:
                    await device.client.open(item["buyer_id"])
                except CommandFailed as failed:
                    reply = failed.code
                self.deeds.append(Deed(device.name, "open", item["conversation_id"], reply))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
