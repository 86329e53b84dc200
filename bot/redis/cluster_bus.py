"""The cluster bus: whether what any primary publishes reaches the node on which this process listens.

Law: a link between two nodes is a connection: what is lost on it is lost with it, and then it is made anew. Where it is
another than at the last look, something may have been lost; where there is none, something is.
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
        self._links: dict[bytes, int] = {}
        """When (ms) each link was made that was looked at last, by the id of the node that it comes from."""
        self._deaf: set[str] = set()
        """Names of nodes that were left because a primary did not reach them, until one is found that all reach."""
        self._refused = False

    async def connect(self) -> AbstractConnection:
        """A fresh connection to some primary. Raises redis.exceptions.RedisError, OSError, TimeoutError."""
        await self._link.learn()
        self._node = node = self._link.any_primary(besides=self._deaf)
        try:
            self._links = await self._links_into(node)
        except ResponseError as error:
            self._say_refused(error)
            self._links = {}
        return await opened(node.connection_class(**node.connection_kwargs))

    async def missed(self) -> bool:
        """Whether something published since the last look may not have arrived; what can't be asked now is asked with
        the next look. Raises redis.exceptions.ConnectionError where a primary does not reach the node: connect anew.
        """
        assert self._node is not None
        try:
            links = await self._links_into(self._node)
            primaries = await self._primaries_but(self._node)
        except ResponseError as error:
            self._say_refused(error)
            return False
        except (RedisError, OSError, TimeoutError):
            return False
        self._refused = False
        if not primaries <= links.keys():
            self._deaf.add(self._node.name)
            if all(one.name in self._deaf for one in self._link.primaries()):
                return True  # no other is reached by more: what is lost here is read again and again
            raise Disconnected(f"{self._node.name} is not reached by every primary")
        self._deaf.clear()
        # A link from a primary that does not answer now is compared when it does.
        before, now = self._links, {id: links[id] for id in primaries}
        self._links = {**before, **now}
        return any(before.get(id) != made for id, made in now.items())

    async def _links_into(self, node: ClusterNode) -> dict[bytes, int]:
        """When (ms) the link from each other node was made, by that one's id. Raises ResponseError when refused."""
        links: list[list[Any]] = await self._link.ask(node, "CLUSTER", "LINKS")
        found = [dict(zip(link[::2], link[1::2], strict=True)) for link in links]
        return {link[b"node"]: link[b"create-time"] for link in found if link[b"direction"] == b"from"}

    async def _primaries_but(self, node: ClusterNode) -> set[bytes]:
        """The ids of those that answer, and are not this one. Raises ResponseError when refused."""
        others = [one for one in self._link.primaries() if one.name != node.name]
        answers = await asyncio.gather(
            *[self._link.ask(other, "CLUSTER", "MYID") for other in others], return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return {answer for answer in answers if isinstance(answer, bytes)}

    def _say_refused(self, error: ResponseError) -> None:
        if not self._refused:
            log.warning("CLUSTER LINKS, MYID: %s: what the bus loses is learned with the next entry only", error)
        self._refused = True
