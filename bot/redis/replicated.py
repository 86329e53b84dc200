"""Replies that are promises: each is given to its caller once enough replicas have what was written (`WAIT`).

Law: what was executed and not confirmed in time is an error whose fate is unknown, never an answer. Whoever repeats it
is answered when the repetition, a write of its own, is confirmed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected

from bot.redis.link import Link, pack
from scheduler.script import Script

CONFIRM_WITHIN = 2.0
"""Seconds that replicas may take to confirm: far more than a replication that works needs (milliseconds), and well
below the link's patience (10 s), or a replica that is away would be taken for a primary that hangs."""


class Unreplicated(Disconnected):
    """It was executed, but too few replicas confirmed it in time: its fate is unknown, as after a lost connection."""


class ReplicatedLink(Link):
    """A link whose every call is answered when `replicas` replicas have it.

    One WAIT confirms all that was written before it. It holds up what comes after it on this connection, so there is
    one at a time: the calls that come meanwhile are confirmed together by the next.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        replicas: int,
        *,
        confirm_within: float = CONFIRM_WITHIN,
        **limits: Any,
    ) -> None:
        super().__init__(connect, **limits)
        self.replicas = replicas
        self._wait = pack(("WAIT", replicas, round(confirm_within * 1000)))
        self._unconfirmed: list[_Held] = []
        """Calls that no WAIT was sent for yet."""
        self._confirming = False

    def _send(self, packed: bytes) -> asyncio.Future[Any]:
        reply = super()._send(packed)
        self._waiting[-1] = held = _Held(reply)
        self._unconfirmed.append(held)
        return reply

    def _flush(self) -> None:
        if self._unconfirmed and not self._confirming and self._connection is not None:
            self._out.append(self._wait)
            self._waiting.append(_Confirmation(self, self._unconfirmed))
            self._unconfirmed, self._confirming = [], True
        super()._flush()

    def confirmed(self) -> None:
        """The WAIT was answered; what was called meanwhile is next."""
        self._confirming = False
        self._flush()

    async def _drop(self, error: Exception) -> None:
        # None of these has a reply: the server executes nothing that comes after a WAIT before it answers that.
        self._unconfirmed, self._confirming = [], False
        await super()._drop(error)


class _Held:
    """A reply that its caller is not given yet; an error is."""

    __slots__ = ("_future", "_reply")

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        self._reply: Any = None

    def done(self) -> bool:
        return self._future.done()

    def set_result(self, reply: Any, /) -> None:
        self._reply = reply

    def set_exception(self, error: Exception, /) -> None:
        self._future.set_exception(error)

    def exception(self) -> Any:
        return self._future.exception()

    def give(self) -> None:
        if not self._future.done():
            self._future.set_result(self._reply)

    def give_up(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()


class _Confirmation:
    """The place of a WAIT's reply: how many replicas have what the held calls wrote."""

    def __init__(self, link: ReplicatedLink, held: Sequence[_Held]) -> None:
        self._link = link
        self._held = held

    def done(self) -> bool:
        return False

    def set_result(self, replicas: Any, /) -> None:
        if replicas >= self._link.replicas:
            for held in self._held:
                held.give()
        else:
            self._give_up(Unreplicated(f"executed, but on {replicas} of {self._link.replicas} replicas: fate unknown"))
        self._link.confirmed()

    def set_exception(self, error: Exception, /) -> None:
        """Refused (by a primary that is none any more, say), or the connection is lost; then nothing follows it."""
        self._give_up(Unreplicated(f"executed, but not confirmed by replicas: {error}"))
        self._link.confirmed()

    def exception(self) -> None:
        return None

    def _give_up(self, error: Exception) -> None:
        for held in self._held:
            held.give_up(error)


class ReplicatedScripts:
    """`Scripts` over two connections: what promises something waits on its own, and holds up nobody who reads."""

    def __init__(self, connect: Callable[[], AbstractConnection], replicas: int) -> None:
        self._plain = Link(connect)
        self._promises = ReplicatedLink(connect, replicas)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """See `Scripts.run`. Raises Unreplicated too."""
        return await (self._promises if script.durable else self._plain).run(script, keys, args)

    async def aclose(self) -> None:
        """Close both."""
        await asyncio.gather(self._plain.aclose(), self._promises.aclose())
