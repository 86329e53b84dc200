"""The slow second look: what a lost write broke is found and put right, and nothing else is touched."""

from datetime import timedelta

from bot.flows.timer_ids import expiry_of, reply_timer, retry_of
from bot.orders.base import OrderSystemAway
from cards.model import from_ms
from cards.proposal import State
from tests.faults.desk_state import by_the_desk, by_the_documents, look
from tests.flows.town import Town

LIN_WAN, CHEN_MO = "nanshan.lin-wan", "nanshan.chen-mo"


async def test_a_lost_timer_is_armed_again(town: Town) -> None:
    """As after a failover that lost the timers' slot. Seen to fail without the arming: the card waits for ever."""
    scene = await town.scene(answer_window=timedelta(seconds=2))
    card = await scene.propose()
    timers = town.gateways[0].house.timers
    expiry = expiry_of(scene.conversation_id, card["proposal_id"])
    await timers.disarm(expiry)
    assert await town.gateways[0].house.reconciler.look() == 1
    assert await timers.due_of(expiry) == from_ms(card["deadline_ms"])
    await scene.sees(scene.agent, card, "timed_out")
    assert scene.outcomes(scene.agent, card) == ["timed_out"]


async def test_what_is_in_order_is_left_alone(town: Town) -> None:
    scene = await town.scene()
    card = await scene.propose()
    assert await town.gateways[1].house.reconciler.look() == 0
    await scene.settled_work()
    assert scene.states(scene.buyer, card) == ["pending"]


async def test_an_order_that_moved_unheard_invalidates_its_card(town: Town) -> None:
    """As when a gateway died between its commit and its second look. Seen to fail without `verify`."""
    scene = await town.scene()
    for gateway in town.gateways:
        gateway.house.events._on_event = _deaf
    card = await scene.propose()
    await scene.settled_work()
    await scene.shop.move(town.shop_id, scene.order_id("paid"), "refund")
    await town.gateways[0].house.reconciler.look()
    invalid = await scene.sees(scene.agent, card, "invalid")
    assert invalid["reason"]["code"] == "after_sale_opened"


async def test_a_consent_whose_retry_was_lost_is_carried_out(town: Town) -> None:
    """Both the process that took the consent and its retry timer are gone. Seen to fail without the arming."""
    scene = await town.scene(retry_after=timedelta(milliseconds=100))
    card = await scene.propose()
    for gateway in town.gateways:
        gateway.house.applying.start = lambda *_: None
    await scene.buyer.answer(card, "agree")
    house = town.gateways[0].house
    (proposal,) = (await house.store.load(scene.conversation_id, proposals=(card["proposal_id"],))).proposals
    assert proposal is not None
    assert proposal.state is State.APPLYING
    await house.timers.disarm(retry_of(proposal))
    for gateway in town.gateways:
        del gateway.house.applying.start
    assert await house.reconciler.look() == 1
    await scene.sees(scene.agent, card, "agreed")
    assert await scene.skus() == ["white-s"]


async def _deaf(event: object) -> None:
    """Nobody hears it."""


async def test_a_lost_timer_is_armed_though_the_order_system_is_away(town: Town) -> None:
    """Seen to fail when the order is looked at first."""
    scene = await town.scene()
    card = await scene.propose()
    house = town.gateways[0].house
    expiry = expiry_of(scene.conversation_id, card["proposal_id"])
    await scene.settled_work()
    await house.timers.disarm(expiry)
    house.negotiation.verify = _away
    assert await house.reconciler.look() == 1
    assert await house.timers.due_of(expiry) == from_ms(card["deadline_ms"]) - house.settings.remind_before


async def _away(proposal: object) -> None:
    raise OrderSystemAway("gone fishing")


async def test_the_lost_timer_of_a_buyer_who_waits_for_a_reply_is_armed_again(town: Town) -> None:
    """Seen to fail without the arming: nobody was told that the reply was late."""
    scene = await town.scene(reply_warning=timedelta(seconds=1), reply_overdue=timedelta(hours=1))
    await scene.buyer.say(scene.conversation_id, "在吗")
    house = town.gateways[0].house
    timer = reply_timer(scene.conversation_id)
    due = await house.timers.due_of(timer)
    await house.timers.disarm(timer)
    assert await house.reconciler.look() == 1
    asked_ms = scene.log(scene.buyer)[-1]["at_ms"]
    assert await house.timers.due_of(timer) == from_ms(asked_ms) + timedelta(seconds=1)
    assert due is not None
    await scene.agent.wait_for(lambda: scene.notices(scene.agent), 5)
    await scene.settled_work()
    assert await house.reconciler.look() == 0


async def test_the_reconciler_repairs_indexes_that_lost_conversations(town: Town) -> None:
    """As after a failover that lost writes. Seen to fail without its place: both lists stayed empty."""
    gateway = await town.gateway()
    agent = await town.agent()
    await agent.open("lin-wan")
    await agent.be("suspended")
    await (await town.buyer("chen-mo")).say(CHEN_MO, "在吗")
    await look(gateway)
    redis = await town.redis()
    for lost in ("inbox:xiaoyu", "waiting", "held", "placed"):
        await redis.delete(f"desk:{{nanshan}}:{lost}")
    assert (await agent.list_conversations())["conversations"] == []

    await gateway.house.reconciler.look()

    page = await agent.list_conversations()
    assert {item["conversation_id"]: item["group"] for item in page["conversations"]} == {
        LIN_WAN: "in_progress",
        CHEN_MO: "unassigned",
    }
    assert await by_the_desk(town) == await by_the_documents(town)
