"""Who takes part, and the shop that they talk about: made in code, with far more of everything than is needed.

Law: an order can be changed again and again: of each product several SKUs cost the same, and stock never runs out.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.shopfile import ShopFile

SHOP = "tide"
GENERATIONS = 25
"""So many buyers take each place, one after another."""
PRODUCTS = {"kettle": ("铸铁壶", 12900), "scarf": ("羊绒围巾", 29900), "lamp": ("竹编灯", 8800)}
"""Title, and the price in cents at which most SKUs of the product are sold."""
SPECS = {"ash": 0, "jade": 0, "rust": 0, "snow": 0, "gilt": 2000, "pearl": 5500, "opal": 5500, "plain": -1500}
"""The SKUs of each product, and how much dearer they are; whoever paid for the dearest can still have another."""
ORDERS = ("paid", "unpaid", "paid", "paid", "unpaid", "paid", "paid", "unpaid")
"""The status of each buyer's orders; every third has a line of each of two products."""
_PLENTY = 1_000_000


@dataclass(frozen=True, slots=True)
class Cast:
    """Everybody, the shop, and how long a buyer may take to answer a card (`window`, as the gateways are set)."""

    shop: ShopFile
    window: timedelta

    @property
    def places(self) -> int:
        """How many buyers are there at once."""
        return max(1, len(self.shop.buyers) // GENERATIONS)


def make_shop(buyers: int, agents: int) -> ShopFile:
    """A shop with so many agents, and so many buyers at once; behind each stand those who come after them."""
    ids = [f"b{number}" for number in range(1, buyers * GENERATIONS + 1)]
    return ShopFile.model_validate(
        {
            "shop": {"id": SHOP, "name": "潮声", "currency": "CNY", "locale": "zh-CN"},
            "agents": [{"id": f"a{number}", "name": f"客服{number}"} for number in range(1, agents + 1)],
            "buyers": [{"id": id, "name": f"买家{id[1:]}"} for id in ids],
            "products": [
                {"id": product, "title": title, "skus": [_sku(product, spec) for spec in SPECS]}
                for product, (title, _) in PRODUCTS.items()
            ],
            "orders": [_order(buyer, number) for buyer in ids for number in range(len(ORDERS))],
        }
    )


def _sku(product: str, spec: str) -> dict[str, Any]:
    return {
        "id": f"{product}-{spec}",
        "options": {"款式": spec},
        "price_cents": PRODUCTS[product][1] + SPECS[spec],
        "stock": _PLENTY,
    }


def _order(buyer_id: str, number: int) -> dict[str, Any]:
    products = list(PRODUCTS)
    first = number % len(products)
    ordered = [products[first], *([products[first - 1]] if number % 3 == 0 else [])]
    return {
        "id": f"{buyer_id}-{number + 1}",
        "buyer_id": buyer_id,
        "status": ORDERS[number],
        "lines": [
            {
                "id": str(line),
                "product_id": product,
                "sku_id": f"{product}-ash",
                "quantity": line,
                "unit_price_cents": PRODUCTS[product][1],
            }
            for line, product in enumerate(ordered, start=1)
        ],
    }
