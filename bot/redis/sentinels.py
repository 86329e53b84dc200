"""Who the primary is, as the Sentinels say; connections to one that is none any more are cut.

Law: whatever became of the old primary (dead, hanging, a replica now), within two seconds of the Sentinels' naming
another one everybody is on their way to that.
"""

import asyncio
import contextlib
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import RedisError

_LOOK = 1.0
"""Seconds between two looks at who the primary is."""

Address = tuple[str, int]


class FollowingConnection(SentinelManagedConnection):
    """A connection to the primary that its pool cuts when another one is named."""

    async def connect_to(self, address: Address) -> None:
        """Connect, and be followed up from now on."""
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        self.connection_pool.follow(self)


class FollowingSSLConnection(FollowingConnection, SSLConnection):
    """The same, over TLS."""


class FollowingPool(SentinelConnectionPool):
    """Connections to the primary of a service.

    All Sentinels are asked at once, so that one that hangs costs nothing; once most of them have answered, the latest
    configuration (its epoch) counts: after a failover some of them name the old primary for a while.
    """

    def __init__(self, service_name: str, sentinel_manager: Any, **options: Any) -> None:
        kind = FollowingSSLConnection if options.pop("ssl", False) else FollowingConnection
        super().__init__(service_name, sentinel_manager, connection_class=kind, **options)  # type: ignore[no-untyped-call]
        self._made: WeakSet[SentinelManagedConnection] = WeakSet()
        self._asking: set[asyncio.Task[dict[str, Any] | None]] = set()
        self._following: asyncio.Task[None] | None = None

    async def get_master_address(self) -> Address:
        """Where the primary is. Raises MasterNotFoundError, a redis.exceptions.ConnectionError."""
        address = await self._named()
        if self.master_address != address:
            self.master_address = address
            await self.disconnect(inuse_connections=False)
        return address

    def follow(self, connection: SentinelManagedConnection) -> None:
        """Cut this connection as soon as it leads to no primary any more."""
        self._made.add(connection)
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="sentinel-follow")

    async def aclose(self) -> None:
        """Disconnect, and follow no more."""
        tasks = [*self._asking, *([self._following] if self._following else [])]
        self._following = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().aclose()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(RedisError, OSError):
                primary = await self._named()
                for connection in list(self._made):
                    if (connection.host, connection.port) != primary and connection._writer is not None:
                        connection._writer.transport.abort()

    async def _named(self) -> Address:
        """The primary that the Sentinels name, and hold for alive."""
        sentinels = self.sentinel_manager.sentinels
        asking = {asyncio.create_task(self._ask(each), name="sentinel-ask") for each in sentinels}
        for task in asking:
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        states: list[dict[str, Any]] = []
        while asking and len(states) <= len(sentinels) // 2:
            done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            states += [state for task in done if (state := task.result()) is not None]
        epoch = max((state["config-epoch"] for state in states), default=0)
        for state in states:
            alive = self.sentinel_manager.check_master_state(state, self.service_name)
            if alive and state["config-epoch"] == epoch:
                return state["ip"], state["port"]
        raise MasterNotFoundError(f"No master found for {self.service_name!r} : {len(states)} Sentinels answered")

    async def _ask(self, sentinel: Redis) -> dict[str, Any] | None:
        """What one Sentinel knows of the service; nothing when it does not answer."""
        with contextlib.suppress(RedisError, OSError):
            states: Any = await sentinel.sentinel_masters()
            state: dict[str, Any] | None = states.get(self.service_name)
            return state
        return None
