"""The same work for every contender: arm timers, fire them, tell how late each was. Standard library only.

A contender is a script with two coroutines: `arm(url, dues)` arms a timer for each instant (Unix ms); `fire(url,
fired)` calls `fired(due_ms)` for each as it comes, until cancelled. `timers.py` runs it in processes of its own:

    with_x.py arm URL waiting COUNT SEED     timers that nobody waits for: due within one hour, from an hour on
    with_x.py arm URL due COUNT SEED LEAD_S  timers due at random instants of one second, which begins after LEAD_S
    with_x.py fire URL COUNT LIMIT_S         prints `ready`, then a JSON object: lateness of each in ms, CPU seconds

It fires until it has fired COUNT, or nothing for ten seconds, or for LIMIT_S.
"""

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable

Arm = Callable[[str, list[int]], Awaitable[None]]
Fired = Callable[[float], None]
Fire = Callable[[str, Fired], Awaitable[None]]

HOUR_MS = 3_600_000
QUIET_S = 10.0


def main(arm: Arm, fire: Fire) -> None:
    """Do what the command line says, in uvloop where there is one."""
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    what, url, *rest = sys.argv[1:]
    with asyncio.Runner(loop_factory=factory) as runner:
        if what == "arm":
            runner.run(_arm(arm, url, *rest))
        else:
            runner.run(_fire(fire, url, int(rest[0]), float(rest[1])))


async def _arm(arm: Arm, url: str, which: str, count: str, seed: str, lead_s: str = "0") -> None:
    chance = random.Random(seed)
    now_ms = time.time() * 1000
    start_ms, length_ms = (now_ms + HOUR_MS, HOUR_MS) if which == "waiting" else (now_ms + float(lead_s) * 1000, 1000)
    await arm(url, [round(start_ms + chance.uniform(0, length_ms)) for _ in range(int(count))])
    if time.time() * 1000 > start_ms:
        print("arming took too long: lateness contains it", file=sys.stderr)


async def _fire(fire: Fire, url: str, count: int, limit: float) -> None:
    late_ms: list[float] = []
    cpu_s = before_s = _cpu_s()
    heard = time.monotonic()

    def fired(due_ms: float) -> None:
        nonlocal heard, cpu_s
        late_ms.append(time.time() * 1000 - due_ms)
        heard = time.monotonic()

    firing = asyncio.create_task(fire(url, fired))
    print("ready", flush=True)
    until = heard + limit
    while len(late_ms) < count and time.monotonic() < until and not firing.done():
        if late_ms and time.monotonic() - heard > QUIET_S:
            break
        await asyncio.wait([firing], timeout=0.1)
        cpu_s = _cpu_s() if time.monotonic() - heard < 0.2 or not late_ms else cpu_s
    print(json.dumps({"late_ms": late_ms, "cpu_s": cpu_s - before_s}), flush=True)
    firing.cancel()
    done, _ = await asyncio.wait([firing], timeout=5)
    for task in done:
        if not task.cancelled():
            task.result()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
