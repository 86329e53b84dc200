"""A small shop that has an order in every state, loaded into either server."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.orders.base import ChangeResult, LineChange, OrderEvent
from bot.orders.shop import Shop
from bot.shopfile import ShopFile
from scheduler.script import ClientScripts

PRICES = {"a": 1000, "same": 1000, "high": 1500, "low": 800, "last": 1000, "none": 1000, "off": 1000}
STOCK = {"last": 1, "none": 0}


def _order(order_id: str, status: str, *lines: tuple[str, int], **more: Any) -> dict[str, Any]:
    rows = [
        {
            "id": str(number),
            "product_id": "tea" if sku == "leaf" else "shirt",
            "sku_id": sku,
            "quantity": quantity,
            "unit_price_cents": 1000,
        }
        for number, (sku, quantity) in enumerate(lines, start=1)
    ]
    return {"id": order_id, "buyer_id": "ann", "status": status, "lines": rows, **more}


@pytest.fixture
def shop_file() -> ShopFile:
    """Shop `s`: shirt has SKUs a, same, high, low, last (one piece), none (no piece), off (sale); tea has leaf."""
    skus = [
        {
            "id": sku,
            "options": {"kind": sku},
            "price_cents": price,
            "stock": STOCK.get(sku, 10),
            "on_sale": sku != "off",
        }
        for sku, price in PRICES.items()
    ]
    leaf = {"id": "leaf", "options": {}, "price_cents": 1000, "stock": 10}
    states = ("unpaid", "paid", "shipped", "completed", "closed")
    orders = [_order(state, state, ("a", 2)) for state in states]
    orders += [
        _order("refunding", "paid", ("a", 1), after_sale="open"),
        _order("refunded", "paid", ("a", 1), after_sale="done"),
        _order("deposit", "unpaid", ("a", 1), deposit_presale=True),
        _order("lines", "unpaid", ("a", 1), ("same", 2), ("leaf", 1)),
        *(_order(f"single-{number}", "paid", ("a", 1)) for number in range(20)),
    ]
    document = {
        "shop": {"id": "s", "name": "Shop", "currency": "CNY", "locale": "zh-CN"},
        "agents": [{"id": "amy", "name": "Amy"}],
        "buyers": [{"id": "ann", "name": "安"}, {"id": "bob", "name": "Bob"}],
        "products": [{"id": "shirt", "title": "Shirt", "skus": skus}, {"id": "tea", "title": "Tea", "skus": [leaf]}],
        "orders": orders,
    }
    return ShopFile.model_validate_json(json.dumps(document), strict=True)


@pytest.fixture
async def shop(either_redis: Redis, shop_file: ShopFile) -> Shop:
    """Shop `s`, on fakeredis and on the real server."""
    shop = Shop(ClientScripts(either_redis))
    await shop.import_shop(shop_file)
    return shop


@pytest.fixture
def wish() -> Callable[..., LineChange]:
    """A wish for one line: `wish("1", "a", "same")` expects the imported price unless told."""

    def one(line_id: str, from_sku: str, to_sku: str, price: int | None = None) -> LineChange:
        expected = PRICES.get(to_sku, 1000) if price is None else price
        return LineChange(line_id=line_id, from_sku=from_sku, to_sku=to_sku, expected_price_cents=expected)

    return one


@pytest.fixture
def change(shop: Shop, wish: Callable[..., LineChange]) -> Callable[..., Awaitable[ChangeResult]]:
    """Change one line 1 of an order in shop `s`: `await change("paid", "a", "same")`."""

    async def one(
        order_id: str, from_sku: str, to_sku: str, price: int | None = None, *, change_id: str = "c1", paid: bool = True
    ) -> ChangeResult:
        return await shop.change("s", order_id, change_id, [wish("1", from_sku, to_sku, price)], paid=paid)

    return one


@pytest.fixture
def stock(shop: Shop) -> Callable[[str], Awaitable[int]]:
    """The stock of a SKU of shirt in shop `s`."""

    async def of(sku_id: str) -> int:
        sku = (await shop.product("s", "shirt")).sku(sku_id)
        assert sku is not None
        return sku.stock

    return of


@pytest.fixture
def events(either_redis: Redis) -> Callable[[], Awaitable[list[OrderEvent]]]:
    """All events of shop `s` that nobody has acknowledged."""

    async def read() -> list[OrderEvent]:
        entries = await either_redis.xrange("shop:{s}:events")
        return [OrderEvent.model_validate_json(fields[b"event"]) for _, fields in entries]

    return read
