"""BullMQ for Python: a delayed job, for a worker that blocks until the next one is due.

It does not poll, so there is no interval to set; `concurrency` is 1,000 (default 1), finished jobs are removed, and a
job's data are not needed: its instant is its own timestamp and delay.
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

    worker = Worker("timers", process, {"connection": url, "concurrency": 1000})
    try:
        await asyncio.Event().wait()
    finally:
        await worker.close(force=True)


if __name__ == "__main__":
    work.main(arm, fire)
