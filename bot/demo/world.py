"""The world around the demo's negotiation: what the buyer, the shop and time do by themselves.

Law: orders move by the calls and events of any shop. Only time is bent, and only here: `pass_time` makes a waiting card
one that was sent hours ago, in a commit like every other, so that both sides are shown it and its timer still decides.
"""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

from bot.app import House
from bot.conversation import conversation_id
from bot.documents.store import Commit
from bot.entry import Entry
from bot.errors import CommandError
from bot.flows.deciding import decide
from bot.flows.timer_ids import expiry_of
from bot.orders.base import UnknownOrder, read_products
from bot.orders.shop import MOVES, IllegalMove, Move
from cards.card import render_order
from cards.order import Order
from cards.proposal import Proposal, State
from cards.texts import Locale

LEFT = timedelta(seconds=10)
"""What is left of a waiting card's time once the hours have passed: enough to see both sides told, and to be quick."""


class World:
    """What surrounds one buyer's conversation with the demo's shop."""

    def __init__(self, house: House, shop_id: str, buyer_id: str) -> None:
        self._parts = house.parts
        self._shop = house.shop
        self._shop_id = shop_id
        self._buyer_id = buyer_id
        self._conversation_id = conversation_id(shop_id, buyer_id)

    async def state(self, locale: Locale) -> dict[str, Any]:
        """The buyer's orders as cards.card renders them, each with the `moves` it allows, and the answer window."""
        orders = await self._shop.orders(self._shop_id, self._buyer_id)
        ids = [line.product_id for order in orders for line in order.lines]
        products = await read_products(self._shop, self._shop_id, ids)
        return {
            "orders": [{**render_order(order, products, locale), "moves": _moves_of(order)} for order in orders],
            "window_ms": round(self._parts.window.length.total_seconds() * 1000),
        }

    async def move(self, order_id: str, what: Move) -> None:
        """Let something happen to an order. Raises CommandError `no_such_order`, `order_cannot_move`."""
        try:
            await self._shop.move(self._shop_id, order_id, what)
        except UnknownOrder:
            raise CommandError("no_such_order", order_id=order_id) from None
        except IllegalMove:
            raise CommandError("order_cannot_move", order_id=order_id) from None

    def set_window(self, length: timedelta) -> None:
        """How long the buyer may take to answer cards that are sent from now on."""
        self._parts.window.length = length

    async def pass_time(self) -> int:
        """Of every waiting card let all time but LEFT have passed; how many. Raises CommandError `no_card_waits`."""
        (overview,) = await self._parts.store.overviews([self._conversation_id])
        waiting = [card.proposal_id for card in overview.marks.cards] if overview else []
        moved = sum(await asyncio.gather(*[decide(partial(self._age, id)) for id in waiting]))
        if not moved:
            raise CommandError("no_card_waits")
        return moved

    async def _age(self, proposal_id: str) -> bool:
        loaded = await self._parts.load(self._conversation_id, proposals=(proposal_id,))
        before, conversation = loaded.proposals[0], loaded.conversation
        if before is None or conversation is None or before.state is not State.PENDING:
            return False
        passed = before.deadline - LEFT - loaded.now
        if passed <= timedelta(0):
            return False
        after = _sent_earlier(before, passed)
        await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                proposal=before,
                changed=after,
                entries=[Entry(card=after)],
                channels=conversation.channels,
                not_after=after.deadline,
            )
        )
        # At once: it tells both sides that the end is near, and then waits for the deadline.
        await self._parts.timers.arm(expiry_of(conversation.id, proposal_id), loaded.now)
        return True


def _sent_earlier(proposal: Proposal, passed: timedelta) -> Proposal:
    return proposal.model_copy(
        update={
            "version": proposal.version + 1,
            "created": proposal.created - passed,
            "deadline": proposal.deadline - passed,
        }
    )


def _moves_of(order: Order) -> list[str]:
    """What can happen to the order as it is."""
    now = order.status, order.after_sale
    return [name for name, move in MOVES.items() if now[0] in move["status"] and now[1] in move["after_sale"]]
