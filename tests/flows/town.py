"""A town for flows: gateways on a real server, a small shop, and people who talk over real sockets."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis

from bot.app import House
from bot.auth import Tokens
from bot.cli.listening import Address, listening
from bot.client import ChatClient
from bot.documents.store import Commit, Committed
from bot.frames import PROTOCOL
from bot.orders.base import OrderSystem
from bot.orders.shop import Shop
from bot.participant import Participant, Role
from bot.redis.connector import connect
from bot.settings import Settings
from tests.flows.nanshan import NAMES, shop_file
from tests.flows.scene import Scene

SECRET = "a secret of the tests, 32 or longer"


class Idle:
    """Somebody who does nothing."""

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()

    def hurry(self) -> None:
        """No."""


class Gateway:
    """One gateway in this process, on a port of its own, run as `serve` runs it."""

    def __init__(self, house: House, address: Address, running: contextlib.AsyncExitStack) -> None:
        self.house = house
        self.url = address.ws
        self._running = running

    async def stop(self) -> None:
        """What SIGTERM does: drain, then end."""
        await self._running.aclose()

    @contextlib.contextmanager
    def unheard(self) -> Iterator[None]:
        """What is committed here meanwhile is in the log, and published to nobody."""
        store = self.house.store
        publish = store.commit

        async def unpublished(commit: Commit) -> Committed:
            return await publish(dataclasses.replace(commit, channels=()))

        store.commit = unpublished  # type: ignore[method-assign]
        try:
            yield
        finally:
            store.commit = publish  # type: ignore[method-assign]


class Town:
    """Everything a flow's test needs; whatever it started ends with the test."""

    def __init__(self, redis_url: str, stack: contextlib.AsyncExitStack) -> None:
        self.redis_url = redis_url
        self.shop_id = "nanshan"
        self.stack = stack
        self.gateways: list[Gateway] = []

    async def gateway(
        self,
        orders: Callable[[Shop], OrderSystem] | None = None,
        *,
        timers: bool = True,
        events: bool = True,
        **settings: Any,
    ) -> Gateway:
        """Start a gateway; settings are those of bot.settings. The first one imports the shop.

        `orders` makes an order system around the embedded shop; without `timers` no timer fires here, without `events`
        no order event is heard here.
        """
        connector = connect(self.redis_url, settings.get("replicas", 0))
        house = House(
            Settings(**{"redis_url": self.redis_url, "secret": SECRET, "commands_per_second": 1000, **settings}),
            connector,
            orders(Shop(connector.scripts)) if orders else None,
        )
        if not timers:
            nobody = contextlib.nullcontext()
            vars(house).update(watcher=nobody, alarms=nobody, reconciler=Idle())
        if not events:
            vars(house).update(events=Idle())
        if not self.gateways:
            await house.shop.import_shop(shop_file())
        running = await self.stack.enter_async_context(contextlib.AsyncExitStack())
        gateway = Gateway(house, await running.enter_async_context(listening(house, "127.0.0.1", 0)), running)
        self.gateways.append(gateway)
        return gateway

    def token(self, role: Role, id: str, *, shop_id: str | None = None, lasts: timedelta = timedelta(hours=1)) -> str:
        """A token of anybody."""
        who = Participant(
            role=role, id=id, shop_id=shop_id or self.shop_id, name=NAMES.get(id, id), expires=datetime.now(UTC) + lasts
        )
        return Tokens(SECRET).sign(who)

    async def person(
        self, role: Role, id: str, on: Gateway | list[Gateway] | None = None, **options: Any
    ) -> ChatClient:
        """A connected participant, on the given gateway (or the first); several are tried in turn."""
        at = on or self.gateways[0]
        urls = [gateway.url for gateway in at] if isinstance(at, list) else at.url
        client = ChatClient(
            urls, self.token(role, id), **{"backoff": (0.02, 0.5), "spread": 0.05, "patience": 10, **options}
        )
        return await self.stack.enter_async_context(client)

    async def agent(self, id: str = "xiaoyu", on: Gateway | list[Gateway] | None = None, **options: Any) -> ChatClient:
        """A connected agent."""
        return await self.person(Role.AGENT, id, on, **options)

    async def buyer(self, id: str = "lin-wan", on: Gateway | list[Gateway] | None = None, **options: Any) -> ChatClient:
        """A connected buyer."""
        return await self.person(Role.BUYER, id, on, **options)

    async def socket(
        self, token: str, on: Gateway | None = None, *, connector: aiohttp.BaseConnector | None = None, **hello: Any
    ) -> aiohttp.ClientWebSocketResponse:
        """A bare websocket that has said hello (with `cursors` and the like) and read nothing yet."""
        http = await self.stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        ws = await self.stack.enter_async_context(http.ws_connect((on or self.gateways[0]).url, max_msg_size=0))
        await ws.send_str(orjson.dumps({"type": "hello", "token": token, "protocol": PROTOCOL, **hello}).decode())
        return ws

    async def redis(self) -> Redis:
        """A plain client of the server, for looking and for breaking."""
        return await self.stack.enter_async_context(Redis.from_url(self.redis_url, decode_responses=True))

    async def scene(self, buyer_id: str = "lin-wan", **settings: Any) -> Scene:
        """An agent on one gateway, a buyer on another, and their conversation, which the agent has opened."""
        here, there = await self.gateway(**settings), await self.gateway(**settings)
        agent, buyer = await self.agent(on=here), await self.buyer(buyer_id, on=there)
        await agent.open(buyer_id)
        return Scene(self, f"{self.shop_id}.{buyer_id}", buyer_id, agent, buyer)


@contextlib.asynccontextmanager
async def a_town(redis_url: str) -> AsyncIterator[Town]:
    """A town on that server, without a gateway yet; all of it ends with the context."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    async with contextlib.AsyncExitStack() as stack:
        yield Town(redis_url, stack)
