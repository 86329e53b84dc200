"""arq: a job deferred until the instant, for a worker that polls.

Set for short waits: `poll_delay` 10 ms (default 500 ms), `max_jobs` 100 at once (default 10; of 10, 100 and 1,000 the
best here), no results kept.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import work
from arq import Worker, create_pool
from arq.connections import RedisSettings
from arq.worker import func

ARMING = 64
"""Jobs enqueued at a time."""


def _settings(url: str) -> RedisSettings:
    return RedisSettings(unix_socket_path=unquote(urlsplit(url).path))


async def arm(url: str, dues: list[int]) -> None:
    """There is no call for many."""
    pool = await create_pool(_settings(url))
    remaining = iter(dues)

    async def enqueue() -> None:
        for due_ms in remaining:
            await pool.enqueue_job("timer", due_ms, _defer_until=datetime.fromtimestamp(due_ms / 1000, UTC))

    await asyncio.gather(*[enqueue() for _ in range(ARMING)])
    await pool.aclose()


async def fire(url: str, fired: work.Fired) -> None:
    """One worker."""

    async def timer(context: dict[Any, Any], due_ms: int) -> None:
        fired(due_ms)

    worker = Worker(
        functions=[func(timer, name="timer")],
        redis_settings=_settings(url),
        poll_delay=0.01,
        max_jobs=100,
        keep_result=0,
        handle_signals=False,
    )
    await worker.async_run()


if __name__ == "__main__":
    work.main(arm, fire)
