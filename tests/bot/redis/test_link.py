"""The multiplexed connection: everybody gets their own reply, and a lost or hung server is an error, never a guess."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError

from bot.embedded.server import Embedded
from bot.redis.link import Link, Overloaded
from scheduler.script import Script
from tests.bot.redis.callers import CALLERS, Caller, call_at_once, turns

REFUSE = Script("return redis.error_reply('ERR refused ' .. ARGV[1])")
SAY = Script("return ARGV[1]")


@asynccontextmanager
async def linked(url: str, **options: Any) -> AsyncIterator[Link]:
    """A link to that server, closed at the end."""
    pool = ConnectionPool.from_url(url, socket_timeout=None, protocol=2, retry=Retry(NoBackoff(), 0))
    link = Link(pool.make_connection, **options)
    try:
        yield link
    finally:
        await link.aclose()


@pytest.fixture
async def own_server(short_folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Embedded]:
    """A server to stop and kill; it always ends with the test."""
    server = Embedded(short_folder / request.node.name, fsync="no")
    await server.start()
    yield server
    await server.kill()


@asynccontextmanager
async def bad_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a server on loopback that does what no good server does."""
    serving: set[asyncio.Task[Any]] = set()

    async def until_done(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(until_done, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"redis://{host}:{port}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def commands(reader: asyncio.StreamReader) -> AsyncIterator[list[bytes]]:
    """The commands that a client sends, one after the other."""
    while (head := await reader.readline()).startswith(b"*"):
        command = []
        for _ in range(int(head[1:])):
            size = int((await reader.readline())[1:])
            command.append((await reader.readexactly(size + 2))[:-2])
        yield command


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(callers=CALLERS)
async def test_everybody_gets_their_own_reply_or_their_own_error(valkey_url: str, callers: list[Caller]) -> None:
    """Seen to fail with the waiting taken from the wrong end, with a cancelled caller's place given up at once, and
    with an error reply that loses the connection."""
    async with linked(valkey_url) as link:
        await call_at_once(link, callers, say=SAY, refuse=REFUSE)


async def test_a_caller_who_gives_up_shifts_nobody(valkey_url: str) -> None:
    """Seen to fail with the cancelled caller's place in the queue given up."""
    async with linked(valkey_url) as link:
        await link.execute("PING")
        first, second, third = (asyncio.create_task(link.execute("ECHO", word)) for word in ("a", "b", "c"))
        await turns(1)
        assert link.in_flight == 3
        second.cancel()
        assert (await first, await third) == (b"a", b"c")
        assert second.cancelled()


async def test_what_cannot_be_packed_concerns_only_its_caller(valkey_url: str) -> None:
    """Seen to fail with the place in the queue taken before packing: everybody after got a reply of somebody else."""
    async with linked(valkey_url) as link:
        await link.execute("PING")
        wrong: Any = object()
        with pytest.raises((TypeError, ValueError)):
            await link.execute("ECHO", wrong)
        with pytest.raises((TypeError, ValueError)):
            await link.execute("ECHO", "\ud800")
        with pytest.raises((TypeError, ValueError)):
            await link.execute_all(("ECHO", "fine"), ("ECHO", wrong))
        async with asyncio.timeout(5):
            assert await asyncio.gather(*[link.execute("ECHO", word) for word in "abc"]) == [b"a", b"b", b"c"]
        assert link.in_flight == 0


async def test_callers_who_come_at_once_share_one_connection(valkey_url: str) -> None:
    async with linked(valkey_url) as link, linked(valkey_url) as other:
        await other.execute("PING")
        await asyncio.gather(*[link.execute("PING") for _ in range(50)])
        listed = await other.execute("CLIENT", "LIST")
        assert len(listed.splitlines()) == 2


async def test_a_killed_server_is_an_error_for_who_waits_and_the_next_call_connects_again(own_server: Embedded) -> None:
    """Seen to fail with the waiting left alone when the connection is lost."""
    async with linked(own_server.url) as link:
        await link.execute("SET", "kept", "yes")
        os.kill(own_server.pid, signal.SIGSTOP)
        waiting = [asyncio.create_task(link.execute("ECHO", n)) for n in range(20)]
        await turns(2)
        assert link.in_flight == 20
        await own_server.kill()
        async with asyncio.timeout(5):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Disconnected] * 20
        with pytest.raises(Disconnected):
            await link.execute("PING")
        await own_server.start()
        assert await link.execute("GET", "kept") == b"yes"


async def test_a_hung_server_is_given_up_and_found_again_when_it_wakes(own_server: Embedded) -> None:
    """Seen to fail without the watch (the first call), and without a limit for connecting (the second)."""
    async with linked(own_server.url, patience=0.2) as link:
        await link.execute("PING")
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                with pytest.raises(Disconnected):
                    await link.execute("INCR", "first")
                with pytest.raises(Disconnected):
                    await link.execute("INCR", "second")
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        async with asyncio.timeout(5):
            assert await link.execute("ECHO", "awake") == b"awake"
            assert await link.execute("GET", "second") is None


async def test_a_quiet_link_and_a_slow_reply_are_no_hang(valkey_url: str) -> None:
    """The oldest call changes, or there is none: neither must be taken for a server that hangs."""
    async with linked(valkey_url, patience=0.05) as link:
        async with asyncio.timeout(5):
            until = asyncio.get_running_loop().time() + 0.3
            while asyncio.get_running_loop().time() < until:
                await link.execute("PING")
        async with linked(valkey_url) as other:
            name = (await link.execute("CLIENT", "ID"), await other.execute("CLIENT", "ID"))
            await asyncio.wait_for(other.execute("BLPOP", "nothing", "0.2"), 5)
            assert await link.execute("CLIENT", "ID") == name[0]


async def test_a_server_that_is_a_primary_no_longer_is_left(own_server: Embedded) -> None:
    """After a failover the new primary is elsewhere; whoever stays is refused for ever. Seen to fail with staying."""
    async with linked(own_server.url) as link, asyncio.timeout(5):
        before = await link.execute("CLIENT", "ID")
        await link.execute("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises((ReadOnlyError, Disconnected)):
            await link.execute("SET", "a", "b")
        await turns(3)
        assert await link.execute("CLIENT", "ID") != before


async def test_a_call_whose_fate_is_unknown_is_never_sent_again() -> None:
    """The server takes the command and closes. Seen to fail with a link that repeats what was lost."""
    taken = []

    async def take_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for command in commands(reader):
            if command[0] == b"INCR":
                taken.append(command)
                return
            writer.write(b"+OK\r\n")

    async with bad_server(take_and_close) as url, linked(url) as link:
        async with asyncio.timeout(5):
            with pytest.raises(Disconnected):
                await link.execute("INCR", "n")
            assert await link.execute("PING") == b"OK"
        assert len(taken) == 1


async def test_a_reply_that_nobody_asked_for_ends_the_connection() -> None:
    """Whoever answers twice would shift every reply after it. Seen to fail with the reply too many ignored."""
    connections = 0

    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        async for command in commands(reader):
            writer.write(b"+OK\r\n+OK\r\n" if command[0] == b"ECHO" else b"+OK\r\n")

    async with bad_server(answer_twice) as url, linked(url) as link, asyncio.timeout(5):
        assert await link.execute("ECHO", "once") == b"OK"
        while connections == 1:
            with contextlib.suppress(Disconnected):
                await link.execute("PING")


async def test_more_than_may_be_in_flight_is_overload_and_nothing_of_it_is_sent(valkey_url: str) -> None:
    """Seen to fail without the bound, and (`execute_all`) with the bound looked at command by command."""
    async with linked(valkey_url, max_in_flight=3) as link:
        await link.execute("PING")
        results = await asyncio.gather(*[link.execute("INCR", "n") for _ in range(5)], return_exceptions=True)
        assert results[:3] == [1, 2, 3]
        assert [type(result) for result in results[3:]] == [Overloaded, Overloaded]
        assert await link.execute("GET", "n") == b"3"
        two = [asyncio.create_task(link.execute("INCR", "n")) for _ in range(2)]
        await turns(1)
        with pytest.raises(Overloaded):
            await link.execute_all(("INCR", "n"), ("INCR", "n"))
        assert link.in_flight == 2
        assert await asyncio.gather(*two) == [4, 5]
        assert await link.execute("GET", "n") == b"5"


async def test_a_server_that_forgot_the_scripts_is_taught_them(valkey_url: str) -> None:
    """Seen to fail without the fallback."""
    async with linked(valkey_url) as link:
        for _ in range(2):
            await link.execute("SCRIPT", "FLUSH")
            said = await asyncio.gather(*[link.run(SAY, [], [n]) for n in range(20)])
            assert said == [b"%d" % n for n in range(20)]
            assert await link.execute("SCRIPT", "EXISTS", SAY.sha) == [1]


async def test_closing_is_an_error_for_who_waits_and_for_who_comes_later(own_server: Embedded) -> None:
    """Seen to fail with the waiting left alone."""
    async with linked(own_server.url) as link:
        await link.execute("PING")
        os.kill(own_server.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(link.execute("PING"))
        await turns(2)
        await link.aclose()
        async with asyncio.timeout(5):
            with pytest.raises(Disconnected):
                await waiting
            with pytest.raises(Disconnected):
                await link.execute("PING")


async def test_closing_while_connecting_is_an_error_and_no_cancellation() -> None:
    """Seen to fail with the attempt to connect shielded only: its callers were cancelled though nobody wanted that."""
    connected = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    async with bad_server(say_nothing) as url, linked(url) as link, asyncio.timeout(5):
        calls = [asyncio.create_task(link.execute("PING")) for _ in range(3)]
        await connected.wait()
        calls[0].cancel()
        await turns(2)
        await link.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError, Disconnected, Disconnected]
