"""What happened to an absent agent's conversations is found on return: counted, and in order, on every device."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bot.client import ChatClient, CommandFailed, Frame
from bot.conversation import Conversation
from bot.documents.store import Commit
from bot.entry import Author, Entry
from bot.flows import missed as flow
from bot.participant import Role
from tests.flows.scene import Scene
from tests.flows.town import Gateway, Town

pytestmark = pytest.mark.usefixtures("short_leave")

SHOP = "nanshan"


async def leave(client: ChatClient, gateway: Gateway, agent_id: str = "xiaoyu") -> None:
    """Close an agent's client, and wait until they are away."""
    await client.aclose()
    async with asyncio.timeout(15):
        while (await gateway.house.presence.chosen(SHOP, agent_id)) != "offline":
            await asyncio.sleep(0.01)


async def scene_with(town: Town, **settings: Any) -> tuple[Scene, Scene]:
    """An agent with the conversations of two buyers; each person is on another gateway than their counterpart."""
    scene = await town.scene(**settings)
    buyer = await town.buyer("chen-mo", on=town.gateways[1])
    await scene.agent.open("chen-mo")
    return scene, Scene(town, f"{SHOP}.chen-mo", "chen-mo", scene.agent, buyer)


async def pages(client: ChatClient, since_ms: int, limit: int) -> list[Frame]:
    """Everything since then, page by page."""
    entries: list[Frame] = []
    next_ms: int | None = since_ms
    while next_ms is not None:
        page = await client.missed(next_ms, limit=limit)
        entries += page["entries"]
        assert page["next_ms"] is None or page["next_ms"] > next_ms
        next_ms = page["next_ms"]
    return entries


def places(entries: list[Frame]) -> list[tuple[str, int]]:
    """Which entries these are."""
    return [(entry["conversation_id"], entry["seq"]) for entry in entries]


async def test_outcomes_are_found_on_return(town: Town) -> None:
    """Each with its own count; what the agent saw before, and what they see live afterwards, is not among them."""
    scene, other = await scene_with(town)
    seen = await scene.propose("two-lines")
    await scene.buyer.answer(seen, "reject")
    await scene.sees(scene.agent, seen, "rejected")
    cards = [await scene.propose("paid"), await scene.propose("unpaid"), await other.propose("paid")]
    later = await other.propose("unpaid")
    await leave(scene.agent, town.gateways[0])
    left_ms = await scene.now_ms()
    await scene.buyer.answer(cards[0], "agree")
    await scene.sees(scene.buyer, cards[0], "agreed")
    await scene.buyer.answer(cards[1], "reject")
    await scene.shop.move(SHOP, "chen-mo-paid", "refund")
    await other.sees(other.buyer, cards[2], "invalid")

    agent = await town.agent(on=town.gateways[1])

    missed = agent.welcome["missed"]
    assert missed == {
        "from_ms": missed["from_ms"],
        "to_ms": missed["to_ms"],
        "outcomes": {"agreed": 1, "rejected": 1, "invalid": 1},
        "new_conversations": 0,
        "handed_on": 0,
        "overdue": 0,
    }
    assert seen["created_ms"] < missed["from_ms"] <= left_ms <= missed["to_ms"] <= await scene.now_ms()
    await other.buyer.answer(later, "reject")
    await other.sees(agent, later, "rejected")
    page = await agent.missed(missed["from_ms"])
    notices = [
        (entry["conversation_id"][8:], entry["notice"]["code"]) for entry in page["entries"] if "notice" in entry
    ]
    assert notices == [("lin-wan", "agreed"), ("lin-wan", "rejected"), ("chen-mo", "invalid"), ("chen-mo", "rejected")]
    device = await town.agent(on=town.gateways[0])
    assert device.welcome["missed"] == missed


async def test_a_deadline_that_passed_meanwhile_is_found(town: Town) -> None:
    scene = await town.scene(answer_window=timedelta(milliseconds=800))
    card = await scene.propose()
    await leave(scene.agent, town.gateways[0])
    await scene.sees(scene.buyer, card, "timed_out")
    agent = await town.agent(on=town.gateways[1])
    assert agent.welcome["missed"]["outcomes"] == {"timed_out": 1}


async def test_what_a_colleague_handed_over_is_found(town: Town) -> None:
    scene, _ = await scene_with(town)
    colleague = await town.agent("ahe", on=town.gateways[1])
    await leave(scene.agent, town.gateways[0])
    buyer = await town.buyer("b3", on=town.gateways[0])
    await buyer.say(f"{SHOP}.b3", "在吗")
    await colleague.wait_for(lambda: f"{SHOP}.b3" in colleague.conversations, 5)
    await colleague.transfer(f"{SHOP}.b3", "xiaoyu", reason="老顾客")

    agent = await town.agent(on=town.gateways[1])

    missed = agent.welcome["missed"]
    assert (missed["new_conversations"], missed["handed_on"], missed["outcomes"]) == (1, 0, {})
    (entry,) = [entry for entry in (await agent.missed(missed["from_ms"]))["entries"] if "system" in entry][-1:]
    assert entry["system"]["text"] == "阿禾 将会话转接给 小雨，原因：老顾客"
    assert len(agent.welcome["conversations"]) == 3


async def test_what_was_offered_to_others_is_found(town: Town) -> None:
    """The buyer waited, so another agent got the conversation: told as such, until where it went, and no further."""
    scene, other = await scene_with(town, agent_grace=timedelta(milliseconds=1))
    colleague = await town.agent("ahe", on=town.gateways[1])
    await scene.buyer.say(scene.conversation_id, "人呢")
    await leave(scene.agent, town.gateways[0])
    await colleague.wait_for(lambda: scene.conversation_id in colleague.conversations, 5)
    await scene.settled_work()
    await tick(town)
    await colleague.say(scene.conversation_id, "我来")
    card = await scene.send(by=colleague)
    await scene.buyer.answer(await scene.sees(scene.buyer, card), "reject")

    agent = await town.agent(on=town.gateways[0])

    missed = agent.welcome["missed"]
    assert (missed["handed_on"], missed["new_conversations"], missed["outcomes"]) == (1, 0, {})
    assert [item["conversation_id"] for item in agent.welcome["conversations"]] == [other.conversation_id]
    whole = await pages(agent, missed["from_ms"], 500)
    assert [entry["system"]["code"] for entry in whole] == ["reassigned"]
    assert places(await pages(agent, missed["from_ms"], 1)) == places(whole)


async def tick(town: Town) -> None:
    """Wait until the server's clock shows another millisecond."""
    store = town.gateways[0].house.store
    now = (await store.load("nanshan.nobody")).now
    while (await store.load("nanshan.nobody")).now == now:
        await asyncio.sleep(0)


async def test_replies_that_were_overdue_are_counted_by_conversation(town: Town) -> None:
    short = timedelta(milliseconds=150)
    scene, other = await scene_with(town, reply_warning=short / 2, reply_overdue=short)
    await leave(scene.agent, town.gateways[0])
    for each in (scene, other):
        await each.buyer.say(each.conversation_id, "在吗")
    async with asyncio.timeout(15):
        while not all([await overdue(each) for each in (scene, other)]):
            await asyncio.sleep(0.01)
    agent = await town.agent(on=town.gateways[1])
    assert agent.welcome["missed"]["overdue"] == 2
    assert all(item["overdue"] for item in agent.welcome["conversations"])


async def overdue(scene: Scene) -> bool:
    """Whether the buyer has waited for too long."""
    return (await scene.town.gateways[0].house.store.load(scene.conversation_id)).marks.overdue


async def test_what_they_did_on_their_way_out_they_did_not_miss(town: Town) -> None:
    """Their last gateway died, and the last that is known of them is older than what they did.

    Seen to fail without a look at whose entries these are.
    """
    scene, other = await scene_with(town)
    await town.agent("ahe", on=town.gateways[1])
    redis = await town.redis()
    before = str(await scene.now_ms() - 1)
    await scene.agent.transfer(other.conversation_id, "ahe")
    await scene.settled_work()
    await leave(scene.agent, town.gateways[0])
    await redis.hset(f"desk:{{{SHOP}}}:left", "xiaoyu", before)
    agent = await town.agent(on=town.gateways[1])
    assert agent.welcome["missed"]["handed_on"] == 0


async def test_who_never_left_missed_nothing(town: Town) -> None:
    scene = await town.scene()
    device = await town.agent(on=town.gateways[1])
    assert scene.agent.welcome["missed"] is device.welcome["missed"] is None
    await device.aclose()
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    again = await town.agent(on=town.gateways[1])
    assert again.welcome["missed"] is None


async def test_each_absence_has_its_own(town: Town) -> None:
    """After the second one the first is not told again."""
    scene, other = await scene_with(town)
    first, second = await scene.propose("paid"), await other.propose("paid")
    await leave(scene.agent, town.gateways[0])
    await scene.buyer.answer(first, "reject")
    agent = await town.agent(on=town.gateways[1])
    assert agent.welcome["missed"]["outcomes"] == {"rejected": 1}
    back_ms = agent.welcome["missed"]["to_ms"]
    await leave(agent, town.gateways[1])
    await other.buyer.answer(second, "agree")
    await other.sees(other.buyer, second, "agreed")
    again = await town.agent(on=town.gateways[0])
    assert again.welcome["missed"]["outcomes"] == {"agreed": 1}
    assert again.welcome["missed"]["from_ms"] >= back_ms


async def test_pages_come_in_the_order_of_time_without_holes_or_doubles(town: Town) -> None:
    """Of several conversations at once, whatever the page's size, and however many entries have one instant."""
    scene, other = await scene_with(town)
    await leave(scene.agent, town.gateways[0])
    since_ms = await scene.now_ms()
    for number in range(12):
        await asyncio.gather(*[each.buyer.say(each.conversation_id, f"{number}") for each in (scene, other)])
    agent = await town.agent(on=town.gateways[1])

    whole = await pages(agent, since_ms, 500)

    assert len(whole) == 24
    assert [entry["at_ms"] for entry in whole] == sorted(entry["at_ms"] for entry in whole)
    for each in (scene, other):
        seqs = [entry["seq"] for entry in whole if entry["conversation_id"] == each.conversation_id]
        assert seqs == list(range(seqs[0], seqs[0] + 12))
    for limit in (1, 2, 5, 23, 24):
        assert places(await pages(agent, since_ms, limit)) == places(whole)
    middle = whole[12]["at_ms"]
    assert places(await pages(agent, middle, 3)) == places([entry for entry in whole if entry["at_ms"] >= middle])
    assert await pages(agent, await scene.now_ms() + 1000, 10) == []


async def chatter(town: Town, agent: str, buyer_id: str, count: int) -> Conversation:
    """A conversation of that agent in which its buyer says `count` things, many at an instant."""
    house = town.gateways[0].house
    id = f"{SHOP}.{buyer_id}"
    loaded = await house.store.load(id)
    conversation = Conversation(
        id=id, shop_id=SHOP, buyer_id=buyer_id, buyer_name=buyer_id, opened=loaded.now
    ).given_to(agent, agent)
    await house.desk.take(SHOP, id, agent)
    by = Author(role=Role.BUYER, id=buyer_id, name=buyer_id)
    await house.store.commit(
        Commit(id, 0, conversation=conversation, entries=[Entry(system="opened", params={"agent": agent})])
    )
    await house.desk.place(conversation, 1, loaded.now)
    for start in range(0, count, 20):
        entries = [Entry(author=by, text=f"{number}") for number in range(start, min(count, start + 20))]
        await house.store.commit(Commit(id, 1, entries=entries))
    return conversation


async def test_long_absences_have_no_holes(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """More in a conversation than is read of one at a time; the counts are whole too.

    Seen to fail with only the newest entries of each conversation read: the first of them were in no page.
    """
    monkeypatch.setattr(flow, "_OF_EACH", 40)
    scene = await town.scene()
    card = await scene.propose()
    await leave(scene.agent, town.gateways[0])
    since_ms = await scene.now_ms()
    await scene.buyer.answer(card, "reject")
    for buyer_id, count in (("b1", 130), ("b2", 41), ("b3", 40), ("b4", 39)):
        await chatter(town, "xiaoyu", buyer_id, count)
    agent = await town.agent(on=town.gateways[1])

    whole = await pages(agent, since_ms, 500)

    assert len(whole) == 1 + 131 + 42 + 41 + 40
    assert whole == sorted(whole, key=lambda entry: (entry["at_ms"], entry["conversation_id"], entry["seq"]))
    assert places(await pages(agent, since_ms, 7)) == places(whole)
    assert len(set(places(whole))) == len(whole)
    assert agent.welcome["missed"]["outcomes"] == {"rejected": 1}


async def test_only_agents_miss_anything(scene: Scene) -> None:
    boss = await scene.town.person(Role.SUPERVISOR, "boss")
    for client in (boss, scene.buyer):
        with pytest.raises(CommandFailed) as failed:
            await client.missed(0)
        assert failed.value.code == "agents_only"
        assert "missed" not in client.welcome


async def test_nobody_sees_what_a_colleague_missed(town: Town) -> None:
    scene = await town.scene()
    colleague = await town.agent("ahe", on=town.gateways[1])
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    await scene.sees(scene.agent, card, "rejected")
    assert (await colleague.missed(0))["entries"] == []
    assert len((await scene.agent.missed(0))["entries"]) == await scene.last_seq()
