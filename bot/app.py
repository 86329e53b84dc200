"""The composition root: settings → Redis → store, timers, flows, gateway → aiohttp app. Nothing else makes parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from aiohttp import web
from redis.exceptions import RedisError

from bot.auth import Tokens
from bot.clock import ServerClock
from bot.commands import Commands, Flows
from bot.desk.inboxes import Inboxes
from bot.desk.places import Desk
from bot.desk.presence import News, Presence
from bot.documents.directory import Directory
from bot.documents.keeping import Keeping
from bot.documents.proposal_index import ProposalIndex
from bot.documents.quick_replies import QuickReplyBook
from bot.documents.store import Store
from bot.errors import CommandError
from bot.fanout import Fanout
from bot.flows.applying import Applying
from bot.flows.assignment import Assignment
from bot.flows.deciding import AnswerWindow, Parts
from bot.flows.listing import Listing
from bot.flows.missed import Missed
from bot.flows.negotiation import Negotiation
from bot.flows.quick_replying import QuickReplying
from bot.flows.reading import Reading
from bot.flows.reminding import Reminding
from bot.flows.reply_clock import ReplyClock
from bot.flows.retention import Retention
from bot.flows.supervising import Supervising
from bot.flows.taking import Taking
from bot.flows.talk import Talk
from bot.flows.timer_ids import read_timer_id
from bot.gateway import Gateway
from bot.orders.base import OrderEvent, OrderSystem
from bot.orders.events import ShopEvents
from bot.orders.shop import Shop
from bot.pages import Pages
from bot.reception import Reception
from bot.reconcile import Reconciler
from bot.redis.connector import Connector
from bot.redis.subscriber import Subscriber
from bot.settings import Settings
from scheduler.alarms import Alarms
from scheduler.timers import Timers
from scheduler.watcher import Watcher

_CLOCK_WITHIN = 2.0
"""Seconds that a start waits to learn the store's time."""


class House:
    """One process's parts, made in the order they need each other; `orders` replaces the embedded shop."""

    def __init__(self, settings: Settings, connector: Connector, orders: OrderSystem | None = None) -> None:
        scripts = connector.scripts
        self.settings = settings
        self.connector = connector
        self.shop = Shop(scripts)
        self.tokens = Tokens(settings.secret)
        self.store = Store(scripts, keep_replies=settings.keep_replies, keep_entries=settings.keep_entries)
        self.timers = Timers(scripts)
        self.directory = Directory(scripts)
        window = AnswerWindow(settings.answer_window)
        self.parts = Parts(self.store, orders or self.shop, self.timers, ServerClock(), settings, window)
        self.desk = Desk(scripts, settings.agent_limit)
        self.inboxes = Inboxes(self.desk, self.store)
        self.presence = Presence(
            scripts, lease=settings.presence_lease, grace=settings.agent_grace, on_news=self.desk_news
        )
        index = ProposalIndex(scripts)
        self.reply_clock = ReplyClock(self.parts)
        self.applying = Applying(self.parts)
        reminding = Reminding(self.parts, self.applying)
        self.negotiation = Negotiation(self.parts, self.applying, reminding, index)
        self.assignment = Assignment(self.parts, self.desk, self.inboxes, self.presence, self.reply_clock)
        self.taking = Taking(self.parts, self.assignment, self.desk, self.directory, self.reply_clock)
        self.retention = Retention(self.parts, Keeping(scripts), self.desk, self.presence, index, self.shop)
        listing = Listing(self.parts, self.inboxes, self.presence, self.directory)
        missed = Missed(self.parts, self.desk, self.inboxes, self.presence)
        flows = Flows(
            assignment=self.assignment,
            taking=self.taking,
            talk=Talk(self.parts, self.assignment, self.reply_clock),
            negotiation=self.negotiation,
            reminding=reminding,
            reading=Reading(self.parts),
            listing=listing,
            missed=missed,
            supervising=Supervising(self.parts, index),
            quick_replies=QuickReplying(self.parts, QuickReplyBook(scripts)),
        )
        self.fanout = Fanout(self.parts, listing)
        self.subscriber = Subscriber(connector.subscriber, connector.missed, scripts, self.fanout.heard, self.restored)
        connector.on_restored(self.restored)
        self.fanout.attach(self.subscriber)
        reception = Reception(self.parts, self.presence, listing, missed, self.directory)
        self.gateway = Gateway(self.parts, Commands(flows), self.fanout, reception, self.tokens)
        self.watcher = Watcher(self.timers, self.timer_fired)
        self.alarms = Alarms(self.watcher, connector.primaries, db=connector.db)
        self.reconciler = Reconciler(
            self.parts, self.negotiation, index, self.desk, self.retention, connector.primaries
        )
        self.events = ShopEvents(connector.client, self.order_event)

    async def timer_fired(self, timer_id: str, due: datetime) -> None:
        """A deadline, the time to ask the order system again, a buyer who waits for a reply, or what is old."""
        kind, conversation_id, proposal_id = read_timer_id(timer_id)
        match kind:
            case "expire":
                await self.negotiation.expire(conversation_id, proposal_id)
            case "apply":
                await self.applying.retry(conversation_id, proposal_id)
            case "reply":
                await self.reply_clock.fired(conversation_id)
            case "keep":
                await self.retention.fired(conversation_id)

    def restored(self) -> None:
        """The store was away: what was shown last, and timers, may be lost."""
        self.fanout.restored()
        self.reconciler.hurry()

    async def desk_news(self, shop_id: str, news: News) -> None:
        """Conversations wait at a desk, or an agent is away for too long."""
        await self.assignment.see_to(shop_id, news)

    async def order_event(self, event: OrderEvent) -> None:
        """The embedded shop's order moved."""
        if event.buyer_id is None:
            event = event.model_copy(
                update={"buyer_id": (await self.parts.orders.order(event.shop_id, event.order_id)).buyer_id}
            )
        await self.negotiation.order_moved(event)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hear, watch and consume while inside; then stop in the opposite order, and finish what was begun."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.connector.aclose)
            stack.push_async_callback(self.fanout.aclose)
            stack.push_async_callback(_stop, asyncio.create_task(self.subscriber.run()))
            stack.push_async_callback(self.parts.background.drain, self.settings.drain.total_seconds())
            stack.push_async_callback(self.presence.aclose)
            for work in (self.events.run(), self.reconciler.run(), self.presence.run()):
                stack.push_async_callback(_stop, asyncio.create_task(work))
            await stack.enter_async_context(self.watcher)
            await stack.enter_async_context(self.alarms)
            await self._set_the_clock()
            yield

    async def _set_the_clock(self) -> None:
        """Whoever is welcomed first is told the store's time; one that is away now is heard at the first reading."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOCK_WITHIN):
                await self.parts.load("clock")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def make_app(house: House, extra: Iterable[web.RouteDef] = ()) -> web.Application:
    """The aiohttp application: the pages, /ws, /healthz (this process lives), /readyz (it can serve), and `extra`."""

    async def run(app: web.Application) -> AsyncIterator[None]:
        async with house.running():
            yield

    async def drain(app: web.Application) -> None:
        await house.gateway.drain()

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(2):
                await house.desk.waiting("readyz")
        except (RedisError, OSError, TimeoutError, CommandError) as error:
            return _not_ready(f"Redis does not answer: {error}")
        if house.gateway.draining:
            return _not_ready("going away")
        if house.gateway.full:
            return _not_ready("full")
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.cleanup_ctx.append(run)
    app.on_shutdown.append(drain)
    app.router.add_get("/ws", house.gateway.handle)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_routes([*Pages(house.settings.allowed_origins).routes(), *extra])
    return app


def _not_ready(why: str) -> web.Response:
    return web.json_response({"status": "not ready", "why": why}, status=503)
