"""One Redis connection shared by every caller: commands leave in one write a loop turn, replies come back in order.

Law: a call that was written and got no reply raises ConnectionError, and its fate is unknown: nothing is ever re-sent.
The connection itself (TCP, TLS, unix socket, Sentinel, auth) is redis-py's.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import InvalidResponse, NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as TimedOut

from bot.redis.opening import opened
from scheduler.script import Script

log = logging.getLogger(__name__)


class Overloaded(RedisError):
    """More calls are in flight than the link may hold; nothing was sent. Try again later."""


class Place(Protocol):
    """Where a reply goes: a caller's future, or what stands for it."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, reply: Any, /) -> None:
        """The reply came."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """It was refused, or will not come."""
        ...

    def exception(self) -> Any:
        """Asked after an error was set, as asyncio wants of whoever answers a caller that may be gone."""
        ...


class Link:
    """A multiplexed connection that connects when first used and again whenever it was lost.

    `patience` is how long (seconds) the oldest call may wait for its reply before the connection is given up;
    `max_in_flight` bounds what waits for replies; `on_restored` is called when it stands again.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        *,
        max_in_flight: int = 20_000,
        patience: float = 10.0,
        on_restored: Callable[[], None] | None = None,
    ) -> None:
        self._make = connect
        self._on_restored = on_restored
        self._stood = False
        self._max_in_flight = max_in_flight
        self._patience = patience
        self._connection: AbstractConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._out: list[bytes] = []
        self._waiting: deque[Place] = deque()
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    async def execute(self, *command: str | bytes | int) -> Any:
        """The reply to one command, as bytes, int, list or None. Raises redis.exceptions.RedisError."""
        if self._connection is None:
            await self._connected()
        packed = pack(command)
        self._check_room(1)
        return await self._send(packed)

    async def execute_all(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        """The replies to commands sent back to back, with nothing between them."""
        if self._connection is None:
            await self._connected()
        packed = [pack(command) for command in commands]
        self._check_room(len(packed))
        return await asyncio.gather(*[self._send(command) for command in packed])

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """The script's reply; the server is taught the script when it does not know it yet."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.execute("EVAL", script.text, len(keys), *keys, *args)

    @property
    def in_flight(self) -> int:
        """How many calls wait for their replies."""
        return len(self._waiting)

    async def aclose(self) -> None:
        """Close for good; whoever still waits gets ConnectionError."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        await self._drop(Disconnected("the connection was closed"))

    def _check_room(self, calls: int) -> None:
        if self._connection is None:
            raise Disconnected("the connection was lost")
        if len(self._waiting) + calls > self._max_in_flight:
            raise Overloaded(f"more than {self._max_in_flight} calls in flight")

    def _send(self, packed: bytes) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = self._new_future()
        self._waiting.append(reply)
        if not self._out:
            self._call_soon(self._flush)
        self._out.append(packed)
        return reply

    async def _connected(self) -> None:
        if self._closed:
            raise Disconnected("the link is closed")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="link-connect")
            self._connecting.add_done_callback(self._forget_connecting)
        connecting = self._connecting
        await asyncio.wait([connecting])
        if connecting.cancelled():
            raise Disconnected("the link is closed")
        connecting.result()

    def _forget_connecting(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()

    async def _connect(self) -> None:
        connection = self._make()
        try:
            # A server that hangs takes connections and answers no greeting.
            async with asyncio.timeout(self._patience):
                await opened(connection)
        except (OSError, TimedOut) as error:
            raise Disconnected(str(error) or f"not connected within {self._patience} s") from error
        loop = asyncio.get_running_loop()
        self._new_future, self._call_soon = loop.create_future, loop.call_soon
        self._connection, self._out, self._waiting = connection, [], deque()
        # redis-py has connected, greeted and authenticated; from here on its transport is ours: its own reading of a
        # reply goes through four coroutines, five times the cost of the reply itself.
        assert connection._writer is not None
        self._transport = connection._writer.transport
        self._transport.set_protocol(_Replies(self, connection, self._waiting))
        self._watching = asyncio.create_task(self._watch(connection, self._waiting), name="link-watch")
        if self._stood and self._on_restored is not None:
            self._on_restored()
        self._stood = True

    def _flush(self) -> None:
        out, self._out = self._out, []
        # Of one that is closing, `connection_lost` is on its way: it tells those who wait.
        if out and self._connection is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    async def _watch(self, connection: AbstractConnection, waiting: deque[Place]) -> None:
        """Give the connection up when its oldest call has waited too long (a server that hangs closes nothing)."""
        while True:
            oldest = waiting[0] if waiting else None
            await asyncio.sleep(self._patience)
            if oldest is not None and waiting and waiting[0] is oldest:
                self._lost(connection, Disconnected(f"no reply within {self._patience} s"))

    def _lost(self, connection: AbstractConnection, error: Exception) -> None:
        if self._connection is connection:
            log.warning("Redis connection lost: %s", error)
            self._dropping = asyncio.create_task(self._drop(error), name="link-drop")

    async def _drop(self, error: Exception) -> None:
        connection, self._connection = self._connection, None
        waiting, self._waiting = self._waiting, deque()
        if self._watching is not None:
            self._watching.cancel()
        for reply in waiting:
            if not reply.done():
                reply.set_exception(Disconnected(f"no reply: {error}"))
                reply.exception()
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)


class _Replies(asyncio.Protocol):
    """Replies to those who wait for them, in order, straight from the transport."""

    def __init__(self, link: Link, connection: AbstractConnection, waiting: deque[Place]) -> None:
        self._link = link
        self._connection = connection
        self._waiting = waiting
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                future = self._waiting.popleft()
                if isinstance(reply, RedisError):
                    self._refused(future, reply)
                elif not future.done():
                    future.set_result(reply)
        except (InvalidResponse, IndexError) as error:
            self._link._lost(self._connection, error)

    def _refused(self, future: Place, error: RedisError) -> None:
        if not future.done():
            future.set_exception(error)
            future.exception()
        if isinstance(error, (Disconnected, ReadOnlyError)):  # still loading, or a primary no longer: look anew
            self._link._lost(self._connection, error)

    def connection_lost(self, error: Exception | None) -> None:
        self._link._lost(self._connection, error or Disconnected("the server closed the connection"))


def pack(command: Sequence[str | bytes | int]) -> bytes:
    """The command as it is written. Raises before anything is queued: a place without a command shifts all replies."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # its stub knows one item only
    return packed
