"""What is old is removed while people are about: nothing that happens at that moment is lost, and whoever has it open
begins anew.

Timers are fired by hand here, but where a test says otherwise.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

import bot.documents.keeping
from bot.client import ChatClient, CommandFailed
from bot.documents.keeping import Age
from bot.documents.store import Commit, Committed
from bot.flows.timer_ids import keep_timer
from bot.participant import Role
from cards.model import from_ms
from scheduler.script import Script
from tests.faults.desk_state import DeskState, by_the_desk, in_order, log_of
from tests.flows.scene import Scene
from tests.flows.town import Gateway, Town, a_town

LIN_WAN = "nanshan.lin-wan"
KEEP = timedelta(milliseconds=400)
AT_ONCE = {"timers": False, "keep": timedelta(milliseconds=1)}
"""Whatever is looked at is old."""


CHECKED = "if ARGV[1] ~= '' then\n  local now"


async def grown_old(scene: Scene) -> None:
    """Wait until the server's clock says that nothing has happened for as long as things are kept."""
    await scene.settled_work()
    house = scene.town.gateways[0].house
    keep, retention = house.settings.keep, house.retention
    while (age := await retention._keeping.age(scene.conversation_id)) and age.active + keep > age.now:
        await asyncio.sleep((age.active + keep - age.now).total_seconds())


async def an_old_scene(town: Town, *, messages: int) -> Scene:
    """The buyer said so much, both people have it, and now it is old."""
    scene = await town.scene(**AT_ONCE)
    for number in range(messages):
        await scene.buyer.say(LIN_WAN, f"{number}")
    await scene.caught_up()
    await grown_old(scene)
    return scene


async def remove(gateway: Gateway, conversation_id: str = LIN_WAN) -> None:
    """The timer fires, and what it began is over."""
    await gateway.house.timer_fired(keep_timer(conversation_id), from_ms(0))
    await gateway.house.parts.background.drain(5)


async def keys_of(town: Town, conversation_id: str = LIN_WAN) -> list[str]:
    found: list[str] = await (await town.redis()).keys(f"chat:{{{conversation_id}}}*")
    return found


class Held:
    """The removal stands before its script, until it is let go."""

    def __init__(self, gateway: Gateway) -> None:
        keeping = gateway.house.retention._keeping
        self.decided, self.go = asyncio.Event(), asyncio.Event()
        go_on = keeping.remove

        async def held(age: Age, proposal_ids: Sequence[str], *, conversation: bool) -> bool:
            self.decided.set()
            await self.go.wait()
            return await go_on(age, proposal_ids, conversation=conversation)

        keeping.remove = held  # type: ignore[method-assign]


async def _removed_while(scene: Scene, what: str) -> dict[str, Any]:
    """Something happens between the decision that the conversation is old and its removal; how it was answered."""
    gateway, _ = scene.town.gateways
    await grown_old(scene)
    held = Held(gateway)
    removing = asyncio.create_task(remove(gateway))
    async with asyncio.timeout(15):
        await held.decided.wait()
    match what:
        case "a message":
            answer = await scene.buyer.say(LIN_WAN, "还在吗")
        case "a card":
            answer = await scene.send()
        case "a transfer":
            answer = await scene.agent.transfer(LIN_WAN, "ahe")
    held.go.set()
    await removing
    await scene.settled_work()
    return answer


HAPPENS = {"a message": "还在吗", "a card": "pending", "a transfer": "transferred"}


@pytest.mark.parametrize("what", HAPPENS)
async def test_what_happens_before_the_removal_keeps_the_conversation(town: Town, what: str) -> None:
    """Seen to fail by the test below; and with the desk not put right again: the conversation was nobody's there."""
    scene = await town.scene(timers=False, keep=KEEP)

    answer = await _removed_while(scene, what)

    assert answer["seq"] == 2
    assert await log_of(town.gateways[0], LIN_WAN) == ["opened", HAPPENS[what]]
    await scene.caught_up(scene.buyer)
    await in_order(town)
    timers = town.gateways[0].house.timers
    assert await timers.due_of(keep_timer(LIN_WAN)) is not None, "it is looked at again"


@pytest.mark.parametrize("what", HAPPENS)
async def test_without_the_version_check_it_is_lost(town: Town, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody was told `ok` for is gone."""
    text = bot.documents.keeping._REMOVE.text
    assert CHECKED in text, f"remove.lua no longer says {CHECKED!r}: say here what it says now"
    unchecked = text.replace(CHECKED, CHECKED.replace("ARGV[1] ~= ''", "false"))
    monkeypatch.setattr(bot.documents.keeping, "_REMOVE", Script(unchecked))
    scene = await town.scene(timers=False, keep=KEEP)

    await _removed_while(scene, what)

    assert await log_of(town.gateways[0], LIN_WAN) == []


async def test_what_was_decided_before_the_removal_and_comes_after_it_begins_anew(town: Town) -> None:
    """A message on the reading of a conversation that is no more: it is decided again, and said in a new one.

    Seen to fail with the version check removed from commit.lua.
    """
    scene = await town.scene(**AT_ONCE)
    here, there = town.gateways
    decided, go = asyncio.Event(), asyncio.Event()
    commit = there.house.store.commit

    async def held(decision: Commit) -> Committed:
        decided.set()
        await go.wait()
        return await commit(decision)

    there.house.store.commit = held  # type: ignore[method-assign]
    saying = asyncio.create_task(scene.buyer.say(LIN_WAN, "还在吗"))
    async with asyncio.timeout(15):
        await decided.wait()
    await grown_old(scene)
    await remove(here)
    assert await keys_of(town) == []
    go.set()

    assert (await saying)["seq"] == 1
    assert await log_of(here, LIN_WAN) == ["assigned 还在吗"]
    await scene.settled_work()
    await in_order(town)


async def test_whoever_has_it_open_begins_anew(town: Town) -> None:
    """Buyer and agent are connected all the time: the agent's list loses it, and the first entry of the new one comes
    as a fresh page. Seen to fail with sessions that take it for an old entry: they were told nothing."""
    scene = await an_old_scene(town, messages=4)

    await remove(town.gateways[0])

    assert await keys_of(town) == []
    await scene.agent.wait_for(lambda: not scene.agent.conversations[LIN_WAN]["open"], 5)
    assert (await scene.agent.list_conversations())["conversations"] == []
    await scene.settled_work()
    assert (await by_the_desk(town)).inboxes == {}
    for number in range(2):
        assert (await scene.buyer.say(LIN_WAN, f"again {number}"))["seq"] == number + 1
    assert await scene.caught_up() == 2
    for client in (scene.agent, scene.buyer):
        assert [entry["text"]["text"] for entry in scene.log(client)] == ["again 0", "again 1"]
        assert client.conversations[LIN_WAN]["open"]
    await scene.settled_work()
    await in_order(town)


@pytest.mark.parametrize("when", ["between", "after"])
async def test_whoever_comes_back_with_an_old_cursor_begins_anew(town: Town, when: str) -> None:
    """Between the removal and the first entry of the new one, or after that.

    Seen to fail (between) with a session that keeps the cursor: its entries would begin at 1 after 6.
    """
    await an_old_scene(town, messages=5)
    await remove(town.gateways[0])
    other = await town.buyer(on=town.gateways[0])
    if when == "after":
        await other.say(LIN_WAN, "我回来了")

    late = ChatClient(town.gateways[1].url, town.token(Role.BUYER, "lin-wan"), patience=5)
    late.cursors[LIN_WAN] = 6
    async with late:
        if when == "between":
            await other.say(LIN_WAN, "我回来了")
        await late.wait_for(lambda: late.cursors.get(LIN_WAN) == 1, 5)
        assert [entry["text"]["text"] for entry in late.logs[LIN_WAN]] == ["我回来了"]
        assert late.violations == []


async def test_an_open_card_keeps_everything(town: Town) -> None:
    """However old it is, and what else is in the conversation; but not what was settled long ago."""
    scene = await town.scene(**AT_ONCE)
    old = await scene.propose("paid")
    await scene.buyer.answer(old, "reject")
    await scene.sees(scene.agent, old, "rejected")
    with pytest.raises(CommandFailed):
        await scene.buyer.answer(old, "agree")  # too late: kept in the record
    card = await scene.propose("two-lines")
    await grown_old(scene)

    for _ in range(2):
        await remove(town.gateways[0])

    chat = f"chat:{{{LIN_WAN}}}"
    kept = {chat, f"{chat}:log", f"{chat}:replies", f"{chat}:hold:lin-wan-two-lines"}
    assert set(await keys_of(town)) == {*kept, f"{chat}:proposal:{card['proposal_id']}"}
    with pytest.raises(CommandFailed, match="unknown_proposal"):
        await scene.buyer.answer(old, "agree")
    await scene.buyer.answer(card, "agree")
    await scene.sees(scene.agent, card, "agreed")


async def test_a_change_is_forgotten_with_its_card(town: Town) -> None:
    """The order is as it was changed, and its record of the change is gone with the card; also the index's."""
    scene = await town.scene(**AT_ONCE)
    card = await scene.propose()
    await scene.buyer.answer(card, "agree")
    await scene.sees(scene.agent, card, "agreed")
    redis = await town.redis()
    order = f"shop:{{nanshan}}:order:{scene.order_id('paid')}"
    assert await redis.hkeys(order) == ["body", f"first:{card['proposal_id']}"]
    await grown_old(scene)

    await remove(town.gateways[0])

    assert await redis.hkeys(order) == ["body"]
    assert await scene.skus() == ["white-s"]
    assert await redis.exists("desk:{nanshan}:proposals") == 0
    assert await keys_of(town) == []


async def test_the_timer_does_it(town: Town) -> None:
    """Armed with the first message; a card, which waits longer than things are kept, holds the removal up.

    Seen to fail without the arming: it stayed.
    """
    times = {"keep": timedelta(milliseconds=300), "answer_window": timedelta(seconds=1)}
    scene = await town.scene(**times)
    card = await scene.propose()
    await scene.sees(scene.agent, card, "timed_out")
    house = town.gateways[0].house
    async with asyncio.timeout(15):
        while await house.timers.due_of(keep_timer(LIN_WAN)) is not None:
            await asyncio.sleep(0.01)
    assert await keys_of(town) == []


async def test_on_a_cluster(valkey_cluster_url: str) -> None:
    """Every script has its keys in one slot: of the conversation, the desk, the shop."""
    async with a_town(valkey_cluster_url) as town:
        scene = await town.scene(**AT_ONCE)
        card = await scene.propose()
        await scene.buyer.answer(card, "agree")
        await scene.sees(scene.agent, card, "agreed")
        await grown_old(scene)
        here, there = scene.town.gateways

        await remove(here)

        assert (await there.house.store.load(LIN_WAN)).conversation is None
        assert await there.house.desk.inbox("nanshan", "xiaoyu") == []
        assert [one async for one in there.house.desk.known("nanshan")] == []
        assert (await scene.buyer.say(LIN_WAN, "我回来了"))["seq"] == 1
        await scene.agent.wait_for(lambda: scene.agent.cursors[LIN_WAN] == 1, 5)


async def test_a_conversation_without_a_timer_gets_one(scene: Scene) -> None:
    """As of older data, or after a failover that lost it. Seen to fail without `watch` in the reconciler."""
    await scene.settled_work()
    house, timer = scene.town.gateways[0].house, keep_timer(LIN_WAN)
    due = await house.timers.due_of(timer)
    assert due is not None
    await house.timers.disarm(timer)

    await house.reconciler.look()

    async with asyncio.timeout(15):
        while (again := await house.timers.due_of(timer)) is None or due - again > timedelta(seconds=5):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("returns", [False, True])
async def test_the_desk_forgets_what_is_no_more(scene: Scene, returns: bool) -> None:
    """As after a failover that lost what the desk had forgotten, or the newest document; also one that is made anew.

    Seen to fail without `tidy`: the desk kept it; where the buyer came back, with what the old one's agent was.
    """
    town, (here, _) = scene.town, scene.town.gateways
    await scene.agent.transfer(LIN_WAN, "ahe")
    await scene.settled_work()
    age = await here.house.retention._keeping.age(LIN_WAN)
    assert age is not None
    assert await here.house.retention._keeping.remove(age, [], conversation=True)
    if returns:
        await scene.buyer.say(LIN_WAN, "我回来了")
        await scene.settled_work()

    await here.house.reconciler.look()

    if returns:
        await in_order(town)
    else:
        assert await by_the_desk(town) == DeskState()
        assert await (await town.redis()).keys("desk:{nanshan}:last") == []


async def test_a_reservation_under_way_is_not_forgotten(scene: Scene) -> None:
    """The first message of a new conversation is about to be committed: its place is left alone, by both.

    Seen to fail without the look at `held` in forget.lua.
    """
    house = scene.town.gateways[0].house
    await scene.settled_work()
    before = (await by_the_desk(scene.town)).inboxes
    assert await house.desk.find_agent("nanshan", "nanshan.chen-mo", 0)
    assert await house.desk.find_agent("nanshan", LIN_WAN, 1)

    await house.reconciler.look()
    assert not await house.desk.forget("nanshan", LIN_WAN, 1)

    assert before == {"xiaoyu": {LIN_WAN}}
    assert (await by_the_desk(scene.town)).inboxes == {"xiaoyu": {LIN_WAN, "nanshan.chen-mo"}}
