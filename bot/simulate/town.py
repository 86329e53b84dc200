"""Where a simulation takes place: gateways of its own on a Valkey of its own, or gateways that run already."""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiohttp

from bot.embedded.cluster import EmbeddedCluster
from bot.embedded.server import Embedded
from bot.orders.shop import Move, Shop
from bot.redis.connector import connect
from bot.shopfile import ShopFile
from bot.simulate.gateways import GatewayFailed, GatewayProcess

REACH_LIMIT_S: Final = 10.0


class Unplayable(Exception):
    """The simulation can't be played as asked; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Town:
    """Gateways to connect to. `shop` moves orders behind their back, None where that is not possible.

    `fresh`: made for this simulation, with the shop as its file says.
    """

    urls: tuple[str, ...]
    secret: str
    shop: Shop | None
    fresh: bool
    gateways: tuple[GatewayProcess, ...] = ()

    async def move(self, shop_id: str, order_id: str, what: Move) -> None:
        """Let something happen to an order. Raises as Shop.move."""
        assert self.shop is not None
        await self.shop.move(shop_id, order_id, what)


@contextlib.asynccontextmanager
async def own_town(
    file: ShopFile, *, gateways: int, cluster: bool, window: timedelta, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Town]:
    """A town in a temporary folder, with the shop of that file; all of it is gone afterwards.

    `settings` are environment variables of the gateways, over those that every simulation needs.
    Raises EmbeddedError or GatewayFailed when something does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="assent-simulate-"))
    secret = secrets.token_hex(32)
    try:
        async with contextlib.AsyncExitStack() as stack:
            server = EmbeddedCluster(folder / "valkey") if cluster else Embedded(folder / "valkey")
            await stack.enter_async_context(server)
            connector = connect(server.url)
            stack.push_async_callback(connector.aclose)
            shop = Shop(connector.scripts)
            await shop.import_shop(file)
            environment = {
                "REDIS_URL": server.url,
                "ASSENT_SECRET": secret,
                "ASSENT_ANSWER_WINDOW": str(window.total_seconds()),
                "ASSENT_DRAIN": "5",
                # A simulated agent has as many conversations as a hundred real ones.
                "ASSENT_COMMANDS_PER_SECOND": "100000",
                "ASSENT_COMMAND_BURST": "100000",
                "ASSENT_COMMANDS_UNDER_WAY": "10000",
                "ASSENT_AGENT_LIMIT": "1000000",
                **(settings or {}),
            }
            processes = tuple(
                GatewayProcess(f"Gateway {number}", folder / f"gateway-{number}.log", environment)
                for number in range(1, gateways + 1)
            )
            try:
                async with asyncio.TaskGroup() as starting:
                    for process in processes:
                        starting.create_task(stack.enter_async_context(process))
            except* GatewayFailed as failed:
                raise failed.exceptions[0] from None
            yield Town(tuple(process.url for process in processes), secret, shop, True, processes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def running_town(urls: tuple[str, ...], secret: str, redis_url: str | None) -> AsyncIterator[Town]:
    """Gateways that somebody else runs; with their `redis_url`, orders of their embedded shop can be moved.

    Raises BadRedisUrl, and Unplayable where nobody answers.
    """
    async with contextlib.AsyncExitStack() as stack:
        for url in urls:
            await _reach(url)
        shop = None
        if redis_url:
            connector = connect(redis_url)
            stack.push_async_callback(connector.aclose)
            shop = Shop(connector.scripts)
        yield Town(urls, secret, shop, False)


async def _reach(url: str) -> None:
    """A client would go on trying; here a wrong address is better said at once."""
    try:
        async with asyncio.timeout(REACH_LIMIT_S), aiohttp.ClientSession() as http, http.ws_connect(url):
            pass
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unplayable(f"No gateway answers at {url}: {error or 'no answer'}") from error
