"""Scripts on a Redis Cluster: one multiplexed connection for each primary, and redirections followed.

Law: a redirected call was not executed, so it is sent again where it belongs; a lost connection is never guessed about.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as Disconnected

from bot.redis.link import Link
from bot.redis.replicated import ReplicatedLink
from scheduler.script import Script

_REDIRECTIONS = 16
_PAUSE = 0.05
"""Seconds between two tries while slots move or a failover is under way."""
_PATIENCE = 2.0
"""Seconds for learning the topology, which one node is asked for; it may hang."""
_LOOK = 1.0
"""Seconds between two looks at whether the primaries answer, and for their answers; one that hangs closes nothing."""


@lru_cache(maxsize=65536)
def _slot(tag: str) -> int:
    return key_slot(tag.encode())


def slot_of(key: str) -> int:
    """The hash slot of a key; what stands between braces decides."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return _slot(key[start + 1 : end] if start >= 0 and end > start + 1 else key)


class ClusterLink:
    """`Scripts` over a cluster whose topology redis-py discovers.

    Where `replicas` are asked for, durable scripts have a second connection to each primary, to wait for them on it.
    `on_restored` is called when a primary took another's place, or is connected to again.
    """

    def __init__(self, cluster: RedisCluster, *, replicas: int = 0) -> None:
        self._cluster = cluster
        self._replicas = replicas
        self.on_restored: Callable[[], None] = _nobody_listens
        self._links: dict[tuple[str, bool], Link] = {}
        self._primaries: set[str] = set()
        self._learned = False
        self._refreshing: asyncio.Task[None] | None = None
        self._given = [(node.host, int(node.port)) for node in cluster.nodes_manager.startup_nodes.values()]
        self._silent: set[str] = set()
        """Nodes that did not answer when last asked."""
        self._watching: asyncio.Task[None] | None = None

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """The script's reply, from whichever primary holds the keys' slot (any, without keys)."""
        await self.learn()
        command: tuple[str | bytes | int, ...] = ("EVALSHA", script.sha, len(keys), *keys, *args)
        node, asking = None, False
        for _ in range(_REDIRECTIONS):
            try:
                node = node or self._node(keys)
                link = self._link(node, bool(self._replicas) and script.durable)
                if asking:
                    return (await link.execute_all(("ASKING",), command))[1]
                return await link.execute(*command)
            except NoScriptError:
                command = ("EVAL", script.text, *command[2:])
            except MovedError as error:  # before AskError, from which redis-py derives it
                node, asking = self._at(error.host, error.port), False
                self._start_refresh()
            except AskError as error:
                node, asking = self._at(error.host, error.port), True
            except (TryAgainError, ClusterDownError, SlotNotCoveredError):
                node, asking = None, False
                await asyncio.sleep(_PAUSE)
                with contextlib.suppress(RedisError, OSError):
                    await self._refresh()
            except Disconnected:
                if node is not None:
                    self._silent.add(node.name)
                with contextlib.suppress(RedisError, OSError):
                    await self._refresh()
                raise
        raise ClusterDownError("the cluster kept redirecting")

    async def aclose(self) -> None:
        """Close every link."""
        for task in (self._watching, self._refreshing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        links, self._links = self._links, {}
        await asyncio.gather(*[link.aclose() for link in links.values()])

    async def learn(self) -> None:
        """Know the topology. Raises redis.exceptions.ConnectionError."""
        if not self._learned:
            await self._refresh()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="cluster-watch")

    def primaries(self) -> list[ClusterNode]:
        """Those that answered when last asked; if none did, all."""
        primaries: list[ClusterNode] = self._cluster.get_primaries()
        return [node for node in primaries if node.name not in self._silent] or primaries

    def any_primary(self, besides: Collection[str] = ()) -> ClusterNode:
        """One of them, and none of these names if there is another. Raises redis.exceptions.ConnectionError."""
        primaries = self.primaries()
        if not primaries:
            raise Disconnected("no primary is known")
        return random.choice([node for node in primaries if node.name not in besides] or primaries)

    async def ask(self, node: ClusterNode, *command: str | int) -> Any:
        """What this node answers to a command without keys. Raises redis.exceptions.RedisError, TimeoutError."""
        async with asyncio.timeout(_LOOK):
            return await self._link(node, False).execute(*command)

    def _node(self, keys: Sequence[str]) -> ClusterNode:
        if not keys:
            return self.any_primary()
        return self._cluster.nodes_manager.get_node_from_slot(slot_of(keys[0]))

    def _at(self, host: str, port: int) -> ClusterNode:
        return self._cluster.get_node(host=host, port=port) or ClusterNode(
            host, port, **self._cluster.nodes_manager.connection_kwargs
        )

    def _link(self, node: ClusterNode, promises: bool) -> Link:
        link = self._links.get((node.name, promises))
        if link is None:

            def connect() -> AbstractConnection:
                connection: AbstractConnection = node.connection_class(**node.connection_kwargs)
                return connection

            link = ReplicatedLink(connect, self._replicas) if promises else Link(connect, on_restored=self._restored)
            self._links[node.name, promises] = link
        return link

    def _restored(self) -> None:
        self.on_restored()

    async def _refresh(self) -> None:
        """Learn the topology anew, once for all who ask at the same time. Raises redis.exceptions.ConnectionError."""
        refreshing = self._start_refresh()
        await asyncio.wait([refreshing])
        if refreshing.cancelled():
            raise Disconnected("the link is closed")
        refreshing.result()

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._learn(), name="cluster-topology")
            self._refreshing.add_done_callback(self._forget)
        return self._refreshing

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled():
            task.exception()

    async def _watch(self) -> None:
        """Ask every primary whether it is there. The topology is learned anew as long as one of them is not."""
        while True:
            await asyncio.sleep(_LOOK)
            names = list({name for name, _ in self._links})
            answers = await asyncio.gather(*[self._answers(name) for name in names])
            self._silent = {name for name, answered in zip(names, answers, strict=True) if not answered}
            if self._silent:
                with contextlib.suppress(RedisError, OSError):
                    await self._refresh()

    async def _answers(self, name: str) -> bool:
        """Whether this node answers; asked where no reply has to wait for replicas, if there is such a connection."""
        link = self._links.get((name, False)) or self._links.get((name, True))
        try:
            async with asyncio.timeout(_LOOK):
                return link is None or bool(await link.execute("PING"))
        except (RedisError, OSError, TimeoutError):
            return False

    async def _learn(self) -> None:
        """Ask for the topology. Links to nodes that are no primaries any more are closed, once nobody waits on them; if
        they hang, at once.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._ask()
        except (RedisClusterException, TimeoutError) as error:
            raise Disconnected(str(error) or f"no topology within {_PATIENCE} s") from error
        known = {node.name for node in self._cluster.get_primaries()}
        if self._learned and known - self._primaries:
            self.on_restored()
        self._learned, self._primaries = True, known
        for key in [key for key in self._links if key[0] not in known]:
            if key[0] in self._silent or not self._links[key].in_flight:
                await self._links.pop(key).aclose()

    async def _ask(self) -> None:
        """Ask any node that was known, those that were silent last; when all of them are gone, those of the URL."""
        manager, silent = self._cluster.nodes_manager, next(iter(self._silent), None)
        if not self._learned:
            await self._cluster.initialize()
            return
        try:
            await manager.initialize(last_failed_node_name=silent)
        except (RedisClusterException, Disconnected):
            for host, port in self._given:
                node = ClusterNode(host, port, **manager.connection_kwargs)
                manager.startup_nodes.setdefault(node.name, node)
            await manager.initialize(last_failed_node_name=silent)


def _nobody_listens() -> None:
    """Until somebody does."""
