"""BullMQ for Python: a delayed job, for a worker that blocks until the next one is due.

It does not poll, so there is no interval to set. `concurrency` is 50 (default 1; of 1, 10, 50, 200 and 1,000 the best
here), and finished jobs are removed. It runs on redis-py 7, since from 8 on that client cuts reads after 5 seconds, and
this worker waits for longer.
"""

import asyncio
import time

import work
from bullmq import Job, Queue, Worker


async def arm(url: str, dues: list[int]) -> None:
    """A thousand jobs in one call."""
    queue = Queue("timers", {"connection": url})
    for start in range(0, len(dues), 1000):
        now_ms = round(time.time() * 1000)
        options = {"timestamp": now_ms, "removeOnComplete": True}
        await queue.addBulk(
            [
                {"name": "timer", "data": due_ms, "opts": {**options, "delay": max(1, due_ms - now_ms)}}
                for due_ms in dues[start : start + 1000]
            ]
        )
    await queue.close()


async def fire(url: str, fired: work.Fired) -> None:
    """One worker."""

    async def process(job: Job, token: str) -> None:
        fired(job.data)

    worker = Worker("timers", process, {"connection": url, "concurrency": 50})
    try:
        await asyncio.Event().wait()
    finally:
        await worker.close(force=True)


if __name__ == "__main__":
    work.main(arm, fire)
