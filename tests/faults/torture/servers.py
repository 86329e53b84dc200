"""The servers of one store, and what can be broken on any of them.

Law: whatever was broken can be mended, and everything ends with the store. Servers are spoken to over their own unix
sockets and never for longer than a moment, for some of them may hang.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.embedded.server import Embedded, Fsync

MOMENT: Final = 2.0
"""Seconds that one server may take for one answer; a healthy one takes a millisecond."""
RECOVERY_LIMIT_S: Final = 30.0
"""Seconds until a mended store must be whole: an election, a full sync, on a busy machine."""
LOOK_S: Final = 0.05
"""Seconds between two looks at what is waited for."""
MUTED_EVERY_S: Final = 0.1
"""Seconds between two mutings; a gateway that connects turns the events on again."""
LAG_S: Final = 0.5
"""Seconds that a primary writes what no replica gets, before it is killed."""
JUST_BELOW: Final = 256 * 1024
"""Bytes by which memory is over its limit when it is full: more than connections that end give back."""

PROBE: Final = "redis.call('SET', KEYS[1], 1) return redis.call('DEL', KEYS[1])"
"""A write that leaves nothing behind."""

SURE_OF_ALL: Final = frozenset({"store_killed", "store_paused", "connections_cut", "pubsub_cut", "no_expired_events"})
"""Faults that every store knows; `memory_full`, `failover` and `bus_cut` are not every store's."""


class Promise(Enum):
    """What becomes of an acknowledged write when the faults of `breaks` happen, one at a time."""

    KEPT = auto()
    MAY_LOSE = auto()


class Node:
    """One data server on a port of its own, which it keeps over kill() and start()."""

    def __init__(self, folder: Path, port: int, fsync: Fsync, extra: Mapping[str, str]) -> None:
        self.port = port
        self.alive = False
        """Not killed."""
        self.paused = False
        self._folder = folder
        self._fsync = fsync
        self._extra = {"bind": "127.0.0.1", "port": str(port), **extra} if port else dict(extra)
        self.server = Embedded(folder, fsync=fsync, extra=self._extra)

    def __repr__(self) -> str:
        return f"the server on port {self.port}" if self.port else "the server"

    @property
    def answers(self) -> bool:
        """Neither killed nor paused."""
        return self.alive and not self.paused

    async def start(self, *, replica_of: int | None = None) -> None:
        """Run it, on the data that it has; as a replica of the server on that port."""
        more = {"replicaof": f"127.0.0.1 {replica_of}"} if replica_of else {}
        self.server = Embedded(self._folder, fsync=self._fsync, extra={**self._extra, **more})
        await self.server.start()
        self.alive = True

    async def kill(self) -> None:
        """SIGKILL; a paused one dies too."""
        self.alive = self.paused = False
        await self.server.kill()

    async def end(self) -> None:
        """Kill it for good, and leave no socket behind."""
        await self.kill()
        await self.server.stop()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT."""
        os.kill(self.server.pid, number)
        self.paused = number == signal.SIGSTOP

    def client(self) -> Redis:
        """A client of this server; nothing of it is ever sent twice."""
        return Redis.from_url(self.server.url, socket_timeout=None, retry=Retry(NoBackoff(), 0))

    async def ask(self, *command: str | int) -> Any:
        """The answer to one command, within a moment. Raises RedisError, OSError, TimeoutError."""
        async with asyncio.timeout(MOMENT), self.client() as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def replication(self) -> dict[str, Any]:
        """What it says of its replication."""
        async with asyncio.timeout(MOMENT), self.client() as client:
            told: dict[str, Any] = await client.info("replication")
            return told

    async def replicas_online(self) -> int:
        """How many replicas follow it and have caught up."""
        told = await self.replication()
        states = [value for key, value in told.items() if key.startswith("slave") and isinstance(value, dict)]
        return sum(state.get("state") == "online" for state in states)

    async def takes_writes(self, key: str, replicas: int) -> bool:
        """Whether a write works here and reaches that many replicas."""
        async with asyncio.timeout(MOMENT), self.client() as client:
            await client.eval(PROBE, 1, key)
            return int(await client.wait(replicas, 1000)) >= replicas if replicas else True


class Servers:
    """What Standalone, SentinelStore and ClusterStore share; an async context manager.

    One server at a time may be killed or paused; `breaks` names the faults that this store knows.
    """

    replicas: ClassVar[int] = 0
    """How many replicas a gateway waits for."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._killed: Node | None = None
        self._paused: Node | None = None
        self._muting: asyncio.Task[None] | None = None
        self._muted_enough = asyncio.Event()

    async def start(self) -> None:
        """Run everything; returns when writes work."""
        raise NotImplementedError

    async def primary_nodes(self) -> Sequence[Node]:
        """Today's primaries, as all who answer agree on; waits until they do. Raises TimeoutError."""
        raise NotImplementedError

    async def healthy(self, limit: float = RECOVERY_LIMIT_S) -> None:
        """Wait until writes work on every slot and reach their replicas. Raises TimeoutError after `limit` seconds."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        await self._stop_muting()
        await asyncio.gather(*[node.end() for node in self._nodes])

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def kill(self, chance: random.Random) -> str:
        """SIGKILL a primary; says which."""
        node = await self._victim(chance)
        self._killed = node
        await node.kill()
        return f"SIGKILL for {node}"

    async def kill_ahead(self, chance: random.Random) -> str:
        """SIGKILL a primary that its replicas have not kept up with: what nobody waited for is lost; says which."""
        node = await self._victim(chance)
        replicas = [
            other
            for other in self._nodes
            if other.answers and other is not node and (await other.replication()).get("master_port") == node.port
        ]
        for replica in replicas:
            replica.signal(signal.SIGSTOP)
        await node.ask("CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(LAG_S)
        self._killed = node
        await node.kill()
        for replica in replicas:
            replica.signal(signal.SIGCONT)
        return f"SIGKILL for {node}, ahead of its replicas"

    async def revive(self) -> None:
        """Start what was killed again; as a replica where another one took over. Returns when it takes part."""
        if self._killed is not None:
            await self._revive(self._killed)
            self._killed = None
        await self.healthy()

    async def _revive(self, node: Node) -> None:
        await node.start()

    async def pause(self, chance: random.Random) -> str:
        """SIGSTOP a primary: it takes connections and answers nothing; says which."""
        node = await self._victim(chance)
        self._paused = node
        node.signal(signal.SIGSTOP)
        return f"SIGSTOP for {node}"

    async def resume(self) -> None:
        """SIGCONT for what was paused. Returns at once: a demoted primary may not know it yet, see healthy()."""
        if self._paused is not None:
            self._paused.signal(signal.SIGCONT)
            self._paused = None

    async def failover(self) -> None:
        """A planned one, in which nothing is lost. Returns when the new primary is known to all."""
        raise NotImplementedError(f"{type(self).__name__} has nobody to fail over to")

    async def cut_connections(self, kind: Literal["pubsub", "normal"]) -> int:
        """CLIENT KILL TYPE on every server that answers; how many connections that cut."""
        return sum(int(cut) for cut in await self._each(("CLIENT", "KILL", "TYPE", kind)))

    async def cut_bus(self) -> int:
        """Cut the links between the servers over which they pass on what is published; how many. They come back."""
        raise NotImplementedError

    async def fill_memory(self) -> None:
        """From now on every primary refuses what needs memory (noeviction)."""
        for node in await self.primary_nodes():
            async with asyncio.timeout(MOMENT), node.client() as client:
                used = (await client.info("memory"))["used_memory"]
                await client.config_set("maxmemory", max(used - JUST_BELOW, 1))

    async def free_memory(self) -> None:
        """No limit any more, on any server."""
        await self._each(("CONFIG", "SET", "maxmemory", 0))

    async def mute_expiry(self) -> None:
        """From now on no server tells of expired keys, though gateways ask for it again and again."""
        await self._set_events("")
        if self._muting is None:
            self._muting = asyncio.create_task(self._keep_muted(), name="torture-mute")

    async def hear_expiry(self) -> None:
        """Every server tells of expired keys."""
        await self._stop_muting()
        await self._set_events("Ex")

    @contextlib.asynccontextmanager
    async def primaries(self) -> AsyncIterator[list[Redis]]:
        """Plain clients (bytes) of today's primaries."""
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(node.client()) for node in await self.primary_nodes()]

    async def _victim(self, chance: random.Random) -> Node:
        if self._killed or self._paused:
            raise RuntimeError(f"{self._killed or self._paused} is broken already: revive() or resume() it first")
        return chance.choice(await self.primary_nodes())

    async def _set_events(self, flags: str) -> None:
        await self._each(("CONFIG", "SET", "notify-keyspace-events", flags))

    async def _keep_muted(self) -> None:
        while not self._muted_enough.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MUTED_EVERY_S):
                    await self._muted_enough.wait()
                    return
            await self._set_events("")

    async def _stop_muting(self) -> None:
        """Not cancelled: a connection that is being made when its task is cancelled is left open by redis-py."""
        if self._muting is not None:
            self._muted_enough.set()
            await asyncio.gather(self._muting, return_exceptions=True)
            self._muting = None
            self._muted_enough.clear()

    async def _each(self, command: Sequence[str | int]) -> list[Any]:
        """Answers to a command of all servers that give one."""
        answers = await asyncio.gather(
            *[node.ask(*command) for node in self._nodes if node.answers], return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RedisError | OSError | TimeoutError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]


async def until(holds: Callable[[], Awaitable[object]], limit: float, what: str) -> None:
    """Wait until it holds; a server that is away or asked too early makes it false. Raises TimeoutError, saying why."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    why: object = "it does not hold"
    while True:
        try:
            if await holds():
                return
        except (RedisError, OSError, TimeoutError) as error:
            why = repr(error)
        if loop.time() > end:
            raise TimeoutError(f"{what}: not within {limit:g} s ({why})")
        await asyncio.sleep(LOOK_S)


def addresses(ports: Iterable[int]) -> str:
    """As a URL names them."""
    return ",".join(f"127.0.0.1:{port}" for port in ports)
