"""One conversation with its agent and its buyer: what they do, and what each of them was shown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.client import ChatClient, Frame
from bot.orders.shop import Shop
from cards.model import to_ms
from cards.order import Order
from cards.proposal import FINAL

if TYPE_CHECKING:
    from tests.flows.town import Town


@dataclass
class Scene:
    """A conversation, its agent and its buyer."""

    town: Town
    conversation_id: str
    buyer_id: str
    agent: ChatClient
    buyer: ChatClient

    @property
    def shop(self) -> Shop:
        """The shop's own hand, for moving orders and stock."""
        return self.town.gateways[0].house.shop

    def order_id(self, name: str) -> str:
        """The id of this buyer's order of that name."""
        return f"{self.buyer_id}-{name}"

    async def order(self, name: str = "paid") -> Order:
        """An order as the shop has it."""
        return await self.shop.order(self.town.shop_id, self.order_id(name))

    async def skus(self, name: str = "paid") -> list[str]:
        """The SKUs of an order's lines."""
        return [line.sku_id for line in (await self.order(name)).lines]

    async def send(self, order: str = "paid", *, waive: bool = False, by: ChatClient | None = None, **to: str) -> Frame:
        """Propose (`line_1="white-s"`, that one if nothing is said) and return the `ok`."""
        wishes = to or {"line_1": "white-s"}
        changes = [{"line_id": line.removeprefix("line_"), "to_sku": sku} for line, sku in wishes.items()]
        return await (by or self.agent).propose(
            self.conversation_id, self.order_id(order), changes, waive_difference=waive
        )

    async def propose(self, order: str = "paid", *, waive: bool = False, **to: str) -> Frame:
        """Propose, and return the card that the buyer sees."""
        sent = await self.send(order, waive=waive, **to)
        return await self.sees(self.buyer, sent)

    async def talk(self, messages: int, replies: dict[str, int]) -> None:
        """Agent and buyer both say `agent 0`, `agent 1` …, one after the other; `replies` gets the seq of each text."""

        async def say(client: ChatClient, name: str) -> None:
            for number in range(messages):
                text = f"{name} {number}"
                replies[text] = (await client.say(self.conversation_id, text))["seq"]

        await asyncio.gather(say(self.agent, "agent"), say(self.buyer, "buyer"))

    async def sees(self, client: ChatClient, proposal: Frame, state: str = "pending", limit: float = 15) -> Frame:
        """Wait until a client sees a proposal (anything with its `proposal_id`) in a state; the card then."""

        def found() -> Frame | None:
            card = client.cards(self.conversation_id).get(proposal["proposal_id"])
            return card if card and card["state"] == state else None

        card: Frame = await client.wait_for(found, limit)
        return card

    def log(self, client: ChatClient) -> list[Frame]:
        """What a client has of the conversation's log."""
        return client.logs.get(self.conversation_id, [])

    def notices(self, client: ChatClient, proposal: Frame | None = None) -> list[Frame]:
        """The notices a client was sent, in order; all, or those of one proposal."""
        notices = [entry["notice"] for entry in self.log(client) if "notice" in entry]
        return [each for each in notices if proposal is None or each["proposal_id"] == proposal["proposal_id"]]

    def states(self, client: ChatClient, proposal: Frame) -> list[str]:
        """The states in which a client was shown a proposal, in order, every time that it was."""
        cards = [entry["card"] for entry in self.log(client) if "card" in entry]
        return [card["state"] for card in cards if card["proposal_id"] == proposal["proposal_id"]]

    def outcomes(self, client: ChatClient, proposal: Frame) -> list[str]:
        """The final states in which a client was shown a proposal: more than one is what must never happen."""
        return [state for state in self.states(client, proposal) if state in FINAL]

    async def last_seq(self) -> int:
        """The seq of the newest entry in the log."""
        return (await self.town.gateways[0].house.store.load(self.conversation_id)).seq

    async def caught_up(self, *clients: ChatClient, limit: float = 15) -> int:
        """Wait until these clients (or agent and buyer) have the log as long as it is now; its last seq."""
        seq = await self.last_seq()
        for client in clients or (self.agent, self.buyer):
            await client.wait_for(lambda client=client: client.cursors.get(self.conversation_id) == seq, limit)
            assert client.violations == []
        return seq

    async def now_ms(self) -> int:
        """The server's clock."""
        return to_ms((await self.town.gateways[0].house.store.load(self.conversation_id)).now)

    async def deadline_passed(self, proposal: Frame) -> None:
        """Wait until the server's clock says that a proposal's deadline has come."""
        while (left_ms := proposal["deadline_ms"] - await self.now_ms()) > 0:
            await asyncio.sleep(left_ms / 1000)

    async def events_heard(self, limit: float = 15) -> None:
        """Wait until every order event has had its consequence: then it is acknowledged, and gone from the stream."""
        redis = await self.town.redis()
        async with asyncio.timeout(limit):
            while await redis.xlen(f"shop:{{{self.town.shop_id}}}:events"):
                await asyncio.sleep(0.01)

    async def settled_work(self) -> None:
        """Wait until no gateway has anything left to do in the background."""
        for gateway in self.town.gateways * 2:  # what was begun in the background begins more, once
            await gateway.house.parts.background.drain(5)
