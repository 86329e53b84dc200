"""The order-system port: whoever owns the orders answers these five calls.

Law: the first result of a change id, refusals included, is kept with the order and given again whatever came later. So
a retry, a late first attempt, or a change that was undone meanwhile can do no harm.
"""

import asyncio
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from cards.model import Id, Model
from cards.order import Cents, Order, Product


class UnknownOrder(LookupError):
    """The shop has no such order."""


class UnknownProduct(LookupError):
    """The shop has no such product."""


class UnknownShop(LookupError):
    """There is no such shop."""


class OrderSystemAway(Exception):
    """The order system gave no answer; what became of the call is unknown, so ask again (with the same change id)."""


class ChangeRefused(StrEnum):
    """Why an order system did not take a change."""

    ORDER_PAID = "order_paid"
    """Whether the order is paid is no longer what the card said: the price basis changed."""
    ORDER_SHIPPED = "order_shipped"
    ORDER_COMPLETED = "order_completed"
    ORDER_CLOSED = "order_closed"
    AFTER_SALE_OPENED = "after_sale_opened"
    """A refund or after-sale is open, or was."""
    DEPOSIT_PRESALE = "deposit_presale"
    LINES_CHANGED = "lines_changed"
    """A line is gone, or its SKU is no longer the one the card showed."""
    PRICE_MOVED = "price_moved"
    STOCK_GONE = "stock_gone"
    OFF_SALE = "off_sale"
    """The wanted SKU is not on sale, or not as that line's product."""
    ORDER_GONE = "order_gone"


class LineChange(Model):
    """One whole line from one SKU to another; the card showed `expected_price_cents` as the unit price of `to_sku`."""

    line_id: Id
    from_sku: Id
    to_sku: Id
    expected_price_cents: Cents


class ChangeResult(Model):
    """What became of a change: taken, or refused with a reason; `order_version` is the order's version after it."""

    taken: bool
    reason: ChangeRefused | None = None
    order_version: int | None = None


class OrderEventKind(StrEnum):
    """What happened to an order."""

    ORDER_PAID = "order_paid"
    ORDER_SHIPPED = "order_shipped"
    ORDER_COMPLETED = "order_completed"
    ORDER_CLOSED = "order_closed"
    AFTER_SALE_OPENED = "after_sale_opened"
    LINES_CHANGED = "lines_changed"


class OrderEvent(Model):
    """An order moved and has `version` now; `change_id` names our own change, echoed back."""

    shop_id: Id
    order_id: Id
    buyer_id: Id | None = None
    kind: OrderEventKind
    version: int
    change_id: str | None = None


class OrderSystem(Protocol):
    """What Assent asks of the owner of the orders. Every call may raise OrderSystemAway."""

    async def orders(self, shop_id: str, buyer_id: str) -> Sequence[Order]:
        """The buyer's orders, newest first; empty for an unknown buyer."""
        ...

    async def order(self, shop_id: str, order_id: str) -> Order:
        """The order as it is now. Raises UnknownOrder."""
        ...

    async def product(self, shop_id: str, product_id: str) -> Product:
        """The product with all its SKUs, their prices and stock as they are now. Raises UnknownProduct."""
        ...

    async def currency(self, shop_id: str) -> str:
        """The ISO 4217 code of the shop's amounts."""
        ...

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        """Change all the lines, each named once, or none; `paid` says whether the order was paid on the card.

        A refusal is a result, not an exception. The first result of a change id is also that of all later calls.
        """
        ...


async def read_products(system: OrderSystem, shop_id: str, product_ids: Iterable[str]) -> dict[str, Product]:
    """Each product by its id, read at the same time; unknown ones are left out. Raises OrderSystemAway."""
    found = await asyncio.gather(
        *[system.product(shop_id, product_id) for product_id in dict.fromkeys(product_ids)], return_exceptions=True
    )
    products: dict[str, Product] = {}
    for product in found:
        if isinstance(product, Product):
            products[product.id] = product
        elif not isinstance(product, UnknownProduct):
            raise product
    return products
