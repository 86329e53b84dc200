"""What happens to orders without us: legal moves only, each with its version, its stock and its event."""

from collections.abc import Awaitable, Callable

import pytest

from bot.orders.base import OrderEvent, UnknownOrder
from bot.orders.shop import IllegalMove, Move, Shop

Events = Callable[[], Awaitable[list[OrderEvent]]]


@pytest.mark.parametrize(
    ("order_id", "what", "kind", "status", "after_sale"),
    [
        ("unpaid", "pay", "order_paid", "paid", "none"),
        ("paid", "ship", "order_shipped", "shipped", "none"),
        ("refunded", "ship", "order_shipped", "shipped", "done"),
        ("shipped", "complete", "order_completed", "completed", "none"),
        ("paid", "refund", "after_sale_opened", "paid", "open"),
        ("shipped", "refund", "after_sale_opened", "shipped", "open"),
        ("completed", "refund", "after_sale_opened", "completed", "open"),
        ("unpaid", "close", "order_closed", "closed", "none"),
        ("paid", "close", "order_closed", "closed", "none"),
        ("refunding", "close", "order_closed", "closed", "done"),
    ],
)
async def test_legal_moves(
    shop: Shop, events: Events, order_id: str, what: Move, kind: str, status: str, after_sale: str
) -> None:
    moved = await shop.move("s", order_id, what)
    assert moved == await shop.order("s", order_id)
    assert (moved.status, moved.after_sale, moved.version) == (status, after_sale, 2)
    (event,) = await events()
    assert (event.order_id, event.buyer_id, event.kind, event.version, event.change_id) == (
        order_id,
        "ann",
        kind,
        2,
        None,
    )


@pytest.mark.parametrize(
    ("order_id", "what", "says"),
    [
        ("paid", "pay", "can't pay order paid: it is paid (after-sale none), and must be unpaid (after-sale none)"),
        ("unpaid", "ship", "must be paid"),
        ("refunding", "ship", "it is paid (after-sale open), and must be paid (after-sale none or done)"),
        ("paid", "complete", "must be shipped"),
        ("unpaid", "refund", "must be paid or shipped or completed"),
        ("refunding", "refund", "after-sale none"),
        ("shipped", "close", "must be unpaid or paid"),
        ("closed", "close", "it is closed"),
    ],
)
async def test_illegal_moves_change_nothing(shop: Shop, events: Events, order_id: str, what: Move, says: str) -> None:
    before = await shop.order("s", order_id)
    with pytest.raises(IllegalMove) as told:
        await shop.move("s", order_id, what)
    assert says in str(told.value)
    assert await shop.order("s", order_id) == before
    assert await events() == []


async def test_a_closed_order_gives_its_pieces_back(shop: Shop, stock: Callable[[str], Awaitable[int]]) -> None:
    await shop.move("s", "lines", "close")
    assert (await stock("a"), await stock("same")) == (11, 12)


async def test_an_unknown_order_can_not_move(shop: Shop) -> None:
    with pytest.raises(UnknownOrder, match="shop s has no order nowhere"):
        await shop.move("s", "nowhere", "pay")
