"""The pub/sub connection: what is confirmed is heard, what was lost or went deaf is replaced, and everybody is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from bot.redis import subscriber as subscriber_module
from bot.redis.connector import connect
from bot.redis.subscriber import Subscriber

LIMIT = 10.0


class Line:
    """A connection that can be held up in either direction, or made deaf, behind its owner's back."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.swallow: Callable[[Any], bool] = lambda response: False
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.read = 0

    async def read_response(self, **options: Any) -> Any:
        while True:
            response = await self._connection.read_response(**options)
            await self.may_read.wait()
            if not self.swallow(response):
                self.read += 1
                return response

    async def send_packed_command(self, command: Any, **options: Any) -> None:
        await self.may_write.wait()
        await self._connection.send_packed_command(command, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Ear:
    """A subscriber on a real server, with what it heard and how often it was restored."""

    def __init__(self, url: str) -> None:
        self._connector = connect(url)
        self.lines: list[Line] = []
        self.heard: list[tuple[str, bytes]] = []
        self.restored = 0
        self.changed = asyncio.Event()
        self.connect: Callable[[], Awaitable[AbstractConnection]] = self._connector.subscriber
        self.on_message: Callable[[str, bytes], None] = lambda channel, message: None
        self.prepare: Callable[[Line], None] = lambda line: None
        self.subscriber = Subscriber(
            self._connect, self._connector.missed, self._connector.scripts, self._heard, self._restored
        )
        self._running = asyncio.create_task(self.subscriber.run())

    async def _connect(self) -> Any:
        line = Line(await self.connect())
        self.prepare(line)
        self.lines.append(line)
        return line

    def _heard(self, channel: str, message: bytes) -> None:
        self.heard.append((channel, message))
        self.changed.set()
        self.on_message(channel, message)

    def _restored(self) -> None:
        self.restored += 1
        self.changed.set()

    async def until(self, found: Callable[[], Any]) -> None:
        """Wait until it is so, looked at whenever something was heard or restored."""
        async with asyncio.timeout(LIMIT):
            while not found():
                self.changed.clear()
                await self.changed.wait()

    async def subscribe(self, channel: str) -> None:
        async with asyncio.timeout(LIMIT):
            await self.subscriber.subscribe(channel)

    async def aclose(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._connector.aclose()


@pytest.fixture
async def ear(valkey_url: str) -> AsyncIterator[Ear]:
    ear = Ear(valkey_url)
    yield ear
    await ear.aclose()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as redis:
        yield redis


async def when(found: Callable[[], Any]) -> None:
    """Wait until it is so, looked at in each turn of the loop."""
    async with asyncio.timeout(LIMIT):
        while True:
            if found():
                return
            await asyncio.sleep(0.001)


async def until_heard_by(redis: Redis, channel: str, count: int) -> None:
    """Wait until the server says that so many connections hear a channel."""
    async with asyncio.timeout(LIMIT):
        while True:
            if dict(await redis.pubsub_numsub(channel))[channel.encode()] == count:
                return
            await asyncio.sleep(0.001)


async def test_what_is_published_after_subscribing_is_heard_in_order(ear: Ear, redis: Redis) -> None:
    for n in range(50):
        await ear.subscribe(f"c{n}")
        assert await redis.publish(f"c{n}", f"first {n}") == 1
        assert await redis.publish(f"c{n}", f"second {n}") == 1
    await ear.until(lambda: len(ear.heard) == 100)
    assert ear.heard == [(f"c{n}", f"{word} {n}".encode()) for n in range(50) for word in ("first", "second")]


async def test_two_who_subscribe_at_once_both_wait_for_the_confirmation(ear: Ear, redis: Redis) -> None:
    """Seen to fail with a subscribe that does not wait."""
    await ear.subscribe("ready")
    line = ear.lines[0]
    line.may_read.clear()
    both = [asyncio.create_task(ear.subscribe("c")) for _ in range(2)]
    await until_heard_by(redis, "c", 1)
    assert not any(task.done() for task in both)
    line.may_read.set()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*both)
        assert await redis.publish("c", "x") == 1
    assert dict(await redis.pubsub_numsub("c")) == {b"c": 1}


async def test_what_is_unsubscribed_is_heard_no_more(ear: Ear, redis: Redis) -> None:
    await ear.subscribe("a")
    await ear.subscribe("b")
    ear.subscriber.unsubscribe("a")
    await until_heard_by(redis, "a", 0)
    await redis.publish("a", "x")
    await redis.publish("b", "y")
    await ear.until(lambda: ear.heard)
    assert ear.heard == [("b", b"y")]


async def test_the_confirmation_of_an_earlier_subscription_is_not_mistaken_for_ours(ear: Ear, redis: Redis) -> None:
    """Left and joined again before the first confirmation came: what is published between the two would be lost.

    Seen to fail with confirmations that are not counted.
    """
    await ear.subscribe("ready")
    line = ear.lines[0]
    line.may_read.clear()
    first = asyncio.create_task(ear.subscribe("c"))
    await until_heard_by(redis, "c", 1)
    line.may_write.clear()
    ear.subscriber.unsubscribe("c")
    second = asyncio.create_task(ear.subscribe("c"))
    read = line.read
    await asyncio.sleep(0)
    line.may_read.set()
    await when(lambda: line.read > read and first.done())
    await asyncio.sleep(0)
    assert not second.done()
    line.may_write.set()
    async with asyncio.timeout(LIMIT):
        await second
        assert await redis.publish("c", "x") == 1
    await ear.until(lambda: ear.heard == [("c", b"x")])


async def test_a_lost_connection_is_replaced_and_everybody_is_told(ear: Ear, redis: Redis) -> None:
    """Seen to fail without subscribing again, and without telling."""
    for n in range(20):
        await ear.subscribe(f"c{n}")
    for round in (1, 2):
        assert await redis.client_kill_filter(_type="pubsub") >= 1
        await ear.until(lambda round=round: ear.restored == round)
        for n in range(20):
            assert await redis.publish(f"c{n}", f"{round} {n}") == 1
        await ear.until(lambda round=round: len(ear.heard) == 20 * round)
    assert ear.restored == 2


async def test_the_first_connection_is_no_restoration(ear: Ear, redis: Redis) -> None:
    await ear.subscribe("c")
    await redis.publish("c", "x")
    await ear.until(lambda: ear.heard)
    assert ear.restored == 0


async def test_one_who_leaves_while_the_connection_comes_back_delays_nobody(ear: Ear, redis: Redis) -> None:
    """Seen to fail with the restoration waiting for a confirmation that nobody will give: nobody was ever told."""
    for channel in ("a", "b"):
        await ear.subscribe(channel)
    ear.prepare = lambda line: line.may_read.clear()
    await redis.client_kill_filter(_type="pubsub")
    await when(lambda: len(ear.lines) == 2)
    await asyncio.sleep(0)
    ear.subscriber.unsubscribe("a")
    ear.lines[1].may_read.set()
    await ear.until(lambda: ear.restored == 1)


async def test_a_first_connection_lost_before_all_was_confirmed_is_told_too(ear: Ear, redis: Redis) -> None:
    """Whoever was confirmed on it has missed what came since.

    Seen to fail with whole restorations counted, of which this one was the first.
    """

    def never_whole(line: Line) -> None:
        line.swallow = lambda response: response[1].startswith(b"live-node:")

    ear.prepare = never_whole
    await ear.subscribe("c")
    ear.prepare = lambda line: None
    assert await redis.client_kill_filter(_type="pubsub") == 1
    await ear.until(lambda: ear.restored == 1)


async def test_one_who_hears_nothing_is_replaced_and_everybody_is_told(
    ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays up and swallows what is published. Seen to fail without the nonce."""
    monkeypatch.setattr(subscriber_module, "_HEARTBEAT", 0.03)
    await ear.subscribe("c")
    await redis.client_kill_filter(_type="pubsub")
    await ear.until(lambda: ear.restored == 1)
    ear.lines[-1].swallow = lambda response: response[0] == b"message"
    await ear.until(lambda: ear.restored == 2)
    assert await redis.publish("c", "heard again") == 1
    await ear.until(lambda: ear.heard == [("c", b"heard again")])


async def test_one_whom_the_server_forgot_is_replaced(ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server holds the connection, and no subscription of it. Seen to fail without the nonce."""
    monkeypatch.setattr(subscriber_module, "_HEARTBEAT", 0.03)
    await ear.subscribe("c")
    await redis.client_kill_filter(_type="pubsub")
    await ear.until(lambda: ear.restored == 1)
    line = ear.lines[-1]
    await line.send_packed_command(line.pack_command("UNSUBSCRIBE"), check_health=False)
    await ear.until(lambda: ear.restored == 2)
    assert await redis.publish("c", "x") == 1


async def test_one_who_hears_well_is_left_alone(ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence on the channels is no deafness."""
    monkeypatch.setattr(subscriber_module, "_HEARTBEAT", 0.02)
    await ear.subscribe("c")
    await redis.client_kill_filter(_type="pubsub")
    await ear.until(lambda: ear.restored == 1)
    line = ear.lines[-1]
    read = line.read
    await when(lambda: line.read >= read + 8)
    assert (ear.restored, len(ear.lines)) == (1, 2)


async def test_a_message_that_nobody_understands_makes_nobody_deaf(
    ear: Ear, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody may publish anything. Seen to fail with the listener's error left to end the subscriber, unnoticed."""

    def fail(channel: str, message: bytes) -> None:
        if message == b"nonsense":
            raise ValueError("not enough values to unpack")

    ear.on_message = fail
    await ear.subscribe("c")
    await redis.publish("c", "nonsense")
    await redis.publish("c", "sense")
    await ear.until(lambda: ("c", b"sense") in ear.heard)
    assert len(ear.lines) == 1
    assert "not enough values" in caplog.text


async def test_a_server_that_takes_connections_and_never_answers_is_tried_again(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail without a limit for connecting."""
    monkeypatch.setattr(subscriber_module, "_PATIENCE", 0.05)
    tried = 0
    ear = Ear(valkey_url)
    good = ear.connect

    async def hang_once() -> AbstractConnection:
        nonlocal tried
        tried += 1
        if tried == 1:
            await asyncio.Event().wait()
        return await good()

    ear.connect = hang_once
    async with contextlib.aclosing(ear), asyncio.timeout(LIMIT):
        await ear.subscribe("c")
    assert tried == 2


async def test_one_who_subscribes_while_the_server_is_away_waits_for_it(valkey_url: str, redis: Redis) -> None:
    away = asyncio.Event()
    ear = Ear(valkey_url)
    good = ear.connect

    async def connect_later() -> AbstractConnection:
        if not away.is_set():
            raise ConnectionError("away")
        return await good()

    ear.connect = connect_later
    async with contextlib.aclosing(ear), asyncio.timeout(LIMIT):
        joining = asyncio.create_task(ear.subscribe("c"))
        await asyncio.sleep(0)
        assert not joining.done()
        away.set()
        await joining
        assert await redis.publish("c", "x") == 1
        await ear.until(lambda: ear.heard == [("c", b"x")])


async def test_a_node_that_hangs_is_left(ear: Ear, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It closes nothing, and what is said to oneself goes nowhere either. Seen to fail without the pings."""
    monkeypatch.setattr(subscriber_module, "_HEARTBEAT", 0.05)
    await ear.subscribe("c")
    scripts = ear.subscriber._scripts

    class Hanging:
        async def run(self, *_: Any) -> Any:
            await asyncio.Event().wait()

    ear.subscriber._scripts = Hanging()
    ear.lines[0].may_read.clear()
    await ear.until(lambda: ear.restored == 1)
    ear.subscriber._scripts = scripts
    await redis.publish("c", "x")
    await ear.until(lambda: ("c", b"x") in ear.heard)
