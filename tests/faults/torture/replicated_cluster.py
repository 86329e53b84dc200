"""Three primaries with a replica each as one Redis Cluster, on loopback.

A gateway waits for the replica (`ASSENT_REPLICAS=1`): while a shard has one server only, none of its writes is
acknowledged.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from bot.embedded.cluster import free_ports
from bot.embedded.server import Fsync
from bot.redis.cluster_link import slot_of
from tests.faults.torture.replicated import REPLICATION, ReplicatedServers
from tests.faults.torture.servers import RECOVERY_LIMIT_S, Node, addresses, until

SHARDS: Final = 3
SLOTS: Final = 16384
NODE_TIMEOUT_MS: Final = 1500


@dataclass(frozen=True, slots=True)
class Place:
    """What a server says of itself: its id, its slots when it is a primary, and who its primary is otherwise."""

    id: str
    slots: frozenset[int]
    follows: str | None


class ClusterStore(ReplicatedServers):
    """The data on a Cluster, in a folder of its own."""

    name = "cluster"
    breaks = ReplicatedServers.breaks | {"bus_cut"}

    def __init__(self, folder: Path, *, fsync: Fsync = "everysec") -> None:
        ports = free_ports(4 * SHARDS)
        self._buses = dict(zip(ports[: 2 * SHARDS], ports[2 * SHARDS :], strict=True))
        super().__init__(
            [Node(folder / f"d{n}", port, fsync, _config(bus)) for n, (port, bus) in enumerate(self._buses.items())]
        )
        self._turn = 0

    @property
    def url(self) -> str:
        """`redis+cluster://` and the three that began as primaries."""
        return f"redis+cluster://{addresses(node.port for node in self._nodes[:SHARDS])}"

    async def start(self) -> None:
        """Run and join the six; returns when writes work everywhere and reach the replicas."""
        await asyncio.gather(*[node.start() for node in self._nodes])
        first = self._nodes[0]
        for number, node in enumerate(self._nodes):
            if number < SHARDS:
                low, high = (SLOTS * share // SHARDS for share in (number, number + 1))
                await node.ask("CLUSTER", "ADDSLOTSRANGE", low, high - 1)
            # Epochs set by hand need no agreement round among the newborn.
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, self._buses[first.port])
        await until(self._acquainted, RECOVERY_LIMIT_S, "six servers know each other")
        for primary, replica in zip(self._nodes[:SHARDS], self._nodes[SHARDS:], strict=True):
            await replica.ask("CLUSTER", "REPLICATE", (await self._place(primary)).id)
        await self.healthy()

    async def owner(self, key: str) -> Node:
        """The primary that has a key."""
        await self.primary_nodes()
        return next(node for node, slots in (await self._agreed_primaries()).items() if slot_of(key) in slots)

    async def failover(self) -> None:
        """CLUSTER FAILOVER at one replica, each in its turn: its primary waits until it has everything."""
        await self.healthy()
        replicas = [node for node, place in (await self._places()).items() if not place.slots]
        self._turn += 1
        replica = replicas[self._turn % len(replicas)]
        await replica.ask("CLUSTER", "FAILOVER")

        async def moved() -> bool:
            return replica in await self._agreed_primaries()

        await until(moved, RECOVERY_LIMIT_S, f"{replica} is a primary")

    async def cut_bus(self) -> int:
        """Every link of the bus; the servers connect again within a tenth of a second."""
        return sum(await asyncio.gather(*[self.cut_links(node) for node in self._nodes if node.answers]))

    async def cut_links(self, node: Node) -> int:
        """The links by which this server reaches the others; how many there were."""
        cut = 0
        for other in self._nodes:
            if other is not node and other.answers:
                with contextlib.suppress(RedisError, OSError, TimeoutError):  # it is down already
                    await node.ask("DEBUG", "CLUSTERLINK", "KILL", "TO", (await self._place(other)).id)
                    cut += 1
        return cut

    async def _revive(self, node: Node) -> None:
        """It comes back to a cluster in which its replica took over, and follows that one."""
        await self.primary_nodes()
        await node.start()

    async def _place(self, node: Node) -> Place:
        text = await node.ask("CLUSTER", "NODES")
        lines = (text if isinstance(text, str) else text.decode()).splitlines()
        words = next(line.split() for line in lines if "myself" in line)
        ranges = [word.partition("-") for word in words[8:] if not word.startswith("[")]
        slots = frozenset(slot for low, _, high in ranges for slot in range(int(low), int(high or low) + 1))
        return Place(words[0], slots, None if words[3] == "-" else words[3])

    async def _places(self) -> dict[Node, Place]:
        """Of every server that answers."""
        nodes = [node for node in self._nodes if node.answers]
        return dict(zip(nodes, await asyncio.gather(*[self._place(node) for node in nodes]), strict=True))

    async def _acquainted(self) -> bool:
        infos = await asyncio.gather(*[self._info(node) for node in self._nodes])
        return all(info["cluster_known_nodes"] == str(len(self._nodes)) for info in infos)

    async def _info(self, node: Node) -> dict[str, str]:
        told = await node.ask("CLUSTER", "INFO")
        if isinstance(told, dict):
            return told
        text = told if isinstance(told, str) else told.decode()
        return dict(line.split(":", 1) for line in text.split())

    async def _agreed_primaries(self) -> dict[Node, frozenset[int]]:
        """Who has which slots; nothing unless each slot has one primary that answers and all who answer find it fit."""
        places = await self._places()
        infos = await asyncio.gather(*[self._info(node) for node in places])
        shares = {node: place.slots for node, place in places.items() if place.slots}
        fit = (
            sum(map(len, shares.values())) == len(frozenset().union(*shares.values())) == SLOTS
            and all(place.slots or place.follows for place in places.values())
            and all(info["cluster_state"] == "ok" for info in infos)
        )
        return shares if fit else {}

    async def _whole(self) -> bool:
        primaries = await self._agreed_primaries()
        for node, slots in primaries.items():
            if await node.replicas_online() < 1 or not await node.takes_writes(_key_in(slots), self.replicas):
                return False
        return bool(primaries)


def _config(bus: int) -> dict[str, str]:
    return {
        **REPLICATION,
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-announce-ip": "127.0.0.1",
        "cluster-node-timeout": str(NODE_TIMEOUT_MS),
        # A replica that is behind is better than none: what it lacks was never acknowledged.
        "cluster-replica-validity-factor": "0",
        "cluster-allow-replica-migration": "no",
        # For cutting links of the bus.
        "enable-debug-command": "local",
    }


def _key_in(slots: frozenset[int]) -> str:
    return next(key for n in range(10 * SLOTS) if slot_of(key := f"torture:probe:{n}") in slots)
