"""One live websocket: what it has been told, and what waits to be sent.

Law: a session is sent every entry of its conversations once and in order, or it is closed with the code that says
*resume*. Nobody ever waits for its socket.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from weakref import WeakValueDictionary

from aiohttp import ClientConnectionResetError, WSMsgType, web

from bot.participant import Participant
from bot.settings import Settings
from cards.texts import Locale

_GRACE = 1.0
"""Seconds that a reader has for coming to the close frame before it is cut off."""


class CloseCode(IntEnum):
    """Why the gateway closed a session; from 4500 on a client should resume with its cursors."""

    GOING_AWAY = 1001
    BAD_HELLO = 4400
    UNAUTHORIZED = 4401
    HELLO_TIMEOUT = 4408
    UNSUPPORTED_PROTOCOL = 4426
    FLOOD = 4429
    TOO_SLOW = 4500
    BEHIND = 4503


_ROOM_WITHIN = 5.0
"""Seconds that a reader may take to make room while it is caught up."""


class RateLimit:
    """A token bucket: so many commands a second, with a burst; `loop_time` is the caller's."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def wait_ms(self, now: float) -> int:
        """0 and one token taken, or how long until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return int((1 - self._tokens) / self._per_second * 1000) + 1


class Backlog:
    """What waits to be sent to all sessions of a process, in bytes, and how much of it there may be."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.waiting = 0


class Session:
    """A participant on one websocket. `cursors` is the last seq sent of each conversation."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        who: Participant,
        locale: Locale,
        settings: Settings,
        backlog: Backlog,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.who = who
        self.locale = locale
        self.asked: Mapping[str, int] = {}
        """The cursors of its hello."""
        self.asked_at_ms: Mapping[str, int] = {}
        """When their entries were, as far as its hello says so."""
        self.cursors: dict[str, int] = {}
        self.at_ms: dict[str, int] = {}
        """When the entry at each cursor was, 0 where it is not known: one of another instant is of another log, whose
        end was lost in a failover."""
        self.targets: dict[str, int] = {}
        """How far a conversation that is behind must be caught up; live entries of it wait in the log meanwhile."""
        self.ready = False
        """False until the welcome is sent: until then all live entries only set targets."""
        self.news: list[bytes] = []
        """Frames that are in no log and came before that."""
        self.lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.under_way: set[asyncio.Task[None]] = set()
        self.rate = RateLimit(settings.commands_per_second, settings.command_burst, asyncio.get_running_loop().time())
        self.refused_in_a_row = 0
        self._ws = ws
        self._transport = transport
        self._limit = settings.buffer_bytes
        self._queue: deque[bytes] = deque()
        self._queued = 0
        """Bytes that wait to be sent, or are being sent."""
        self._backlog = backlog
        self._held_up = False
        """Whether the socket takes no more just now; nobody else looks while it takes what it is given."""
        self._writing: asyncio.Task[None] | None = None
        """Sends what is queued. Most sessions are idle: then there is no such task, and nothing that it would hold."""
        self._ended = False
        self.closing: asyncio.Task[None] | None = None
        self.expiring: asyncio.TimerHandle | None = None
        """The next look at whether its token has expired."""
        self.missed = False
        """Whether the process was deaf for a while before this session was ready."""

    @property
    def over(self) -> bool:
        """Nothing more can be sent."""
        return self._ended or self.closing is not None

    def tell(self, frame: bytes) -> None:
        """`send`, or after the welcome if that is still to come."""
        if self.ready:
            self.send(frame)
        else:
            self.news.append(frame)

    def send(self, frame: bytes) -> None:
        """Queue a frame; a reader that is too far behind before it is closed instead. One frame may be any size."""
        if self.over:
            return
        if self._queued > self._limit or (self._held_up and self._backlog.waiting > self._backlog.most):
            self._forget_queue()
            self.close(CloseCode.TOO_SLOW, "too slow: resume with your cursors")
            return
        self._queue.append(frame)
        self._count(len(frame))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(), name="session-write")

    async def room(self) -> None:
        """Wait, for some seconds at most, until there is room for much: so a long catch-up closes no honest reader."""
        if self._queued > self._limit // 2:
            await self.flushed(_ROOM_WITHIN)

    def continues(self, conversation_id: str, at_ms: int) -> bool:
        """Whether an entry of that instant may be the one that the cursor is at."""
        return at_ms == 0 or self.at_ms.get(conversation_id, 0) in (0, at_ms)

    def lacks(self, conversation_id: str, seq: int, at_ms: int) -> bool:
        """Whether an entry that is not after the cursor is another one than was sent: what comes late is no newer."""
        known = self.at_ms.get(conversation_id, 0)
        return known != 0 and (at_ms != known if seq == self.cursors.get(conversation_id) else at_ms > known)

    def send_entry(self, conversation_id: str, seq: int, frame: bytes) -> None:
        """Queue an entry, the next of its conversation."""
        self.cursors[conversation_id] = seq
        self.send(frame)

    async def _write(self) -> None:
        """Send what is queued, in order, or nothing any more once the socket is gone."""
        try:
            while self._queue:
                frame = self._queue.popleft()
                self._held_up = True
                try:
                    await self._ws.send_frame(frame, WSMsgType.TEXT)
                finally:
                    self._held_up = False
                    self._count(-len(frame))
        except (ClientConnectionResetError, ConnectionError):
            self._ended = True
            self._forget_queue()
        finally:
            self._writing = None

    async def flushed(self, limit: float) -> None:
        """Wait until everything queued was sent, `limit` seconds at most."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=limit)

    async def end(self) -> None:
        """The socket is gone: no timer, and nothing is sent any more when this returns."""
        self._ended = True
        self._forget_queue()
        if self.expiring is not None:
            self.expiring.cancel()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])

    def _forget_queue(self) -> None:
        self._count(-sum(map(len, self._queue)))
        self._queue.clear()

    def _count(self, size: int) -> None:
        self._queued += size
        self._backlog.waiting += size

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket, without waiting for a reader that does not read."""
        if self.closing is None:
            self.closing = asyncio.create_task(self._close(code, reason), name="session-close")

    async def _close(self, code: CloseCode, reason: str) -> None:
        self._forget_queue()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_GRACE):
                await self._ws.close(code=code, message=reason.encode(), drain=False)
        if self._transport is not None:
            # The code stands behind all that is buffered: whoever reads on will come to it.
            asyncio.get_running_loop().call_later(_GRACE, self._transport.abort)
