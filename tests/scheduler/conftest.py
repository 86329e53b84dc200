"""What the scheduler's tests share: scripts on each kind of server, and a handler that remembers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis, RedisCluster

from scheduler.script import ClientScripts
from scheduler.watcher import Watcher
from tests.until import until

LIMIT_S = 10
"""How long a test waits for what must happen; on a busy machine it is never the usual time."""


@pytest.fixture(params=["fakeredis", "valkey", "cluster"])
def any_server(request: pytest.FixtureRequest) -> str | None:
    """Runs the test on fakeredis (None), a real server, and a real cluster of three primaries."""
    name = {"valkey": "valkey_url", "cluster": "valkey_cluster_url"}.get(request.param)
    url: str | None = request.getfixturevalue(name) if name else None
    return url


@pytest.fixture
async def scripts(any_server: str | None) -> AsyncIterator[ClientScripts]:
    """Scripts on an empty server of each kind."""
    async with _client(any_server) as client:
        yield ClientScripts(client)


def _client(url: str | None) -> Redis | RedisCluster:
    if url is None:
        return FakeAsyncRedis(server=FakeServer())
    if url.startswith("redis+cluster://"):
        return RedisCluster.from_url("redis://" + url.removeprefix("redis+cluster://").split(",")[0])
    return Redis.from_url(url)


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of a real, empty server."""
    async with Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
async def flags(client: Redis) -> AsyncIterator[Redis]:
    """The client, for tests that change the server's notifications, which the next test finds as they were."""
    setting = "notify-keyspace-events"
    before = (await client.config_get(setting))[setting]
    yield client
    await client.config_set(setting, before)


class Fired:
    """A handler that remembers its calls: (timer id, due, when it was called)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, datetime, datetime]] = []
        self._called = asyncio.Event()

    async def __call__(self, timer_id: str, due: datetime) -> None:
        self.calls.append((timer_id, due, datetime.fromtimestamp(time.time(), UTC)))
        self._called.set()

    @property
    def ids(self) -> list[str]:
        return [timer_id for timer_id, _, _ in self.calls]

    async def until(self, count: int) -> None:
        """Wait for that many calls, repeated ones too."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.calls) < count:
                self._called.clear()
                await self._called.wait()


@pytest.fixture
def fired() -> Fired:
    return Fired()


class Attentive(Watcher):
    """A watcher that counts how often it was told to sweep everything: each time a connection began to listen."""

    listens = 0

    def wake_all(self) -> None:
        self.listens += 1
        super().wake_all()


@pytest.fixture
def attentive() -> type[Attentive]:
    return Attentive


@pytest.fixture
def oversleeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the idle sweep, only a known instant, a wake or an alarm has a bucket swept in a test's time."""
    monkeypatch.setattr("scheduler.watcher.IDLE", 100.0 * LIMIT_S)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[object]]:
    """Wait until something, which may have to be awaited, holds; or fail."""
    return until
