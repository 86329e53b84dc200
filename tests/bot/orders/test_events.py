"""Order events reach the callback at least once, in order for each order, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster

from bot.embedded.server import Embedded
from bot.orders import events as module
from bot.orders.base import OrderEvent
from bot.orders.events import ShopEvents
from bot.orders.shop import Shop
from bot.shopfile import ShopFile
from scheduler.script import ClientScripts
from tests.until import until

SOON = timedelta(milliseconds=50)
STREAM = "shop:{s}:events"


class Heard:
    """A callback that notes what it is told, and does what `then` does."""

    def __init__(self, then: Callable[[OrderEvent], Awaitable[None]] | None = None) -> None:
        self.events: list[tuple[str, str]] = []
        self._then = then
        self._more = asyncio.Condition()

    async def __call__(self, event: OrderEvent) -> None:
        async with self._more:
            self.events.append((event.order_id, event.kind))
            self._more.notify_all()
        if self._then is not None:
            await self._then(event)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(15), self._more:
            await self._more.wait_for(lambda: len(self.events) >= count)


@asynccontextmanager
async def consuming(connect: Callable[[], Redis | RedisCluster], heard: Heard) -> AsyncIterator[None]:
    running = asyncio.create_task(ShopEvents(connect, heard, claim_after=SOON).run())
    try:
        yield
    finally:
        running.cancel()
        async with asyncio.timeout(10):
            with suppress(asyncio.CancelledError):
                await running


async def until_empty(redis: Redis, stream: str = STREAM) -> None:
    """Wait until every event is acknowledged and deleted."""

    async def empty() -> bool:
        return await redis.xlen(stream) == 0

    await until(empty)
    (group,) = await redis.xinfo_groups(stream)
    assert group["pending"] == 0


@pytest.fixture
def connect(valkey_url: str) -> Callable[[], Redis]:
    return lambda: Redis.from_url(valkey_url)


@pytest.fixture
async def redis(connect: Callable[[], Redis]) -> AsyncIterator[Redis]:
    async with connect() as redis:
        yield redis


@pytest.fixture
async def shop(redis: Redis, shop_file: ShopFile) -> Shop:
    """Shop `s` on the real server, which alone has consumer groups that block."""
    shop = Shop(ClientScripts(redis))
    await shop.import_shop(shop_file)
    return shop


async def test_events_from_before_and_after_are_told_and_then_gone(
    shop: Shop, redis: Redis, connect: Callable[[], Redis]
) -> None:
    heard = Heard()
    await shop.move("s", "unpaid", "pay")
    async with consuming(connect, heard):
        await heard.until(1)
        await shop.move("s", "unpaid", "ship")
        await heard.until(2)
        await until_empty(redis)
    assert heard.events == [("unpaid", "order_paid"), ("unpaid", "order_shipped")]


async def test_an_event_survives_the_death_of_its_consumer(
    shop: Shop, redis: Redis, connect: Callable[[], Redis]
) -> None:
    """Red when the event is acknowledged before the callback returned: the heir heard nothing."""
    forever = asyncio.Event()

    async def hang(event: OrderEvent) -> None:
        await forever.wait()

    dying, heir = Heard(hang), Heard()
    await shop.move("s", "paid", "ship")
    async with consuming(connect, dying):
        await dying.until(1)
    assert await redis.xlen(STREAM) == 1
    async with consuming(connect, heir):
        await heir.until(1)
        await until_empty(redis)
    assert dying.events == heir.events == [("paid", "order_shipped")]


async def test_a_failed_callback_is_tried_again(shop: Shop, redis: Redis, connect: Callable[[], Redis]) -> None:
    """Red when a failed event is acknowledged: it was told once."""

    async def fail_twice(event: OrderEvent) -> None:
        if len(heard.events) < 3:
            raise RuntimeError("not yet")

    heard = Heard(fail_twice)
    await shop.move("s", "paid", "ship")
    async with consuming(connect, heard):
        await heard.until(3)
        await until_empty(redis)


async def test_what_keeps_failing_holds_up_nobody_and_is_claimed_again(
    shop: Shop, redis: Redis, connect: Callable[[], Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0,))
    healed = asyncio.Event()

    async def fail_for_one(event: OrderEvent) -> None:
        if event.order_id == "paid" and not healed.is_set():
            raise RuntimeError("not yet")

    heard = Heard(fail_for_one)
    await shop.move("s", "paid", "ship")
    await redis.xadd(STREAM, {"event": '{"kind": "of tomorrow"}'})
    await shop.move("s", "unpaid", "pay")
    async with consuming(connect, heard):
        async with asyncio.timeout(10):
            while ("unpaid", "order_paid") not in heard.events or heard.events.count(("paid", "order_shipped")) < 4:
                await heard.until(len(heard.events) + 1)
        healed.set()

        async def one_left() -> bool:
            return await redis.xlen(STREAM) == 1

        await until(one_left)
    ((_, left),) = await redis.xrange(STREAM)
    assert left[b"event"] == b'{"kind": "of tomorrow"}'


async def test_one_orders_events_come_in_order_and_other_orders_do_not_wait(
    shop: Shop, redis: Redis, connect: Callable[[], Redis]
) -> None:
    """Red when all events of a batch are handled at once: order paid was told shipped while paid was being handled."""
    other = asyncio.Event()
    at_work: set[str] = set()

    async def wait_for_the_other(event: OrderEvent) -> None:
        assert event.order_id not in at_work
        at_work.add(event.order_id)
        if event.order_id == "single-0":
            other.set()
        await other.wait()
        at_work.remove(event.order_id)

    heard = Heard(wait_for_the_other)
    for what in ("pay", "ship", "complete", "refund"):
        await shop.move("s", "unpaid", what)
    await shop.move("s", "single-0", "ship")
    async with consuming(connect, heard):
        await heard.until(5)
        await until_empty(redis)
    kinds = [kind for order_id, kind in heard.events if order_id == "unpaid"]
    assert kinds == ["order_paid", "order_shipped", "order_completed", "after_sale_opened"]


async def test_processes_share_the_events(shop: Shop, redis: Redis, connect: Callable[[], Redis]) -> None:
    one, two = Heard(), Heard()
    async with consuming(connect, one), consuming(connect, two):
        for number in range(20):
            await shop.move("s", f"single-{number}", "ship")
        await until_empty(redis)
    assert sorted(one.events + two.events) == sorted((f"single-{number}", "order_shipped") for number in range(20))


async def test_a_shop_that_opens_later_is_heard(
    shop: Shop, shop_file: ShopFile, redis: Redis, connect: Callable[[], Redis]
) -> None:
    heard = Heard()
    async with consuming(connect, heard):
        await shop.move("s", "paid", "ship")
        await heard.until(1)
        later = shop_file.model_copy(update={"shop": shop_file.shop.model_copy(update={"id": "later"})})
        await shop.import_shop(later)
        await shop.move("later", "paid", "close")
        await shop.move("s", "unpaid", "pay")
        await heard.until(3)
        await until_empty(redis)
        await until_empty(redis, "shop:{later}:events")
    assert sorted(heard.events) == [("paid", "order_closed"), ("paid", "order_shipped"), ("unpaid", "order_paid")]


async def test_a_lost_group_is_made_again(shop: Shop, redis: Redis, connect: Callable[[], Redis]) -> None:
    heard = Heard()
    async with consuming(connect, heard):
        await shop.move("s", "paid", "ship")
        await heard.until(1)
        await until_empty(redis)
        await redis.delete(STREAM)
        await shop.move("s", "unpaid", "pay")
        await heard.until(2)


async def test_a_server_that_goes_away_and_comes_back(short_folder: Path, shop_file: ShopFile) -> None:
    async with Embedded(short_folder / "away") as server:
        heard = Heard()
        async with consuming(lambda: Redis.from_url(server.url), heard):
            async with Redis.from_url(server.url) as redis:
                shop = Shop(ClientScripts(redis))
                await shop.import_shop(shop_file)
                await shop.move("s", "paid", "ship")
                await heard.until(1)
            await server.kill()
            await server.start()
            async with Redis.from_url(server.url) as redis:
                await Shop(ClientScripts(redis)).move("s", "unpaid", "pay")
                async with asyncio.timeout(15):
                    while ("unpaid", "order_paid") not in heard.events:
                        await heard.until(len(heard.events) + 1)
                await until_empty(redis)


async def test_consumers_long_gone_are_forgotten(
    shop: Shop, redis: Redis, connect: Callable[[], Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORGET_MS", 0)
    await redis.xgroup_create(STREAM, "assent", "0", mkstream=True)
    await redis.xgroup_createconsumer(STREAM, "assent", "gone")

    async def forgotten() -> bool:
        return b"gone" not in [consumer["name"] for consumer in await redis.xinfo_consumers(STREAM, "assent")]

    async with consuming(connect, Heard()):
        await until(forgotten)


async def test_on_a_cluster(valkey_cluster_url: str, shop_file: ShopFile) -> None:
    """Shops in different slots, reads, changes and events."""

    def connect() -> RedisCluster:
        return RedisCluster.from_url(valkey_cluster_url.split(",")[0].replace("redis+cluster", "redis"))

    heard = Heard()
    async with connect() as redis, consuming(connect, heard):
        shop = Shop(ClientScripts(redis))  # type: ignore[arg-type]
        for shop_id in ("s", "t", "u", "v"):
            file = shop_file.model_copy(update={"shop": shop_file.shop.model_copy(update={"id": shop_id})})
            await shop.import_shop(file)
            assert len(await shop.orders(shop_id, "ann")) == len(shop_file.orders)
            assert await shop.product(shop_id, "shirt") == shop_file.products[0]
            await shop.move(shop_id, "paid", "ship")
        await heard.until(4)
        for shop_id in ("s", "t", "u", "v"):
            await until_empty(redis, f"shop:{{{shop_id}}}:events")  # type: ignore[arg-type]
    assert heard.events == [("paid", "order_shipped")] * 4
