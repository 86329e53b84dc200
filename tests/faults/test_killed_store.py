"""The store is killed with SIGKILL under live gateways: what was acknowledged is there, and people go on."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as Disconnected

from bot.client import Frame
from bot.documents.store import Commit, Committed
from bot.embedded.server import Embedded
from tests.flows.scene import Scene
from tests.flows.town import Gateway, Town, a_town


@pytest.fixture
async def server(short_folder: Path) -> AsyncIterator[Embedded]:
    """A private server as the product runs it (every write is on disk when it is acknowledged)."""
    async with Embedded(short_folder / uuid.uuid4().hex) as server:
        yield server


@pytest.fixture
async def town(server: Embedded) -> AsyncIterator[Town]:
    """A town on that server."""
    async with a_town(server.url) as town:
        yield town


async def crash(server: Embedded) -> None:
    """SIGKILL, and a restart on what is on disk."""
    await server.kill()
    await server.start()


async def texts(scene: Scene) -> dict[str, list[int]]:
    """The seqs at which each text stands in the log itself; it must have no gaps."""
    page = await scene.buyer.history(scene.conversation_id, limit=200)
    assert [entry["seq"] for entry in page["entries"]] == list(range(1, page["last_seq"] + 1))
    said: dict[str, list[int]] = {}
    for entry in page["entries"]:
        if "text" in entry:
            said.setdefault(entry["text"]["text"], []).append(entry["seq"])
    return said


async def everybody_has_it_all(scene: Scene) -> None:
    """Agent and buyer have the whole log, once and in order."""
    seq = await scene.caught_up(limit=10)
    for client in (scene.agent, scene.buyer):
        assert [entry["seq"] for entry in scene.log(client)] == list(range(1, seq + 1))


async def test_what_was_acknowledged_is_there_and_what_was_not_is_said_once(town: Town, server: Embedded) -> None:
    """Messages are on their way in both directions when the server dies.

    Seen to fail with `appendonly` off: the server came back empty.
    """
    scene = await town.scene()
    acknowledged: dict[str, int] = {}
    talking = asyncio.create_task(scene.talk(20, acknowledged))
    await scene.buyer.wait_for(lambda: len(acknowledged) >= 10, 5)
    before = dict(acknowledged)
    await crash(server)
    await talking

    assert before
    assert len(acknowledged) == 40
    assert await texts(scene) == {text: [seq] for text, seq in acknowledged.items()}
    await everybody_has_it_all(scene)


async def test_timers_survive_and_what_came_due_meanwhile_is_told_once(town: Town, server: Embedded) -> None:
    """Of two waiting cards one reaches its deadline while the server is dead, the other after its return.

    Seen to fail with the timers' sorted sets deleted after the restart.
    """
    scene = await town.scene(answer_window=timedelta(milliseconds=400))
    patient = await town.gateway(answer_window=timedelta(seconds=2))
    device = await town.agent(on=patient)
    meanwhile = await scene.propose("paid")
    later = await scene.sees(scene.buyer, await scene.send("unpaid", by=device))

    await server.kill()
    # The dead server's clock is this machine's, and nobody else can be asked for it.
    await _until(meanwhile["deadline_ms"])
    await server.start()

    for card in (meanwhile, later):
        for client in (scene.agent, scene.buyer):
            await scene.sees(client, card, "timed_out", limit=8)
            assert scene.outcomes(client, card) == ["timed_out"]
    ended = {entry["notice"]["proposal_id"]: entry["at_ms"] for entry in scene.log(scene.agent) if "notice" in entry}
    assert len(ended) == 2
    assert 0 <= ended[later["proposal_id"]] - later["deadline_ms"] < 1500
    await everybody_has_it_all(scene)


async def _until(instant_ms: int) -> None:
    while (left := instant_ms / 1000 - time.time()) > 0:
        await asyncio.sleep(left)


async def test_a_negotiation_goes_on_through_crash_after_crash(town: Town, server: Embedded) -> None:
    """The server dies right after every acknowledgement.

    Seen to fail with `appendonly` off.
    """
    scene = await town.scene(retry_after=timedelta(milliseconds=100))
    sent: Frame = await scene.send()
    await crash(server)
    card = await scene.sees(scene.buyer, sent, limit=10)
    assert (await scene.buyer.answer(card, "agree"))["state"] == "applying"
    await crash(server)
    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "agreed", limit=10)
    await crash(server)
    await everybody_has_it_all(scene)
    assert scene.states(scene.buyer, card) == ["pending", "applying", "agreed"]
    assert [notice["code"] for notice in scene.notices(scene.agent)] == ["agreed"]
    assert await scene.skus() == ["white-s"]
    product = await scene.shop.product(town.shop_id, "tee")
    assert {sku.id: sku.stock for sku in product.skus}["white-s"] == 29


@pytest.mark.parametrize("what", ["say", "propose", "agree", "reject", "withdraw", "transfer"])
async def test_a_commit_whose_reply_was_lost_is_done_once(town: Town, what: str) -> None:
    """The connection broke after the script ran: the client is told to ask again, with the same id.

    Seen to fail with the known reply ignored by load.lua and commit.lua: said twice, or refused what had been done.
    """
    scene = await town.scene(retry_after=timedelta(milliseconds=100))
    card = {} if what in ("say", "propose") else await scene.propose()
    for gateway in town.gateways:
        _lose_next_reply(gateway)
    seq = await scene.last_seq()
    id = scene.conversation_id
    ok = await {
        "say": lambda: scene.buyer.say(id, "在吗"),
        "propose": scene.send,
        "agree": lambda: scene.buyer.answer(card, "agree"),
        "reject": lambda: scene.buyer.answer(card, "reject"),
        "withdraw": lambda: scene.agent.withdraw(card),
        "transfer": lambda: scene.agent.transfer(id, "ahe"),
    }[what]()
    assert ok["seq"] == seq + 1
    if what == "agree":
        await scene.sees(scene.agent, card, "agreed")
        seq += 1
    await scene.settled_work()
    assert await scene.last_seq() == seq + 1
    await scene.caught_up()


def _lose_next_reply(gateway: Gateway) -> None:
    store = gateway.house.store
    commit = store.commit

    async def lost(decision: Commit) -> Committed:
        store.commit = commit  # type: ignore[method-assign]
        await commit(decision)
        raise Disconnected("no reply")

    store.commit = lost  # type: ignore[method-assign]
