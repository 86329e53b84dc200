"""One pub/sub connection of this process: channels in, messages out, and never deaf for long.

Law: nothing depends on a message arriving. A connection that was lost, or that no longer hears what is published to
itself, is replaced, and `on_restored` lets everybody catch up from what is durable; so does a message that may have
been lost on its way to the node which this one listens to.
"""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from scheduler.script import Script, Scripts

log = logging.getLogger(__name__)

PUBLISH = Script.beside(__file__, "publish")
"""ARGV: a channel, and the message for whoever hears it."""
_HEARTBEAT = 2.0
"""Seconds between two messages to oneself, and pings; two that brought nothing make a subscriber deaf."""
_PATIENCE = 10.0
"""Seconds for a connection to stand; a server that hangs takes connections and answers no greeting."""
_BACKOFF = (0.05, 0.1, 0.2, 0.5, 1.0)


class Subscriber:
    """Hears channels. `connect` makes a connection (RESP2) to any node of the data set; `missed` tells whether that
    node may not have got all that was published since it was last asked, and raises RedisError for another connection.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AbstractConnection]],
        missed: Callable[[], Awaitable[bool]],
        scripts: Scripts,
        on_message: Callable[[str, bytes], None],
        on_restored: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._missed = missed
        self._scripts = scripts
        self._on_message = on_message
        self._on_restored = on_restored
        self._own = f"live-node:{uuid.uuid4().hex}"
        self._channels: set[str] = {self._own}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._unconfirmed: Counter[str] = Counter()
        """SUBSCRIBEs on this connection that the server has not confirmed: only the last one speaks of now."""
        self._connection: AbstractConnection | None = None
        self._out: list[tuple[str, ...]] = []
        self._flushing = asyncio.Event()
        self._heard = 0
        self._answered = 0
        self._lost = False

    async def subscribe(self, channel: str) -> None:
        """Hear a channel; returns once the server confirmed it, so that whatever is published from now on arrives."""
        self._channels.add(channel)
        if (confirmed := self._confirmed.get(channel)) is None:
            confirmed = self._confirmed[channel] = asyncio.Event()
            self._say("SUBSCRIBE", channel)
        await confirmed.wait()

    def unsubscribe(self, channel: str) -> None:
        """Stop hearing a channel."""
        self._channels.discard(channel)
        if confirmed := self._confirmed.pop(channel, None):
            confirmed.set()  # whoever waits for all confirmations must not wait for this one
        self._say("UNSUBSCRIBE", channel)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        attempt = 0
        while True:
            try:
                await self._session()
                attempt = 0
            except (RedisError, OSError) as error:
                if self._connection is not None:
                    attempt = 0
                log.warning("pub/sub connection lost: %s", str(error) or type(error).__name__)
            finally:
                connection, self._connection = self._connection, None
                if connection is not None:
                    self._lost = True
                    with contextlib.suppress(RedisError, OSError):
                        await connection.disconnect(nowait=True)
            await asyncio.sleep(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
            attempt += 1

    async def _session(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            connection = await self._connect()
        self._connection = connection
        self._out = [("SUBSCRIBE", channel) for channel in self._channels]
        self._unconfirmed = Counter(self._channels)
        for channel in self._channels:
            self._confirmed.setdefault(channel, asyncio.Event()).clear()
        self._flushing.set()
        tasks = [
            asyncio.create_task(self._write(connection), name="subscriber-write"),
            asyncio.create_task(self._read(connection), name="subscriber-read"),
            asyncio.create_task(self._beat(), name="subscriber-beat"),
        ]
        restoring = asyncio.create_task(self._restored(list(self._confirmed.values())), name="subscriber-restored")
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, restoring):
                task.cancel()
            await asyncio.gather(*tasks, restoring, return_exceptions=True)

    async def _restored(self, confirmed: list[asyncio.Event]) -> None:
        for event in confirmed:
            await event.wait()
        if self._lost:
            self._on_restored()

    def _say(self, verb: str, channel: str) -> None:
        if self._connection is not None:
            if verb == "SUBSCRIBE":
                self._unconfirmed[channel] += 1
            self._out.append((verb, channel))
            self._flushing.set()

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._flushing.wait()
            self._flushing.clear()
            out, self._out = self._out, []
            packed = [part for command in out for part in connection.pack_command(*command)]
            await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        own = self._own.encode()
        while True:
            kind, channel, *more = await connection.read_response(disable_decoding=True, disconnect_on_error=False)
            if kind == b"message":
                (payload,) = more
                if channel == own:
                    self._heard += 1
                else:
                    self._tell(channel.decode(), payload)
            elif kind == b"subscribe":
                self._confirm(channel.decode())
            elif kind == b"pong":
                self._answered += 1

    def _tell(self, channel: str, payload: bytes) -> None:
        """A message that the listener chokes on must not end the listening: a dead reader is a deaf process."""
        try:
            self._on_message(channel, payload)
        except Exception:
            log.exception("a message on %s was not understood", channel)

    def _confirm(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] <= 0:
            del self._unconfirmed[channel]
            if confirmed := self._confirmed.get(channel):
                confirmed.set()

    async def _beat(self) -> None:
        """Say something to oneself, and ping; raise once two in a row of either brought nothing.

        What is said goes over another connection, perhaps to another node. A node that hangs closes no connection, so
        it may neither take what is said nor tell anything: that it does not answer is all there is to see.
        """
        clock = asyncio.get_running_loop().time
        unheard = unanswered = 0
        while True:
            heard, answered, until = self._heard, self._answered, clock() + _HEARTBEAT
            self._out.append(("PING",))
            self._flushing.set()
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._scripts.run(PUBLISH, [], [self._own, "am I heard?"])
                unheard += 1
            with contextlib.suppress(TimeoutError):  # then what was missed is seen by the next look
                async with asyncio.timeout_at(until):
                    if await self._missed():
                        self._on_restored()
            await asyncio.sleep(max(0, until - clock()))
            unheard = 0 if self._heard > heard else unheard
            unanswered = 0 if self._answered > answered else unanswered + 1
            if unheard >= 2:
                raise RedisError("deaf: two messages to ourselves did not arrive")
            if unanswered >= 2:
                raise RedisError("silent: two pings were not answered")
