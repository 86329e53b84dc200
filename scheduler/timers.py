"""Timers in Redis. Law: the sorted set is the truth, the alarm only hurries, and every clock read is Redis `TIME`."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zlib import crc32

from scheduler.script import Script, Scripts

NEWS_MS = 2000
"""A new earliest timer nearer than this is announced; every watcher sweeps every bucket at least each second."""

WAKE = "timers:wake"
"""Channel on which a bucket's number is published when a new earliest instant was armed in it."""

LARGEST_CLAIM = 1000
"""Most timers one claim may ask for: a script holds up everybody else, and Lua unpacks a limited number of values."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
_ALARM = re.compile(rb"alarm:\{(\d+)\}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A timer that is ours for the length of a lease."""

    timer_id: str
    due: datetime
    lease: str
    """What tells this claim from every other one of the same timer."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one look at a bucket gave."""

    claims: tuple[Claim, ...]
    next_due: datetime | None
    """Earliest instant left in the bucket, the ends of leases included; None when the bucket is empty."""
    now: datetime
    """Redis `TIME` of the look."""

    @property
    def more(self) -> bool:
        """Whether others are due already, which the limit kept out."""
        return self.next_due is not None and self.next_due <= self.now


class Timers:
    """Durable timers, each an id and an instant (to the ms, rounded up), spread over a fixed number of buckets.

    Every process that shares the timers needs the same number of buckets. Every method raises
    `redis.exceptions.RedisError` when Redis is away; repeating any call is harmless.
    """

    def __init__(self, scripts: Scripts, *, buckets: int = 64, lease: timedelta = timedelta(seconds=10)) -> None:
        self.buckets = buckets
        self.lease = lease
        self._scripts = scripts
        self._arm = Script.beside(__file__, "arm", durable=True)
        self._disarm, self._claim_due, self._done, self._due_of = (
            Script.beside(__file__, name) for name in ("disarm", "claim_due", "done", "due_of")
        )

    def bucket_of(self, timer_id: str) -> int:
        """The bucket a timer lives in: the same in every process and version."""
        return crc32(timer_id.encode()) % self.buckets

    async def arm(self, timer_id: str, due: datetime) -> None:
        """Let a timer fire at `due` (aware). Arming again moves it, also while it is claimed: then `done` leaves it."""
        bucket = self.bucket_of(timer_id)
        await self._scripts.run(
            self._arm,
            [_timers(bucket), _leases(bucket), _alarm(bucket)],
            [timer_id, _to_ms(due), WAKE, bucket, NEWS_MS],
        )

    async def disarm(self, timer_id: str) -> None:
        """Forget a timer; an unknown id is harmless."""
        bucket = self.bucket_of(timer_id)
        await self._scripts.run(self._disarm, [_timers(bucket), _leases(bucket)], [timer_id])

    async def due_of(self, timer_id: str) -> datetime | None:
        """When a timer is due (while claimed: when it was), or None when there is none of that id."""
        bucket = self.bucket_of(timer_id)
        due = await self._scripts.run(self._due_of, [_timers(bucket), _leases(bucket)], [timer_id])
        return None if due is None else _from_ms(int(due))

    async def claim_due(self, bucket: int, limit: int = 100) -> Claimed:
        """Lease up to `limit` (1 to 1000) due timers of a bucket, earliest first.

        Whoever claims has until the end of the lease to say `done`; then they can be claimed again.
        """
        if not 1 <= limit <= LARGEST_CLAIM:
            raise ValueError(f"limit is {limit}: claim between 1 and {LARGEST_CLAIM} timers at once")
        now, next_due, claims = await self._scripts.run(
            self._claim_due,
            [_timers(bucket), _leases(bucket), _alarm(bucket)],
            [limit, self.lease // _MS, uuid4().hex],
        )
        return Claimed(
            claims=tuple(map(_claim, claims[::2], claims[1::2])),
            next_due=None if next_due == -1 else _from_ms(next_due),
            now=_from_ms(now),
        )

    async def done(self, claims: Iterable[Claim]) -> None:
        """Remove claimed timers, one call for each bucket; those whose lease is no longer ours stay as they are."""
        pairs: dict[int, list[str]] = defaultdict(list)
        for claim in claims:
            pairs[self.bucket_of(claim.timer_id)] += (claim.timer_id, claim.lease)
        await asyncio.gather(
            *(self._scripts.run(self._done, [_timers(bucket), _leases(bucket)], args) for bucket, args in pairs.items())
        )


def alarmed_bucket(key: bytes) -> int | None:
    """The bucket whose alarm a Redis key is, or None when it is somebody else's key."""
    match = _ALARM.fullmatch(key)
    return int(match[1]) if match else None


def _timers(bucket: int) -> str:
    return f"timers:{{{bucket}}}"


def _leases(bucket: int) -> str:
    return f"timers:{{{bucket}}}:leases"


def _alarm(bucket: int) -> str:
    return f"alarm:{{{bucket}}}"


def _claim(timer_id: bytes, lease: bytes) -> Claim:
    text = lease.decode()
    return Claim(timer_id=timer_id.decode(), due=_from_ms(int(text.partition(":")[0])), lease=text)


def _to_ms(instant: datetime) -> int:
    """Unix ms, rounded up: a timer may be late, but never early."""
    return -((_EPOCH - instant) // _MS)


def _from_ms(ms: int) -> datetime:
    return _EPOCH + ms * _MS
