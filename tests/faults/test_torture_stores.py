"""The stores of the torture: each breaks as it says, for real, and is whole again afterwards."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from bot.redis.connector import ClusterConnector, PoolConnector, connect
from scheduler.script import Script
from tests.faults.torture.stores import NAMES, Promise, Store, StoreName, make_store
from tests.standing import standing

WRITE = Script("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
READ = Script("return redis.call('GET', KEYS[1])")
LIMIT = 20.0
KEYS = [f"torture:{number}" for number in range(12)]
"""Enough for every primary of a cluster to have some."""
SETTING = "notify-keyspace-events"

Connector = PoolConnector | ClusterConnector


@pytest.fixture(scope="module", params=NAMES)
def running(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Store]:
    """One store of each name for all tests; it belongs to no event loop."""
    name: StoreName = request.param
    with standing(make_store(name, short_folder / uuid.uuid4().hex[:8])) as store:
        yield store


@pytest.fixture
async def store(running: Store) -> AsyncIterator[Store]:
    """That store, whole before the test and after it."""
    await running.healthy(LIMIT)
    yield running
    await running.healthy(LIMIT)


@pytest.fixture
async def connector(store: Store) -> AsyncIterator[Connector]:
    """The product's way to it."""
    connector = connect(store.url)
    yield connector
    await connector.aclose()


@pytest.fixture
def chance() -> random.Random:
    """The same victims every time."""
    return random.Random(5)


async def write_all(connector: Connector, value: str) -> None:
    """A write for each key."""
    answers = await asyncio.gather(*[connector.scripts.run(WRITE, [key], [value]) for key in KEYS])
    assert answers == [value.encode()] * len(KEYS)


async def read_all(connector: Connector) -> set[str]:
    """What the keys say."""
    return {answer.decode() for answer in await asyncio.gather(*[connector.scripts.run(READ, [k], []) for k in KEYS])}


async def persist(what: Callable[[], Awaitable[object]]) -> float:
    """Try until it works; how many seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(LIMIT):
        while True:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await what()
                return time.monotonic() - began
            await asyncio.sleep(0.05)


async def names(store: Store) -> set[str]:
    """The sockets of today's primaries."""
    async with store.primaries() as primaries:
        return {primary.connection_pool.connection_kwargs["path"] for primary in primaries}


def test_each_says_what_it_is(running: Store) -> None:
    assert running.name in NAMES
    assert running.promises is (Promise.MAY_LOSE if running.name == "standalone-everysec" else Promise.KEPT)
    assert ("failover" in running.breaks) == (running.settings == {"ASSENT_REPLICAS": "1"})


async def test_a_killed_primary_is_replaced_and_comes_back(
    store: Store, connector: Connector, chance: random.Random
) -> None:
    """Where there are replicas, writes work again before anybody revives it."""
    await write_all(connector, "before")
    await store.healthy(LIMIT)  # replication is in order: the replicas have it
    assert "SIGKILL" in await store.kill(chance)
    with pytest.raises(RuntimeError, match="broken already"):
        await store.kill(chance)
    if "failover" in store.breaks:
        assert await persist(lambda: write_all(connector, "meanwhile")) < LIMIT
    else:
        with pytest.raises((RedisError, OSError)):
            await connector.scripts.run(WRITE, KEYS[:1], ["to nobody"])
    await store.revive()
    await persist(lambda: read_all(connector))
    assert await read_all(connector) == {"meanwhile" if "failover" in store.breaks else "before"}


async def test_a_paused_primary_answers_nobody_until_it_is_resumed(store: Store, chance: random.Random) -> None:
    async with store.primaries() as primaries, asyncio.timeout(LIMIT):
        assert "SIGSTOP" in await store.pause(chance)
        pings = [asyncio.create_task(_ping(primary)) for primary in primaries]
        if len(pings) > 1:
            await asyncio.wait(pings, return_when=asyncio.FIRST_COMPLETED)
        silent = [ping for ping in pings if not ping.done()]
        assert silent
        await store.resume()
        await asyncio.gather(*pings)
    await store.healthy(LIMIT)


async def _ping(client: Redis) -> None:
    await client.ping()


@pytest.mark.parametrize("running", ["sentinel", "cluster"], indirect=True)
async def test_a_planned_failover_loses_nothing(store: Store, connector: Connector) -> None:
    """What the old primary took last is there: no wait for replication in between."""
    before = await names(store)
    await write_all(connector, "just now")
    await store.failover()
    after = await names(store)
    assert len(after) == len(before)
    assert after != before
    await persist(lambda: read_all(connector))
    assert await read_all(connector) == {"just now"}
    assert await persist(lambda: write_all(connector, "later")) < LIMIT


async def test_a_full_memory_refuses_writes_and_is_read(store: Store, connector: Connector) -> None:
    await write_all(connector, "before")
    await store.fill_memory()
    for key in KEYS:
        with pytest.raises(OutOfMemoryError):
            await connector.scripts.run(WRITE, [key], ["more"])
    assert await read_all(connector) == {"before"}
    await store.free_memory()
    await write_all(connector, "after")


async def test_connections_are_cut_by_their_kind(store: Store, connector: Connector) -> None:
    await write_all(connector, "before")
    ear = await connector.subscriber()
    await ear.send_command("SUBSCRIBE", "torture")
    async with asyncio.timeout(LIMIT):
        await ear.read_response()
        assert await store.cut_connections("pubsub") >= 1
        with pytest.raises(RedisError):
            await ear.read_response()
        await ear.disconnect(nowait=True)
        await write_all(connector, "the others live")
        assert await store.cut_connections("normal") >= 1
        await persist(lambda: write_all(connector, "after"))


async def test_muted_expiry_stays_muted_whoever_asks_for_it(store: Store) -> None:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(LIMIT):
        primaries = await stack.enter_async_context(store.primaries())
        await store.mute_expiry()
        for primary in primaries:
            await primary.config_set(SETTING, "Ex")
        for primary in primaries:
            while (await primary.config_get(SETTING))[SETTING]:
                await asyncio.sleep(0.02)
        await store.hear_expiry()
        for primary in primaries:
            assert set((await primary.config_get(SETTING))[SETTING] or "") == set("xE")
