"""Orders and products as the order system reports them; amounts are integers in minor units."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cards.model import Id, Model

Cents = Annotated[int, Field(ge=0)]
"""An amount in minor units of the shop's currency."""


class OrderStatus(StrEnum):
    """Where an order stands; only the first two can change (R2)."""

    UNPAID = "unpaid"
    PAID = "paid"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CLOSED = "closed"


class AfterSale(StrEnum):
    """Whether a refund or after-sale was ever asked for; anything but NONE forbids a change (R2)."""

    NONE = "none"
    OPEN = "open"
    DONE = "done"


class Sku(Model):
    """One buyable variant of a product; its *spec* is its option values."""

    id: Id
    options: Mapping[str, str]
    price_cents: Cents
    stock: Annotated[int, Field(ge=0)]
    on_sale: bool = True


class Product(Model):
    """A product with all its SKUs, on sale or not."""

    id: Id
    title: str
    skus: tuple[Sku, ...]

    def sku(self, sku_id: str) -> Sku | None:
        """The SKU of that id, or None."""
        return next((sku for sku in self.skus if sku.id == sku_id), None)


class Line(Model):
    """One line of an order; `unit_price_cents` is what was paid, or is due, for each piece."""

    id: Id
    product_id: Id
    sku_id: Id
    quantity: Annotated[int, Field(ge=1)]
    unit_price_cents: Cents


class Order(Model):
    """An order at one moment; `version` grows with every change that the order system makes to it."""

    id: Id
    shop_id: Id
    buyer_id: Id
    status: OrderStatus
    deposit_presale: bool = False
    after_sale: AfterSale = AfterSale.NONE
    lines: tuple[Line, ...]
    version: int = 1

    def line(self, line_id: str) -> Line | None:
        """The line of that id, or None."""
        return next((line for line in self.lines if line.id == line_id), None)

    @property
    def total_cents(self) -> int:
        """The sum over all lines of quantity × unit price, in minor units."""
        return sum(line.quantity * line.unit_price_cents for line in self.lines)
