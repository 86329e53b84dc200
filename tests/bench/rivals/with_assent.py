"""This project's timers, as a gateway has them: a sorted set for each bucket, an alarm key, a watcher."""

import asyncio
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import work

from bot.redis.connector import connect
from scheduler.alarms import Alarms
from scheduler.timers import Timers
from scheduler.watcher import Watcher

ARMING = 64
"""Timers armed at a time."""


async def arm(url: str, dues: list[int]) -> None:
    """Each by a script call of its own, as a gateway arms them."""
    async with aclosing(connect(url)) as redis:
        timers = Timers(redis.scripts)
        numbered = iter(enumerate(dues))

        async def worker() -> None:
            for number, due_ms in numbered:
                await timers.arm(f"timer-{number}-{due_ms}", datetime.fromtimestamp(due_ms / 1000, UTC))

        await asyncio.gather(*[worker() for _ in range(ARMING)])


async def fire(url: str, fired: work.Fired) -> None:
    """With the settings of a gateway."""

    async def handler(timer_id: str, due: datetime) -> None:
        fired(float(timer_id.rpartition("-")[2]))

    redis = connect(url)
    async with (
        aclosing(redis),
        Watcher(Timers(redis.scripts), handler) as watcher,
        Alarms(watcher, redis.primaries, db=redis.db),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    work.main(arm, fire)
