"""A town for flows: gateways on a real server, a small shop, and people who talk over real sockets."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
from redis.asyncio import Redis

from bot.app import House
from bot.auth import Tokens
from bot.cli.listening import Address, listening
from bot.client import ChatClient, Frame
from bot.frames import PROTOCOL
from bot.orders.base import OrderSystem
from bot.orders.shop import Shop
from bot.participant import Participant, Role
from bot.redis import connect
from bot.settings import Settings
from bot.shopfile import ShopFile
from cards.model import to_ms
from cards.order import Order
from cards.proposal import FINAL

SECRET = "a secret of the tests, 32 or longer"
NAMES = {"xiaoyu": "小雨", "ahe": "阿禾", "lin-wan": "林晚", "chen-mo": "陈默"}
SPECS = {
    "white-s": ("tee", {"颜色": "米白", "尺码": "S"}, 8900, 30),
    "white-m": ("tee", {"颜色": "米白", "尺码": "M"}, 8900, 30),
    "white-l": ("tee", {"颜色": "米白", "尺码": "L"}, 8900, 0),
    "green-m": ("tee", {"颜色": "墨绿", "尺码": "M"}, 9900, 30),
    "grey-m": ("tee", {"颜色": "炭灰", "尺码": "M"}, 7900, 30),
    "celadon": ("mug", {"釉色": "青釉"}, 5900, 30),
    "moon": ("mug", {"釉色": "月白"}, 5900, 30),
    "kiln": ("mug", {"釉色": "窑变"}, 7900, 30),
    "straw": ("mug", {"釉色": "素胎"}, 4900, 30),
}
"""Product, options, price in cents and stock of every SKU."""
ORDERS = {
    "paid": ("paid", {}, ["white-m"]),
    "two-lines": ("paid", {}, ["white-m", "celadon"]),
    "unpaid": ("unpaid", {}, ["white-m", "celadon"]),
    "shipped": ("shipped", {}, ["white-m"]),
    "presale": ("paid", {"deposit_presale": True}, ["white-m"]),
}
"""Status, whatever is special, and the SKUs of an order's lines, 1, 2, …; of tees one piece, of mugs two.

Every buyer has each of them, under the buyer's id and this name: `lin-wan-paid`.
"""


def shop_file() -> ShopFile:
    """The shop `nanshan`."""
    quantity = {"tee": 1, "mug": 2}
    return ShopFile.model_validate(
        {
            "shop": {"id": "nanshan", "name": "南山小铺", "currency": "CNY", "locale": "zh-CN"},
            "agents": [{"id": id, "name": NAMES[id]} for id in ("xiaoyu", "ahe")],
            "buyers": [{"id": id, "name": NAMES[id]} for id in ("lin-wan", "chen-mo")],
            "products": [
                {
                    "id": product,
                    "title": title,
                    "skus": [
                        {"id": sku, "options": options, "price_cents": price, "stock": stock}
                        for sku, (of, options, price, stock) in SPECS.items()
                        if of == product
                    ],
                }
                for product, title in (("tee", "重磅纯棉短袖"), ("mug", "手作马克杯"))
            ],
            "orders": [
                {
                    "id": f"{buyer}-{name}",
                    "buyer_id": buyer,
                    "status": status,
                    **special,
                    "lines": [
                        {
                            "id": str(number),
                            "product_id": SPECS[sku][0],
                            "sku_id": sku,
                            "quantity": quantity[SPECS[sku][0]],
                            "unit_price_cents": SPECS[sku][2],
                        }
                        for number, sku in enumerate(skus, start=1)
                    ],
                }
                for buyer in ("lin-wan", "chen-mo")
                for name, (status, special, skus) in ORDERS.items()
            ],
        }
    )


class Idle:
    """Somebody who does nothing."""

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()


class Gateway:
    """One gateway in this process, on a port of its own, run as `serve` runs it."""

    def __init__(self, house: House, address: Address, running: contextlib.AsyncExitStack) -> None:
        self.house = house
        self.url = address.ws
        self._running = running

    async def stop(self) -> None:
        """What SIGTERM does: drain, then end."""
        await self._running.aclose()


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
        connector = connect(self.redis_url)
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

    async def person(self, role: Role, id: str, on: Gateway | list[Gateway] | None = None, **options: Any) -> ChatClient:
        """A connected participant, on the given gateway (or the first); several are tried in turn."""
        at = on or self.gateways[0]
        urls = [gateway.url for gateway in at] if isinstance(at, list) else at.url
        client = ChatClient(urls, self.token(role, id), **{"backoff": (0.02, 0.5), "patience": 10, **options})
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

    async def scene(self, buyer_id: str = "lin-wan", **settings: Any) -> "Scene":
        """An agent on one gateway, a buyer on another, and their conversation, which the agent has opened."""
        here, there = await self.gateway(**settings), await self.gateway(**settings)
        agent, buyer = await self.agent(on=here), await self.buyer(buyer_id, on=there)
        await agent.open(buyer_id)
        return Scene(self, f"{self.shop_id}.{buyer_id}", buyer_id, agent, buyer)


@dataclass
class Scene:
    """A conversation, its agent and its buyer."""

    town: Town
    conversation_id: str
    buyer_id: str
    agent: ChatClient
    buyer: ChatClient

    @property
    def shop(self) -> Shop:
        """The shop's own hand, for moving orders and stock."""
        return self.town.gateways[0].house.shop

    def order_id(self, name: str) -> str:
        """The id of this buyer's order of that name."""
        return f"{self.buyer_id}-{name}"

    async def order(self, name: str = "paid") -> Order:
        """An order as the shop has it."""
        return await self.shop.order(self.town.shop_id, self.order_id(name))

    async def skus(self, name: str = "paid") -> list[str]:
        """The SKUs of an order's lines."""
        return [line.sku_id for line in (await self.order(name)).lines]

    async def send(self, order: str = "paid", *, waive: bool = False, by: ChatClient | None = None, **to: str) -> Frame:
        """Propose (`line_1="white-s"`, that one if nothing is said) and return the `ok`."""
        wishes = to or {"line_1": "white-s"}
        changes = [{"line_id": line.removeprefix("line_"), "to_sku": sku} for line, sku in wishes.items()]
        return await (by or self.agent).propose(
            self.conversation_id, self.order_id(order), changes, waive_difference=waive
        )

    async def propose(self, order: str = "paid", *, waive: bool = False, **to: str) -> Frame:
        """Propose, and return the card that the buyer sees."""
        sent = await self.send(order, waive=waive, **to)
        return await self.sees(self.buyer, sent)

    async def sees(self, client: ChatClient, proposal: Frame, state: str = "pending", limit: float = 5) -> Frame:
        """Wait until a client sees a proposal (anything with its `proposal_id`) in a state; the card then."""

        def found() -> Frame | None:
            card = client.cards(self.conversation_id).get(proposal["proposal_id"])
            return card if card and card["state"] == state else None

        card: Frame = await client.wait_for(found, limit)
        return card

    def log(self, client: ChatClient) -> list[Frame]:
        """What a client has of the conversation's log."""
        return client.logs.get(self.conversation_id, [])

    def notices(self, client: ChatClient, proposal: Frame | None = None) -> list[Frame]:
        """The notices a client was sent, in order; all, or those of one proposal."""
        notices = [entry["notice"] for entry in self.log(client) if "notice" in entry]
        return [each for each in notices if proposal is None or each["proposal_id"] == proposal["proposal_id"]]

    def states(self, client: ChatClient, proposal: Frame) -> list[str]:
        """The states in which a client was shown a proposal, in order, every time that it was."""
        cards = [entry["card"] for entry in self.log(client) if "card" in entry]
        return [card["state"] for card in cards if card["proposal_id"] == proposal["proposal_id"]]

    def outcomes(self, client: ChatClient, proposal: Frame) -> list[str]:
        """The final states in which a client was shown a proposal: more than one is what must never happen."""
        return [state for state in self.states(client, proposal) if state in FINAL]

    async def last_seq(self) -> int:
        """The seq of the newest entry in the log."""
        return (await self.town.gateways[0].house.store.load(self.conversation_id)).seq

    async def caught_up(self, *clients: ChatClient, limit: float = 5) -> int:
        """Wait until these clients (or agent and buyer) have the log as long as it is now; its last seq."""
        seq = await self.last_seq()
        for client in clients or (self.agent, self.buyer):
            await client.wait_for(lambda client=client: client.cursors.get(self.conversation_id) == seq, limit)
            assert client.violations == []
        return seq

    async def now_ms(self) -> int:
        """The server's clock."""
        return to_ms((await self.town.gateways[0].house.store.load(self.conversation_id)).now)

    async def deadline_passed(self, proposal: Frame) -> None:
        """Wait until the server's clock says that a proposal's deadline has come."""
        while (left_ms := proposal["deadline_ms"] - await self.now_ms()) > 0:
            await asyncio.sleep(left_ms / 1000)

    async def events_heard(self, limit: float = 5) -> None:
        """Wait until every order event has had its consequence: then it is acknowledged, and gone from the stream."""
        redis = await self.town.redis()
        async with asyncio.timeout(limit):
            while await redis.xlen(f"shop:{{{self.town.shop_id}}}:events"):
                await asyncio.sleep(0.01)

    async def settled_work(self) -> None:
        """Wait until no gateway has anything left to do in the background."""
        for gateway in self.town.gateways:
            await gateway.house.parts.background.drain(5)
