"""Hands due timers over to a handler. Law: sweeping alone fires every timer; alarms and wakes only make it prompter."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from scheduler.running import Running
from scheduler.timers import Claim, Claimed, Timers

Handler = Callable[[str, datetime], Awaitable[None]]
"""Called with a timer's id and the instant it was due; at least once. Called too early, it arms the timer again."""

IDLE = 1.0
"""Longest time in seconds a bucket goes without a sweep. A pause ends in its second half, so that processes spread."""

FLOOR = 0.005
"""Shortest time in seconds between two sweeps of a bucket which left nothing due."""

JUST_SWEPT = 0.02
"""A sweep no longer ago, in seconds, made an alarm needless: claiming touches an expired alarm, which sets it off."""

_log = logging.getLogger(__name__)


class Watcher(Running):
    """One process's share in firing the timers; any number of processes run one each, and none leads.

    A bucket is swept at the next instant known of it, when woken, and at least every second. Claimed timers go to
    `handler`, at most `concurrency` at once, and are removed when it returned within the lease. A handler that raises,
    or is cut off at the end of the lease, is logged, and the timer fires again. Redis may go away and come back.

    It runs once. Stopped (on leaving the context, or by cancelling `run`), it gives running handlers the time `drain`
    to return. Timers still left keep their lease, and fire after it, elsewhere.
    """

    name = "timers"

    def __init__(
        self,
        timers: Timers,
        handler: Handler,
        *,
        concurrency: int = 100,
        batch: int = 100,
        drain: timedelta = timedelta(seconds=5),
    ) -> None:
        self._timers = timers
        self._handler = handler
        self._concurrency = concurrency
        self._batch = batch
        self._drain = drain.total_seconds()
        self._lease = timers.lease.total_seconds()
        self._wakes = [asyncio.Event() for _ in range(timers.buckets)]
        self._swept = [float("-inf")] * timers.buckets
        self._away: set[int] = set()
        self._slots = asyncio.Semaphore(concurrency)
        self._unhandled = 0
        self._room = asyncio.Event()
        self._firing: set[asyncio.Task[None]] = set()
        self._handled: list[list[Claim]] = [[] for _ in range(timers.buckets)]
        self._saying = [asyncio.Lock() for _ in range(timers.buckets)]
        self._stopping = False

    def wake(self, bucket: int) -> None:
        """Sweep a bucket now: a new earliest instant was armed in it."""
        if bucket < len(self._wakes):
            self._wakes[bucket].set()

    def wake_all(self) -> None:
        """Sweep every bucket now: wakes and alarms may have been missed."""
        for wake in self._wakes:
            wake.set()

    def alarm(self, bucket: int) -> None:
        """Sweep a bucket now, as its alarm went off; unless we just did."""
        if bucket < len(self._wakes) and asyncio.get_running_loop().time() - self._swept[bucket] > JUST_SWEPT:
            self._wakes[bucket].set()

    async def run(self) -> None:
        """Sweep until cancelled, then drain."""
        sweepers = [
            asyncio.create_task(self._watch(bucket), name=f"timers-{bucket}") for bucket in range(len(self._wakes))
        ]
        try:
            await asyncio.wait(sweepers)
        finally:
            await self._stop(sweepers)

    async def _stop(self, sweepers: list[asyncio.Task[None]]) -> None:
        """Let what runs end, within the limit; claims on their way too, or their timers would wait for the lease."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain
        self._stopping = True
        self._room.set()
        self.wake_all()
        try:
            await _ended(sweepers, until)
            await _ended(self._firing, until)
        finally:
            left = [task for task in (*sweepers, *self._firing) if not task.done()]
            for task in left:
                task.cancel()
            if left:
                _log.warning("stopped with timers still being handled; they fire elsewhere after their lease")
            # Bounded, because a handler or a client may swallow its cancellation.
            await _ended(left, loop.time() + 1)

    async def _watch(self, bucket: int) -> None:
        """Sweep one bucket until stopped."""
        wake = self._wakes[bucket]
        failures = 0
        while places := await self._places():
            wake.clear()
            try:
                claimed = await self._sweep(bucket, min(places, self._batch))
            except Exception as error:
                self._lost(bucket, error)
                pause = min(10 * FLOOR * 2**failures, _idle())
                failures = min(failures + 1, 10)
            else:
                self._found(bucket)
                failures = 0
                pause = _pause(claimed)
            if pause and not self._stopping:
                await _rest(wake, pause)

    async def _places(self) -> int:
        """How many timers to claim next, once there is room: a share, as other buckets want places too. 0: stop."""
        while self._unhandled >= self._concurrency and not self._stopping:
            self._room.clear()
            await self._room.wait()
        return 0 if self._stopping else max(1, (self._concurrency - self._unhandled) // 4)

    async def _sweep(self, bucket: int, limit: int) -> Claimed:
        """Claim what is due and start handling it."""
        started = asyncio.get_running_loop().time()
        # Taken before the claim, so that for us a lease ends no later than it does in Redis.
        ends = started + self._lease
        async with asyncio.timeout_at(ends):
            claimed = await self._timers.claim_due(bucket, limit)
        self._swept[bucket] = started
        self._unhandled += len(claimed.claims)
        for claim in claimed.claims:
            task = asyncio.create_task(self._fire(bucket, claim, ends))
            self._firing.add(task)
            task.add_done_callback(self._firing.discard)
        return claimed

    async def _fire(self, bucket: int, claim: Claim, ends: float) -> None:
        """Hand one timer over, and say done when that went well."""
        try:
            async with self._slots:
                handled = await self._handle(claim, ends)
        finally:
            self._unhandled -= 1
            self._room.set()
        if handled:
            await self._say_done(bucket, claim)

    async def _handle(self, claim: Claim, ends: float) -> bool:
        """Whether the handler returned within the lease. It isn't called when the lease ended while it had no place."""
        if asyncio.get_running_loop().time() >= ends:
            _log.warning("timer %s found no free place within its lease; it fires again", claim.timer_id)
            return False
        try:
            async with asyncio.timeout_at(ends) as lease:
                await self._handler(claim.timer_id, claim.due)
        except Exception:
            if lease.expired():
                _log.warning("timer %s was not handled within its lease; it fires again", claim.timer_id)
            else:
                _log.exception("the handler of timer %s failed; it fires again after its lease", claim.timer_id)
            return False
        return True

    async def _say_done(self, bucket: int, claim: Claim) -> None:
        """Remove a handled timer, together with all that were handled while the bucket's last call was on its way."""
        self._handled[bucket].append(claim)
        async with self._saying[bucket]:
            # The handlers that return in this very turn of the loop shall join.
            await asyncio.sleep(0)
            claims, self._handled[bucket] = self._handled[bucket], []
            if claims:
                try:
                    await self._timers.done(claims)
                except Exception as error:
                    _log.warning(
                        "%d handled timers fire again after their lease: %s: %s",
                        len(claims),
                        type(error).__name__,
                        error,
                    )

    def _lost(self, bucket: int, error: Exception) -> None:
        if not self._away:
            _log.warning("timers can't be swept, trying on: %s: %s", type(error).__name__, error)
        self._away.add(bucket)

    def _found(self, bucket: int) -> None:
        if bucket in self._away:
            self._away.discard(bucket)
            if not self._away:
                _log.info("all timers are swept again")


def _pause(claimed: Claimed) -> float:
    """Seconds to the next instant known, between floor and idle; 0 when more is due already."""
    if claimed.more:
        return 0
    if claimed.next_due is None:
        return _idle()
    return max(FLOOR, min((claimed.next_due - claimed.now).total_seconds(), _idle()))


def _idle() -> float:
    return random.uniform(IDLE / 2, IDLE)


async def _rest(wake: asyncio.Event, pause: float) -> None:
    """Pause; a wake cuts it short, but not below the floor, so that a storm of wakes is one sweep."""
    await asyncio.sleep(FLOOR)
    with suppress(TimeoutError):
        async with asyncio.timeout(pause - FLOOR):
            await wake.wait()


async def _ended(tasks: Iterable[asyncio.Task[None]], until: float) -> None:
    """Wait for tasks to end, until an instant of the loop's clock."""
    if running := [task for task in tasks if not task.done()]:
        await asyncio.wait(running, timeout=until - asyncio.get_running_loop().time())
