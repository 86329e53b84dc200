"""The cluster bus: whether what any primary publishes reaches the node on which this process listens.

Law: a link between two nodes is a connection, and nothing is lost on it while it is the same one. Where it is another
than at the last look, something may have been lost; where there is none, something is.
"""

import asyncio
import logging
from typing import Any

from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError

from bot.redis.cluster_link import ClusterLink
from bot.redis.opening import opened

log = logging.getLogger(__name__)


class Bus:
    """Listens on one primary, and looks at the links by which the others reach it."""

    def __init__(self, link: ClusterLink) -> None:
        self._link = link
        self._node: ClusterNode | None = None
        self._links: dict[bytes, int] | None = None
        self._deaf: set[str] = set()
        """Names of nodes that were left because a primary did not reach them, until one is found that all reach."""
        self._warned = False

    async def connect(self) -> AbstractConnection:
        """A fresh connection to some primary. Raises redis.exceptions.RedisError, TimeoutError."""
        await self._link.learn()
        node = self._link.any_primary(besides=self._deaf)
        self._links = await self._links_into(node)
        self._node = node
        return await opened(node.connection_class(**node.connection_kwargs))

    async def missed(self) -> bool:
        """Whether something published since the last look may not have arrived; what can't be asked now is asked with
        the next look. Raises redis.exceptions.ConnectionError where a primary does not reach the node: connect anew.
        """
        assert self._node is not None
        try:
            links = await self._links_into(self._node)
            primaries = await self._reaching()
        except (RedisError, OSError, TimeoutError):
            return False
        before, self._links = self._links, links
        if links is None or before is None:
            return False
        if not primaries <= links.keys():
            self._deaf.add(self._node.name)
            raise Disconnected(f"{self._node.name} is not reached by every primary")
        self._deaf.clear()
        return any(links[id] != before.get(id) for id in primaries)

    async def _links_into(self, node: ClusterNode) -> dict[bytes, int] | None:
        """When (ms) the link from each other node was made, by that one's id; None where we may not ask."""
        try:
            links: list[list[Any]] = await self._link.ask(node, "CLUSTER", "LINKS")
        except ResponseError as error:
            if not self._warned:
                log.warning("CLUSTER LINKS is refused, so what the bus loses is learned with the next entry: %s", error)
            self._warned = True
            return None
        found = [dict(zip(link[::2], link[1::2], strict=True)) for link in links]
        return {link[b"node"]: link[b"create-time"] for link in found if link[b"direction"] == b"from"}

    async def _reaching(self) -> set[bytes]:
        """The ids of the primaries that should reach the node: those that answer, and are not it."""
        assert self._node is not None
        others = [node for node in self._link.primaries() if node.name != self._node.name]
        answers = await asyncio.gather(
            *[self._link.ask(node, "CLUSTER", "MYID") for node in others], return_exceptions=True
        )
        return {answer for answer in answers if isinstance(answer, bytes)}
