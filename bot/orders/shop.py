"""The embedded shop: orders, products, stock and the results of changes in Redis, one slot for each shop.

Law: every call is one script, so an order, the stock it holds, the result it gave and the event it tells move together.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import orjson
from redis.exceptions import RedisError

from bot.orders.base import ChangeResult, LineChange, OrderSystemAway, UnknownOrder, UnknownProduct, UnknownShop
from bot.orders.importing import PUT, SHOPS, import_shop, shop_key
from bot.shopfile import ShopFile, ShopInfo
from cards.order import Order, Product
from scheduler.script import Script, Scripts

READ = Script.beside(__file__, "read")
LIST = Script.beside(__file__, "list")
PRODUCT = Script.beside(__file__, "product")
CHANGE = Script.beside(__file__, "change", durable=True)
MOVE = Script.beside(__file__, "move", durable=True)
FORGET = Script.beside(__file__, "forget")

ORDERS_LISTED = 100
"""How many of a buyer's orders are listed, the newest."""

Move = Literal["pay", "ship", "complete", "refund", "close"]

_SAME = {"none": "none", "open": "open", "done": "done"}
MOVES: Mapping[str, Mapping[str, Any]] = {
    "pay": {"kind": "order_paid", "status": {"unpaid": "paid"}, "after_sale": {"none": "none"}},
    "ship": {"kind": "order_shipped", "status": {"paid": "shipped"}, "after_sale": {"none": "none", "done": "done"}},
    "complete": {"kind": "order_completed", "status": {"shipped": "completed"}, "after_sale": _SAME},
    "refund": {
        "kind": "after_sale_opened",
        "status": {"paid": "paid", "shipped": "shipped", "completed": "completed"},
        "after_sale": {"none": "open"},
    },
    "close": {
        "kind": "order_closed",
        "status": {"unpaid": "closed", "paid": "closed"},
        "after_sale": {"none": "none", "open": "done", "done": "done"},
        "restock": True,
    },
}
"""What can happen to an order: from which states, to which; a closed order's pieces go back to stock."""


@lru_cache(maxsize=4096)
def _read_order(body: bytes) -> Order:
    """An order is read again and again while it is negotiated over."""
    return Order.model_validate_json(body)


class IllegalMove(ValueError):
    """The order is in no state from which this can happen to it."""


class Shop:
    """The order system that ships with the product. Every call raises OrderSystemAway when Redis gave no answer."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._currencies: dict[str, str] = {}

    async def orders(self, shop_id: str, buyer_id: str) -> list[Order]:
        """The buyer's newest orders, at most 100, newest first; empty for an unknown buyer."""
        ids = await self._run(LIST, [shop_key(shop_id, "buyer", buyer_id)], [ORDERS_LISTED])
        if not ids:
            return []
        bodies = await self._run(READ, [shop_key(shop_id, "order", order_id.decode()) for order_id in ids])
        return [_read_order(body) for body in bodies if body is not None]

    async def order(self, shop_id: str, order_id: str) -> Order:
        """The order as it is now. Raises UnknownOrder."""
        (body,) = await self._run(READ, [shop_key(shop_id, "order", order_id)])
        if body is None:
            raise UnknownOrder(f"shop {shop_id} has no order {order_id}")
        return _read_order(body)

    async def product(self, shop_id: str, product_id: str) -> Product:
        """The product with prices and stock as they are now. Raises UnknownProduct."""
        found = await self._run(PRODUCT, [shop_key(shop_id, "product", product_id), shop_key(shop_id, "skus")])
        if found is None or None in found[1]:
            raise UnknownProduct(f"shop {shop_id} has no product {product_id}")
        product, moving = orjson.loads(found[0]), iter(found[1])
        for sku in product["skus"]:
            sku["price_cents"], sku["stock"], sku["on_sale"] = (
                int(next(moving)),
                int(next(moving)),
                next(moving) == b"1",
            )
        return Product.model_validate(product)

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        """Change all the lines or none; the first result of a change id is the result of every later call with it.

        Unpaid lines cost the new price from then on, paid ones what was paid (R5, R6). Raises ValueError for no lines
        or one named twice.
        """
        if not lines or len({line.line_id for line in lines}) < len(lines):
            raise ValueError("a change names one or more lines, each once")
        wishes = [
            part for line in lines for part in (line.line_id, line.from_sku, line.to_sku, line.expected_price_cents)
        ]
        keys = [
            shop_key(shop_id, "order", order_id),
            *(shop_key(shop_id, part) for part in ("skus", "events", "index")),
        ]
        return ChangeResult.model_validate_json(await self._run(CHANGE, keys, [change_id, int(paid), *wishes]))

    async def forget(self, shop_id: str, changes: Sequence[tuple[str, str]]) -> None:
        """Forget the results of changes (order id, change id) that nobody will ask for again."""
        keys = [shop_key(shop_id, "index"), *(shop_key(shop_id, "order", order_id) for order_id, _ in changes)]
        await self._run(FORGET, keys, [change_id for _, change_id in changes])

    async def move(self, shop_id: str, order_id: str, what: Move) -> Order:
        """Let something happen to an order, as a real shop's buyers and warehouse would, and tell the event.

        Raises UnknownOrder, and IllegalMove when the order's state does not allow it.
        """
        keys = [shop_key(shop_id, "order", order_id), shop_key(shop_id, "skus"), shop_key(shop_id, "events")]
        moved = await self._run(MOVE, keys, [json.dumps(MOVES[what])])
        if moved is None:
            raise UnknownOrder(f"shop {shop_id} has no order {order_id}")
        order = Order.model_validate_json(moved[1])
        if not moved[0]:
            possible = " or ".join(MOVES[what]["status"]), " or ".join(MOVES[what]["after_sale"])
            raise IllegalMove(
                f"can't {what} order {order_id}: it is {order.status} (after-sale {order.after_sale}), "
                f"and must be {possible[0]} (after-sale {possible[1]})"
            )
        return order

    async def set_sku(
        self,
        shop_id: str,
        product_id: str,
        sku_id: str,
        *,
        price_cents: int | None = None,
        stock: int | None = None,
        on_sale: bool | None = None,
    ) -> None:
        """Reprice, restock, put on or off sale, as the shop's owner does. Raises UnknownProduct for that SKU too."""
        if (await self.product(shop_id, product_id)).sku(sku_id) is None:
            raise UnknownProduct(f"product {product_id} of shop {shop_id} has no SKU {sku_id}")
        new = {"price": price_cents, "stock": stock, "sale": None if on_sale is None else int(on_sale)}
        fields = [part for name, value in new.items() if value is not None for part in (f"{sku_id}.{name}", value)]
        if fields:
            await self._run(PUT, [shop_key(shop_id, "skus"), shop_key(shop_id, "index")], fields)

    async def info(self, shop_id: str) -> ShopInfo:
        """The shop's name, currency and locale. Raises UnknownShop."""
        (body,) = await self._run(READ, [shop_key(shop_id, "info")])
        if body is None:
            raise UnknownShop(f"there is no shop {shop_id}")
        return ShopInfo.model_validate_json(body)

    async def currency(self, shop_id: str) -> str:
        """The shop's currency, read once for each process. Raises UnknownShop."""
        if shop_id not in self._currencies:
            self._currencies[shop_id] = (await self.info(shop_id)).currency
        return self._currencies[shop_id]

    async def shops(self) -> list[str]:
        """The ids of all shops, in order."""
        return sorted(shop_id.decode() for shop_id in await self._run(SHOPS, ["shops"]))

    async def import_shop(self, file: ShopFile, progress: Callable[[int, int], None] | None = None) -> None:
        """Load the file over whatever the shop had: orders, stock and results of changes start anew, events stay.

        `progress` is called with how many of how many documents are in. Broken off, it is repaired by importing again.
        """
        try:
            await import_shop(self._scripts, file, progress)
        except RedisError as error:
            raise OrderSystemAway(f"Redis gave no answer: {error}") from error

    async def _run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int] = ()) -> Any:
        try:
            return await self._scripts.run(script, keys, args)
        except RedisError as error:
            raise OrderSystemAway(f"Redis gave no answer: {error}") from error
