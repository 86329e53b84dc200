"""Scripts on a Redis Cluster: one multiplexed connection for each primary, and redirections followed.

Law: a redirected call was not executed, so it is sent again where it belongs; a lost connection is never guessed about.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
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

from bot.link import Link
from scheduler.script import Script

_REDIRECTIONS = 16
_PAUSE = 0.05
"""Seconds between two tries while slots move or a failover is under way."""
_PATIENCE = 5.0
"""Seconds for learning the topology, which one node is asked for; it may hang."""


@lru_cache(maxsize=65536)
def _slot(tag: str) -> int:
    return key_slot(tag.encode())


def slot_of(key: str) -> int:
    """The hash slot of a key; what stands between braces decides."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return _slot(key[start + 1 : end] if start >= 0 and end > start + 1 else key)


class ClusterLink:
    """`Scripts` over a cluster whose topology redis-py discovers."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._links: dict[str, Link] = {}
        self._learned = False
        self._refreshing: asyncio.Task[None] | None = None

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """The script's reply, from whichever primary holds the keys' slot (any, without keys)."""
        if not self._learned:
            await self._refresh()
        command: tuple[str | bytes | int, ...] = ("EVALSHA", script.sha, len(keys), *keys, *args)
        node, asking = None, False
        for _ in range(_REDIRECTIONS):
            try:
                node = node or self._node(keys)
                link = self._link(node)
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
                with contextlib.suppress(RedisError, OSError):
                    await self._refresh()
                raise
        raise ClusterDownError("the cluster kept redirecting")

    async def aclose(self) -> None:
        """Close every link."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        links, self._links = self._links, {}
        await asyncio.gather(*[link.aclose() for link in links.values()])

    def _node(self, keys: Sequence[str]) -> ClusterNode:
        if not keys:
            return self._cluster.get_random_primary_node()
        return self._cluster.nodes_manager.get_node_from_slot(slot_of(keys[0]))

    def _at(self, host: str, port: int) -> ClusterNode:
        return self._cluster.get_node(host=host, port=port) or ClusterNode(
            host, port, **self._cluster.nodes_manager.connection_kwargs
        )

    def _link(self, node: ClusterNode) -> Link:
        link = self._links.get(node.name)
        if link is None:
            link = self._links[node.name] = Link(lambda: node.connection_class(**node.connection_kwargs))
        return link

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

    async def _learn(self) -> None:
        """Ask for the topology; links to nodes that are no primaries any more are closed, once nobody waits on them."""
        manager = self._cluster.nodes_manager
        try:
            async with asyncio.timeout(_PATIENCE):
                await (manager.initialize() if self._learned else self._cluster.initialize())
        except (RedisClusterException, TimeoutError) as error:
            raise Disconnected(str(error) or f"no topology within {_PATIENCE} s") from error
        self._learned = True
        known = {node.name for node in self._cluster.get_primaries()}
        for name in [name for name, link in self._links.items() if name not in known and not link.in_flight]:
            await self._links.pop(name).aclose()
