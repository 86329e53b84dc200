"""Whatever is tried on a shop, in whatever order and at once: no piece is made or lost, and a first result stands."""

import asyncio
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.orders.base import ChangeResult, LineChange, OrderEvent
from bot.orders.shop import IllegalMove, Move, Shop
from bot.shopfile import ShopFile
from cards.order import Order, OrderStatus
from scheduler.script import ClientScripts

SKUS = ("a", "same", "high", "low", "last", "none", "off")
ORDERS = ("unpaid", "paid", "shipped", "deposit", "lines", "single-0")


@dataclass(frozen=True)
class Changing:
    """Somebody tries a change under an id that others may have used."""

    order_id: str
    change_id: str
    wishes: tuple[tuple[str, str, str, bool], ...]
    paid: bool


@dataclass(frozen=True)
class Moving:
    """The order moves by itself, if it may."""

    order_id: str
    what: Move


@dataclass(frozen=True)
class Repricing:
    """The shop's owner sets a price."""

    sku_id: str
    price_cents: int


wishes = st.lists(
    st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(SKUS), st.sampled_from(SKUS), st.booleans()),
    min_size=1,
    max_size=2,
    unique_by=lambda wish: wish[0],
).map(tuple)
changing = st.builds(
    Changing, st.sampled_from(ORDERS), st.sampled_from(["c1", "c2", "c3", "c4", "c5"]), wishes, st.booleans()
)
moving = st.builds(Moving, st.sampled_from(ORDERS), st.sampled_from(get_args(Move)))
repricing = st.builds(Repricing, st.sampled_from(SKUS), st.integers(500, 2000))
turns = st.lists(st.lists(changing | moving | repricing, min_size=1, max_size=5), max_size=20)


class Trial:
    """One shop, what was tried on it, and what must hold after every turn."""

    def __init__(self, redis: Redis, file: ShopFile) -> None:
        self.redis = redis
        self.shop_id = uuid.uuid4().hex
        self.file = file.model_copy(update={"shop": file.shop.model_copy(update={"id": self.shop_id})})
        self.shop = Shop(ClientScripts(redis))
        self.first: dict[tuple[str, str], ChangeResult] = {}

    async def start(self) -> None:
        await self.shop.import_shop(self.file)
        self.before = await self.orders()
        self.pieces = await self.count(self.before)

    async def orders(self) -> dict[str, Order]:
        return {order.id: order for order in await self.shop.orders(self.shop_id, "ann")}

    async def count(self, orders: dict[str, Order]) -> Counter[str]:
        """For each SKU the pieces in stock and in all orders but the closed."""
        pieces = Counter({sku.id: sku.stock for sku in (await self.shop.product(self.shop_id, "shirt")).skus})
        assert min(pieces.values()) >= 0
        for order in orders.values():
            for line in order.lines:
                if line.sku_id in SKUS and order.status is not OrderStatus.CLOSED:
                    pieces[line.sku_id] += line.quantity
        return pieces

    async def act(self, action: Changing | Moving | Repricing) -> None:
        if isinstance(action, Changing):
            await self.change(action)
        elif isinstance(action, Repricing):
            await self.shop.set_sku(self.shop_id, "shirt", action.sku_id, price_cents=action.price_cents)
        else:
            with suppress(IllegalMove):
                await self.shop.move(self.shop_id, action.order_id, action.what)

    async def change(self, action: Changing) -> None:
        product = await self.shop.product(self.shop_id, "shirt")
        order = await self.shop.order(self.shop_id, action.order_id)
        lines = []
        for line_id, from_sku, to_sku, likely in action.wishes:
            line, sku = order.line(line_id), product.sku(to_sku)
            assert sku is not None
            today = line.sku_id if line is not None and likely else from_sku
            lines.append(
                LineChange(line_id=line_id, from_sku=today, to_sku=to_sku, expected_price_cents=sku.price_cents)
            )
        result = await self.shop.change(self.shop_id, order.id, action.change_id, lines, paid=action.paid)
        assert result == self.first.setdefault((order.id, action.change_id), result)

    async def check(self) -> None:
        orders = await self.orders()
        assert await self.count(orders) == self.pieces
        for order_id, before in self.before.items():
            if before.status is not OrderStatus.UNPAID:
                was = [line.unit_price_cents for line in before.lines]
                assert [line.unit_price_cents for line in orders[order_id].lines] == was
        self.before = orders
        await self.check_events(orders)

    async def check_events(self, orders: dict[str, Order]) -> None:
        entries = await self.redis.xrange(f"shop:{{{self.shop_id}}}:events")
        told: dict[str, list[int]] = {}
        for _, fields in entries:
            event = OrderEvent.model_validate_json(fields[b"event"])
            told.setdefault(event.order_id, []).append(event.version)
        for order in orders.values():
            assert told.get(order.id, []) == list(range(2, order.version + 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=turns)
async def test_pieces_are_conserved(
    either_redis: Redis, shop_file: ShopFile, turns: list[list[Changing | Moving | Repricing]]
) -> None:
    """Red without any of these in change.lua: replay, stock guard, pieces given back, event, price kept once paid."""
    trial = Trial(either_redis, shop_file)
    await trial.start()
    for turn in turns:
        await asyncio.gather(*[trial.act(action) for action in turn])
        await trial.check()
