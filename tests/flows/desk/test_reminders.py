"""Reminders of a card that waits: the agent's, once in each quarter of its time, and the automatic one near its end."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from bot.client import ChatClient, CommandFailed, Frame
from bot.documents.store import Commit, Committed
from bot.flows.timer_ids import expiry_of
from bot.participant import Role
from cards.model import from_ms
from tests.flows.answers import refusal
from tests.flows.crossing import Crossing
from tests.flows.scene import Scene
from tests.flows.town import Gateway, Town

WINDOW = timedelta(milliseconds=1200)
NEAR = timedelta(milliseconds=400)


def said(scene: Scene, client: ChatClient, code: str) -> list[Frame]:
    """The system lines of that kind that a client was shown, each with its entry's `at_ms`."""
    log = [entry for entry in scene.log(client) if entry.get("system", {}).get("code") == code]
    return [{**entry["system"], "at_ms": entry["at_ms"], "unread": entry.get("unread", False)} for entry in log]


async def until(scene: Scene, at_ms: float) -> None:
    """Wait until the server's clock shows that instant."""
    await scene.deadline_passed({"deadline_ms": at_ms})


async def fire(at: Gateway, scene: Scene, card: Frame) -> None:
    """Let the card's timer fire on that gateway."""
    timer = expiry_of(scene.conversation_id, card["proposal_id"])
    await at.house.timer_fired(timer, from_ms(card["deadline_ms"]))


async def test_a_reminder_points_to_the_card(scene: Scene) -> None:
    card = await scene.propose()

    await scene.agent.remind(card)

    await scene.caught_up()
    points = {"code": "reminded", "proposal_id": card["proposal_id"], "order_id": "lin-wan-paid"}
    for client, text, unread in (
        (scene.buyer, "客服提醒您处理订单 lin-wan-paid 的改规格申请", True),
        (scene.agent, "已提醒买家处理订单 lin-wan-paid 的改规格申请", False),
    ):
        (line,) = said(scene, client, "reminded")
        assert line == {**points, "text": text, "unread": unread, "at_ms": line["at_ms"]}
    assert scene.buyer.conversations[scene.conversation_id]["unread"] == 2


@pytest.mark.parametrize("action", ["agree", "reject"])
async def test_the_click_on_a_card_seen_before_the_reminder_is_good(scene: Scene, action: str) -> None:
    """A reminder makes no new version. Seen to fail with one that does: `old_version`."""
    card = await scene.propose()
    await scene.agent.remind(card)
    answer = await scene.buyer.answer(card, action)
    assert (answer["state"], answer["version"]) == ("applying" if action == "agree" else "rejected", 2)


async def test_once_in_each_quarter(town: Town) -> None:
    scene = await town.scene(timers=False, answer_window=timedelta(seconds=2))
    card = await scene.propose()
    quarter_ms, created_ms = 500, card["deadline_ms"] - 2000
    for number in range(4):
        await until(scene, created_ms + number * quarter_ms)
        await scene.agent.remind(card)
        again = await refusal(scene.agent.remind(card))
        assert again.code == "reminded_already"
        assert again.problem["again_ms"] == (None if number == 3 else created_ms + (number + 1) * quarter_ms)
    await scene.caught_up()
    for client in (scene.agent, scene.buyer):
        quarters = [(line["at_ms"] - created_ms) // quarter_ms for line in said(scene, client, "reminded")]
        assert quarters == [0, 1, 2, 3]


async def test_each_card_has_its_own_reminders(scene: Scene) -> None:
    first, second = await scene.propose("paid"), await scene.propose("unpaid")
    for card in (first, second):
        await scene.agent.remind(card)
    assert (await refusal(scene.agent.remind(first))).code == "reminded_already"
    await scene.agent.withdraw(first)
    third = await scene.propose("paid")
    await scene.agent.remind(third)
    await scene.caught_up()
    orders = [line["order_id"] for line in said(scene, scene.buyer, "reminded")]
    assert orders == ["lin-wan-paid", "lin-wan-unpaid", "lin-wan-paid"]


async def test_a_repeated_command_reminds_once(scene: Scene) -> None:
    card = await scene.propose()
    command = {
        "command_id": "6f1c0c53-95d8-4a3c-8f60-0d8bbf3c6a6e",
        "conversation_id": scene.conversation_id,
        "proposal_id": card["proposal_id"],
    }
    assert await scene.agent.command("remind", **command) == await scene.agent.command("remind", **command)
    await scene.caught_up()
    assert len(said(scene, scene.buyer, "reminded")) == 1


async def test_two_devices_remind_at_once(scene: Scene) -> None:
    """Both decide before either commits. Seen to fail without the `must` mark: the buyer was reminded twice."""
    card = await scene.propose()
    device = await scene.town.agent(on=scene.town.gateways[1])
    Crossing([gateway.house.store for gateway in scene.town.gateways])

    answers = await asyncio.gather(*[each.remind(card) for each in (scene.agent, device)], return_exceptions=True)

    assert isinstance(answers[0], dict)
    assert isinstance(answers[1], CommandFailed)
    assert answers[1].code == "reminded_already"
    await scene.caught_up(scene.agent, device, scene.buyer)
    for client in (scene.agent, device, scene.buyer):
        assert len(said(scene, client, "reminded")) == 1


async def test_an_answer_and_a_reminder_at_once(scene: Scene) -> None:
    """Whoever answers first is reminded of nothing; whoever was reminded first has answered all the same.

    Seen to fail with the proposal's version left out of the reminder's commit: a card was reminded of that was settled.
    """
    for first in ("answer", "remind"):
        card = await scene.propose()
        here, there = (gateway.house.store for gateway in scene.town.gateways)
        Crossing([there, here] if first == "answer" else [here, there])
        reminded, answered = await asyncio.gather(
            scene.agent.remind(card), scene.buyer.answer(card, "reject"), return_exceptions=True
        )
        for store in (here, there):
            del store.commit
        assert isinstance(answered, dict)
        assert answered["state"] == "rejected"
        await scene.caught_up()
        if first == "answer":
            assert isinstance(reminded, CommandFailed)
            assert (reminded.code, reminded.card and reminded.card["state"]) == ("already_settled", "rejected")
            assert said(scene, scene.buyer, "reminded") == []
    (line,) = said(scene, scene.buyer, "reminded")
    assert line["proposal_id"] == card["proposal_id"]


@pytest.mark.parametrize("end", ["agreed", "rejected", "withdrawn", "invalid"])
async def test_after_an_outcome_there_is_nothing_to_remind_of(scene: Scene, end: str) -> None:
    card = await scene.propose()
    match end:
        case "agreed":
            await scene.buyer.answer(card, "agree")
        case "rejected":
            await scene.buyer.answer(card, "reject")
        case "withdrawn":
            await scene.agent.withdraw(card)
        case "invalid":
            await scene.shop.move(scene.town.shop_id, scene.order_id("paid"), "ship")
    await scene.sees(scene.agent, card, end)

    failed = await refusal(scene.agent.remind(card))

    assert failed.code == "already_settled"
    assert failed.card is not None
    assert (failed.card["state"], failed.card["buttons"]) == (end, [])
    await scene.settled_work()
    await scene.caught_up()
    assert said(scene, scene.buyer, "reminded") == []


async def test_after_the_deadline_the_card_is_settled_first(town: Town) -> None:
    """R10, without any timer. Seen to fail without a look at the deadline: the buyer was reminded of what had ended."""
    scene = await town.scene(timers=False, answer_window=timedelta(milliseconds=150))
    card = await scene.propose()
    await scene.deadline_passed(card)

    failed = await refusal(scene.agent.remind(card))

    assert failed.code == "already_settled"
    assert failed.card is not None
    assert (failed.card["state"], failed.card["label"]) == ("timed_out", "已超时")
    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "timed_out")
    await scene.caught_up()
    assert [notice["text"] for notice in scene.notices(scene.agent, card)] == ["用户超时未处理改规格申请"]
    assert said(scene, scene.buyer, "reminded") == []


async def test_a_reminder_decided_in_time_and_committed_too_late_is_none(town: Town) -> None:
    """Seen to fail without the bound of its commit: the buyer was reminded of what had ended."""
    scene = await town.scene(timers=False, answer_window=timedelta(milliseconds=150))
    card = await scene.propose()
    store = scene.town.gateways[0].house.store
    commit: Callable[[Commit], Awaitable[Committed]] = store.commit

    async def late(decision: Commit) -> Committed:
        await scene.deadline_passed(card)
        return await commit(decision)

    store.commit = late  # type: ignore[method-assign]
    failed = await refusal(scene.agent.remind(card))
    assert (failed.code, failed.card and failed.card["state"]) == ("already_settled", "timed_out")
    await scene.caught_up()
    assert said(scene, scene.buyer, "reminded") == []
    assert scene.outcomes(scene.buyer, card) == ["timed_out"]


async def test_only_the_current_agent_reminds(scene: Scene) -> None:
    town, card = scene.town, await scene.propose()
    colleague, boss = await town.agent("ahe"), await town.person(Role.SUPERVISOR, "boss")
    assert (await refusal(colleague.remind(card))).code == "not_current_agent"
    assert (await refusal(scene.buyer.remind(card))).code == "agents_only"
    assert (await refusal(boss.remind(card))).code == "agents_only"
    assert (await refusal(scene.agent.remind({**card, "proposal_id": "nothing"}))).code == "unknown_proposal"
    await scene.agent.transfer(scene.conversation_id, "ahe")
    assert (await refusal(scene.agent.remind(card))).code == "not_current_agent"
    await colleague.remind(card)
    await scene.caught_up(scene.buyer, colleague)
    assert len(said(scene, scene.buyer, "reminded")) == 1


async def test_both_sides_are_told_near_the_end_and_it_still_ends_on_time(town: Town) -> None:
    """With the timers of two gateways: each thing is told once, at its time."""
    scene = await town.scene(answer_window=WINDOW, remind_before=NEAR)
    card = await scene.propose()

    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "timed_out")
    await scene.settled_work()
    await scene.caught_up()

    near_ms = card["deadline_ms"] - NEAR.total_seconds() * 1000
    for client, text in (
        (scene.buyer, "订单 lin-wan-paid 的改规格申请即将超时，请尽快处理"),
        (scene.agent, "订单 lin-wan-paid 的改规格申请即将超时，买家尚未处理"),
    ):
        (line,) = said(scene, client, "near_deadline")
        assert (line["text"], line["proposal_id"], line["unread"]) == (text, card["proposal_id"], True)
        assert near_ms <= line["at_ms"] < card["deadline_ms"]
        ended = [entry for entry in scene.log(client) if entry.get("card", {}).get("state") == "timed_out"]
        assert [card["deadline_ms"] <= entry["at_ms"] < card["deadline_ms"] + 1000 for entry in ended] == [True]


async def test_the_click_after_the_automatic_reminder_is_good(town: Town) -> None:
    scene = await town.scene(remind_before=timedelta(hours=2) - timedelta(milliseconds=50))
    card = await scene.propose()
    await scene.buyer.wait_for(lambda: said(scene, scene.buyer, "near_deadline"), 5)
    assert (await scene.buyer.answer(card, "agree"))["version"] == 2
    await scene.sees(scene.agent, card, "agreed")


async def near(town: Town, **settings: Any) -> tuple[Scene, Frame]:
    """A card whose end is near, and no timer has fired."""
    ahead = timedelta(hours=2) - timedelta(milliseconds=20)
    scene = await town.scene(timers=False, remind_before=ahead, **settings)
    card = await scene.propose()
    await until(scene, card["deadline_ms"] - ahead.total_seconds() * 1000)
    return scene, card


async def test_timers_that_fire_on_both_gateways_at_once_tell_it_once(town: Town) -> None:
    """Both decide before either commits. Seen to fail without the `must` mark: everybody was told twice."""
    scene, card = await near(town)
    Crossing([gateway.house.store for gateway in town.gateways])
    await asyncio.gather(*[fire(gateway, scene, card) for gateway in town.gateways])
    for gateway in town.gateways:
        await fire(gateway, scene, card)
    await scene.caught_up()
    for client in (scene.agent, scene.buyer):
        assert len(said(scene, client, "near_deadline")) == 1


async def test_a_reminder_that_could_not_be_told_is_tried_again(town: Town) -> None:
    """Until it is told its timer waits for it. Seen to fail with the timer armed for the deadline before."""
    scene, card = await near(town)
    house, timer = town.gateways[0].house, expiry_of(scene.conversation_id, card["proposal_id"])
    due = await house.timers.due_of(timer)
    commit: Callable[[Commit], Awaitable[Committed]] = house.store.commit

    async def away(decision: Commit) -> Committed:
        raise ConnectionError("Redis went away")

    house.store.commit = away  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await fire(town.gateways[0], scene, card)
    assert await house.timers.due_of(timer) == due
    house.store.commit = commit  # type: ignore[method-assign]
    await fire(town.gateways[0], scene, card)
    assert await house.timers.due_of(timer) == from_ms(card["deadline_ms"])
    await scene.caught_up()
    assert len(said(scene, scene.buyer, "near_deadline")) == 1


@pytest.mark.parametrize("lost", ["before it was due", "after it was due"])
async def test_a_lost_timer_is_repaired_and_tells_it_once(town: Town, lost: str) -> None:
    """Seen to fail with a timer that is armed for the deadline alone: nobody was told that it came near."""
    ahead = timedelta(hours=2) - timedelta(milliseconds=150)
    scene = await town.scene(timers=False, remind_before=ahead)
    card = await scene.propose()
    house, timer = town.gateways[0].house, expiry_of(scene.conversation_id, card["proposal_id"])
    near_ms = card["deadline_ms"] - ahead.total_seconds() * 1000
    await house.timers.disarm(timer)
    if lost == "after it was due":
        await until(scene, near_ms)
    watching = await town.gateway(remind_before=ahead)
    await scene.settled_work()
    await watching.house.reconciler.look()

    await scene.buyer.wait_for(lambda: said(scene, scene.buyer, "near_deadline"), 5)

    await watching.house.reconciler.look()
    await scene.settled_work()
    async with asyncio.timeout(15):
        while await house.timers.due_of(timer) != from_ms(card["deadline_ms"]):
            await asyncio.sleep(0.01)
    await scene.caught_up()
    assert len(said(scene, scene.buyer, "near_deadline")) == 1


@pytest.mark.parametrize("ahead", [timedelta(milliseconds=300), timedelta(milliseconds=301), timedelta(minutes=15)])
async def test_a_card_that_waits_no_longer_than_that_tells_nobody(town: Town, ahead: timedelta) -> None:
    scene = await town.scene(answer_window=timedelta(milliseconds=300), remind_before=ahead)
    card = await scene.propose()
    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "timed_out")
    await scene.caught_up()
    assert said(scene, scene.agent, "near_deadline") == said(scene, scene.buyer, "near_deadline") == []


async def test_what_is_settled_is_not_near_its_end(town: Town) -> None:
    scene, card = await near(town)
    await scene.buyer.answer(card, "reject")
    await scene.settled_work()
    await fire(town.gateways[1], scene, card)
    await scene.caught_up()
    assert said(scene, scene.buyer, "near_deadline") == []


async def test_an_answer_just_before_the_automatic_reminder_is_the_last_word(town: Town) -> None:
    """Seen to fail with the proposal's version left out of the reminder's commit."""
    scene, card = await near(town)
    here, there = town.gateways
    Crossing([there.house.store, here.house.store])
    await asyncio.gather(fire(here, scene, card), scene.buyer.answer(card, "reject"))
    await scene.settled_work()
    await scene.caught_up()
    assert said(scene, scene.buyer, "near_deadline") == []
    assert scene.outcomes(scene.agent, card) == ["rejected"]


async def test_an_automatic_reminder_committed_after_the_deadline_is_none(town: Town) -> None:
    """Decided in time by a slow process. Seen to fail without the bound of its commit."""
    window = timedelta(milliseconds=300)
    scene = await town.scene(timers=False, answer_window=window, remind_before=window - timedelta(milliseconds=1))
    card = await scene.propose()
    store = town.gateways[0].house.store
    commit: Callable[[Commit], Awaitable[Committed]] = store.commit
    seen: list[Commit] = []

    async def late(decision: Commit) -> Committed:
        seen.append(dataclasses.replace(decision))
        await scene.deadline_passed(card)
        return await commit(decision)

    store.commit = late  # type: ignore[method-assign]
    await until(scene, card["deadline_ms"] - 299)
    await fire(town.gateways[0], scene, card)
    await scene.sees(scene.buyer, card, "timed_out")
    await scene.caught_up()
    assert [entry.system for entry in seen[0].entries] == ["near_deadline"]
    assert said(scene, scene.buyer, "near_deadline") == []
