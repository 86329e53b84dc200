"""What listening adds: a sleeper is told, on every primary, and a listener that died is noticed and replaced."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection

from bot.embedded.cluster import EmbeddedCluster
from scheduler.alarms import Alarms
from scheduler.script import ClientScripts
from scheduler.timers import Timers

SETTING = "notify-keyspace-events"
PATIENCE = timedelta(milliseconds=200)


def soon(ms: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=ms)


class Primaries:
    """The primaries of the moment."""

    def __init__(self, *clients: Redis) -> None:
        self.clients: Sequence[Redis] = clients
        self.away = False
        self.asked = 0

    async def __call__(self) -> Sequence[Redis]:
        self.asked += 1
        if self.away:
            raise LostConnection("nobody answers")
        return self.clients


async def arm_unheard(client: Redis | RedisCluster, bucket: int, timer_id: str, due: datetime) -> None:
    """Arm a timer whose wake nobody hears."""
    due_ms = int(due.timestamp() * 1000)
    await client.zadd(f"timers:{{{bucket}}}", {timer_id: due_ms})
    await client.set(f"alarm:{{{bucket}}}", due_ms, pxat=due_ms)


@pytest.mark.usefixtures("oversleeping")
async def test_an_expired_alarm_wakes_a_sleeper(client: Redis, fired: Any, attentive: Any, eventually: Any) -> None:
    """Red when Alarms ignores `expired` events."""
    timers = Timers(ClientScripts(client), buckets=4)
    async with attentive(timers, fired) as watcher, Alarms(watcher, Primaries(client)):
        await eventually(lambda: watcher.listens == 1)
        await timers.arm("first", soon())
        await fired.until(1)
        bucket = timers.bucket_of("unheard")
        await arm_unheard(client, bucket, "unheard", soon(300))
        await fired.until(2)
    _, due, called = fired.calls[1]
    assert called - due < timedelta(seconds=2)


@pytest.mark.usefixtures("oversleeping")
async def test_the_alarms_of_every_primary_are_heard(
    valkey_cluster: EmbeddedCluster, valkey_cluster_url: str, fired: Any, attentive: Any, eventually: Any
) -> None:
    """Red when only the first primary is listened to: `expired` events do not travel between nodes."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Redis.from_url(node.url)) for node in valkey_cluster.nodes]
        cluster = await stack.enter_async_context(RedisCluster(port=valkey_cluster.ports[0], host="127.0.0.1"))
        timers = Timers(ClientScripts(cluster), buckets=16)
        watcher = await stack.enter_async_context(attentive(timers, fired))
        await stack.enter_async_context(Alarms(watcher, Primaries(*nodes)))
        await eventually(lambda: watcher.listens == 3)
        await timers.arm("first", soon())
        await fired.until(1)
        buckets = range(16)
        assert {cluster.get_node_from_key(f"alarm:{{{bucket}}}").port for bucket in buckets} == {*valkey_cluster.ports}
        for bucket in buckets:
            await arm_unheard(cluster, bucket, _id_in(timers, bucket), soon(300))
        await fired.until(17)
    assert set(fired.ids) == {"first"} | {_id_in(timers, bucket) for bucket in buckets}


@pytest.mark.usefixtures("oversleeping")
async def test_everything_is_swept_when_a_lost_connection_is_back(
    client: Redis, fired: Any, attentive: Any, eventually: Any
) -> None:
    """What was said meanwhile is lost. Red without `wake_all` at each confirmed subscription."""
    timers = Timers(ClientScripts(client), buckets=1)
    async with attentive(timers, fired) as watcher, Alarms(watcher, Primaries(client)):
        await eventually(lambda: watcher.listens == 1)
        await timers.arm("first", soon())
        await fired.until(1)
        await client.zadd("timers:{0}", {"unheard": 1})
        await client.client_kill_filter(_type="pubsub")
        await fired.until(2)
        await eventually(lambda: watcher.listens == 2)


class Tunnel:
    """A unix socket before another one, that can swallow everything without closing anything."""

    def __init__(self, front: Path, back: str) -> None:
        self._front, self._back = front, back
        self._passing: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Tunnel":
        self._server = await asyncio.start_unix_server(self._accept, self._front)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.swallow()
        self._server.close()
        for writer in self._writers:
            writer.close()

    def swallow(self) -> None:
        """From now on nothing passes on the connections open now."""
        for task in self._passing:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_unix_connection(self._back)
        self._writers += (writer, back_writer)
        for source, sink in ((reader, back_writer), (back_reader, writer)):
            self._passing.append(asyncio.create_task(self._pass(source, sink)))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()


async def test_a_deaf_connection_is_noticed_and_replaced(
    client: Redis, valkey_url: str, short_folder: Path, attentive: Any, eventually: Any
) -> None:
    """Its packets vanish, nobody closes it. Red without the limit on silence: it stays deaf for ever."""
    front = short_folder / "tunnel.sock"
    async with Tunnel(front, valkey_url.removeprefix("unix://")) as tunnel, Redis.from_url(f"unix://{front}") as far:
        watcher = attentive(Timers(ClientScripts(client), buckets=1), _never)
        async with Alarms(watcher, Primaries(far), patience=PATIENCE):
            await eventually(lambda: watcher.listens == 1)
            tunnel.swallow()
            await eventually(lambda: watcher.listens == 2)


async def test_an_idle_connection_is_kept(client: Redis, valkey_url: str, attentive: Any, eventually: Any) -> None:
    """Though nothing happens for longer than the client's socket_timeout. Red when get_message has no timeout of its
    own: each read then ends at the client's, and the connection with it."""

    async def pings() -> int:
        return (await client.info("commandstats")).get("cmdstat_ping", {"calls": 0})["calls"]

    async with Redis.from_url(valkey_url, socket_timeout=0.05, retry=Retry(NoBackoff(), 0)) as hasty:
        watcher = attentive(Timers(ClientScripts(client), buckets=1), _never)
        async with Alarms(watcher, Primaries(hasty), patience=PATIENCE):
            await eventually(lambda: watcher.listens == 1)
            before = await pings()

            async def pinged() -> bool:
                return await pings() >= before + 4

            await eventually(pinged)
    assert watcher.listens == 1


async def test_the_primaries_are_followed(client: Redis, attentive: Any, eventually: Any) -> None:
    """Red when they are asked for once only."""
    primaries = Primaries()
    watcher = attentive(Timers(ClientScripts(client), buckets=1), _never)
    async with Alarms(watcher, primaries, refresh=timedelta(milliseconds=20)):
        for expected in (1, 0, 1):
            primaries.clients = [client] * expected

            async def heard(expected: int = expected) -> bool:
                return (await client.pubsub_numsub("timers:wake"))[0][1] == expected

            await eventually(heard)


async def test_primaries_that_cannot_be_asked_for_are_kept(
    client: Redis, attentive: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Red when an error of `nodes` ends the listening."""
    primaries = Primaries(client)
    watcher = attentive(Timers(ClientScripts(client), buckets=1), _never)
    async with Alarms(watcher, primaries, refresh=timedelta(milliseconds=20)):
        await eventually(lambda: watcher.listens == 1)
        primaries.away = True
        asked = primaries.asked
        await eventually(lambda: primaries.asked > asked + 3)
        assert (await client.pubsub_numsub("timers:wake"))[0][1] == 1
    assert caplog.text.count("the primaries can't be asked for") == 1


@pytest.mark.parametrize(("before", "after"), [("", "xE"), ("Kg", "gxKE"), ("KEA", "AKE"), ("Ex", "xE")])
async def test_notifications_are_turned_on(
    flags: Redis, before: str, after: str, attentive: Any, eventually: Any
) -> None:
    """What others wanted to be told of stays."""
    await flags.config_set(SETTING, before)
    watcher = attentive(Timers(ClientScripts(flags), buckets=1), _never)
    async with Alarms(watcher, Primaries(flags)):

        async def on() -> bool:
            return set((await flags.config_get(SETTING))[SETTING]) == set(after)

        await eventually(on)


async def test_a_server_that_lets_nobody_configure_it_is_told_of_and_swept(
    flags: Redis, valkey_url: str, fired: Any, attentive: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await flags.config_set(SETTING, "")
    await flags.acl_setuser(
        "guest", enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"], commands=["-config"]
    )
    try:
        async with Redis.from_url(valkey_url, username="guest", password="any") as guest:
            timers = Timers(ClientScripts(guest))
            async with attentive(timers, fired) as watcher, Alarms(watcher, Primaries(guest)):
                await eventually(lambda: f"{SETTING} contains Ex" in caplog.text)
                await timers.arm("swept", soon(50))
                await fired.until(1)
    finally:
        await flags.acl_deluser("guest")


def _id_in(timers: Timers, bucket: int) -> str:
    return next(str(number) for number in range(10_000) if timers.bucket_of(str(number)) == bucket)


async def _never(timer_id: str, due: datetime) -> None:
    raise AssertionError("no timer was armed")
