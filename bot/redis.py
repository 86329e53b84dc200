"""The one factory of Redis connections, by `REDIS_URL`: standalone, Sentinel or Cluster behind the same four doors.

Law: timeouts, retries and pools are set here and nowhere else. No client of ours re-sends a command whose fate is
unknown, and none times out while it waits for news.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bot.cluster_link import ClusterLink
from bot.link import Link
from scheduler.script import Scripts

_FORMS = (
    "redis://[user:password@]host:port[/db], rediss://… (TLS), unix:///path/to/socket[?db=0], "
    "redis+sentinel://host:port[,host:port…]/service[/db], redis+cluster://host:port[,host:port…]"
)


def _options() -> dict[str, Any]:
    """What every connection shares; `socket_timeout=None`, since redis-py ≥ 8 otherwise cuts reads after 5 s."""
    return {
        "socket_timeout": None,
        "socket_connect_timeout": 5,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


class BadRedisUrl(ValueError):
    """A REDIS_URL that cannot be used; the message says why, and which forms can."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"REDIS_URL {_without_password(url)!r}: {why}. Usable forms: {_FORMS}")


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

    def client(self) -> Redis | RedisCluster:
        """A plain client for readers that block; the caller closes it."""
        ...

    async def subscriber(self) -> AbstractConnection:
        """A fresh connection, for pub/sub, to a node that hears everything published."""
        ...

    async def primaries(self) -> Sequence[Redis]:
        """A client for each primary as the topology is now; owned by the connector."""
        ...

    async def aclose(self) -> None:
        """Close everything made here."""
        ...


class PoolConnector:
    """One primary: standalone, or the one that Sentinels name."""

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None = None) -> None:
        self._pool = pool
        self._sentinel = sentinel
        self._primary = Redis(connection_pool=pool)
        self._link = Link(self._connection)

    @property
    def scripts(self) -> Link:
        """The multiplexed connection."""
        return self._link

    @property
    def db(self) -> int:
        """The database number."""
        return int(self._pool.connection_kwargs.get("db") or 0)

    def client(self) -> Redis:
        """A client that shares this connector's pool."""
        return Redis(connection_pool=self._pool)

    async def subscriber(self) -> AbstractConnection:
        """A connection of its own."""
        connection = self._connection()
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

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
        await self._pool.disconnect()
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            await sentinel.aclose()


class ClusterConnector:
    """A Redis Cluster."""

    def __init__(self, make: Callable[[], RedisCluster]) -> None:
        self._make = make
        self._cluster = cluster = make()
        self._link = ClusterLink(cluster)
        self._nodes: dict[str, Redis] = {}

    @property
    def scripts(self) -> ClusterLink:
        """One multiplexed connection for each primary."""
        return self._link

    @property
    def db(self) -> int:
        """A Cluster has database 0 only."""
        return 0

    def client(self) -> RedisCluster:
        """A cluster client of its own, for readers that block."""
        return self._make()

    async def subscriber(self) -> AbstractConnection:
        """A connection to any primary: the cluster bus carries what is published to all."""
        await self._cluster.initialize()
        node = self._cluster.get_random_primary_node()
        connection = node.connection_class(**node.connection_kwargs)
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def primaries(self) -> Sequence[Redis]:
        """A client for each primary."""
        await self._cluster.initialize()
        primaries = {node.name: node for node in self._cluster.get_primaries()}
        for name in self._nodes.keys() - primaries.keys():
            await self._nodes.pop(name).aclose()
        for name, node in primaries.items():
            if name not in self._nodes:
                self._nodes[name] = Redis(host=node.host, port=int(node.port), **_options())
        return list(self._nodes.values())

    async def aclose(self) -> None:
        """Close the links, the clients of nodes and the cluster's."""
        await self._link.aclose()
        await asyncio.gather(*[node.aclose() for node in self._nodes.values()])
        await self._cluster.aclose()


def connect(url: str) -> PoolConnector | ClusterConnector:
    """The connector for a URL; nothing is sent yet. Raises BadRedisUrl."""
    scheme = urlsplit(url).scheme
    try:
        match scheme:
            case "redis" | "rediss" | "unix":
                return PoolConnector(BlockingConnectionPool.from_url(url, timeout=20, max_connections=50, **_options()))
            case "redis+sentinel" | "rediss+sentinel":
                return _sentinel(url)
            case "redis+cluster" | "rediss+cluster":
                return _cluster(url)
    except (ValueError, TypeError) as error:
        raise BadRedisUrl(url, str(error)) from error
    raise BadRedisUrl(url, f"unknown scheme {scheme!r}" if scheme else "no scheme")


def _sentinel(url: str) -> PoolConnector:
    parts = urlsplit(url)
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("the path must name the Sentinels' service, e.g. …/mymaster")
    options: dict[str, Any] = {"db": int(db or 0), **_login(url)}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    query = dict(parse_qsl(parts.query))
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        _hosts(url, 26379),
        sentinel_kwargs={
            "socket_connect_timeout": 2,
            "socket_timeout": 2,
            "retry": Retry(NoBackoff(), 0),
            **({"password": query["sentinel_password"]} if "sentinel_password" in query else {}),
        },
        **_options(),
    )
    primary = sentinel.master_for(service, **options)
    return PoolConnector(primary.connection_pool, sentinel)


def _cluster(url: str) -> ClusterConnector:
    hosts = _hosts(url, 6379)
    secure = {"ssl": True} if urlsplit(url).scheme.startswith("rediss") else {}

    def make() -> RedisCluster:
        nodes = [ClusterNode(host, port) for host, port in hosts]
        return RedisCluster(startup_nodes=nodes, **{**_options(), **_login(url), **secure})

    return ClusterConnector(make)


def _login(url: str) -> dict[str, str]:
    credentials, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return {"username": unquote(user) or "default", "password": unquote(password)} if at else {}


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    hosts = []
    for part in filter(None, netloc.split(",")):
        host, _, port = part.rpartition(":") if ":" in part else (part, "", str(default_port))
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{part!r} is not host:port")
        hosts.append((host, int(port)))
    if not hosts:
        raise ValueError("no host")
    return hosts


def _without_password(url: str) -> str:
    credentials, at, rest = url.rpartition("@")
    return f"{credentials.rpartition(':')[0]}:…@{rest}" if at and ":" in credentials.partition("//")[2] else url
