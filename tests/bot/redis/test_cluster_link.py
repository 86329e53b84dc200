"""Scripts on a real cluster: each at its slot's owner, wherever that goes meanwhile."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ClusterCrossSlotError, RedisError

from bot.embedded.cluster import EmbeddedCluster
from bot.redis import cluster_link
from bot.redis.cluster_link import ClusterLink, slot_of
from bot.redis.connector import ClusterConnector, connect
from scheduler.script import Script

PUT = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
COUNT = Script("local n = 0 for _, key in ipairs(KEYS) do n = n + redis.call('INCR', key) end return n")
SAY = Script("return ARGV[1]")


@asynccontextmanager
async def clustered(url: str) -> AsyncIterator[ClusterLink]:
    """A link to that cluster, closed at the end."""
    connector = connect(url)
    assert isinstance(connector, ClusterConnector)
    try:
        yield connector.scripts
    finally:
        await connector.aclose()


@pytest.fixture
async def link(valkey_cluster_url: str) -> AsyncIterator[ClusterLink]:
    async with clustered(valkey_cluster_url) as link:
        yield link


@dataclass
class Move:
    """A slot on its way from its owner to another primary, and back again at the end."""

    slot: int
    key: str
    """A key of the slot."""
    source: Redis
    target: Redis
    target_port: int

    async def begin(self) -> None:
        """From now on the source answers ASK for keys of the slot that it does not have."""
        source_id, target_id = await self.source.cluster("MYID"), await self.target.cluster("MYID")
        await self.target.cluster("SETSLOT", self.slot, "IMPORTING", source_id)
        await self.source.cluster("SETSLOT", self.slot, "MIGRATING", target_id)

    async def move(self, *keys: str) -> None:
        """Carry keys over."""
        await self.source.execute_command("MIGRATE", "127.0.0.1", self.target_port, "", 0, 5000, "KEYS", *keys)

    async def end(self) -> None:
        """From now on the source answers MOVED."""
        await give(self.slot, self.target, self.source)


async def give(slot: int, to: Redis, *others: Redis) -> None:
    """Let them agree whose the slot is."""
    owner = await to.cluster("MYID")
    for node in (to, *others):
        await node.cluster("SETSLOT", slot, "NODE", owner)


@pytest.fixture
async def moving(valkey_cluster: EmbeddedCluster, valkey_cluster_url: str) -> AsyncIterator[Move]:
    """A slot of the first primary, to be moved to the second; it goes home at the end."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(Redis.from_url(node.url, decode_responses=True))
            for node in valkey_cluster.nodes
        ]
        key = next(key for n in range(10_000) if slot_of(key := f"{{moving{n}}}:a") < 5000)
        move = Move(slot_of(key), key, nodes[0], nodes[1], valkey_cluster.ports[1])
        yield move
        for node in nodes:
            await node.flushall()
        await nodes[1].cluster("SETSLOT", move.slot, "STABLE")
        await nodes[0].cluster("SETSLOT", move.slot, "STABLE")
        await give(move.slot, nodes[0], nodes[1])
        # The third hears of it by gossip; the next test must find all of one mind.
        async with asyncio.timeout(20):
            while await _owner(nodes[2], move.slot) != await nodes[0].cluster("MYID"):
                await give(move.slot, nodes[0], *nodes[1:])
                await asyncio.sleep(0.02)


async def _owner(node: Redis, slot: int) -> str:
    slots: Any = await node.execute_command("CLUSTER SHARDS")
    for shard in slots:
        bounds = shard["slots"]
        if any(low <= slot <= high for low, high in zip(bounds[::2], bounds[1::2], strict=True)):
            return str(shard["nodes"][0]["id"])
    return ""


async def redirections(node: Redis) -> int:
    """How often this node has said MOVED or ASK."""
    errors: Any = await node.info("errorstats")
    return sum(errors.get(f"errorstat_{kind}", {"count": 0})["count"] for kind in ("MOVED", "ASK"))


KEYS = st.text(st.sampled_from("ab{}é:"), min_size=1, max_size=12) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS)
async def test_a_slot_is_what_the_server_says_it_is(valkey_cluster: EmbeddedCluster, key: str) -> None:
    async with Redis.from_url(valkey_cluster.nodes[0].url) as node:
        assert slot_of(key) == await node.cluster("KEYSLOT", key)


async def test_each_script_goes_straight_to_its_keys(link: ClusterLink, valkey_cluster: EmbeddedCluster) -> None:
    """Seen to fail with a link that asks any primary: every answer was right, by two redirections in three."""
    keys = [f"key{n}" for n in range(300)]
    assert len({slot_of(key) for key in keys}) > 250
    assert await asyncio.gather(*[link.run(PUT, [key], [key]) for key in keys]) == [key.encode() for key in keys]
    for node in valkey_cluster.nodes:
        async with Redis.from_url(node.url) as client:
            assert await client.dbsize() > 0
            assert await redirections(client) == 0


async def test_a_script_without_keys_runs_somewhere(link: ClusterLink) -> None:
    assert await link.run(SAY, [], ["here"]) == b"here"


async def test_keys_of_two_slots_are_refused_by_the_server(link: ClusterLink) -> None:
    with pytest.raises(ClusterCrossSlotError):
        await link.run(COUNT, ["a", "b"], [])


async def test_servers_that_forgot_the_scripts_are_taught_them(
    link: ClusterLink, valkey_cluster: EmbeddedCluster
) -> None:
    """Seen to fail without the fallback."""
    for _ in range(2):
        for node in valkey_cluster.nodes:
            async with Redis.from_url(node.url) as client:
                await client.script_flush()
        keys = [f"key{n}" for n in range(30)]
        assert await asyncio.gather(*[link.run(PUT, [key], ["x"]) for key in keys]) == [b"x"] * 30


async def test_a_slot_that_moves_is_followed_all_the_way(link: ClusterLink, moving: Move) -> None:
    """ASK while it moves (to a server that knows no script yet), MOVED after; nothing counted twice, nothing lost.

    Seen to fail without ASKING, and without following MOVED.
    """
    here, there = moving.key, moving.key.replace(":a", ":b")
    assert await link.run(COUNT, [here], []) == 1
    await moving.begin()
    assert await link.run(COUNT, [here], []) == 2, "still at the source"
    assert await link.run(COUNT, [there], []) == 1, "new, so at the target"
    assert await link.run(COUNT, [there], []) == 2
    await moving.move(here)
    assert await link.run(COUNT, [here], []) == 3
    await moving.end()
    results = await asyncio.gather(*[link.run(COUNT, [here], []) for _ in range(20)])
    assert sorted(results) == list(range(4, 24))
    assert await link.run(COUNT, [there, here], []) == 3 + 24


async def test_after_moved_the_new_owner_is_known(link: ClusterLink, moving: Move) -> None:
    """Seen to fail with MOVED, which redis-py derives from ASK, taken for ASK: each call was redirected for ever."""
    assert await link.run(COUNT, [moving.key], []) == 1
    await moving.begin()
    await moving.move(moving.key)
    await moving.end()
    async with asyncio.timeout(10):
        before = -1
        while (now := await redirections(moving.source)) != before:
            before = now
            await asyncio.gather(*[link.run(COUNT, [moving.key], []) for _ in range(5)])
            await asyncio.sleep(0.05)
    assert before <= 40, "the new owner was learned within a few calls"


async def test_moved_is_followed_though_the_topology_cannot_be_learned(
    link: ClusterLink, moving: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is asked for the topology may not have heard of the move yet, or be away.

    Seen to fail with a link that only learns and tries again.
    """
    assert await link.run(COUNT, [moving.key], []) == 1
    await moving.begin()
    await moving.move(moving.key)
    await moving.end()

    async def nothing_new(self: Any) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(ClusterLink, "_learn", nothing_new)
    assert await link.run(COUNT, [moving.key], []) == 2


async def test_keys_here_and_there_wait_until_they_are_together(link: ClusterLink, moving: Move) -> None:
    """TRYAGAIN. Seen to fail without trying again."""
    here, there = moving.key, moving.key.replace(":a", ":b")
    await link.run(COUNT, [here, there], [])
    await moving.begin()
    await moving.move(here)
    call = asyncio.create_task(link.run(COUNT, [here, there], []))
    async with asyncio.timeout(10):
        await said(moving, "TRYAGAIN")
        assert not call.done()
        await moving.move(there)
        assert await call == 4


async def said(moving: Move, error: str) -> None:
    """Wait until one of the two has said so."""
    while True:
        seen: list[Any] = [await node.info("errorstats") for node in (moving.source, moving.target)]
        if any(f"errorstat_{error}" in errors for errors in seen):
            return
        await asyncio.sleep(0.01)


async def test_a_cluster_that_is_away_is_a_redis_error() -> None:
    """Callers know RedisError; redis-py's own RedisClusterException is none. Seen to fail with it passed on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with clustered(f"redis+cluster://127.0.0.1:{taken.getsockname()[1]}") as link:
            for keys in ([], ["a"]):
                with pytest.raises(RedisError):
                    await link.run(SAY, keys, ["x"])


async def test_a_cluster_that_hangs_is_given_up(
    short_folder: Any, monkeypatch: pytest.MonkeyPatch, valkey_cluster: EmbeddedCluster, valkey_cluster_url: str
) -> None:
    """Seen to fail without a limit for learning the topology: nobody was ever answered again."""
    monkeypatch.setattr(cluster_link, "_PATIENCE", 0.3)
    async with clustered(valkey_cluster_url) as link:
        pids = [node.pid for node in valkey_cluster.nodes]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                with pytest.raises(RedisError):
                    await link.run(PUT, ["a"], ["x"])
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            assert await link.run(PUT, ["a"], ["x"]) == b"x"


async def test_a_primary_that_was_lost_and_stands_again_is_told_of(
    link: ClusterLink, valkey_cluster: EmbeddedCluster
) -> None:
    """It may have lost what it had last, and who listens at another node has heard of nothing.

    Seen to fail without `on_restored` given to the links, and told when first connected.
    """
    restored: list[None] = []
    link.on_restored = lambda: restored.append(None)
    for key in "abcdef":
        await link.run(PUT, [key], ["1"])
    assert restored == []
    async with Redis.from_url(valkey_cluster.nodes[0].url) as node:
        await node.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(10):
        while not restored:
            for key in "abcdef":
                with contextlib.suppress(RedisError):
                    await link.run(PUT, [key], ["1"])
    assert restored == [None]


async def test_a_primary_in_the_place_of_another_is_told_of(link: ClusterLink) -> None:
    """Seen to fail with the topology only learned."""
    restored: list[None] = []
    link.on_restored = lambda: restored.append(None)
    await link.run(PUT, ["a"], ["1"])
    await link._refresh()
    assert restored == []
    link._primaries = {*list(link._primaries)[1:], "127.0.0.1:1"}
    await link._refresh()
    assert restored == [None]
    await link._refresh()
    assert restored == [None]


async def test_when_all_that_were_known_are_gone_those_of_the_url_are_asked(link: ClusterLink) -> None:
    """Nodes may be replaced one after the other while nobody asks. Seen to fail without them."""
    assert await link.run(SAY, [], ["x"]) == b"x"
    manager = link._cluster.nodes_manager
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = ClusterNode("127.0.0.1", taken.getsockname()[1], **manager.connection_kwargs)
        await manager.aclose("startup_nodes")
        before, manager.startup_nodes = manager.startup_nodes, {gone.name: gone}
        await link._refresh()
    assert gone.name not in manager.startup_nodes
    assert manager.startup_nodes.keys() == before.keys()


async def test_a_primary_that_hangs_is_asked_for_nothing_that_others_can_do(
    link: ClusterLink, valkey_cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail with any primary taken."""
    monkeypatch.setattr(cluster_link, "_LOOK", 0.1)
    await asyncio.gather(*[link.run(PUT, [f"key{n}"], ["x"]) for n in range(30)])
    pid = valkey_cluster.nodes[0].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            while not link._silent:
                await asyncio.sleep(0.02)
            assert await asyncio.gather(*[link.run(SAY, [], ["x"]) for _ in range(30)]) == [b"x"] * 30
    finally:
        os.kill(pid, signal.SIGCONT)
