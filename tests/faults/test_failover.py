"""A failover without luck cuts a log back: what people were shown is gone, and other entries take its place.

Everybody comes to have the log as it is, whoever was connected, whoever comes back, and whatever was heard meanwhile.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.client import ChatClient
from bot.flows.timer_ids import expiry_of
from bot.participant import Role
from tests.faults.pair import Pair
from tests.flows.scene import Scene
from tests.flows.town import Town, a_town
from tests.until import until


@pytest.fixture
async def pair(short_folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with Pair(short_folder / f"pair-{abs(hash(request.node.name)) % 10**8}") as pair:
        yield pair


@pytest.fixture
async def lucky(pair: Pair) -> AsyncIterator[Scene]:
    """A scene whose store can fail over."""
    async with a_town(pair.url) as town:
        yield await town.scene()


async def as_it_is(scene: Scene) -> list[tuple[int, int, str]]:
    """The log, as somebody sees it who never saw it before."""
    async with ChatClient(scene.town.gateways[0].url, scene.town.token(Role.BUYER, scene.buyer_id)) as fresh:
        entries = (await fresh.history(scene.conversation_id, limit=200))["entries"]
    return [_short(entry) for entry in entries]


def shown(scene: Scene, client: ChatClient) -> list[tuple[int, int, str]]:
    return [_short(entry) for entry in scene.log(client)]


def _short(entry: dict[str, Any]) -> tuple[int, int, str]:
    return entry["seq"], entry["at_ms"], entry["text"]["text"] if "text" in entry else ""


async def come_to_agree(scene: Scene, *clients: ChatClient) -> None:
    """Wait until these (or agent and buyer) have the log as it is, and their lists too."""
    log = await as_it_is(scene)
    for client in clients or (scene.agent, scene.buyer):
        await client.wait_for(lambda client=client: shown(scene, client) == log, 15)
        item = client.conversations[scene.conversation_id]
        assert item["seq"] == log[-1][0]
        assert (item["line"] or {}).get("text", "") == next((text for *_, text in reversed(log) if text), "")
        assert client.violations == []


@pytest.mark.parametrize("said_after", [0, 1, 3])
async def test_what_was_shown_and_lost_is_taken_back(pair: Pair, lucky: Scene, said_after: int) -> None:
    """Nothing is said after the failover, less, or more than was lost.

    Seen to fail, each, with seqs compared only: what was lost stayed on the screens.
    """
    scene = lucky
    await scene.buyer.say(scene.conversation_id, "在吗")
    await pair.part()
    for number in range(2):
        await scene.agent.say(scene.conversation_id, f"lost {number}")
    await scene.caught_up()
    await pair.fail_over()
    for number in range(said_after):
        await scene.buyer.say(scene.conversation_id, f"after {number}")
    await come_to_agree(scene)
    assert len(scene.log(scene.buyer)) == 2 + said_after
    assert scene.buyer.connections == scene.agent.connections == 1


@pytest.mark.parametrize("said_after", [0, 1, 2, 3])
async def test_who_was_away_and_comes_back_with_what_was_lost(pair: Pair, lucky: Scene, said_after: int) -> None:
    """Seen to fail with the cursors' instants left out of the hello: as many said as were lost, or more, came on top
    of it."""
    scene = lucky
    await pair.part()
    for number in range(2):
        await scene.agent.say(scene.conversation_id, f"lost {number}")
    await scene.caught_up()
    seen = scene.buyer.logs[scene.conversation_id]
    await scene.buyer.aclose()
    await pair.fail_over()
    for number in range(said_after):
        await scene.agent.say(scene.conversation_id, f"after {number}")
    back = ChatClient(scene.town.gateways[1].url, scene.town.token(Role.BUYER, scene.buyer_id), patience=10)
    back.cursors[scene.conversation_id], back.logs[scene.conversation_id] = seen[-1]["seq"], seen
    async with back:
        await come_to_agree(scene, back, scene.agent)


class Copy:
    """A conversation's document and log as they were, and are again: what a failover does, unseen by every connection.

    As on a Cluster, to whoever listens at another of its nodes.
    """

    def __init__(self, redis: Redis, kept: dict[str, bytes]) -> None:
        self._redis = redis
        self._kept = kept

    @classmethod
    async def of(cls, scene: Scene) -> "Copy":
        redis = await scene.town.stack.enter_async_context(Redis.from_url(scene.town.redis_url))
        chat = f"chat:{{{scene.conversation_id}}}"
        return cls(redis, {key: await redis.dump(key) for key in (chat, f"{chat}:log")})

    async def restore(self) -> None:
        async with self._redis.pipeline(transaction=True) as steps:
            for key, value in self._kept.items():
                steps.restore(key, 0, value, replace=True)
            await steps.execute()


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("said_after", [1, 2, 3])
async def test_the_next_that_is_heard_shows_that_another_log_goes_on(town: Town, lost: int, said_after: int) -> None:
    """Less, as much, or more than was lost. Seen to fail without `Session.lacks`, without `Session.continues`."""
    scene = await town.scene()
    await scene.buyer.say(scene.conversation_id, "在吗")
    copy = await Copy.of(scene)
    for number in range(lost):
        await scene.buyer.say(scene.conversation_id, f"lost {number}")
    await scene.caught_up()
    await copy.restore()
    for number in range(said_after):
        await scene.buyer.say(scene.conversation_id, f"after {number}")
    await come_to_agree(scene)


@pytest.mark.parametrize("unheard", [1, 2])
async def test_an_entry_after_one_that_was_lost_is_not_shown_as_the_next(town: Town, unheard: int) -> None:
    """What took the lost one's place was not heard, and what is heard has the next seq.

    Seen to fail without `Session.continues`: it was shown after what is lost.
    """
    scene = await town.scene()
    copy = await Copy.of(scene)
    for number in range(unheard):
        await scene.buyer.say(scene.conversation_id, f"lost {number}")
    await scene.caught_up()
    await copy.restore()
    with town.gateways[0].unheard():
        for number in range(unheard):
            await scene.agent.say(scene.conversation_id, f"unheard {number}")
    await scene.agent.say(scene.conversation_id, "heard")
    await come_to_agree(scene)


async def test_a_log_cut_back_by_more_than_a_page(town: Town) -> None:
    """The page begins after what both have. Seen to fail with what was lost kept before it."""
    scene = await town.scene()
    copy = await Copy.of(scene)
    for number in range(60):
        await scene.buyer.say(scene.conversation_id, f"lost {number}")
    await scene.caught_up()
    await copy.restore()
    for gateway in town.gateways:
        gateway.house.fanout.heard = lambda *_: None  # type: ignore[method-assign]
        gateway.house.subscriber._on_message = gateway.house.fanout.heard
    for number in range(110):
        await scene.agent.say(scene.conversation_id, f"after {number}")
    log = await as_it_is(scene)
    for gateway in town.gateways:
        gateway.house.fanout.restored()
    for client in (scene.agent, scene.buyer):
        await client.wait_for(lambda client=client: shown(scene, client) == log[-50:], 10)


async def test_timers_lost_in_a_failover_come_back_at_once(pair: Pair, lucky: Scene, monkeypatch: Any) -> None:
    """Long before `settings.reconcile` (ten minutes). Seen to fail with nobody hurrying the reconciler."""
    monkeypatch.setattr("bot.reconcile._SPREAD", 0.2)
    scene = lucky
    card = await scene.propose()
    await scene.settled_work()
    house = scene.town.gateways[0].house
    expiry = expiry_of(scene.conversation_id, card["proposal_id"])
    due = await house.timers.due_of(expiry)
    await house.timers.disarm(expiry)
    await pair.part()
    await pair.fail_over()

    async def armed() -> bool:
        with contextlib.suppress(Exception):
            return await house.timers.due_of(expiry) == due
        return False

    await until(armed, 15)
