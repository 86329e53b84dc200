"""A small shop: a shirt in every price relation to what was ordered, a mug, and an order of one of each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cards.order import Line, Order, Product, Sku
from cards.proposal import Change, Proposal, propose

SHIRT = Product(
    id="shirt",
    title="纯棉衬衫",
    skus=(
        Sku(id="white-m", options={"颜色": "白色", "尺码": "M"}, price_cents=10_000, stock=9),
        Sku(id="white-xl", options={"颜色": "白色", "尺码": "XL"}, price_cents=10_000, stock=3),
        Sku(id="black-m", options={"颜色": "黑色", "尺码": "M"}, price_cents=12_000, stock=9),
        Sku(id="grey-m", options={"颜色": "灰色", "尺码": "M"}, price_cents=8_000, stock=9),
        Sku(id="red-m", options={"颜色": "红色", "尺码": "M"}, price_cents=10_000, stock=0),
        Sku(id="old-m", options={"颜色": "旧款", "尺码": "M"}, price_cents=10_000, stock=9, on_sale=False),
    ),
)
MUG = Product(
    id="mug",
    title="马克杯",
    skus=(
        Sku(id="mug-blue", options={"颜色": "蓝色"}, price_cents=3_000, stock=9),
        Sku(id="mug-gold", options={"颜色": "金色"}, price_cents=3_500, stock=9),
    ),
)
ORDER = Order(
    id="o1",
    shop_id="yi",
    buyer_id="mei",
    status="paid",
    lines=(
        Line(id="1", product_id="shirt", sku_id="white-m", quantity=2, unit_price_cents=10_000),
        Line(id="2", product_id="mug", sku_id="mug-blue", quantity=1, unit_price_cents=3_000),
        Line(id="3", product_id="shirt", sku_id="black-m", quantity=2, unit_price_cents=10_000),
    ),
    version=7,
)


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def products() -> dict[str, Product]:
    return {"shirt": SHIRT, "mug": MUG}


@pytest.fixture(scope="session")
def order() -> Callable[..., Order]:
    """The order, with whatever a test wants to be different."""
    return lambda **different: Order(**{**dict(ORDER), **different})


@pytest.fixture(scope="session")
def ask(now: datetime, products: dict[str, Product], order: Callable[..., Order]) -> Callable[..., Proposal]:
    """Proposes SKUs by line, or a list of changes: `ask({"1": "white-xl"}, order(status="unpaid"), currency="USD")`."""

    def ask(changes: dict[str, str] | list[Change], of: Order | None = None, **different: object) -> Proposal:
        settings = {
            "proposal_id": "p1",
            "conversation_id": "yi.mei",
            "agent_id": "lin",
            "currency": "CNY",
            "waive_difference": False,
            "now": now,
            "window": timedelta(hours=2),
            **different,
        }
        if isinstance(changes, dict):
            changes = [Change(line_id=line, to_sku=sku) for line, sku in changes.items()]
        return propose(of or order(), products, changes, **settings)

    return ask
