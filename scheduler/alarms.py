"""Hears of expired alarms and new earliest timers. Law: deaf, it makes no timer later than the next idle sweep."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError

from scheduler.running import Running
from scheduler.timers import WAKE, alarmed_bucket
from scheduler.watcher import Watcher

Nodes = Callable[[], Awaitable[Sequence[Redis]]]
"""Gives one client for each primary, replies as bytes: the same object for the same primary, as long as it is one."""

_RETRY = 0.2
"""Seconds between two attempts to listen to a node."""

_log = logging.getLogger(__name__)


class Alarms(Running):
    """Listens on every primary, for each over one connection of its own from the client's pool, and wakes the watcher.

    `refresh` is how often the primaries are asked for anew. A connection that was silent for `patience` is pinged, and
    replaced when it stays silent as long again. The watcher sweeps everything when a connection begins to listen.
    """

    name = "alarms"

    def __init__(
        self,
        watcher: Watcher,
        nodes: Nodes,
        *,
        db: int = 0,
        refresh: timedelta = timedelta(seconds=5),
        patience: timedelta = timedelta(seconds=2),
    ) -> None:
        self._watcher = watcher
        self._nodes = nodes
        self._expired = f"__keyevent@{db}__:expired"
        self._refresh = refresh.total_seconds()
        self._patience = patience.total_seconds()
        self._listeners: dict[Redis, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        away = False
        try:
            while not _cancelled():
                try:
                    async with asyncio.timeout(self._refresh):
                        primaries = await self._nodes()
                    await self._follow(primaries)
                    away = False
                except (RedisError, OSError, TimeoutError) as error:
                    if not away:
                        _log.warning(
                            "the primaries can't be asked for, keeping those known: %s: %s", type(error).__name__, error
                        )
                    away = True
                await asyncio.sleep(self._refresh)
        finally:
            await self._follow(())

    async def _follow(self, primaries: Sequence[Redis]) -> None:
        """Listen to these and no others."""
        left = [self._listeners.pop(node) for node in self._listeners.keys() - set(primaries)]
        for task in left:
            task.cancel()
        for node in primaries:
            if node not in self._listeners:
                self._listeners[node] = asyncio.create_task(self._listen(node), name="alarms-node")
        if left:
            await asyncio.wait(left, timeout=2 * self._patience)

    async def _listen(self, node: Redis) -> None:
        """Keep listening to one node, over one connection after the other."""
        away = False
        while not _cancelled():
            pubsub = node.pubsub()
            try:
                async with asyncio.timeout(self._patience):
                    await pubsub.subscribe(self._expired, WAKE)
                away = False
                await self._hear(node, pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                if not away:
                    _log.warning("lost an alarm connection, replacing it: %s: %s", type(error).__name__, error)
                away = True
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(_RETRY)

    async def _hear(self, node: Redis, pubsub: PubSub) -> None:
        """Take messages until the connection fails; raises redis.exceptions.ConnectionError when it went deaf."""
        clock = asyncio.get_running_loop().time
        heard = clock()
        while not _cancelled():
            # A timeout of its own for each read: the client's socket_timeout would end an idle connection.
            message = await pubsub.get_message(timeout=self._patience)
            if message is not None:
                heard = clock()
                await self._take(node, message)
            elif clock() - heard > 1.5 * self._patience:
                raise LostConnection(f"silent for {clock() - heard:.1f} s, a ping included")
            else:
                await pubsub.ping()

    async def _take(self, node: Redis, message: dict[str, Any]) -> None:
        channel, data = message["channel"], message["data"]
        if message["type"] == "message":
            if channel == WAKE.encode():
                self._watcher.wake(int(data))
            elif (bucket := alarmed_bucket(data)) is not None:
                self._watcher.alarm(bucket)
        elif message["type"] == "subscribe" and channel == WAKE.encode():
            # Confirmed, for the first time or because redis-py reconnected underneath: what was said meanwhile is lost.
            self._watcher.wake_all()
            await self._notify_of_expiry(node)

    async def _notify_of_expiry(self, node: Redis) -> None:
        """Have the server tell of expired keys: add `Ex` to its notify-keyspace-events, or log that it is wanted."""
        setting = "notify-keyspace-events"
        try:
            async with asyncio.timeout(self._patience):
                flags = (await node.config_get(setting)).get(setting) or ""
                missing = ("" if "E" in flags else "E") + ("" if {"x", "A"} & set(flags) else "x")
                if missing:
                    await node.config_set(setting, flags + missing)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("alarms won't ring before %s contains Ex, which can't be set: %s", setting, error)


def _cancelled() -> bool:
    """Whether this task was asked to end: redis-py may swallow the asking, but can't undo it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
