"""A primary and its replica on real servers, at one address: to fail over to a replica that does not have everything.

The address is a link to the socket of whichever is the primary, as a name is in production.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from redis.asyncio import Redis

from bot.embedded.cluster import free_ports
from bot.embedded.server import Embedded


class Pair:
    """An async context manager: both run, and the replica follows. `folder` is short enough for unix sockets."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        first, second = free_ports(2)
        shared = {"bind": "127.0.0.1", "repl-diskless-sync-delay": "0", "shutdown-timeout": "0"}
        of_first = {"port": str(second), "replicaof": f"127.0.0.1 {first}"}
        self.primary = Embedded(folder / "a", fsync="no", extra={**shared, "port": str(first)})
        self.replica = Embedded(folder / "b", fsync="no", extra={**shared, **of_first})
        self._address = folder / "now.sock"

    @property
    def url(self) -> str:
        """Where the primary is, now and after a failover."""
        return f"unix://{quote(str(self._address))}"

    async def __aenter__(self) -> Self:
        await self.primary.start()
        await self.replica.start()
        self._point_at(self.primary)
        async with asyncio.timeout(20), client(self.primary) as primary:
            while (await primary.info("replication")).get("slave0", {}).get("state") != "online":
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in (self.replica, self.primary):
            await server.kill()

    def freeze_replica(self) -> None:
        """It gets no further until it is thawed."""
        os.kill(self.replica.pid, signal.SIGSTOP)

    def thaw_replica(self) -> None:
        """It catches up."""
        os.kill(self.replica.pid, signal.SIGCONT)

    async def part(self) -> None:
        """The replica has everything up to now, and from now on nothing."""
        async with client(self.primary) as primary, client(self.replica) as replica:
            await primary.set("parting", 1)
            assert await primary.wait(1, 5000) == 1
            await primary.delete("parting")
            assert await primary.wait(1, 5000) == 1
            await replica.replicaof("NO", "ONE")

    async def fail_over(self) -> None:
        """The primary dies, and the replica takes its place, with what it has."""
        await self.primary.kill()
        async with client(self.replica) as replica:
            await replica.replicaof("NO", "ONE")
        self._point_at(self.replica)

    def _point_at(self, server: Embedded) -> None:
        new = self._address.with_suffix(".new")
        new.symlink_to(unquote(urlsplit(server.url).path))
        new.replace(self._address)


@asynccontextmanager
async def client(server: Embedded) -> AsyncIterator[Redis]:
    """One connection to that server."""
    async with Redis.from_url(server.url, single_connection_client=True) as redis:
        yield redis
