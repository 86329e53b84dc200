"""How late timers fire when one process arms them and another watches: `timers.py [--timers 10000] [--json]`.

Its server is a private one. Lateness is the watcher's clock when the handler is called, minus the instant armed: both
processes and the server share one clock here.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.embedded import Embedded
from bot.redis import connect
from scheduler.alarms import Alarms
from scheduler.timers import Timers
from scheduler.watcher import Watcher

LEAD_S = 3.0
ARMED_PER_S = 2_000
"""What even a busy machine arms: the first instant due lies so far ahead that all are armed by then."""

ARMING = 64
"""Timers armed at a time."""

ROUNDS = 300
"""Timers of the third scenario."""


@dataclass
class Figures:
    """Lateness of one scenario in ms; CPU is the watching process's and the server's, in seconds."""

    scenario: str
    timers: int
    fired: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    watcher_cpu_s: float
    server_cpu_s: float


async def watch(url: str, expected: int, limit: float, pipe: Connection) -> None:
    """Fire timers until none is expected any more; send (lateness of each in seconds, CPU seconds)."""
    redis = connect(url)
    late: list[float] = []
    all_fired = asyncio.Event()

    async def handler(timer_id: str, due: datetime) -> None:
        late.append(time.time() - due.timestamp())
        if len(late) == expected:
            all_fired.set()

    async with (
        aclosing(redis),
        Watcher(Timers(redis.scripts), handler) as watcher,
        Alarms(watcher, redis.primaries, db=redis.db),
    ):
        before = _cpu()
        pipe.send("watching")
        try:
            async with asyncio.timeout(limit):
                await all_fired.wait()
        except TimeoutError:
            pass
        pipe.send((late, _cpu() - before))


def watching_process(url: str, expected: int, limit: float, pipe: Connection) -> None:
    """What the other process runs."""
    uvloop.run(watch(url, expected, limit, pipe))


async def arm_all(timers: Timers, dues: Iterator[datetime]) -> None:
    """Arm timers as fast as one process does."""

    async def worker() -> None:
        for number, due in numbered:
            await timers.arm(f"timer-{number}", due)

    numbered = enumerate(dues)
    await asyncio.gather(*(worker() for _ in range(ARMING)))


async def arm_spread(timers: Timers, count: int, seconds: float) -> None:
    """Timers at random instants of the coming `seconds`, after the lead."""
    start = datetime.now(UTC) + timedelta(seconds=LEAD_S + count / ARMED_PER_S)
    await arm_all(timers, (start + timedelta(seconds=random.uniform(0, seconds)) for _ in range(count)))
    if datetime.now(UTC) > start:
        print("arming took too long: lateness contains it", file=sys.stderr)


async def arm_earlier(timers: Timers, count: int) -> None:
    """Give every bucket a timer far away, for which the watcher sleeps; then arm timers due in 50 to 150 ms."""
    await arm_all(timers, (datetime.now(UTC) + timedelta(hours=2) for _ in range(timers.buckets * 10)))
    await asyncio.sleep(LEAD_S)
    for number in range(count):
        await timers.arm(f"earlier-{number}", datetime.now(UTC) + timedelta(seconds=random.uniform(0.05, 0.15)))
        await asyncio.sleep(0.02)


async def measure(scenario: str, count: int, seconds: float | None) -> Figures:
    """One scenario on a fresh server; `seconds` None is the earlier-timer scenario."""
    with tempfile.TemporaryDirectory(prefix="timers-", dir="/tmp") as folder:
        async with Embedded(Path(folder)) as server, aclosing(connect(server.url)) as redis:
            ours, theirs = multiprocessing.Pipe()
            limit = 4 * (LEAD_S + count / ARMED_PER_S) + (seconds or count * 0.1)
            process = multiprocessing.get_context("spawn").Process(
                target=watching_process, args=(server.url, count, limit, theirs)
            )
            process.start()
            try:
                await asyncio.to_thread(ours.recv)
                before = _server_cpu(server.pid)
                timers = Timers(redis.scripts)
                await (arm_earlier(timers, count) if seconds is None else arm_spread(timers, count, seconds))
                armed = _server_cpu(server.pid)
                late, watcher_cpu = await asyncio.to_thread(ours.recv)
                server_cpu = _server_cpu(server.pid) - (before if seconds is None else armed)
            finally:
                await asyncio.to_thread(process.join, 30)
    ms = sorted(1000 * each for each in late) or [float("nan")]
    p50, p99 = (round(ms[min(len(ms) - 1, len(ms) * share // 100)], 2) for share in (50, 99))
    return Figures(scenario, count, len(late), p50, p99, round(ms[-1], 2), round(watcher_cpu, 2), round(server_cpu, 2))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server_cpu(pid: int) -> float:
    """User and system seconds of a process, fields 14 and 15 of its stat; 0 where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the scenarios and print their figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--timers", type=int, default=10_000, help="timers of the first two scenarios")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = options.parse_args()
    scenarios: list[tuple[str, int, float | None]] = [
        ("spread over 30 s", chosen.timers, 30.0),
        ("all due in 1 s", chosen.timers, 1.0),
        ("armed earlier than the sleeper's target", ROUNDS, None),
    ]
    figures = [uvloop.run(measure(*scenario)) for scenario in scenarios]
    if chosen.json:
        print(json.dumps([asdict(each) for each in figures]))
        return
    table = Table("scenario", "timers", "fired", "p50 ms", "p99 ms", "max ms", "watcher CPU s", "server CPU s")
    for each in figures:
        table.add_row(*map(str, asdict(each).values()))
    Console().print(table)


if __name__ == "__main__":
    main()
