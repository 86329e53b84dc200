"""The law of `applying`: consent is safe, and from then on only the order system decides, however long it takes."""

from datetime import timedelta
from typing import Any

import pytest

from bot.client import CommandFailed, Frame
from cards.order import Product
from tests.flows.line import Line
from tests.flows.scene import Scene
from tests.flows.town import Town
from tests.until import until

SOON = timedelta(milliseconds=50)
NEVER = timedelta(hours=1)


@pytest.fixture
def line() -> Line:
    """The line to the order system, in order."""
    return Line()


async def scene_on(town: Town, line: Line, **settings: Any) -> Scene:
    """A scene whose gateways reach the order system over that line, and ask again soon."""
    return await town.scene(
        orders=line.to, **{"retry_after": SOON, "retry_at_most": timedelta(milliseconds=100), **settings}
    )


async def stock(scene: Scene) -> dict[str, int]:
    """The stock of tees by SKU."""
    product: Product = await scene.shop.product(scene.town.shop_id, "tee")
    return {sku.id: sku.stock for sku in product.skus}


async def changed_once(scene: Scene, card: Frame, *notices: str) -> None:
    """Both saw consent, then the outcome, once each; the agent was told just this; one piece of each SKU moved."""
    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "agreed")
    await scene.settled_work()
    await scene.caught_up()
    for client in (scene.agent, scene.buyer):
        states = scene.states(client, card)
        assert list(dict.fromkeys(states)) == ["pending", "applying", "agreed"]
        assert scene.outcomes(client, card) == ["agreed"]
    assert [notice["code"] for notice in scene.notices(scene.agent)] == list(notices or ["agreed"])
    assert scene.notices(scene.buyer) == []
    assert await scene.skus() == ["white-s"]
    shelf = await stock(scene)
    assert (shelf["white-s"], shelf["white-m"]) == (29, 31)


async def test_consent_is_answered_before_the_order_system_is(town: Town, line: Line) -> None:
    """Seen to fail with the click answered after the order system."""
    scene = await scene_on(town, line, retry_after=NEVER)
    card = await scene.propose()
    held = line.hold()

    answered = await scene.buyer.answer(card, "agree")

    assert (answered["state"], line.results) == ("applying", [])
    for client in (scene.agent, scene.buyer):
        shown = await scene.sees(client, card, "applying")
        assert (shown["label"], shown["buttons"], shown["settled_ms"]) == ("已同意 · 处理中", [], None)
    assert scene.notices(scene.agent) == []
    held.set()
    await changed_once(scene, card)
    assert len(line.asked) == 1


async def test_an_order_system_that_is_away_is_asked_until_it_answers(town: Town, line: Line) -> None:
    """The agent is told once that it takes longer.

    Seen to fail with the retry timer not armed: nobody asked again.
    """
    scene = await scene_on(town, line, slow_after=timedelta(milliseconds=200))
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.agent.wait_for(lambda: scene.notices(scene.agent), 5)
    (delayed,) = scene.notices(scene.agent)
    assert (delayed["code"], delayed["agent_id"]) == ("delayed", "xiaoyu")
    entry = scene.log(scene.agent)[-1]
    assert entry["at_ms"] - card["created_ms"] >= 200
    asked = len(line.asked)
    await until(lambda: len(line.asked) >= asked + 3)

    line.away = False

    await changed_once(scene, card, "delayed", "agreed")
    assert set(line.asked) == {card["proposal_id"]}


async def test_an_order_system_that_hangs_is_told_of_as_well(town: Town, line: Line) -> None:
    """It takes every request and answers none, for longer than a timer's lease (10 s).

    Seen to fail with the agent told after the next attempt: whoever asked was still waiting for its answer.
    """
    scene = await scene_on(town, line, slow_after=timedelta(milliseconds=200))
    card = await scene.propose()
    line.answers.clear()
    await scene.buyer.answer(card, "agree")
    await scene.agent.wait_for(lambda: scene.notices(scene.agent), 5)
    line.answers.set()
    await changed_once(scene, card, "delayed", "agreed")


async def test_an_answer_that_comes_too_late_is_asked_for_again(town: Town, line: Line) -> None:
    """The shop took the change; its gateway had given up. The next one to ask gets that first result.

    Seen to fail with a fresh change id for every attempt: the second was refused, as the line had changed.
    """
    scene = await scene_on(town, line, order_system_timeout=timedelta(milliseconds=100), retry_after=NEVER)
    card = await scene.propose()
    line.answers.clear()
    await scene.buyer.answer(card, "agree")
    await scene.settled_work()
    assert await scene.skus() == ["white-s"]
    assert scene.states(scene.agent, card)[-1] == "applying"
    line.answers.set()
    await town.gateways[1].house.applying.retry(scene.conversation_id, card["proposal_id"])
    await changed_once(scene, card)
    assert line.results[0] == line.results[1]


async def test_a_first_attempt_that_arrives_after_the_second_changes_nothing(town: Town, line: Line) -> None:
    """Seen to fail with a fresh change id for every attempt."""
    scene = await scene_on(town, line, order_system_timeout=timedelta(milliseconds=100), retry_after=NEVER)
    card = await scene.propose()
    held = line.hold()
    await scene.buyer.answer(card, "agree")
    await scene.settled_work()
    line.pass_on()
    await town.gateways[1].house.applying.retry(scene.conversation_id, card["proposal_id"])
    await changed_once(scene, card)

    held.set()

    await line.delivered()
    assert line.results[0] == line.results[1]
    await changed_once(scene, card)


async def test_nothing_else_settles_what_was_agreed_to(town: Town, line: Line) -> None:
    """Neither the deadline, though its timer fires, nor a withdrawal, nor another answer.

    Seen to fail with EXPIRE and WITHDRAW as ways out of `applying`.
    """
    scene = await scene_on(town, line, answer_window=timedelta(milliseconds=300))
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.deadline_passed(card)
    for act in (scene.agent.withdraw(card), scene.buyer.answer(card, "reject")):
        with pytest.raises(CommandFailed) as failed:
            await act
        assert failed.value.code == "already_settled"
        assert failed.value.card is not None
        assert failed.value.card["label"] == "已同意 · 处理中"
    for gateway in town.gateways:
        await gateway.house.negotiation.expire(scene.conversation_id, card["proposal_id"])
    line.away = False
    await changed_once(scene, card)


async def test_an_order_event_asks_again_at_once(town: Town, line: Line) -> None:
    """No timer would for an hour; the order was shipped meanwhile, so the answer is no.

    Seen to fail with `order_moved` passing over what is being applied.
    """
    scene = await scene_on(town, line, retry_after=NEVER)
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.settled_work()
    line.away = False

    await scene.shop.move(town.shop_id, scene.order_id("paid"), "ship")

    shown = await scene.sees(scene.agent, card, "invalid")
    assert shown["reason"] == {"code": "order_shipped", "text": "订单已发货"}
    await scene.caught_up()
    assert [notice["text"] for notice in scene.notices(scene.agent)] == ["订单已不支持修改规格，改规格申请失效"]
    assert scene.states(scene.buyer, card) == ["pending", "applying", "invalid"]
    assert await scene.skus() == ["white-m"]
    assert len(line.asked) == 2


async def test_an_event_while_the_order_system_is_away_decides_nothing(town: Town, line: Line) -> None:
    """Seen to fail with `order_moved` passing over what is being applied: nobody asked."""
    scene = await scene_on(town, line, retry_after=NEVER)
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.shop.move(town.shop_id, scene.order_id("paid"), "ship")
    await scene.events_heard()
    await scene.settled_work()
    await scene.caught_up()
    assert len(line.asked) == 2
    assert scene.states(scene.agent, card) == ["pending", "applying"]


async def test_stock_that_went_while_it_was_away_ends_it_with_its_reason(town: Town, line: Line) -> None:
    """Seen to fail with the retry timer not armed."""
    scene = await scene_on(town, line)
    card = await scene.propose()
    line.away = True
    await scene.buyer.answer(card, "agree")
    await scene.shop.set_sku(town.shop_id, "tee", "white-s", stock=0)
    line.away = False
    shown = await scene.sees(scene.agent, card, "invalid")
    assert shown["reason"] == {"code": "stock_gone", "text": "所选规格库存不足"}
    await scene.caught_up()
    assert [notice["text"] for notice in scene.notices(scene.agent)] == ["订单已不支持修改规格，改规格申请失效"]
    assert await scene.skus() == ["white-m"]


async def test_the_gateway_that_took_the_consent_is_gone(town: Town, line: Line) -> None:
    """It is stopped between the commit of the consent and the change of the order; another one finishes, once.

    Seen to fail with the retry timer not armed: the consent stayed where it was.
    """
    doomed = await town.gateway(line.to, timers=False, drain=SOON, retry_after=timedelta(milliseconds=300))
    other = await town.gateway(retry_after=SOON)
    agent, buyer = await town.agent(on=other), await town.buyer(on=[doomed, other])
    await agent.open("lin-wan")
    scene = Scene(town, "nanshan.lin-wan", "lin-wan", agent, buyer)
    card = await scene.propose()
    line.hold()
    assert (await buyer.answer(card, "agree"))["state"] == "applying"

    await doomed.stop()

    assert line.results == []
    town.gateways.remove(doomed)
    await changed_once(scene, card)
    assert (buyer.connections, len(line.asked)) == (2, 1)
