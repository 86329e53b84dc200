"""Whether two gateways share the load: whole negotiations whose agent is at one and whose buyer is at the other.

    python tests/bench/balance.py [--seconds 10] [--pairs 64] [--json]

As many negotiations as fit in flight, on a real, durable Valkey. Of the pairs, every second agent is at the first
gateway, as a load balancer that counts connections would have it. Reported: the CPU of each gateway and the busier
one's share, beside the same load on one gateway alone. Negotiations a second say little where both gateways, the
clients and Valkey share two cores; those for each CPU second say what the second gateway costs. How two processes share
the timers is in timers.py.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from bot.embedded.server import Embedded
from bot.orders.shop import Shop
from bot.participant import Role
from bot.redis.connector import connect
from tests.bench.negotiations import Pair, Wire, cpu_seconds, shop_of, start_gateway, throughput


async def measure(gateways: int, pairs_of: int, seconds: float) -> dict[str, Any]:
    """The figures of so many gateways."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        async with (
            Embedded(Path(folder)) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            connector = connect(server.url)
            await Shop(connector.scripts).import_shop(shop_of(pairs_of))
            await connector.aclose()
            started = [await start_gateway(server.url) for _ in range(gateways)]
            try:
                pairs = [await _pair(http, n, [url for _, url in started]) for n in range(pairs_of)]
                await throughput(pairs, 1)
                before = [cpu_seconds(process.pid) for process, _ in started]
                done, took = await throughput(pairs, seconds)
                used = [cpu_seconds(process.pid) - cpu for (process, _), cpu in zip(started, before, strict=True)]
            finally:
                for process, _ in started:
                    process.terminate()
                await asyncio.gather(*[process.wait() for process, _ in started])
    return {
        "gateways": gateways,
        "negotiations_per_s": round(done / took),
        "gateway_cpu": [round(cpu / took, 2) for cpu in used],
        "negotiations_per_gateway_cpu_s": round(done / sum(used)),
        "busiest_gateways_share": round(max(used) / sum(used), 3),
    }


async def _pair(http: aiohttp.ClientSession, n: int, urls: list[str]) -> Pair:
    agent = await Wire.connect(http, urls[n % len(urls)], Role.AGENT, f"agent-{n}")
    buyer = await Wire.connect(http, urls[(n + 1) % len(urls)], Role.BUYER, f"buyer-{n}")
    await agent.send("open", buyer_id=f"buyer-{n}")
    await buyer.until('"system"')
    return Pair(n, agent, buyer)


async def run(pairs: int, seconds: float) -> list[dict[str, Any]]:
    """One gateway alone, and two."""
    return [await measure(gateways, pairs, seconds) for gateways in (1, 2)]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    figures = uvloop.run(run(options.pairs, options.seconds))
    if options.json:
        print(json.dumps(figures))
        return
    table = Table("figure", "one gateway", "two gateways")
    for name in figures[0]:
        table.add_row(name, *[json.dumps(each[name]) for each in figures])
    Console().print(table)


if __name__ == "__main__":
    main()
