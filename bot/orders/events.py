"""Hands the embedded shops' order events to a callback, from any number of processes.

Law: an event is acknowledged only when the callback returned, so it is handed over at least once, whoever dies. Events
of one order that arrive together are handled in order; the callback decides on the order as it is now.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, cast

from pydantic import ValidationError
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError, ResponseError

from bot.orders.base import OrderEvent, OrderSystemAway
from bot.orders.importing import shop_key
from bot.orders.shop import Shop
from scheduler.script import ClientScripts, Script

log = logging.getLogger(__name__)

CLAIM = Script.beside(__file__, "claim")
ACKNOWLEDGE = Script.beside(__file__, "acknowledge")

GROUP = "assent"
BATCH = 100
"""Events read, or claimed, at a time."""
BLOCK_SECONDS = 1.0
"""Below the 5 s after which a client may give up a reply; a new shop is heard of within it."""
REPLY_SECONDS = 5.0
"""How long a reply may be overdue: a frozen server closes nothing."""
AWAY_SECONDS = 0.5
"""Pause after a reading that failed."""
CALLBACK_SECONDS = 10.0
"""How long the callback may take for one event."""
RETRY_SECONDS = (0.05, 0.25, 1.0)
"""Pauses between the tries of an event. After the last it waits to be claimed again, and holds up nothing."""
FORGET_MS = 3_600_000
"""When a consumer that owes nothing and says nothing is forgotten by the group."""

Entry = tuple[bytes, bytes | None]
"""An event's id in the stream, and its JSON (None when it was deleted meanwhile)."""


class ShopEvents:
    """The consumer of all shops' events in this process.

    `connect` makes the client (bytes, not str) that is used here alone and closed at the end; of its connections one is
    kept waiting, on a Cluster one for each shop. An event that its consumer did not acknowledge for `claim_after` is
    handed to another, so a callback must be done by then, or may meet itself.
    """

    def __init__(
        self,
        connect: Callable[[], "Redis | RedisCluster"],
        on_event: Callable[[OrderEvent], Awaitable[None]],
        *,
        claim_after: timedelta = timedelta(seconds=30),
    ) -> None:
        self._connect = connect
        self._on_event = on_event
        self._claim_after = claim_after
        self._consumer = uuid.uuid4().hex
        self._lanes: dict[str, list[str]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def run(self) -> None:
        """Consume until cancelled; what was not acknowledged by then is handed over again, here or elsewhere."""
        client = self._connect()
        self._client = cast(Redis, client)
        self._one_slot = isinstance(client, RedisCluster)
        self._scripts = ClientScripts(self._client)
        discovering = asyncio.create_task(self._discover(), name="shop-events-discover")
        try:
            # Waits for the task and not in the client, which can swallow a cancellation.
            await asyncio.wait([discovering])
            discovering.result()
        finally:
            self._stopping = True
            tasks = [discovering, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.aclose()

    async def _discover(self) -> None:
        shop = Shop(self._scripts)
        while not self._stopping:
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    shop_ids = await shop.shops()
            except (OrderSystemAway, TimeoutError) as error:
                log.warning("the shops can't be read: %r", error)
            else:
                for shop_id in shop_ids:
                    self._listen(shop_key(shop_id, "events"))
            await asyncio.sleep(BLOCK_SECONDS)

    def _listen(self, key: str) -> None:
        """One reader reads all streams; on a Cluster each stream, being in a slot of its own, has one."""
        lane = key if self._one_slot else ""
        if lane not in self._lanes:
            self._lanes[lane] = []
            self._tasks.append(asyncio.create_task(self._read(self._lanes[lane]), name=f"shop-events {lane}"))
        if key not in self._lanes[lane]:
            self._lanes[lane].append(key)

    async def _read(self, keys: list[str]) -> None:
        """Read those streams for ever; more may be added meanwhile."""
        while not self._stopping:
            try:
                await self._read_until_more(keys)
            except (RedisError, OSError) as error:
                log.warning("order events can't be read: %r", error)
                await asyncio.sleep(AWAY_SECONDS)
            except Exception:
                log.exception("order events can't be handled")
                await asyncio.sleep(AWAY_SECONDS)

    async def _read_until_more(self, keys: list[str]) -> None:
        these, clock = tuple(keys), asyncio.get_running_loop().time
        for key in these:
            await self._join(key)
        claim_at = clock()
        while not self._stopping and len(these) == len(keys):
            if clock() >= claim_at:
                for key in these:
                    await self._claim(key)
                claim_at = clock() + self._claim_after.total_seconds() / 2
            news = await self._news(these)
            await asyncio.gather(*[self._handle(key, entries) for key, entries in news])

    async def _join(self, key: str) -> None:
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._client.xgroup_create(key, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _news(self, keys: Sequence[str]) -> list[tuple[str, list[Entry]]]:
        streams: dict[Any, Any] = dict.fromkeys(keys, ">")
        share, block = max(1, BATCH // len(keys)), round(BLOCK_SECONDS * 1000)
        async with asyncio.timeout(BLOCK_SECONDS + REPLY_SECONDS):
            reply: Any = await self._client.xreadgroup(GROUP, self._consumer, streams, count=share, block=block)
        return [
            (key.decode(), [(entry_id, fields.get(b"event")) for entry_id, fields in entries])
            for key, entries in dict(reply).items()
        ]

    async def _claim(self, key: str) -> None:
        idle_ms, cursor = round(self._claim_after.total_seconds() * 1000), b"0-0"
        while True:
            cursor, entries = await self._ask(CLAIM, key, [GROUP, self._consumer, idle_ms, cursor, BATCH, FORGET_MS])
            await self._handle(key, [(entry_id, fields[1] if fields else None) for entry_id, fields in entries])
            if cursor == b"0-0":
                return

    async def _ask(self, script: Script, key: str, args: Sequence[str | bytes | int]) -> Any:
        async with asyncio.timeout(REPLY_SECONDS):
            return await self._scripts.run(script, [key], args)

    async def _handle(self, key: str, entries: Iterable[Entry]) -> None:
        """Orders concurrently, the events of one in order; what was handled is acknowledged even when cancelled."""
        done: list[bytes] = []
        by_order: dict[str, list[tuple[bytes, OrderEvent]]] = {}
        for entry_id, text in entries:
            if text is None:
                done.append(entry_id)
                continue
            try:
                event = OrderEvent.model_validate_json(text)
            except ValidationError as error:
                # Left for a process that understands it, as there is one during an upgrade.
                log.warning("order event %s of %s is not understood: %s", entry_id.decode(), key, error)
            else:
                by_order.setdefault(event.order_id, []).append((entry_id, event))
        try:
            await asyncio.gather(*[self._in_order(events, done) for events in by_order.values()])
        finally:
            await self._acknowledge(key, done)

    async def _acknowledge(self, key: str, done: Sequence[bytes]) -> None:
        try:
            if done:
                await self._ask(ACKNOWLEDGE, key, [GROUP, *done])
        except (RedisError, OSError) as error:
            log.warning("%d order events of %s will be handled twice: %r", len(done), key, error)

    async def _in_order(self, events: Iterable[tuple[bytes, OrderEvent]], done: list[bytes]) -> None:
        for entry_id, event in events:
            if not await self._handled(event):
                return
            done.append(entry_id)

    async def _handled(self, event: OrderEvent) -> bool:
        for pause in (*RETRY_SECONDS, None):
            try:
                async with asyncio.timeout(CALLBACK_SECONDS) as limit:
                    await self._on_event(event)
            except Exception as error:
                log.warning("%s of order %s was not handled: %r", event.kind, event.order_id, error)
                if pause is None or limit.expired():
                    return False
                await asyncio.sleep(pause)
            else:
                return True
        return False
