"""Three private primaries as one Redis Cluster on loopback, for tests and the simulator; no replicas, no failover."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final, Self

from redis.asyncio import Redis

from bot.embedded.binary import EmbeddedError
from bot.embedded.server import Embedded, Fsync

PRIMARIES: Final = 3
SLOTS: Final = 16384
FORMING_LIMIT_S: Final = 30.0


class EmbeddedCluster:
    """Three servers in the folders `folder/0`, `1`, `2`, the slots split evenly; an async context manager.

    A cluster lives once: stop() ends it, and the next one wants an empty folder, for its ports are drawn anew.
    """

    def __init__(self, folder: Path, *, fsync: Fsync = "no", extra: Mapping[str, str] | None = None) -> None:
        ports = free_ports(2 * PRIMARIES)
        self.ports = ports[:PRIMARIES]
        self.nodes = tuple(
            Embedded(folder / str(number), fsync=fsync, extra=_config(port, bus) | dict(extra or {}))
            for number, (port, bus) in enumerate(zip(self.ports, ports[PRIMARIES:], strict=True))
        )
        self._bus_of_first = ports[PRIMARIES]
        self._running = AsyncExitStack()

    @property
    def url(self) -> str:
        """`redis+cluster://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3`."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    async def start(self) -> None:
        """Run and join the three; returns when each finds the cluster whole. Raises EmbeddedError as Embedded does."""
        async with AsyncExitStack() as running:
            for node in self.nodes:
                await running.enter_async_context(node)
            await self._join()
            self._running = running.pop_all()

    async def stop(self) -> None:
        """End all three servers."""
        await self._running.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _join(self) -> None:
        async with AsyncExitStack() as open_clients:
            clients = [await open_clients.enter_async_context(Redis.from_url(node.url)) for node in self.nodes]
            for number, client in enumerate(clients):
                first, after = (SLOTS * share // PRIMARIES for share in (number, number + 1))
                await client.cluster("ADDSLOTSRANGE", first, after - 1)
                # Epochs set by hand need no agreement round among the newborn.
                await client.cluster("SET-CONFIG-EPOCH", number + 1)
                await client.cluster("MEET", "127.0.0.1", self.ports[0], self._bus_of_first)
            try:
                async with asyncio.timeout(FORMING_LIMIT_S):
                    for client in clients:
                        await _until_whole(client)
            except TimeoutError as error:
                logs = ", ".join(str(node.log) for node in self.nodes)
                raise EmbeddedError(f"The cluster did not form in {FORMING_LIMIT_S:g} s; see {logs}.") from error


def _config(port: int, bus: int) -> dict[str, str]:
    return {
        "bind": "127.0.0.1",
        "port": str(port),
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-announce-ip": "127.0.0.1",
    }


async def _until_whole(client: Redis) -> None:
    """Wait until this node knows every primary and finds all slots served."""
    while True:
        info = await client.cluster("INFO")
        if info["cluster_state"] == "ok" and info["cluster_size"] == str(PRIMARIES):
            return
        await asyncio.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listened on a moment ago, all different."""
    with ExitStack() as bound:
        sockets = [bound.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
