"""How late timers fire, beside other ways to do it: thousands of them due within one second, and many more waiting.

    python tests/bench/timers.py [--waiting 100000] [--due 10000] [--fsync everysec] [--only assent,arq] [--json]

Contenders: this project's timers in one process and in two; a plain subscriber of `expired` events (one key for each
timer); arq; BullMQ for Python. Each has the same work (rivals/work.py) on a fresh private server of the same binary and
configuration; one process arms, and another one, which runs already, fires. rivals/with_*.py say how each is set.
Lateness is the firing process's clock when the timer's handler is called, minus the instant armed: all processes and
the server share one clock here. `shares` is what each of two processes fired. The rivals have virtual environments of
their own, .venv-arq and .venv-bullmq, which `make bench` makes.

Last, this project's alone: timers that are armed earlier than the one that everybody sleeps for.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import uniform
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.embedded.server import Embedded, Fsync
from bot.redis.connector import connect
from scheduler.timers import Timers
from tests.bench.negotiations import cpu_seconds, percentile

ROOT = Path(__file__).parents[2]
RIVALS = Path(__file__).parent / "rivals"
OURS = Path(sys.executable)
ARMED_PER_S = 1_000
"""What even a busy machine arms: the second in which timers are due begins so late that all are armed by then."""
LEAD_S = 3.0
LIMIT_S = 180.0
ROUNDS = 300
"""Timers of the last scenario."""


@dataclass(frozen=True)
class Contender:
    """A script of rivals/, the interpreter that has what it needs, and how many processes fire."""

    name: str
    script: str
    python: Path
    processes: int = 1


CONTENDERS = (
    Contender("assent", "with_assent.py", OURS),
    Contender("assent, two processes", "with_assent.py", OURS, processes=2),
    Contender("expired events", "with_expired.py", OURS),
    Contender("arq", "with_arq.py", ROOT / ".venv-arq/bin/python"),
    Contender("bullmq", "with_bullmq.py", ROOT / ".venv-bullmq/bin/python"),
)


@dataclass(frozen=True)
class Figures:
    """Lateness in ms; CPU in seconds, of the firing processes and of the server from the moment that all are armed."""

    contender: str
    fired: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    firing_cpu_s: float
    server_cpu_s: float
    shares: tuple[int, ...]


async def contest(contender: Contender, waiting: int, due: int, fsync: Fsync) -> Figures:
    """One contender's figures, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="timers-", dir="/tmp") as folder:
        async with Embedded(Path(folder), fsync=fsync) as server:
            await _arm(contender, server.url, "waiting", waiting)
            firing = [await _start(contender, "fire", server.url, due, LIMIT_S) for _ in range(contender.processes)]
            for process in firing:
                await _line(process)
            await _arm(contender, server.url, "due", due, LEAD_S + due / ARMED_PER_S)
            server_cpu = cpu_seconds(server.pid)
            told = [json.loads(await _line(process)) for process in firing]
            server_cpu = cpu_seconds(server.pid) - server_cpu
            for process in firing:
                await process.wait()
    late = [each for one in told for each in one["late_ms"]]
    return Figures(
        contender.name,
        len(late),
        *_lateness(late),
        firing_cpu_s=round(sum(one["cpu_s"] for one in told), 2),
        server_cpu_s=round(server_cpu, 2),
        shares=tuple(len(one["late_ms"]) for one in told),
    )


async def _arm(contender: Contender, url: str, which: str, count: int, lead_s: float = 0) -> None:
    process = await _start(contender, "arm", url, which, count, "a seed", lead_s)
    if status := await process.wait():
        raise RuntimeError(f"{contender.name} could not arm its timers (status {status}); see above")


async def _start(contender: Contender, *words: Any) -> Process:
    command = [str(contender.python), str(RIVALS / contender.script), *map(str, words)]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=2**26)


async def _line(process: Process) -> str:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a firing process ended; see above")
    return line.decode()


async def armed_earlier(fsync: Fsync) -> Figures:
    """Every bucket has timers far away, for which the watcher sleeps; then come timers due in 50 to 150 ms."""
    with tempfile.TemporaryDirectory(prefix="timers-", dir="/tmp") as folder:
        async with Embedded(Path(folder), fsync=fsync) as server, aclosing(connect(server.url)) as redis:
            timers = Timers(redis.scripts)
            await _arm(CONTENDERS[0], server.url, "waiting", timers.buckets * 10)
            process = await _start(CONTENDERS[0], "fire", server.url, ROUNDS, LIMIT_S)
            await _line(process)
            await asyncio.sleep(LEAD_S)
            server_cpu = cpu_seconds(server.pid)
            for number in range(ROUNDS):
                due_ms = round(datetime.now(UTC).timestamp() * 1000 + uniform(50, 150))
                due = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=due_ms)
                await timers.arm(f"earlier-{number}-{due_ms}", due)
                await asyncio.sleep(0.02)
            told = json.loads(await _line(process))
            server_cpu = cpu_seconds(server.pid) - server_cpu
            await process.wait()
    late = told["late_ms"]
    return Figures(
        "assent, armed earlier",
        len(late),
        *_lateness(late),
        firing_cpu_s=round(told["cpu_s"], 2),
        server_cpu_s=round(server_cpu, 2),
        shares=(len(late),),
    )


def _lateness(late_ms: list[float]) -> tuple[float, float, float]:
    some = late_ms or [float("nan")]
    return round(percentile(some, 50), 1), round(percentile(some, 99), 1), round(max(some), 1)


def main() -> None:
    """Run the contenders one after the other, and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--fsync", choices=["always", "everysec", "no"], default="everysec")
    parser.add_argument("--only", help="names of contenders, or their beginnings, separated by commas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = []
    for contender in CONTENDERS:
        if options.only and not contender.name.startswith(tuple(options.only.split(","))):
            continue
        if not contender.python.exists():
            print(f"{contender.name} is not measured: there is no {contender.python}. `make bench` makes it.")
            continue
        figures.append(uvloop.run(contest(contender, options.waiting, options.due, options.fsync)))
    if not options.only:
        figures.append(uvloop.run(armed_earlier(options.fsync)))
    if options.json:
        print(json.dumps([asdict(each) for each in figures]))
        return
    title = f"{options.due} timers due within 1 s, {options.waiting} waiting, appendfsync {options.fsync}"
    table = Table(
        "contender", "fired", "p50 ms", "p99 ms", "max ms", "firing CPU s", "server CPU s", "shares", title=title
    )
    for each in figures:
        table.add_row(*map(str, asdict(each).values()))
    Console().print(table)


if __name__ == "__main__":
    main()
