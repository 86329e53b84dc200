"""The hot path: whole negotiations through one gateway process on a real, durable Valkey.

A negotiation is: propose, card at the buyer, answer, order changed, card updated, notice at the agent; all durable
(appendfsync always). Reported: negotiations a second and for each CPU second of the gateway, with as many as fit in
flight; click → notice at a steady rate; the gateway's memory for idle sessions. Figures, no verdicts.

    python tests/bench/negotiations.py [--seconds 10] [--pairs 64] [--rate 200] [--idle 1000] [--fsync always] [--json]
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import uuid
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bot.auth import Tokens  # noqa: E402 - the project is used from its root, installed or not
from bot.embedded.server import Embedded  # noqa: E402
from bot.orders.shop import Shop  # noqa: E402
from bot.participant import Participant, Role  # noqa: E402
from bot.redis.connector import connect  # noqa: E402
from bot.shopfile import ShopFile  # noqa: E402

SECRET = "the benchmark's secret, 32 or longer"
SHOP = "bench"


def shop_of(buyers: int) -> ShopFile:
    """A shop in which every buyer has one paid order, whose one line can go back and forth between two SKUs."""
    skus = [
        {"id": f"sku-{color}", "options": {"颜色": color}, "price_cents": 9900, "stock": 1_000_000}
        for color in ("white", "black")
    ]
    line = {"id": "1", "product_id": "tee", "sku_id": "sku-white", "quantity": 1, "unit_price_cents": 9900}
    return ShopFile.model_validate(
        {
            "shop": {"id": SHOP, "name": "Bench", "currency": "CNY", "locale": "zh-CN"},
            "agents": [{"id": f"agent-{n}", "name": f"Agent {n}"} for n in range(buyers)],
            "buyers": [{"id": f"buyer-{n}", "name": f"Buyer {n}"} for n in range(buyers)],
            "products": [{"id": "tee", "title": "T恤", "skus": skus}],
            "orders": [
                {"id": f"order-{n}", "buyer_id": f"buyer-{n}", "status": "paid", "lines": [line]} for n in range(buyers)
            ],
        }
    )


class Wire:
    """A participant as cheap as can be: raw frames over one websocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str, role: Role, id: str) -> "Wire":
        """Connected and welcomed."""
        ws = await http.ws_connect(url, compress=0)
        who = Participant(role=role, id=id, shop_id=SHOP, name=id, expires=datetime.now(UTC) + timedelta(hours=1))
        await ws.send_json({"type": "hello", "token": Tokens(SECRET).sign(who), "protocol": 1})
        welcome = await ws.receive_json()
        assert welcome["type"] == "welcome", welcome
        return cls(ws)

    async def send(self, type: str, **members: Any) -> None:
        """Send a command, and do not wait for its reply."""
        await self.ws.send_str(orjson.dumps({"type": type, "id": str(uuid.uuid4()), **members}).decode())

    async def until(self, marker: str) -> dict[str, Any]:
        """The next frame that contains the marker."""
        while True:
            data: str = await self.ws.receive_str()
            if marker in data:
                frame: dict[str, Any] = orjson.loads(data)
                return frame
            if '"type":"error"' in data:
                raise RuntimeError(data)


class Pair:
    """An agent and a buyer who negotiate over one order again and again."""

    def __init__(self, n: int, agent: Wire, buyer: Wire) -> None:
        self.n = n
        self.agent = agent
        self.buyer = buyer
        self.conversation = f"{SHOP}.buyer-{n}"
        self.white = True

    async def negotiate(self) -> float:
        """One negotiation; how long it took from the click to the notice, in ms."""
        to_sku = "sku-black" if self.white else "sku-white"
        self.white = not self.white
        await self.agent.send(
            "propose",
            conversation_id=self.conversation,
            order_id=f"order-{self.n}",
            changes=[{"line_id": "1", "to_sku": to_sku}],
        )
        card = (await self.buyer.until('"state":"pending"'))["card"]
        clicked = time.perf_counter()
        await self.buyer.send(
            "answer",
            conversation_id=self.conversation,
            proposal_id=card["proposal_id"],
            version=card["version"],
            action="agree",
        )
        await self.agent.until('"notice":{"code":"agreed"')
        return (time.perf_counter() - clicked) * 1000


async def start_gateway(redis_url: str) -> tuple[Process, str]:
    """One gateway process and its websocket's URL."""
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "ASSENT_SECRET": SECRET,
        "ASSENT_COMMANDS_PER_SECOND": "100000",
        "ASSENT_COMMAND_BURST": "100000",
    }
    command = [sys.executable, "-m", "bot", "serve", "--port", "0", "--json"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE)
    assert process.stdout is not None
    line = await process.stdout.readline()
    return process, json.loads(line)["ws"]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def percentile(values: list[float], percent: float) -> float:
    """The value below which so many percent of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def throughput(pairs: list[Pair], seconds: float) -> tuple[int, float]:
    """Every pair negotiates as fast as it can."""
    started = time.perf_counter()

    async def play(pair: Pair) -> int:
        done = 0
        while time.perf_counter() - started < seconds:
            await pair.negotiate()
            done += 1
        return done

    done = sum(await asyncio.gather(*[play(pair) for pair in pairs]))
    return done, time.perf_counter() - started


async def latency(pairs: list[Pair], rate: float, seconds: float) -> list[float]:
    """Negotiations begin at a steady rate, each by a pair that is free."""
    free: asyncio.Queue[Pair] = asyncio.Queue()
    for pair in pairs:
        free.put_nowait(pair)
    took: list[float] = []

    async def play() -> None:
        pair = await free.get()
        took.append(await pair.negotiate())
        free.put_nowait(pair)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0, started + n / rate - time.perf_counter()))
            group.create_task(play())
    return took


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """The figures."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        async with (
            Embedded(Path(folder), fsync=options.fsync) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            connector = connect(server.url)
            await Shop(connector.scripts).import_shop(shop_of(options.pairs))
            await connector.aclose()
            gateway, url = await start_gateway(server.url)
            try:
                return await measure(options, http, gateway.pid, url, server.pid)
            finally:
                gateway.terminate()
                await gateway.wait()


async def measure(
    options: argparse.Namespace, http: aiohttp.ClientSession, gateway: int, url: str, valkey: int
) -> dict[str, Any]:
    """Everything that is measured, on servers that run."""
    pairs = []
    for n in range(options.pairs):
        agent = await Wire.connect(http, url, Role.AGENT, f"agent-{n}")
        buyer = await Wire.connect(http, url, Role.BUYER, f"buyer-{n}")
        await agent.send("open", buyer_id=f"buyer-{n}")
        await buyer.until('"system"')
        pairs.append(Pair(n, agent, buyer))
    await throughput(pairs, 1)
    cpu, redis_cpu = cpu_seconds(gateway), cpu_seconds(valkey)
    own = time.process_time()
    done, seconds = await throughput(pairs, options.seconds)
    own = time.process_time() - own
    cpu, redis_cpu = cpu_seconds(gateway) - cpu, cpu_seconds(valkey) - redis_cpu
    took = await latency(pairs, options.rate, options.seconds)
    before = memory_kib(gateway)
    idle = [await Wire.connect(http, url, Role.BUYER, f"idle-{n}") for n in range(options.idle)]
    after = memory_kib(gateway)
    for wire in idle:
        await wire.ws.close()
    return {
        "fsync": options.fsync,
        "negotiations": done,
        "negotiations_per_s": round(done / seconds),
        "negotiations_per_gateway_cpu_s": round(done / cpu),
        "gateway_cpu": round(cpu / seconds, 2),
        "valkey_cpu": round(redis_cpu / seconds, 2),
        "load_cpu": round(own / seconds, 2),
        f"click_to_notice_ms_at_{options.rate:g}_per_s": {
            "p50": round(statistics.median(took), 2),
            "p99": round(percentile(took, 99), 2),
            "max": round(max(took), 2),
        },
        "idle_sessions": options.idle,
        "idle_session_kib": round((after - before) / options.idle, 1),
        "gateway_memory_mib": round(after / 1024, 1),
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--fsync", choices=["always", "everysec", "no"], default="always")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    figures = uvloop.run(run(options))
    if options.json:
        print(json.dumps(figures))
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, json.dumps(value))
    Console().print(table)


if __name__ == "__main__":
    main()
