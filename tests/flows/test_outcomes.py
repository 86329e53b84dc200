"""The five outcomes: what each side sees of them, in the words people were promised (R2 to R6, R9, R11)."""

from datetime import timedelta
from typing import Literal

import pytest

from bot.client import CommandFailed
from tests.flows.ending import ended
from tests.flows.scene import Scene
from tests.flows.town import Town


async def test_the_buyer_agrees_and_the_order_changes(scene: Scene) -> None:
    card = await scene.propose(line_1="white-s")
    assert (card["label"], [button["action"] for button in card["buttons"]]) == ("待处理", ["agree", "reject"])
    assert await scene.skus() == ["white-m"]

    answered = await scene.buyer.answer(card, "agree")

    assert answered["state"] == "applying"
    await ended(scene, card, "agreed")
    assert scene.states(scene.agent, card) == ["pending", "applying", "agreed"]
    assert await scene.skus() == ["white-s"]


async def test_the_buyer_rejects_and_nothing_changes(scene: Scene) -> None:
    card = await scene.propose()
    await scene.buyer.answer(card, "reject", comment="还是原来的好")
    await ended(scene, card, "rejected")
    assert scene.agent.cards(scene.conversation_id)[card["proposal_id"]]["comment"] == "还是原来的好"
    assert await scene.skus() == ["white-m"]


async def test_the_buyer_says_nothing_until_the_deadline(town: Town) -> None:
    scene = await town.scene(answer_window=timedelta(milliseconds=300))
    card = await scene.propose()
    assert card["deadline_ms"] - card["created_ms"] == 300

    await ended(scene, card, "timed_out")

    (entry,) = [entry for entry in scene.log(scene.agent) if "notice" in entry]
    assert 0 <= entry["at_ms"] - card["deadline_ms"] < 1000
    assert await scene.skus() == ["white-m"]


async def test_the_agent_takes_it_back(scene: Scene) -> None:
    card = await scene.propose()
    await scene.agent.withdraw(card)
    await ended(scene, card, "withdrawn")
    assert await scene.skus() == ["white-m"]


@pytest.mark.parametrize(
    ("order", "what", "reason", "text"),
    [
        ("unpaid", "pay", "order_paid", "订单已付款，价格依据已变化"),
        ("paid", "ship", "order_shipped", "订单已发货"),
        ("paid", "refund", "after_sale_opened", "订单有退款或售后"),
        ("paid", "close", "order_closed", "订单已关闭"),
        ("unpaid", "close", "order_closed", "订单已关闭"),
    ],
)
async def test_the_order_moves_and_the_card_is_invalid(
    scene: Scene, order: str, what: Literal["pay", "ship", "refund", "close"], reason: str, text: str
) -> None:
    card = await scene.propose(order)
    before = await scene.skus(order)

    await scene.shop.move(scene.town.shop_id, scene.order_id(order), what)

    await ended(scene, card, "invalid")
    for client in (scene.agent, scene.buyer):
        assert client.cards(scene.conversation_id)[card["proposal_id"]]["reason"] == {"code": reason, "text": text}
    assert scene.notices(scene.agent, card)[0]["reason"] == {"code": reason, "text": text}
    assert await scene.skus(order) == before


async def test_our_own_change_echoed_back_ends_no_later_card(scene: Scene) -> None:
    first = await scene.propose(line_1="white-s")
    await scene.buyer.answer(first, "agree")
    await ended(scene, first, "agreed")
    second = await scene.propose(line_1="white-m")
    await scene.events_heard()
    await scene.buyer.answer(second, "agree")
    await ended(scene, second, "agreed")
    assert await scene.skus() == ["white-m"]


@pytest.mark.parametrize("away", ["stock", "price", "sale"])
async def test_what_the_order_system_no_longer_takes_at_the_click_is_invalid(scene: Scene, away: str) -> None:
    card = await scene.propose(line_1="white-s")
    change = {"stock": {"stock": 0}, "price": {"price_cents": 8901}, "sale": {"on_sale": False}}[away]
    await scene.shop.set_sku(scene.town.shop_id, "tee", "white-s", **change)

    answered = await scene.buyer.answer(card, "agree")

    assert answered["state"] == "applying"
    await ended(scene, card, "invalid")
    code = {"stock": "stock_gone", "price": "price_moved", "sale": "off_sale"}[away]
    assert scene.notices(scene.agent, card)[0]["reason"]["code"] == code
    assert await scene.skus() == ["white-m"]


async def test_lower_after_payment_is_refused_before_any_card(scene: Scene) -> None:
    with pytest.raises(CommandFailed) as refused:
        await scene.send(line_1="grey-m")
    assert refused.value.code == "price_lower_after_payment"
    assert refused.value.problem["title"] == "此规格低于订单商品价格，无法修改"
    assert refused.value.problem["detail"] == "请与买家协商确认后，引导买家退款后重新下单"
    await scene.caught_up()
    assert not [entry for entry in scene.log(scene.buyer) if "card" in entry]


async def test_higher_after_payment_is_waived_knowingly(scene: Scene) -> None:
    with pytest.raises(CommandFailed) as refused:
        await scene.send(line_1="green-m")
    assert refused.value.code == "difference_not_waived"
    assert refused.value.problem["title"] == "买家将不再补差价；如不接受，请引导买家退款后重新下单"

    card = await scene.propose(line_1="green-m", waive=True)

    assert "无需补差价" in str(card["price_line"])
    assert (card["waived_cents"], card["total_before_cents"], card["total_after_cents"]) == (1000, 8900, 8900)
    await scene.buyer.answer(card, "agree")
    await ended(scene, card, "agreed")
    order = await scene.order()
    assert (order.lines[0].sku_id, order.total_cents) == ("green-m", 8900)


@pytest.mark.parametrize(("sku", "due"), [("green-m", 9900), ("white-s", 8900), ("grey-m", 7900)])
async def test_unpaid_costs_the_new_price_once_agreed(scene: Scene, sku: str, due: int) -> None:
    card = await scene.propose("unpaid", line_1=sku)
    assert card["total_after_cents"] == due + 2 * 5900
    assert (await scene.order("unpaid")).total_cents == 8900 + 2 * 5900

    await scene.buyer.answer(card, "agree")

    await ended(scene, card, "agreed")
    order = await scene.order("unpaid")
    assert (order.lines[0].unit_price_cents, order.total_cents) == (due, due + 2 * 5900)


async def test_one_card_changes_several_lines(scene: Scene) -> None:
    card = await scene.propose("two-lines", line_1="green-m", line_2="kiln", waive=True)
    assert [line["line_id"] for line in card["lines"]] == ["1", "2"]
    assert card["waived_cents"] == 1000 + 2 * 2000
    await scene.buyer.answer(card, "agree")
    await ended(scene, card, "agreed")
    assert await scene.skus("two-lines") == ["green-m", "kiln"]


async def test_every_refused_line_is_named(scene: Scene) -> None:
    with pytest.raises(CommandFailed) as refused:
        await scene.send("two-lines", line_1="white-l", line_2="straw")
    assert refused.value.code == "lines_refused"
    assert [(line["line_id"], line["code"]) for line in refused.value.problem["lines"]] == [
        ("1", "out_of_stock"),
        ("2", "price_lower_after_payment"),
    ]


@pytest.mark.parametrize(
    ("order", "code"),
    [("shipped", "order_not_changeable"), ("presale", "deposit_presale"), ("absent", "unknown_order")],
)
async def test_orders_that_cannot_change(scene: Scene, order: str, code: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        await scene.send(order)
    assert refused.value.code == code
