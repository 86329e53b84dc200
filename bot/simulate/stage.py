"""Everybody in their places: the conversations of a simulation, the orders as they were, and the cases so far."""

import asyncio
import random
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

from bot.shopfile import ShopFile
from bot.simulate.chat import Chat, open_chat
from bot.simulate.evidence import Case
from bot.simulate.negotiation import Negotiator
from bot.simulate.people import People
from bot.simulate.sightings import Sightings
from bot.simulate.town import Town

OPENING = 32
"""Conversations that are opened at once."""


def agent_ids(file: ShopFile, count: int | None) -> list[str]:
    """So many agents, the file's first (all of them when not said), else made up."""
    known = [agent.id for agent in file.agents]
    if count is None:
        return known or ["sim-agent-1"]
    more = (f"sim-agent-{number}" for number in range(1, count + len(known) + 1))
    return [*known, *(id for id in more if id not in known)][:count]


class Stage:
    """Where cases are played, once `open` or `allow` has said how long a buyer may take. `cuts` is a percentage of the
    cards; see Negotiator for it and `patience`. `progress` is told each time a case is over.
    """

    def __init__(
        self,
        town: Town,
        file: ShopFile,
        people: People,
        sightings: Sightings,
        *,
        agents: list[str],
        chance: random.Random,
        patience: timedelta,
        cuts: int,
        progress: Callable[[], None],
    ) -> None:
        self.town = town
        self.file = file
        self.people = people
        self.sightings = sightings
        self.agents = agents
        self.chance = chance
        self.progress = progress
        self.chats: dict[str, Chat] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        """All orders of everybody who plays, as the agent saw them before anything happened."""
        self.window = timedelta()
        """How long a buyer may take to answer, as the gateways say."""
        self.cases: list[Case] = []
        self._cuts = cuts
        self.patience = patience
        self._prices = {sku.id: sku.price_cents for product in file.products for sku in product.skus}

    async def open(self, buyer_ids: Collection[str], two_devices: int) -> None:
        """Open the conversations of those buyers, of whom `two_devices` per cent have two; read their orders."""
        first = await asyncio.gather(*[self.people.agent(agent_id) for agent_id in self.agents])
        self.allow(timedelta(milliseconds=first[0].client.welcome["answer_window_ms"]))
        places = asyncio.Semaphore(OPENING)

        async def open_one(number: int, buyer_id: str, devices: int) -> None:
            async with places:
                agent_id = self.agents[number % len(self.agents)]
                chat = await open_chat(self.people, self.file.shop.id, buyer_id, agent_id, devices)
                self.chats[buyer_id] = chat
                chat.orders_before = await chat.orders()
                self.orders.update(chat.orders_before)

        async with asyncio.TaskGroup() as opening:
            for number, buyer_id in enumerate(buyer_ids):
                devices = 1 + (self.chance.randrange(100) < two_devices)
                opening.create_task(open_one(number, buyer_id, devices))

    def allow(self, window: timedelta) -> None:
        """A buyer may take so long to answer."""
        self.window = window
        self.negotiator = Negotiator(
            self.town,
            self.sightings,
            self.agents,
            self.chance,
            window=window,
            patience=self.patience,
            cuts=self._cuts,
        )

    def case(self, chat: Chat, order_id: str, wishes: dict[str, str], quote: dict[str, Any] | None) -> Case:
        """A new case. In a fresh town SKUs cost what the file says, elsewhere what the quote says."""
        quoted = {
            (line["line_id"], verdict["sku_id"]): verdict["unit_price_after_cents"]
            for line in (quote or {"lines": []})["lines"]
            for verdict in line["verdicts"]
        }
        prices = {
            line_id: self._prices.get(sku_id, 0) if self.town.fresh else quoted.get((line_id, sku_id), 0)
            for line_id, sku_id in wishes.items()
        }
        case = Case(len(self.cases) + 1, order_id, chat.id, wishes, prices)
        self.cases.append(case)
        return case
