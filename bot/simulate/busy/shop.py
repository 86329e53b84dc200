"""A busy shop from its first message to its last reply, and what everybody has when it has come to rest."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from bot.conversation import conversation_id
from bot.simulate.busy.buyer import BuyerDay
from bot.simulate.busy.checker import check_busy
from bot.simulate.busy.evidence import BusyEvidence, Notebook, now_ms
from bot.simulate.busy.hours import Hours
from bot.simulate.busy.neighbour import Neighbour
from bot.simulate.busy.read_back import Ending
from bot.simulate.busy.report import BusyReport, make_busy_report
from bot.simulate.busy.shifts import Shifts
from bot.simulate.busy.staff import Worker
from bot.simulate.busy.talk import BusyChat
from bot.simulate.people import People
from bot.simulate.random_play import RandomPlay
from bot.simulate.sightings import Sightings
from bot.simulate.simulation import unless_broken
from bot.simulate.stage import OPENING, Stage
from bot.simulate.town import Town
from cards.card import render_order
from cards.texts import Locale

FIRST_WAVE = 0.2
"""The share of the buyers that write before any agent has come."""
AGENTS_COME_S = 0.5
AGENTS_ARE_HERE_S = 1.5
ARRIVALS_PER_S = 50
CLUMP = 10
"""So many buyers begin in the same instant."""
KILL_AT = 0.4
"""The share of the buyers that are done when a gateway is killed."""
REPLACED_AFTER_S = 1.0


async def keep_busy(hours: Hours, town: Town, progress: Callable[[], None]) -> BusyReport:
    """Play the hours in a town of our own and judge them. Raises Unplayable, GatewayFailed."""
    sightings = Sightings()
    async with People(town.urls, town.secret, hours.file, sightings) as people:
        shop = BusyShop(hours, town, people, sightings, progress)
        evidence, seconds = await unless_broken(town, shop.play())
    return make_busy_report(evidence, check_busy(evidence), sightings, seconds)


class BusyShop:
    """Everybody of one shop."""

    def __init__(
        self, hours: Hours, town: Town, people: People, sightings: Sightings, progress: Callable[[], None]
    ) -> None:
        self._hours = hours
        self._town = town
        self._people = people
        self._progress = progress
        self._chance = chance = random.Random(hours.seed)
        agents = [agent.id for agent in hours.file.agents][: hours.agents]
        self._buyers = [buyer.id for buyer in hours.file.buyers][: hours.buyers]
        self._staff = {id: Worker(people, id, number, self._devices(), chance) for number, id in enumerate(agents)}
        self._stage = Stage(
            town,
            hours.file,
            people,
            sightings,
            agents=agents,
            chance=chance,
            patience=hours.patience,
            cuts=hours.cuts,
            progress=lambda: None,
        )
        self._stage.allow(hours.window)
        self._chats: dict[str, BusyChat] = {}
        self._shifts = Shifts(hours, list(self._staff.values()), chance.randrange(2**32))
        self._done = 0
        self._kill = asyncio.Event()
        self._killed: list[int] = []

    def _devices(self) -> int:
        return 1 + (self._chance.randrange(100) < self._hours.two_devices)

    async def play(self) -> tuple[BusyEvidence, float]:
        """The evidence, and how many seconds the shop was busy."""
        orders = await self.read_orders()
        self._stage.orders.update(orders)
        await self._open_doors()
        neighbour = Neighbour(self._people, f"{self._hours.file.shop.id}-next-door")
        started = time.perf_counter()
        async with asyncio.TaskGroup() as playing:
            playing.create_task(neighbour.play())
            killing = playing.create_task(self._kill_gateway())
            for worker in self._staff.values():
                playing.create_task(self._work(worker))
            async with asyncio.TaskGroup() as buying:
                for number, day in enumerate(self._days(orders)):
                    buying.create_task(self._day(number, day))
            killing.cancel()
            self._shifts.close()
        seconds = time.perf_counter() - started
        ending = Ending(self._hours, self._stage, self._chats, self._staff, neighbour)
        return await ending.read(self._shifts.deeds, self._killed, self.read_orders), seconds

    async def read_orders(self) -> dict[str, dict[str, Any]]:
        """Every order of the buyers as the order system has it now, by id."""
        assert self._town.shop is not None
        found = {}
        for buyer_id in self._buyers:
            for order in await self._town.shop.orders(self._hours.file.shop.id, buyer_id):
                found[order.id] = render_order(order, {}, Locale.EN)
        return found

    async def _open_doors(self) -> None:
        """Every buyer connects; nobody has said anything yet."""
        places = asyncio.Semaphore(OPENING)
        shop_id = self._hours.file.shop.id

        async def come(number: int, buyer_id: str, devices: int) -> None:
            notebooks = [
                Notebook(f"buyer {buyer_id}, device {i + 1}", "buyer", buyer_id, shop_id) for i in range(devices)
            ]
            async with places:
                connected = [
                    await self._people.device("buyer", buyer_id, i + 1, number + i, notebook)
                    for i, notebook in enumerate(notebooks)
                ]
            chat = BusyChat(conversation_id(shop_id, buyer_id), self._people, connected, "", 0, None)
            chat.staff, chat.notebooks = self._staff, notebooks
            self._chats[buyer_id] = chat

        async with asyncio.TaskGroup() as coming:
            for number, buyer_id in enumerate(self._buyers):
                coming.create_task(come(number, buyer_id, self._devices()))

    def _days(self, orders: dict[str, dict[str, Any]]) -> list[BuyerDay]:
        shop_of = {order.id: order.buyer_id for order in self._hours.file.orders}
        able = {id: self._chats[shop_of[id]] for id, order in orders.items() if order["can_change"]}
        cards = RandomPlay(self._stage, self._hours.mix, dict(able))
        of_buyer: dict[str, list[str]] = {}
        for order_id in able:
            of_buyer.setdefault(shop_of[order_id], []).append(order_id)
        return [
            BuyerDay(
                self._hours,
                self._chats[buyer_id],
                of_buyer.get(buyer_id, []),
                cards,
                list(self._staff),
                self._chance.randrange(2**32),
            )
            for buyer_id in self._buyers
        ]

    async def _day(self, number: int, day: BuyerDay) -> None:
        if number >= FIRST_WAVE * len(self._buyers):
            clump = number // CLUMP * CLUMP - FIRST_WAVE * len(self._buyers)
            await asyncio.sleep(AGENTS_ARE_HERE_S + max(0, clump) / ARRIVALS_PER_S)
        await day.play()
        self._done += 1
        self._progress()
        if self._done >= KILL_AT * len(self._buyers):
            self._kill.set()

    async def _work(self, worker: Worker) -> None:
        await asyncio.sleep(AGENTS_COME_S)
        await self._shifts.run(worker)

    async def _kill_gateway(self) -> None:
        if not self._hours.kill_gateway:
            return
        await self._kill.wait()
        self._killed.append(now_ms())
        await self._town.gateways[-1].replace(REPLACED_AFTER_S)
