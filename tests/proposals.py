"""A proposal for whoever needs any: a test says only what is different about its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cards.proposal import Proposal, ProposedLine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINE = ProposedLine(
    line_id="1",
    product_id="tee",
    title="短袖",
    quantity=1,
    from_sku="a",
    from_spec={"颜色": "白"},
    to_sku="b",
    to_spec={"颜色": "黑"},
    unit_price_before_cents=100,
    unit_price_after_cents=100,
)


def a_proposal(*, created: datetime = NOON, **different: Any) -> Proposal:
    """One for a paid order, in nanshan.lin-wan, that waits for the buyer; for two hours, if no `deadline` is named."""
    plain: dict[str, Any] = {
        "id": "p1",
        "conversation_id": "nanshan.lin-wan",
        "shop_id": "nanshan",
        "buyer_id": "lin-wan",
        "agent_id": "xiaoyu",
        "order_id": "o1",
        "order_version": 1,
        "paid": True,
        "currency": "CNY",
        "lines": (LINE,),
        "total_before_cents": 100,
        "total_after_cents": 100,
        "waived_cents": 0,
        "deadline": created + timedelta(hours=2),
    }
    return Proposal(created=created, **{**plain, **different})
