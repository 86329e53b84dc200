"""What stores with replicas share: an answer waits for one of them, and the primaries are those that all agree on."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Final

from tests.faults.torture.servers import RECOVERY_LIMIT_S, SURE_OF_ALL, Node, Promise, Servers, until

REPLICATION: Final = {
    "repl-diskless-sync-delay": "0",
    "repl-ping-replica-period": "1",
    "shutdown-timeout": "0",
}
"""Replicas join at once; what takes seconds by default only spares large shops a second snapshot."""


class ReplicatedServers(Servers):
    """What SentinelStore and ClusterStore share."""

    promises = Promise.KEPT
    settings: Mapping[str, str] = {"ASSENT_REPLICAS": "1"}
    breaks = SURE_OF_ALL | {"failover", "memory_full"}
    replicas: ClassVar[int] = 1

    async def primary_nodes(self) -> Sequence[Node]:
        """Today's primaries, once all agree on them."""
        found: list[Node] = []

        async def agreed() -> bool:
            found[:] = await self._agreed_primaries()
            return bool(found)

        await until(agreed, RECOVERY_LIMIT_S, "all agree on who is a primary, and these answer")
        return found

    async def healthy(self, limit: float = RECOVERY_LIMIT_S) -> None:
        """Wait until all agree, and every primary takes writes that reach its replicas."""
        await until(self._whole, limit, "every primary has its replicas and takes writes")

    async def _agreed_primaries(self) -> Collection[Node]:
        """Nobody, unless all who say something say the same. Raises RedisError, OSError, TimeoutError."""
        raise NotImplementedError

    async def _whole(self) -> bool:
        raise NotImplementedError
