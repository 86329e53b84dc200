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


class Session:
    """A participant on one websocket. `cursors` is the last seq sent of each conversation."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        who: Participant,
        locale: Locale,
        settings: Settings,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.who = who
        self.locale = locale
        self.asked: Mapping[str, int] = {}
        """The cursors of its hello."""
        self.cursors: dict[str, int] = {}
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
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ended = False
        self.closing: asyncio.Task[None] | None = None
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
        if self._queued > self._limit:
            self.close(CloseCode.TOO_SLOW, "too slow: resume with your cursors")
            return
        self._queue.append(frame)
        self._queued += len(frame)
        self._idle.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait, for some seconds at most, until there is room for much: so a long catch-up closes no honest reader."""
        if self._queued > self._limit // 2:
            await self.flushed(_ROOM_WITHIN)

    def send_entry(self, conversation_id: str, seq: int, frame: bytes) -> None:
        """Queue an entry, the next of its conversation."""
        self.cursors[conversation_id] = seq
        self.send(frame)

    async def write(self) -> None:
        """Send what is queued, until cancelled or the socket is gone."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    frame = self._queue.popleft()
                    await self._ws.send_frame(frame, WSMsgType.TEXT)
                    self._queued -= len(frame)
                self._idle.set()
        except (ClientConnectionResetError, ConnectionError):
            pass
        finally:
            self._ended = True
            self._forget_queue()

    async def flushed(self, limit: float) -> None:
        """Wait until everything queued was sent, `limit` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._idle.wait()

    def _forget_queue(self) -> None:
        """Whoever waits for room or for the end of the queue need not wait any longer."""
        self._queue.clear()
        self._queued = 0
        self._idle.set()

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
