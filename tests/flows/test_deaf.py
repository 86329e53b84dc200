"""Nothing depends on a published message arriving: the log is the truth, and whoever was deaf reads it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.desk.presence import Absence
from bot.documents.store import LogPage
from tests.flows.scene import Scene
from tests.flows.town import Gateway


async def test_pubsub_connections_killed_throughout_a_negotiation(scene: Scene) -> None:
    """Seen to fail with `Fanout.restored` emptied: what was published meanwhile was never shown."""
    redis = await scene.town.redis()

    async def kill() -> None:
        await redis.client_kill_filter(_type="pubsub")

    await kill()
    await scene.buyer.say(scene.conversation_id, "在吗")
    await kill()
    card = await scene.propose()
    await kill()
    await scene.buyer.answer(card, "agree")
    await kill()
    await scene.sees(scene.agent, card, "agreed")
    await kill()
    await scene.agent.say(scene.conversation_id, "好了")
    seq = await scene.caught_up()
    for client in (scene.agent, scene.buyer):
        assert [entry["seq"] for entry in scene.log(client)] == list(range(1, seq + 1))
        assert client.connections == 1


class DeafSpell:
    """A gateway's pub/sub connection is lost, and none other stands until the end of the spell."""

    def __init__(self, gateway: Gateway, scene: Scene) -> None:
        self._subscriber = gateway.house.subscriber
        self._connect: Callable[[], Awaitable[object]] = self._subscriber._connect
        self._scene = scene
        self._over, self._begun = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> None:
        self._subscriber._connect = self._wait  # type: ignore[assignment, method-assign]
        redis = await self._scene.town.redis()
        await redis.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(15):
            await self._begun.wait()

    async def __aexit__(self, *_: object) -> None:
        self._over.set()

    async def _wait(self) -> object:
        self._begun.set()
        await self._over.wait()
        return await self._connect()


async def test_a_deaf_gateway_catches_its_sessions_up(scene: Scene) -> None:
    """The buyer's gateway hears nothing of a card, its withdrawal, and what is said; then it hears again.

    Seen to fail with `Fanout.restored` emptied.
    """
    async with DeafSpell(scene.town.gateways[1], scene):
        sent = await scene.send()
        await scene.agent.withdraw(await scene.sees(scene.agent, sent))
        await scene.agent.say(scene.conversation_id, "抱歉，发错了")
        seq = await scene.caught_up(scene.agent)
        assert scene.buyer.cursors[scene.conversation_id] < seq
    await scene.caught_up()
    assert scene.states(scene.buyer, sent) == ["pending", "withdrawn"]
    assert scene.buyer.connections == 1


async def test_a_deaf_gateway_finds_conversations_that_came_meanwhile(scene: Scene) -> None:
    """A conversation was handed to an agent whose gateway was deaf: it is in the inbox, and comes whole.

    Seen to fail with `Fanout.restored` emptied.
    """
    colleague = await scene.town.agent("ahe", on=scene.town.gateways[1])
    async with DeafSpell(scene.town.gateways[1], scene):
        await scene.agent.transfer(scene.conversation_id, "ahe")
    seq = await scene.caught_up(colleague, scene.buyer)
    assert [entry["seq"] for entry in scene.log(colleague)] == list(range(1, seq + 1))


async def test_an_agent_hears_that_a_conversation_was_given_away_meanwhile(scene: Scene) -> None:
    """From another device of theirs: it is in their inbox no more, and their screen must not say that it is.

    Seen to fail with `Fanout` catching up what is in the inbox only.
    """
    device = await scene.town.agent(on=scene.town.gateways[1])
    async with DeafSpell(scene.town.gateways[1], scene):
        await scene.agent.transfer(scene.conversation_id, "ahe")
    await scene.caught_up(scene.agent, device)
    assert device.conversations[scene.conversation_id]["agent_id"] == "ahe"


async def test_an_agent_hears_of_conversations_that_began_to_wait_meanwhile(scene: Scene) -> None:
    """Seen to fail with nobody telling what waits: the buyer waited for an agent who saw nothing."""
    stranger = await scene.town.buyer("chen-mo", on=scene.town.gateways[0])
    colleague = await scene.town.agent("ahe", on=scene.town.gateways[1])
    for agent in (scene.agent, colleague):
        await agent.be("suspended")
    async with DeafSpell(scene.town.gateways[1], scene):
        await stranger.say("nanshan.chen-mo", "在吗")
    await colleague.wait_for(lambda: "nanshan.chen-mo" in colleague.waiting, 5)


async def test_an_agent_hears_of_conversations_that_began_to_wait_while_it_joined(scene: Scene) -> None:
    """What waits was read for its welcome already, and the welcome not sent yet.

    Seen to fail with the desk telling only those that are welcomed.
    """
    gateway = scene.town.gateways[1]
    witness = await scene.town.agent(on=gateway)
    stranger = await scene.town.buyer("chen-mo", on=scene.town.gateways[0])
    await (await scene.town.redis()).hset("desk:{nanshan}:agents", mapping={"ahe": "suspended", "xiaoyu": "suspended"})
    absence = gateway.house.presence.absence

    async def slow_absence(*args: Any) -> Absence | None:
        gateway.house.presence.absence = absence  # type: ignore[method-assign]
        await stranger.say("nanshan.chen-mo", "在吗")
        await witness.wait_for(lambda: "nanshan.chen-mo" in witness.waiting, 5)
        return await absence(*args)

    gateway.house.presence.absence = slow_absence  # type: ignore[method-assign]
    colleague = await scene.town.agent("ahe", on=gateway)
    await colleague.wait_for(lambda: "nanshan.chen-mo" in colleague.waiting, 5)


async def test_a_message_of_what_the_log_does_not_have_is_no_reason_to_read_for_ever(scene: Scene) -> None:
    """As after a failover that lost what had been published already.

    Seen to fail with a catch-up that only ends at what was published: it read the log again and again.
    """
    store, reads = scene.town.gateways[1].house.store, 0
    read: Callable[..., Awaitable[LogPage]] = store.read_after

    async def counted(*args: Any) -> LogPage:
        nonlocal reads
        reads += 1
        return await read(*args)

    store.read_after = counted  # type: ignore[method-assign]
    redis = await scene.town.redis()
    await redis.publish("live:nanshan:buyer:lin-wan", f"{scene.conversation_id} 99 1 1 {{}}")
    await scene.agent.say(scene.conversation_id, "您好")
    await scene.caught_up()
    for number in range(20):
        await scene.agent.say(scene.conversation_id, f"{number}")
    await scene.caught_up()
    assert 0 < reads <= 22


async def test_who_joins_a_deaf_gateway_is_caught_up_too(scene: Scene) -> None:
    """Seen to fail with `Fanout.restored` emptied."""
    async with DeafSpell(scene.town.gateways[1], scene):
        late = await scene.town.buyer(on=scene.town.gateways[1])
        await scene.agent.say(scene.conversation_id, "您好")
    await scene.caught_up(late)
    assert [entry["seq"] for entry in scene.log(late)] == [2]


@pytest.mark.parametrize("lost", [1, 3])
async def test_messages_that_were_not_published_are_read_from_the_log(scene: Scene, lost: int) -> None:
    """Seen to fail with `Fanout.heard` sending whatever comes: the client saw a gap."""
    with scene.town.gateways[0].unheard():
        for number in range(lost):
            await scene.agent.say(scene.conversation_id, f"{number}")
        assert scene.buyer.cursors[scene.conversation_id] == 1
    await scene.agent.say(scene.conversation_id, "听到吗")
    seq = await scene.caught_up()
    assert [entry["seq"] for entry in scene.log(scene.buyer)] == list(range(1, seq + 1))
    assert seq == lost + 2


async def test_a_deaf_spell_that_falls_into_a_welcome(scene: Scene) -> None:
    """What was committed between the reading of the welcome and its end, unheard, is read as well.

    Seen to fail with `Fanout.restored` looking only at sessions that are ready: nothing was shown until the next entry.
    """
    gateway = scene.town.gateways[1]
    fanout, welcomed, go_on = gateway.house.fanout, asyncio.Event(), asyncio.Event()
    resume = fanout.resume

    async def wait_and_resume(*args: Any) -> None:
        welcomed.set()
        await go_on.wait()
        await resume(*args)

    fanout.resume = wait_and_resume  # type: ignore[method-assign]
    late = await scene.town.buyer(on=gateway)
    await welcomed.wait()
    async with DeafSpell(gateway, scene):
        await scene.agent.say(scene.conversation_id, "在吗")
    await scene.caught_up(scene.buyer)
    go_on.set()
    await scene.caught_up(late)
