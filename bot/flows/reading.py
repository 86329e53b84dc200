"""What a command only reads: orders, quotes, pages of the log."""

import asyncio
from collections.abc import Iterable
from typing import Any

from bot.conversation import buyer_of, check_current_agent
from bot.documents.store import LogPage
from bot.entry import render_conversation
from bot.errors import CommandError
from bot.flows.deciding import Parts
from bot.frames import History, Orders, Preview, Quote
from bot.orders.base import read_products
from bot.overview import render_logged, render_marks
from bot.participant import STAFF, Participant
from cards.card import Audience, render, render_order, render_quote
from cards.order import Order
from cards.proposal import propose
from cards.rules import quote
from cards.texts import Locale


def audience_of(who: Participant) -> Audience:
    """Whose eyes these are."""
    return "agent" if who.role in STAFF else "buyer"


class Reading:
    """Answers that change nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def orders(self, who: Participant, command: Orders, locale: Locale) -> dict[str, Any]:
        """The buyer's orders, newest first: whether each can change, or why not, and its open card.

        `orders` (each as `render_order`, and `card`: `render` or None), `currency`, `now_ms`. Raises OrderSystemAway.
        """
        buyer_id = buyer_of(command.conversation_id)
        orders = await self._parts.orders.orders(who.shop_id, buyer_id)
        products, loaded, currency = await asyncio.gather(
            read_products(self._parts.orders, who.shop_id, _products_of(orders)),
            self._parts.load(command.conversation_id, orders=tuple(order.id for order in orders)),
            self._parts.orders.currency(who.shop_id),
        )
        rendered = []
        for order, proposal in zip(orders, loaded.proposals, strict=True):
            card = render(proposal, audience_of(who), locale) if proposal else None
            rendered.append({**render_order(order, products, locale), "card": card})
        return {"orders": rendered, "currency": currency, "now_ms": self._parts.clock.now_ms()}

    async def quote(self, who: Participant, command: Quote, locale: Locale) -> dict[str, Any]:
        """For every line and SKU of an order: allowed, or the exact refusal; and the order's open card.

        `quote` (`render_quote`), `card` (`render`, or None). Raises Refusal, CommandError, OrderSystemAway.
        """
        loaded, order, currency = await asyncio.gather(
            self._parts.load(command.conversation_id, orders=(command.order_id,)),
            self._parts.order_in(command.conversation_id, command.order_id),
            self._parts.orders.currency(who.shop_id),
        )
        check_current_agent(who, loaded.conversation)
        products = await read_products(self._parts.orders, who.shop_id, _products_of([order]))
        held = loaded.proposals[0]
        return {
            "quote": render_quote(quote(order, products), locale, currency),
            "card": render(held, "agent", locale) if held else None,
        }

    async def preview(self, who: Participant, command: Preview, locale: Locale) -> dict[str, Any]:
        """The card that a proposal of these changes would be, for the buyer's eyes: `card` (`render`).

        Raises Refusal, CommandError, OrderSystemAway.
        """
        loaded, order, currency = await asyncio.gather(
            self._parts.load(command.conversation_id),
            self._parts.order_in(command.conversation_id, command.order_id),
            self._parts.orders.currency(who.shop_id),
        )
        conversation = check_current_agent(who, loaded.conversation)
        proposal = propose(
            order,
            await read_products(self._parts.orders, who.shop_id, _products_of([order])),
            command.changes,
            proposal_id="preview",
            conversation_id=conversation.id,
            agent_id=who.id,
            currency=currency,
            waive_difference=command.waive_difference,
            now=loaded.now,
            window=self._parts.window.length,
        )
        return {"card": render(proposal, "buyer", locale)}

    async def history(self, who: Participant, command: History, locale: Locale) -> dict[str, Any]:
        """A page of the log as this reader sees it: `now_ms`, and what `render_page` has.

        Raises CommandError `unknown_conversation`.
        """
        page = await self._parts.store.read_before(command.conversation_id, command.before, command.limit)
        if page.conversation is None:
            raise CommandError("unknown_conversation", conversation_id=command.conversation_id)
        return {"now_ms": self._parts.clock.now_ms(), **render_page(page, audience_of(who), locale)}


def _products_of(orders: Iterable[Order]) -> list[str]:
    return [line.product_id for order in orders for line in order.lines]


def render_page(page: LogPage, audience: Audience, locale: Locale) -> dict[str, Any]:
    """A page of a conversation: `conversation` as it stands, `first_seq` (the oldest kept), `last_seq`, and `entries`.

    The entries are in rising order, each as `render_logged`.
    """
    assert page.conversation is not None
    return {
        "conversation": {
            **render_conversation(page.conversation),
            "seq": page.last_seq,
            **render_marks(page.conversation, page.marks, audience),
        },
        "first_seq": page.first_seq,
        "last_seq": page.last_seq,
        "entries": [render_logged(entry, audience, locale) for entry in page.entries],
    }
