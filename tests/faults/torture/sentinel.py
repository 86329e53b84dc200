"""One primary, two replicas and three Sentinels, on loopback.

A gateway waits for one replica (`ASSENT_REPLICAS=1`), so that writes go on when one of the three servers is dead.
"""

import asyncio
import contextlib
import secrets
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bot.embedded.binary import find_server
from bot.embedded.cluster import free_ports
from bot.embedded.server import Fsync, dying_with_us
from tests.faults.torture.replicated import REPLICATION, ReplicatedServers
from tests.faults.torture.servers import (
    MOMENT,
    RECOVERY_LIMIT_S,
    Node,
    addresses,
    until,
)

SERVICE: Final = "assent"
REPLICAS: Final = 2
SENTINELS: Final = 3
DOWN_AFTER_MS: Final = 2500
"""Sentinels ping once a second: with less they take a primary for dead that they have only just come to know."""
GIVEN_UP_S: Final = 10.0
"""Seconds after which a failover that was asked for will not come any more."""
FAILOVER_TIMEOUT_MS: Final = 4000
"""After an attempt that failed the next one begins twice as much later."""


class SentinelProcess:
    """One Sentinel; it is never broken itself."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.id = secrets.token_hex(20)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, primary: int, others: Sequence["SentinelProcess"]) -> None:
        """Watch the primary on that port; it knows its peers, instead of hearing of them within seconds."""
        self._folder.mkdir(parents=True)
        config = self._folder / "sentinel.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self._folder}",
            f"sentinel myid {self.id}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} {SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {FAILOVER_TIMEOUT_MS}",
            f"sentinel parallel-syncs {SERVICE} {REPLICAS}",
            *(f"sentinel known-sentinel {SERVICE} 127.0.0.1 {other.port} {other.id}" for other in others),
        ]
        config.write_text("\n".join(lines) + "\n")
        command = [str(find_server()), str(config), "--sentinel"]
        with (self._folder / "sentinel.log").open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_us(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    async def end(self) -> None:
        """SIGKILL, and wait for its exit."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def state(self) -> dict[str, Any]:
        """What it knows of the service: ip, port, flags, num-slaves, num-other-sentinels …"""
        flat = await self.ask("SENTINEL", "MASTER", SERVICE)
        return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))

    async def ask(self, *command: str) -> Any:
        """Its answer, within a moment. Raises RedisError, OSError, TimeoutError."""
        client = Redis(port=self.port, socket_timeout=None, retry=Retry(NoBackoff(), 0), decode_responses=True)
        async with asyncio.timeout(MOMENT), client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]


class SentinelStore(ReplicatedServers):
    """The data behind Sentinels, in a folder of its own.

    What it promises: an answer that one replica has survives the primary's death, since Sentinels promote the replica
    that has most. Its `failover` is a coordinated one (Valkey 9), in which the primary waits until the replica has all.
    Neither is true of an uncoordinated `SENTINEL FAILOVER` under load: for a second the old primary still answers, and
    has a replica that takes its writes.
    """

    name = "sentinel"

    def __init__(self, folder: Path, *, fsync: Fsync = "everysec") -> None:
        ports = free_ports(1 + REPLICAS + SENTINELS)
        data, watching = ports[: 1 + REPLICAS], ports[1 + REPLICAS :]
        super().__init__([Node(folder / f"d{n}", port, fsync, REPLICATION) for n, port in enumerate(data)])
        self._sentinels = [SentinelProcess(folder / f"s{n}", port) for n, port in enumerate(watching)]

    @property
    def url(self) -> str:
        """`redis+sentinel://127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3/assent`."""
        return f"redis+sentinel://{addresses(each.port for each in self._sentinels)}/{SERVICE}"

    @property
    def sentinel_pids(self) -> list[int]:
        """The Sentinels' processes, in the order in which the URL names them."""
        return [each.pid for each in self._sentinels]

    async def start(self) -> None:
        """Run everything; returns when writes reach both replicas and the Sentinels know all of it."""
        primary, *replicas = self._nodes
        await primary.start()
        await asyncio.gather(*[node.start(replica_of=primary.port) for node in replicas])
        for each in self._sentinels:
            each.start(primary.port, [other for other in self._sentinels if other is not each])
        await self.healthy()

    async def close(self) -> None:
        """End the Sentinels, who would report, and then the servers."""
        await asyncio.gather(*[each.end() for each in self._sentinels])
        await super().close()

    async def resume(self) -> None:
        """SIGCONT, once a failover that has begun is over; the Sentinels demote the old primary some ten seconds later.

        Until then it answers whoever is connected to it, but has no replica, so that its writes are not acknowledged.
        Were it back while a replica still follows it, that would be an uncoordinated failover as above.
        """

        async def decided() -> bool:
            states = await asyncio.gather(*[each.state() for each in self._sentinels])
            return not any("failover_in_progress" in state["flags"] for state in states)

        await until(decided, RECOVERY_LIMIT_S, "no failover is under way")
        await super().resume()

    async def failover(self) -> None:
        """Coordinated: the primary hands over to a replica that has everything."""
        (before,) = await self.primary_nodes()
        await self.healthy()

        async def asked() -> bool:
            with contextlib.suppress(TimeoutError):
                await self._sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE, "COORDINATED")
                return True
            return False

        async def moved() -> bool:
            primaries = await self._agreed_primaries()
            return bool(primaries) and before not in primaries

        async def moved_within() -> bool:
            with contextlib.suppress(TimeoutError):
                await until(asked, RECOVERY_LIMIT_S, "a Sentinel begins a failover")
                await until(moved, GIVEN_UP_S, "another primary")
                return True
            return False

        # On a busy machine the primary may not hand over in time: the Sentinels give such a failover up.
        await until(moved_within, RECOVERY_LIMIT_S, "a failover that is not given up")

    async def _revive(self, node: Node) -> None:
        """As a replica of whoever took over; had nobody, it would return as the primary that it was."""
        (primary,) = await self.primary_nodes()
        await node.start(replica_of=primary.port)

    async def _agreed_primaries(self) -> list[Node]:
        """Whom all Sentinels name, if it answers as a primary and nothing is under way. Raises as SentinelProcess."""
        states = await asyncio.gather(*[each.state() for each in self._sentinels])
        named = {(int(state["port"]), str(state["flags"])) for state in states}
        node = next((node for node in self._nodes if named == {(node.port, "master")}), None)
        if node is None or not node.answers or (await node.replication())["role"] != "master":
            return []
        return [node]

    async def _whole(self) -> bool:
        primaries = await self._agreed_primaries()
        if not primaries:
            return False
        (primary,) = primaries
        followers = sum(node.answers for node in self._nodes) - 1
        states = await asyncio.gather(*[each.state() for each in self._sentinels])
        known = all(
            int(state["num-other-sentinels"]) == SENTINELS - 1 and int(state["num-slaves"]) >= followers
            for state in states
        )
        return (
            known
            and await primary.replicas_online() >= followers
            and await primary.takes_writes("torture:probe", self.replicas)
        )
