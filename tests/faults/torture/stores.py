"""Where the data of a torture run lives: alone, behind Sentinels, or on a Cluster; and how each of them breaks."""

import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol, Self, get_args

from redis.asyncio import Redis

from bot.embedded.server import Fsync
from tests.faults.torture.replicated_cluster import ClusterStore
from tests.faults.torture.sentinel import SentinelStore
from tests.faults.torture.servers import RECOVERY_LIMIT_S, SURE_OF_ALL, Node, Promise, Servers, until

__all__ = ["NAMES", "ClusterStore", "Promise", "SentinelStore", "Standalone", "Store", "StoreName", "make_store"]

StoreName = Literal["standalone-always", "standalone-everysec", "sentinel", "cluster"]
NAMES: tuple[StoreName, ...] = get_args(StoreName)


class Store(Protocol):
    """A store that can be broken and mended; an async context manager. One server at a time is killed or paused.

    `settings` is the gateway's environment that belongs with it; `breaks` names the faults that it knows.
    """

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def promises(self) -> Promise: ...
    @property
    def settings(self) -> Mapping[str, str]: ...
    @property
    def breaks(self) -> frozenset[str]: ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...

    async def kill(self, chance: random.Random) -> str:
        """SIGKILL a primary; says which."""
        ...

    async def kill_ahead(self, chance: random.Random) -> str:
        """SIGKILL a primary whose replicas have fallen behind; says which."""
        ...

    async def revive(self) -> None:
        """Start it again, as a replica where another one took over; returns when it takes part."""
        ...

    async def pause(self, chance: random.Random) -> str:
        """SIGSTOP a primary; says which."""
        ...

    async def resume(self) -> None:
        """SIGCONT."""
        ...

    async def failover(self) -> None:
        """A planned one, in which nothing is lost."""
        ...

    async def cut_connections(self, kind: Literal["pubsub", "normal"]) -> int:
        """CLIENT KILL TYPE on every server; how many."""
        ...

    async def cut_bus(self) -> int:
        """Cut the links between the servers of a Cluster; how many."""
        ...

    async def fill_memory(self) -> None:
        """Primaries refuse what needs memory."""
        ...

    async def free_memory(self) -> None:
        """They don't any more."""
        ...

    async def mute_expiry(self) -> None:
        """No `expired` events, whoever asks for them."""
        ...

    async def hear_expiry(self) -> None:
        """`expired` events again."""
        ...

    def primaries(self) -> AbstractAsyncContextManager[list[Redis]]:
        """Plain clients (bytes) of today's primaries."""
        ...

    async def healthy(self, limit: float = RECOVERY_LIMIT_S) -> None:
        """Wait until writes work on every slot and reach enough replicas. Raises TimeoutError."""
        ...


class Standalone(Servers):
    """One server, as `make run` has it, or with `appendfsync everysec`.

    `always` writes and syncs before it answers. `everysec` answers first where a sync takes long, so that a SIGKILL can
    take what it acknowledged last.
    """

    settings: Mapping[str, str] = {}
    breaks = SURE_OF_ALL | {"memory_full"}

    def __init__(self, folder: Path, *, fsync: Fsync = "always") -> None:
        self._only = Node(folder / "d0", 0, fsync, {})
        super().__init__([self._only])
        self.name = f"standalone-{fsync}"
        self.promises = Promise.KEPT if fsync == "always" else Promise.MAY_LOSE

    @property
    def url(self) -> str:
        """`unix://…`"""
        return self._only.server.url

    async def start(self) -> None:
        """Run the server."""
        await self._only.start()

    async def primary_nodes(self) -> list[Node]:
        """The server, whatever state it is in."""
        return [self._only]

    async def healthy(self, limit: float = RECOVERY_LIMIT_S) -> None:
        """Wait until it takes writes."""

        async def writes() -> bool:
            return await self._only.takes_writes("torture:probe", 0)

        await until(writes, limit, "the server takes writes")


def make_store(name: StoreName, folder: Path) -> Store:
    """The store of that name, not yet started, its data in `folder` (a short path: unix sockets are in it)."""
    match name:
        case "standalone-always":
            return Standalone(folder, fsync="always")
        case "standalone-everysec":
            return Standalone(folder, fsync="everysec")
        case "sentinel":
            return SentinelStore(folder)
        case "cluster":
            return ClusterStore(folder)
