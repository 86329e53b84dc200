"""The deadline is data (R10): exclusive, on the server's clock, and enforced with no timer anywhere.

Whatever comes too late was seen to fail with the deadline ignored by the flows and by commit.lua, and the new proposals
with R8 asked before the deadline.
"""

import dataclasses
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from bot.client import CommandFailed
from bot.documents.store import Commit, Committed, Stale
from cards.model import from_ms
from tests.flows.ending import ended
from tests.flows.scene import Scene
from tests.flows.town import Town


@pytest.fixture
async def scene(town: Town) -> Scene:
    """Cards wait for a fifth of a second, and no timer fires at all."""
    return await town.scene(timers=False, answer_window=timedelta(milliseconds=200))


async def test_without_timers_a_card_just_waits(scene: Scene) -> None:
    card = await scene.propose()
    await scene.deadline_passed(card)
    assert scene.states(scene.buyer, card) == ["pending"]
    (order,) = [order for order in await scene.agent.orders(scene.conversation_id) if order["card"]]
    assert order["card"]["state"] == "pending"


@pytest.mark.parametrize("what", ["agree", "reject", "withdraw"])
async def test_whoever_acts_too_late_finds_it_timed_out(scene: Scene, what: str) -> None:
    card = await scene.propose()
    await scene.deadline_passed(card)

    with pytest.raises(CommandFailed) as failed:
        await (scene.agent.withdraw(card) if what == "withdraw" else scene.buyer.answer(card, what))

    assert failed.value.code == "already_settled"
    assert failed.value.card is not None
    assert (failed.value.card["state"], failed.value.card["label"]) == ("timed_out", "已超时")
    await ended(scene, card, "timed_out")
    assert await scene.skus() == ["white-m"]
    store = scene.town.gateways[0].house.store
    (settled,) = (await store.load(scene.conversation_id, proposals=(card["proposal_id"],))).proposals
    assert settled is not None
    assert [intent["action"] for intent in await store.late(settled)] == [what]


async def test_an_order_event_too_late_finds_it_timed_out(scene: Scene) -> None:
    card = await scene.propose()
    await scene.deadline_passed(card)
    await scene.shop.move(scene.town.shop_id, scene.order_id("paid"), "ship")
    await ended(scene, card, "timed_out")


async def test_a_new_proposal_settles_the_late_one_first(scene: Scene) -> None:
    card = await scene.propose()
    await scene.deadline_passed(card)
    second = await scene.propose(line_1="green-m", waive=True)
    await ended(scene, card, "timed_out")
    log = [entry["card"] for entry in scene.log(scene.buyer) if "card" in entry]
    assert [(shown["proposal_id"], shown["state"]) for shown in log] == [
        (card["proposal_id"], "pending"),
        (card["proposal_id"], "timed_out"),
        (second["proposal_id"], "pending"),
    ]


async def test_a_new_proposal_refused_for_itself_still_leaves_it_settled(scene: Scene) -> None:
    card = await scene.propose()
    await scene.deadline_passed(card)
    with pytest.raises(CommandFailed) as failed:
        await scene.send(line_1="white-l")
    assert failed.value.code == "out_of_stock"
    await ended(scene, card, "timed_out")


async def volley(scene: Scene, side: str, deadline: datetime) -> list[Committed | None]:
    """Empty commits bounded by a deadline, from before it until well after it; None for each that was stale."""
    store = scene.town.gateways[0].house.store
    shots: list[Committed | None] = []
    while (loaded := await store.load(scene.conversation_id)).now < deadline + timedelta(milliseconds=20):
        commit = Commit(scene.conversation_id, loaded.conversation_version)
        try:
            shots.append(await store.commit(dataclasses.replace(commit, **{side: deadline})))
        except Stale:
            shots.append(None)
    return shots


@pytest.mark.parametrize("side", ["not_after", "not_before"])
async def test_a_commit_keeps_its_side_of_the_deadline_to_the_millisecond(scene: Scene, side: str) -> None:
    """The deadline is exclusive.

    Seen to fail without either bound, and with `now >= …` made `now > …` in commit.lua.
    """
    deadline = from_ms(await scene.now_ms() + 30)
    shots = await volley(scene, side, deadline)
    committed = [shot.now for shot in shots if shot]
    assert None in shots
    assert committed
    for now in committed:
        assert now < deadline if side == "not_after" else now >= deadline


async def test_a_click_decided_in_time_and_committed_too_late_is_too_late(scene: Scene) -> None:
    """The buyer's gateway decides before the deadline and is slow to commit: server time at the commit counts.

    Seen to fail with the time bounds removed from commit.lua: the card was agreed to after its deadline.
    """
    house = scene.town.gateways[1].house
    commit: Callable[[Commit], Awaitable[Committed]] = house.store.commit
    card = await scene.propose()

    async def late(decision: Commit) -> Committed:
        await scene.deadline_passed(card)
        return await commit(decision)

    house.store.commit = late  # type: ignore[method-assign]
    with pytest.raises(CommandFailed) as failed:
        await scene.buyer.answer(card, "agree")
    assert failed.value.code == "already_settled"
    await ended(scene, card, "timed_out")
    assert await scene.skus() == ["white-m"]


async def test_a_proposal_committed_after_its_own_deadline_is_no_card(scene: Scene) -> None:
    """It is decided again, and so starts anew with a whole window.

    Seen to fail with the time bounds removed from commit.lua: the buyer was shown a card that had run out.
    """
    house = scene.town.gateways[0].house
    commit: Callable[[Commit], Awaitable[Committed]] = house.store.commit
    slow = True

    async def late(decision: Commit) -> Committed:
        nonlocal slow
        if slow and decision.changed:
            slow = False
            await scene.deadline_passed({"deadline_ms": decision.changed.deadline.timestamp() * 1000})
        return await commit(decision)

    house.store.commit = late  # type: ignore[method-assign]
    card = await scene.propose()
    (entry,) = [entry for entry in scene.log(scene.buyer) if "card" in entry]
    assert entry["at_ms"] < card["deadline_ms"]
