"""A change is taken whole or refused with a reason, and its first result is its only one."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.orders.base import ChangeRefused, ChangeResult, LineChange, OrderEvent
from bot.orders.shop import Shop

Change = Callable[..., Awaitable[ChangeResult]]
Stock = Callable[[str], Awaitable[int]]
Events = Callable[[], Awaitable[list[OrderEvent]]]


@pytest.mark.parametrize(
    ("order_id", "from_sku", "to_sku", "paid", "reason"),
    [
        ("shipped", "a", "same", True, "order_shipped"),
        ("completed", "a", "same", True, "order_completed"),
        ("closed", "a", "same", True, "order_closed"),
        ("refunding", "a", "same", True, "after_sale_opened"),
        ("refunded", "a", "same", True, "after_sale_opened"),
        ("deposit", "a", "same", False, "deposit_presale"),
        ("paid", "a", "same", False, "order_paid"),
        ("unpaid", "a", "same", True, "order_paid"),
        ("paid", "same", "high", True, "lines_changed"),
        ("paid", "a", "none", True, "stock_gone"),
        ("paid", "a", "last", True, "stock_gone"),
        ("paid", "a", "off", True, "off_sale"),
        ("paid", "a", "unheard-of", True, "off_sale"),
        ("paid", "a", "leaf", True, "off_sale"),
    ],
)
async def test_refusals(
    shop: Shop, change: Change, events: Events, order_id: str, from_sku: str, to_sku: str, paid: bool, reason: str
) -> None:
    before = [await shop.order("s", order_id), await shop.product("s", "shirt")]
    result = await change(order_id, from_sku, to_sku, paid=paid)
    assert result == ChangeResult(taken=False, reason=ChangeRefused(reason), order_version=1)
    assert [await shop.order("s", order_id), await shop.product("s", "shirt")] == before
    assert await events() == []


async def test_a_moved_price_and_a_missing_line_refuse(
    shop: Shop, change: Change, wish: Callable[..., LineChange]
) -> None:
    assert (await change("paid", "a", "same", 999)).reason == "price_moved"
    await shop.set_sku("s", "shirt", "same", price_cents=1100)
    assert (await change("paid", "a", "same", change_id="c2")).reason == "price_moved"
    assert (await shop.change("s", "paid", "c3", [wish("9", "a", "high")], paid=True)).reason == "lines_changed"


async def test_an_order_that_is_gone_refuses_and_stays_unknown(change: Change, shop: Shop) -> None:
    assert await change("nowhere", "a", "same") == ChangeResult(taken=False, reason=ChangeRefused.ORDER_GONE)
    with pytest.raises(LookupError, match="shop s has no order nowhere"):
        await shop.order("s", "nowhere")


@pytest.mark.parametrize("to_sku", ["same", "high", "low"])
async def test_what_was_paid_stays(shop: Shop, change: Change, to_sku: str) -> None:
    """R5: the order system keeps what was paid, whatever the new SKU costs."""
    assert await change("paid", "a", to_sku) == ChangeResult(taken=True, order_version=2)
    (line,) = (await shop.order("s", "paid")).lines
    assert (line.sku_id, line.quantity, line.unit_price_cents) == (to_sku, 2, 1000)


@pytest.mark.parametrize(("to_sku", "price"), [("same", 1000), ("high", 1500), ("low", 800)])
async def test_what_is_due_becomes_the_new_price(shop: Shop, change: Change, to_sku: str, price: int) -> None:
    """R6."""
    assert (await change("unpaid", "a", to_sku, paid=False)).taken
    order = await shop.order("s", "unpaid")
    assert (order.lines[0].sku_id, order.total_cents, order.version) == (to_sku, 2 * price, 2)


async def test_stock_moves_from_the_new_sku_to_the_old(change: Change, stock: Stock) -> None:
    await change("paid", "a", "same")
    assert (await stock("a"), await stock("same")) == (12, 8)


async def test_several_lines_change_together(shop: Shop, wish: Callable[..., LineChange], stock: Stock) -> None:
    result = await shop.change("s", "lines", "c1", [wish("1", "a", "high"), wish("2", "same", "high")], paid=False)
    assert result == ChangeResult(taken=True, order_version=2)
    order = await shop.order("s", "lines")
    assert [(line.sku_id, line.unit_price_cents) for line in order.lines] == [
        ("high", 1500),
        ("high", 1500),
        ("leaf", 1000),
    ]
    assert [await stock(sku) for sku in ("a", "same", "high")] == [11, 12, 7]


@pytest.mark.parametrize(
    ("second", "reason"), [(("2", "same", "off"), "off_sale"), (("2", "a", "high"), "lines_changed")]
)
async def test_one_refused_line_refuses_all(
    shop: Shop, wish: Callable[..., LineChange], second: tuple[str, str, str], reason: str
) -> None:
    before = [await shop.order("s", "lines"), await shop.product("s", "shirt")]
    result = await shop.change("s", "lines", "c1", [wish("1", "a", "high"), wish(*second)], paid=False)
    assert result.reason == reason
    assert [await shop.order("s", "lines"), await shop.product("s", "shirt")] == before


async def test_stock_must_do_for_the_sum_of_all_lines(shop: Shop, wish: Callable[..., LineChange]) -> None:
    """R3: two lines of one and two pieces want three."""
    wishes = [wish("1", "a", "high"), wish("2", "same", "high")]
    await shop.set_sku("s", "shirt", "high", stock=2)
    assert (await shop.change("s", "lines", "c1", wishes, paid=False)).reason == "stock_gone"
    await shop.set_sku("s", "shirt", "high", stock=3)
    assert (await shop.change("s", "lines", "c2", wishes, paid=False)).taken


@pytest.mark.parametrize("lines", [[], [("1", "a", "same"), ("1", "a", "high")]])
async def test_a_change_names_its_lines_once(
    shop: Shop, wish: Callable[..., LineChange], lines: list[tuple[str, str, str]]
) -> None:
    with pytest.raises(ValueError, match="each once"):
        await shop.change("s", "paid", "c1", [wish(*line) for line in lines], paid=True)


async def test_the_event_is_written_with_the_change(change: Change, events: Events) -> None:
    await change("paid", "a", "same", change_id="proposal-7")
    assert [event.model_dump(mode="json") for event in await events()] == [
        {
            "shop_id": "s",
            "order_id": "paid",
            "buyer_id": "ann",
            "kind": "lines_changed",
            "version": 2,
            "change_id": "proposal-7",
        }
    ]


async def test_a_taken_change_is_not_taken_again_after_it_was_undone(shop: Shop, change: Change, stock: Stock) -> None:
    """Red with the replay of the first result removed: the late repetition changed the line a third time."""
    first = await change("paid", "a", "same", change_id="c1")
    await change("paid", "same", "a", change_id="c2")
    assert await change("paid", "a", "same", change_id="c1") == first
    assert (await shop.order("s", "paid")).lines[0].sku_id == "a"
    await shop.move("s", "paid", "ship")
    assert await change("paid", "a", "same", change_id="c1") == first


async def test_a_refused_change_stays_refused(shop: Shop, change: Change) -> None:
    first = await change("paid", "a", "none")
    assert first.reason == "stock_gone"
    await shop.set_sku("s", "shirt", "none", stock=50)
    assert await change("paid", "a", "none") == first
    assert (await shop.order("s", "paid")).version == 1


async def test_repetitions_at_once_change_once(shop: Shop, change: Change, stock: Stock, events: Events) -> None:
    """Red with the replay of the first result removed: all but one were told lines_changed."""
    results = await asyncio.gather(*[change("paid", "a", "same") for _ in range(30)])
    assert set(results) == {ChangeResult(taken=True, order_version=2)}
    assert await stock("same") == 8
    assert len(await events()) == 1


async def test_one_of_twenty_gets_the_last_piece(change: Change, stock: Stock, events: Events) -> None:
    """Red with the stock guard removed (twenty took it), and with check and write in two steps."""
    results = await asyncio.gather(
        *[change(f"single-{number}", "a", "last", change_id=f"c{number}") for number in range(20)]
    )
    assert sorted(result.reason or "taken" for result in results) == ["stock_gone"] * 19 + ["taken"]
    assert await stock("last") == 0
    assert len(await events()) == 1


async def test_one_of_many_changes_of_one_line_wins(shop: Shop, change: Change, stock: Stock) -> None:
    """Red with the guard of the line's SKU removed: every one moved stock."""
    to_skus = ["same", "high", "low", "last"] * 5
    results = await asyncio.gather(
        *[change("single-0", "a", to_sku, change_id=f"c{number}") for number, to_sku in enumerate(to_skus)]
    )
    assert [result.taken for result in results].count(True) == 1
    assert {result.reason for result in results if not result.taken} == {"lines_changed"}
    assert sum([await stock(sku) for sku in ("a", "same", "high", "low", "last")]) == 41
