"""A town for flows: gateways on a real server, a small shop, and people who talk over real sockets."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.app import House, make_app, make_house
from bot.auth import Tokens
from bot.client import ChatClient
from bot.orders.base import OrderSystem
from bot.participant import Participant, Role
from bot.settings import Settings
from bot.shopfile import load

SECRET = "a secret of the tests, 32 or longer"
DEMO_SHOP = Path(__file__).parents[2] / "bot" / "demo" / "shop.json"


class Gateway:
    """One gateway in this process, on a port of its own."""

    def __init__(self, house: House, runner: web.AppRunner) -> None:
        self.house = house
        self.runner = runner
        host, port = runner.addresses[0][:2]
        self.http = f"http://{host}:{port}"
        self.url = f"ws://{host}:{port}/ws"


class Town:
    """Everything a flow's test needs; whatever it started ends with the test."""

    def __init__(self, redis_url: str, stack: contextlib.AsyncExitStack) -> None:
        self.redis_url = redis_url
        self.shop_id = "qingmu"
        self.stack = stack
        self.gateways: list[Gateway] = []

    async def gateway(self, orders: OrderSystem | None = None, **settings: Any) -> Gateway:
        """Start a gateway; settings are those of bot.settings. The first one imports the demo shop."""
        house = make_house(
            Settings(**{"redis_url": self.redis_url, "secret": SECRET, "commands_per_second": 1000, **settings}), orders
        )
        runner = web.AppRunner(make_app(house), access_log=None)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway = Gateway(house, runner)
        if not self.gateways:
            await house.shop.import_shop(load(DEMO_SHOP))
        self.gateways.append(gateway)
        return gateway

    def token(self, role: Role, id: str, *, shop_id: str | None = None, lasts: timedelta = timedelta(hours=1)) -> str:
        """A token of anybody."""
        who = Participant(
            role=role, id=id, shop_id=shop_id or self.shop_id, name=f"name of {id}", expires=datetime.now(UTC) + lasts
        )
        return Tokens(SECRET).sign(who)

    async def person(self, role: Role, id: str, on: Gateway | None = None, **options: Any) -> ChatClient:
        """A connected participant, on the given gateway (or the first)."""
        gateway = on or self.gateways[0]
        client = ChatClient(gateway.url, self.token(role, id), backoff=(0.02, 0.5), patience=10, **options)
        return await self.stack.enter_async_context(client)

    async def agent(self, id: str = "xiaoyu", on: Gateway | None = None, **options: Any) -> ChatClient:
        """A connected agent."""
        return await self.person(Role.AGENT, id, on, **options)

    async def buyer(self, id: str = "lin-wan", on: Gateway | None = None, **options: Any) -> ChatClient:
        """A connected buyer."""
        return await self.person(Role.BUYER, id, on, **options)


@pytest.fixture
async def town(valkey_url: str) -> AsyncIterator[Town]:
    """A town without a gateway yet."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    async with contextlib.AsyncExitStack() as stack:
        yield Town(valkey_url, stack)
        await asyncio.sleep(0)
