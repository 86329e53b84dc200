"""Random negotiations: orders that can change, again and again, SKUs from their quotes, answers by the mix."""

import asyncio

from bot.client import CommandFailed
from bot.simulate.chat import Chat
from bot.simulate.mix import Answer, Mix
from bot.simulate.stage import Stage
from bot.simulate.wishes import draw_wishes

MOST_REFUNDS = 0.5
"""The share of the orders that refunds may use up, as a refunded order can never change again; more become agrees."""


class RandomPlay:
    """Plays `count` cards. A settled order is free again; one that can't change any more is left alone."""

    def __init__(self, stage: Stage, mix: Mix, orders: dict[str, Chat]) -> None:
        """`orders` are the orders to play with, and whose conversation each belongs to."""
        self._stage = stage
        self._mix = mix
        self._chats = orders
        self._paid = {order_id for order_id in orders if stage.orders[order_id]["status"] == "paid"}
        self._free: asyncio.Queue[str | None] = asyncio.Queue()
        self._usable = set(orders)
        self._refunds_left = int(len(orders) * MOST_REFUNDS)
        self._left = 0

    async def play(self, count: int, in_flight: int) -> None:
        """Returns when so many cards were played, or when no order can change any more."""
        self._left = count
        order_ids = sorted(self._usable)
        self._stage.chance.shuffle(order_ids)
        for order_id in order_ids:
            self._free.put_nowait(order_id)
        async with asyncio.TaskGroup() as playing:
            for _ in range(min(in_flight, count, len(order_ids))):
                playing.create_task(self._play_in_turn())

    async def _play_in_turn(self) -> None:
        while self._left > 0:
            self._left -= 1
            while (order_id := await self._free.get()) is not None:
                usable, played = await self.play_one(order_id)
                if usable:
                    self._free.put_nowait(order_id)
                else:
                    self._give_up(order_id)
                if played:
                    self._stage.progress()
                    break
            else:
                self._free.put_nowait(None)
                return

    def _give_up(self, order_id: str) -> None:
        self._usable.discard(order_id)
        if not self._usable:
            self._free.put_nowait(None)

    async def play_one(self, order_id: str) -> tuple[bool, bool]:
        """Play a card of that order: whether the order can be used again, and whether there was a card."""
        stage, chat = self._stage, self._chats[order_id]
        try:
            _, quote = await chat.as_agent(lambda agent: agent.quote(chat.id, order_id))
        except CommandFailed:
            return False, False
        if (wishes := draw_wishes(quote, stage.chance)) is None:
            return False, False
        case = stage.case(chat, order_id, {line_id: verdict["sku_id"] for line_id, verdict in wishes.items()}, quote)
        case.expected = {line_id: verdict["code"] or "allowed" for line_id, verdict in wishes.items()}
        case.raced = True
        changes = [{"line_id": line_id, "to_sku": sku_id} for line_id, sku_id in case.wishes.items()]
        if not await stage.negotiator.ask(chat, case, changes):
            return not case.errors, False
        answer = self._answer(order_id)
        settled = await stage.negotiator.play(chat, case, answer, paid=order_id in self._paid)
        if case.moved == "pay":
            self._paid.add(order_id)
        return settled and case.moved != "refund", True

    def _answer(self, order_id: str) -> Answer:
        answer = self._mix.draw(self._stage.chance)
        if answer is Answer.REFUND and order_id in self._paid:
            if self._refunds_left == 0:
                return Answer.AGREE
            self._refunds_left -= 1
        return answer
