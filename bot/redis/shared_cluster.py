"""redis-py's client of a Cluster, as several readers can share it.

Law: whoever is done with it closes nothing for the others, and whatever fails is a RedisError.
"""

from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisClusterException


class SharedCluster(RedisCluster):
    """One knowledge of the topology for all who use it. Only RedisError comes out: redis-py's own exception is none."""

    async def initialize(self, *args: Any, **options: Any) -> "SharedCluster":
        """Learn the topology if it is not known. Raises redis.exceptions.ConnectionError."""
        try:
            await super().initialize(*args, **options)
        except RedisClusterException as error:
            raise Disconnected(str(error)) from error
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """The answer, from whoever has the slot. Raises redis.exceptions.RedisError."""
        if primary := self.get_default_node():
            # Where the keys of some commands are redis-py asks a node: always the one that it asked first, dead or not.
            self.commands_parser.node = primary
        try:
            return await super().execute_command(*args, **options)
        except RedisClusterException as error:
            raise Disconnected(str(error)) from error

    async def aclose(self) -> None:
        """Learn anew before the next command. Nothing is closed, since others go on."""
        self._initialize = True

    async def close_all(self) -> None:
        """Close it for everybody."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)
