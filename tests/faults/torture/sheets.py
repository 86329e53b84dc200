"""What an agent believes of a buyer's orders, and what they ask for: beliefs are put right by refusals and quotes.

Law: a wish is fair (the rules would allow it, if the belief is true) unless it is made to be refused.
"""

import random
from dataclasses import dataclass
from typing import Any

from bot.shopfile import OrderRow, ShopFile
from bot.transcript import Frame
from cards.order import OrderStatus, Product

Wish = dict[str, str]


@dataclass(slots=True)
class SheetLine:
    """One line: what it is, and what was paid for it, or is due."""

    product: Product
    sku_id: str
    price: int


@dataclass(slots=True)
class Sheet:
    """One order. `gone`: nothing in it can change any more. `busy`: somebody negotiates over it."""

    id: str
    paid: bool
    lines: dict[str, SheetLine]
    gone: bool = False
    busy: bool = False

    def wishes(self, chance: random.Random) -> tuple[list[Wish], bool]:
        """A fair wish for one line or for all, and whether the difference must be waived."""
        lines = list(self.lines) if chance.random() < 0.5 else [chance.choice(list(self.lines))]
        wishes, waive = [], False
        for line_id in lines:
            line = self.lines[line_id]
            others = [sku for sku in line.product.skus if sku.id != line.sku_id]
            # Of the dearest, bought when it was unpaid, there is no fair wish left once it is paid: it will be refused.
            skus = [sku for sku in others if not self.paid or sku.price_cents >= line.price] or others
            even = [sku for sku in skus if sku.price_cents == line.price]
            sku = chance.choice(even if even and chance.random() < 0.7 else skus)
            waive = waive or (self.paid and sku.price_cents > line.price)
            wishes.append({"line_id": line_id, "from_sku": line.sku_id, "to_sku": sku.id})
        return wishes, waive

    def unfair_wish(self, chance: random.Random) -> Wish:
        """A wish that no rule allows: cheaper though paid, what it is already, or a SKU of another product."""
        line_id, line = chance.choice(list(self.lines.items()))
        cheaper = [sku.id for sku in line.product.skus if sku.price_cents < line.price and self.paid]
        return {"line_id": line_id, "to_sku": chance.choice([*cheaper, line.sku_id, "of-another-product"])}

    def changed(self, card: Frame) -> None:
        """The order is now as this card says."""
        for changed in card["lines"]:
            line = self.lines[changed["line_id"]]
            line.sku_id = changed["to_sku"]
            if not self.paid:
                line.price = changed["unit_price_after_cents"]

    def quoted(self, quote: Frame) -> None:
        """The order is as this quote says."""
        self.gone = quote["code"] is not None
        for quoted in quote["lines"]:
            line = self.lines[quoted["line_id"]]
            line.sku_id = quoted["sku_id"]
            line.price = quoted["verdicts"][0]["unit_price_before_cents"]

    def listed(self, order: dict[str, Any]) -> None:
        """The order is as the list of orders says."""
        self.gone = not order["can_change"]
        self.paid = order["status"] == OrderStatus.PAID


def sheets_of(shop: ShopFile) -> dict[str, list[Sheet]]:
    """The orders of each buyer as the shop's file has them."""
    products = {product.id: product for product in shop.products}
    sheets: dict[str, list[Sheet]] = {buyer.id: [] for buyer in shop.buyers}
    for row in shop.orders:
        sheets[row.buyer_id].append(_sheet(row, products))
    return sheets


def _sheet(row: OrderRow, products: dict[str, Product]) -> Sheet:
    return Sheet(
        row.id,
        row.status is OrderStatus.PAID,
        {line.id: SheetLine(products[line.product_id], line.sku_id, line.unit_price_cents) for line in row.lines},
    )
