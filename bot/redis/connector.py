"""The one factory of Redis connections, by `REDIS_URL`: standalone, Sentinel or Cluster behind the same four doors.

Law: timeouts, retries and pools are set here and nowhere else. No client of ours re-sends a command whose fate is
unknown, and none times out while it waits for news.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bot.redis.cluster_bus import Bus
from bot.redis.cluster_link import ClusterLink
from bot.redis.link import Link
from bot.redis.opening import opened
from bot.redis.replicated import ReplicatedScripts
from bot.redis.sentinels import FollowingPool
from bot.redis.shared_cluster import SharedCluster
from bot.redis.url import RedisUrl, read_redis_url
from scheduler.script import Scripts


def _options() -> dict[str, Any]:
    """What every connection shares; `socket_timeout=None`, since redis-py ≥ 8 otherwise cuts reads after 5 s."""
    return {
        "socket_timeout": None,
        "socket_connect_timeout": 5,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


class Connector(Protocol):
    """Ways to reach one data set."""

    @property
    def scripts(self) -> Scripts:
        """Scripts, over one multiplexed connection for each primary."""
        ...

    @property
    def db(self) -> int:
        """The database number."""
        ...

    def on_restored(self, call: Callable[[], None]) -> None:
        """Call this when a primary is connected to again, or replaced, and the subscriber may not notice."""
        ...

    def client(self) -> Redis | RedisCluster:
        """A plain client for readers that block; the caller closes it."""
        ...

    async def subscriber(self) -> AbstractConnection:
        """A fresh connection, for pub/sub, to a node that hears everything published."""
        ...

    async def missed(self) -> bool:
        """Whether what was published since the last look may not have reached that node. Raises RedisError where it
        does not: a fresh connection is needed.
        """
        ...

    async def primaries(self) -> Sequence[Redis]:
        """A client for each primary as the topology is now; owned by the connector."""
        ...

    async def aclose(self) -> None:
        """Close everything made here."""
        ...


class PoolConnector:
    """One primary: standalone, or the one that Sentinels name."""

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None = None, *, replicas: int = 0) -> None:
        self._pool = pool
        self._sentinel = sentinel
        self._primary = Redis(connection_pool=pool)
        self._link: Link | ReplicatedScripts
        self._link = ReplicatedScripts(self._connection, replicas) if replicas else Link(self._connection)

    @property
    def scripts(self) -> Link | ReplicatedScripts:
        """The multiplexed connection; where promises wait for replicas there are two."""
        return self._link

    def on_restored(self, call: Callable[[], None]) -> None:
        """Nothing is unseen: pub/sub is on the one primary, and lost with it."""

    @property
    def db(self) -> int:
        """The database number."""
        return int(self._pool.connection_kwargs.get("db") or 0)

    def client(self) -> Redis:
        """A client that shares this connector's pool."""
        return Redis(connection_pool=self._pool)

    async def subscriber(self) -> AbstractConnection:
        """A connection of its own."""
        return await opened(self._connection())

    async def missed(self) -> bool:
        """Nothing is, on a connection to whoever publishes."""
        return False

    def _connection(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def primaries(self) -> Sequence[Redis]:
        """The one primary."""
        return [self._primary]

    async def aclose(self) -> None:
        """Close the link, the pool and the Sentinels."""
        await self._link.aclose()
        await self._primary.aclose()
        await self._pool.aclose()
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            await sentinel.aclose()


class ClusterConnector:
    """A Redis Cluster."""

    def __init__(self, cluster: SharedCluster, options: Mapping[str, Any], *, replicas: int = 0) -> None:
        self._options = options
        self._cluster = cluster
        self._link = ClusterLink(cluster, replicas=replicas)
        self._bus = Bus(self._link)
        self._nodes: dict[str, Redis] = {}
        """Also of those that were primaries once: somebody may still listen there, and they may be again."""

    @property
    def scripts(self) -> ClusterLink:
        """One multiplexed connection for each primary; where promises wait for replicas there are two."""
        return self._link

    def on_restored(self, call: Callable[[], None]) -> None:
        """Pub/sub is on any one of the primaries: what happened to another is seen by the links."""
        self._link.on_restored = call

    @property
    def db(self) -> int:
        """A Cluster has database 0 only."""
        return 0

    def client(self) -> RedisCluster:
        """A client that shares what is known of the topology; a read that blocks has a connection of its own."""
        return self._cluster

    async def subscriber(self) -> AbstractConnection:
        """A connection to any primary: the cluster bus carries what is published to all."""
        return await self._bus.connect()

    async def missed(self) -> bool:
        """Whether the bus may have lost something."""
        return await self._bus.missed()

    async def primaries(self) -> Sequence[Redis]:
        """A client for each primary."""
        await self._link.learn()
        primaries = {node.name: node for node in self._cluster.get_primaries()}
        for name, node in primaries.items():
            if name not in self._nodes:
                self._nodes[name] = Redis(host=node.host, port=int(node.port), **self._options)
        return [self._nodes[name] for name in primaries]

    async def aclose(self) -> None:
        """Close the links, the clients of nodes and the cluster's."""
        await self._link.aclose()
        await asyncio.gather(*[node.aclose() for node in self._nodes.values()])
        await self._cluster.close_all()


def connect(url: str, replicas: int = 0) -> PoolConnector | ClusterConnector:
    """The connector for a URL; nothing is sent yet. Raises BadRedisUrl.

    Durable scripts (`Script.durable`) are answered once so many `replicas` have what they wrote.
    """
    read = read_redis_url(url)
    match read.kind:
        case "server":
            return _server(read, replicas)
        case "sentinel":
            return _sentinel(read, replicas)
        case "cluster":
            return _cluster(read, replicas)


def _server(url: RedisUrl, replicas: int) -> PoolConnector:
    options = {**_options(), **url.options}
    kind: type[AbstractConnection] = UnixDomainSocketConnection
    if url.hosts:
        ((options["host"], options["port"]),) = url.hosts
        kind = SSLConnection if url.secure else Connection
    pool = BlockingConnectionPool(connection_class=kind, timeout=20, max_connections=50, **options)
    return PoolConnector(pool, replicas=replicas)


def _sentinel(url: RedisUrl, replicas: int) -> PoolConnector:
    secure: dict[str, Any] = {"ssl": True} if url.secure else {}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        url.hosts,
        sentinel_kwargs={
            "socket_connect_timeout": 2,
            "socket_timeout": 2,
            "retry": Retry(NoBackoff(), 0),
            **secure,
            **url.sentinel_options,
        },
        **_options(),
    )
    primary = sentinel.master_for(url.service, connection_pool_class=FollowingPool, **secure, **url.options)
    return PoolConnector(primary.connection_pool, sentinel, replicas=replicas)


def _cluster(url: RedisUrl, replicas: int) -> ClusterConnector:
    options = {**_options(), **url.options, **({"ssl": True} if url.secure else {})}
    cluster = SharedCluster(startup_nodes=[ClusterNode(host, port) for host, port in url.hosts], **options)
    return ClusterConnector(cluster, options, replicas=replicas)
