"""The one factory of connections, on real servers: plain, with a password, behind Sentinels, and as a Cluster."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from bot.embedded.binary import find_server
from bot.embedded.cluster import EmbeddedCluster, free_ports
from bot.embedded.server import Embedded
from bot.redis.connector import ClusterConnector, PoolConnector, connect
from bot.redis.sentinels import FollowingSSLConnection
from bot.redis.url import BadRedisUrl, RedisUrl, read_redis_url
from scheduler.script import Script
from tests.until import until

AWAY = (RedisError, OSError)
"""What a server in trouble raises."""

ADD = Script("return redis.call('INCR', KEYS[1])")

SERVER = "redis://127.0.0.1:6379"
READ = {
    "redis://h": RedisUrl("server", (("h", 6379),)),
    "redis://h:7": RedisUrl("server", (("h", 7),)),
    " redis://h:7/ ": RedisUrl("server", (("h", 7),)),
    "redis://h:7/3": RedisUrl("server", (("h", 7),), options={"db": 3}),
    "redis://h:7?db=3": RedisUrl("server", (("h", 7),), options={"db": 3}),
    "redis://:p%40%2F%23@h": RedisUrl("server", (("h", 6379),), options={"password": "p@/#"}),
    "redis://u:p@h": RedisUrl("server", (("h", 6379),), options={"username": "u", "password": "p"}),
    "redis://u:a:b@h": RedisUrl("server", (("h", 6379),), options={"username": "u", "password": "a:b"}),
    "redis://h?username=u&password=p%26": RedisUrl(
        "server", (("h", 6379),), options={"username": "u", "password": "p&"}
    ),
    "redis://[::1]:7": RedisUrl("server", (("::1", 7),)),
    "rediss://h:7": RedisUrl("server", (("h", 7),), secure=True),
    "rediss://h:7?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&ssl_cert_reqs=required": RedisUrl(
        "server",
        (("h", 7),),
        secure=True,
        options={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False, "ssl_cert_reqs": "required"},
        sentinel_options={"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False, "ssl_cert_reqs": "required"},
    ),
    "unix:///run/valkey.sock": RedisUrl("server", options={"path": "/run/valkey.sock"}),
    "unix:///run/a%20b@c.sock?db=2&password=p": RedisUrl(
        "server", options={"path": "/run/a b@c.sock", "db": 2, "password": "p"}
    ),
    "unix://u:p@/run/v.sock": RedisUrl("server", options={"path": "/run/v.sock", "username": "u", "password": "p"}),
    "redis+sentinel://a,b:7,[::1]:8/main": RedisUrl("sentinel", (("a", 26379), ("b", 7), ("::1", 8)), "main"),
    "redis+sentinel://u:p@a/main/2?sentinel_username=v&sentinel_password=q": RedisUrl(
        "sentinel",
        (("a", 26379),),
        "main",
        options={"username": "u", "password": "p", "db": 2},
        sentinel_options={"username": "v", "password": "q"},
    ),
    "rediss+sentinel://a/main": RedisUrl("sentinel", (("a", 26379),), "main", secure=True),
    "redis+cluster://a,b:7": RedisUrl("cluster", (("a", 6379), ("b", 7))),
    "redis+cluster://:p@a:7/0": RedisUrl("cluster", (("a", 7),), options={"password": "p"}),
    "rediss+cluster://a": RedisUrl("cluster", (("a", 6379),), secure=True),
}


@pytest.mark.parametrize("url", READ)
def test_a_url_says(url: str) -> None:
    read, wanted = read_redis_url(url), READ[url]
    assert (read, read.options, read.sentinel_options) == (wanted, wanted.options, wanted.sentinel_options)


SECRET = "hunter2"
BAD = {
    "": "empty",
    "localhost": "known schemes",
    "localhost:6379": "known schemes",
    f"{SECRET}@localhost": "known schemes",
    f"{SECRET}:x@localhost": "known schemes",
    f"http://:{SECRET}@h": "known schemes",
    f"redis+sentinels://:{SECRET}@h/main": "known schemes",
    "redis://": "host:port",
    "redis:///0": "host:port",
    f"redis://:{SECRET}@": "host:port",
    f"redis://:{SECRET}": "host:port",
    f"redis://:{SECRET}@h:port": "host:port",
    f"redis://:{SECRET}@h:65536": "host:port",
    f"redis://:{SECRET}@h:0": "host:port",
    f"redis://:{SECRET}@::1:7": "host:port",
    f"redis://:{SECRET}@[::1": "an IPv6 address in brackets",
    f"redis://:{SECRET}/{SECRET}@h": "percent-encoded",
    f"redis://:{SECRET}?{SECRET}@h": "percent-encoded",
    f"redis://:{SECRET}#{SECRET}@h": "percent-encoded",
    f"redis://:{SECRET}@a,b": "several hosts",
    f"redis://:{SECRET}@h/first": "db must be a number",
    f"redis://:{SECRET}@h/-1": "db must be a number",
    f"redis://:{SECRET}@h?db=x": "db must be a number",
    f"redis://:{SECRET}@h?socket_timeout=1": "may set only",
    f"redis://:{SECRET}@h?protocol=3": "may set only",
    f"redis://h?{SECRET}": "may set only",
    f"redis://:{SECRET}@h?ssl_ca_certs=x": "may set only",
    f"rediss://:{SECRET}@h?ssl_cert_reqs=x": "ssl_cert_reqs",
    "unix://": "path",
    f"unix://{SECRET}/x.sock": "path",
    f"unix:///x.sock?pass={SECRET}": "may set only",
    f"redis+sentinel://:{SECRET}@h": "service",
    f"redis+sentinel://:{SECRET}@h/main/x": "db must be a number",
    f"redis+sentinel://:{SECRET}@h,,i/main": "host:port",
    f"redis+sentinel:///main?sentinel_password={SECRET}": "host:port",
    f"redis+cluster://:{SECRET}@h/1": "database 0",
    f"redis+cluster://:{SECRET}@h:x": "host:port",
    f"redis+cluster://:{SECRET}": "host:port",
    f"redis+cluster://h?sentinel_password={SECRET}": "may set only",
}


@pytest.mark.parametrize("url", BAD)
def test_an_unusable_url_is_refused_with_the_reason_and_without_its_password(url: str) -> None:
    """Seen to fail with messages that quote the URL, or what the standard library says of it."""
    with pytest.raises(BadRedisUrl, match=BAD[url]) as raised:
        connect(url)
    said = f"{raised.value} {raised.value!r} {raised.value.__cause__} {raised.value.__suppress_context__}"
    assert SECRET not in said
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert "redis+sentinel://" in said, "the usable forms are named"


def test_a_url_read_does_not_show_its_password() -> None:
    read = read_redis_url(f"redis+sentinel://u:{SECRET}@a/main?sentinel_password={SECRET}")
    assert SECRET not in repr(read)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://h", Connection),
        ("rediss://h", SSLConnection),
        ("unix:///s", UnixDomainSocketConnection),
        ("rediss+sentinel://h/main", FollowingSSLConnection),
    ],
)
async def test_each_form_makes_its_kind_of_connection(url: str, kind: type) -> None:
    connector = connect(url)
    assert isinstance(connector, PoolConnector)
    made = connector.client().connection_pool.make_connection()
    assert type(made) is kind
    assert made.socket_timeout is None, "redis-py's default cuts blocking reads after 5 s"
    await connector.aclose()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[PoolConnector | ClusterConnector]:
    connector = connect(url)
    try:
        yield connector
    finally:
        await connector.aclose()


async def everything_works(connector: PoolConnector | ClusterConnector) -> None:
    """All the doors of a connector lead to the same data."""
    n = await connector.scripts.run(ADD, ["{shared}n"], [])
    client = connector.client()
    async with client:
        assert int(await client.get("{shared}n")) == n
    found = [await primary.get("{shared}n") for primary in await connector.primaries() if await primary.dbsize()]
    assert found == [b"%d" % n]
    listening = await connector.subscriber()
    try:
        await listening.send_command("SUBSCRIBE", "c")
        assert await listening.read_response() == [b"subscribe", b"c", 1]
    finally:
        await listening.disconnect()


async def test_a_unix_socket_and_a_database(valkey_url: str) -> None:
    async with connected(f"{valkey_url}?db=3") as connector:
        assert connector.db == 3
        await everything_works(connector)
    async with Redis.from_url(valkey_url) as other:
        assert await other.dbsize() == 0


async def test_a_server_with_a_password(short_folder: Path) -> None:
    (port,) = free_ports(1)
    extra = {"bind": "127.0.0.1", "port": str(port)}
    async with Embedded(short_folder / "secured", fsync="no", extra=extra) as server:
        async with Redis.from_url(server.url) as admin:
            await admin.config_set("requirepass", "p@ss/w?rd#")
            await admin.execute_command("AUTH", "p@ss/w?rd#")
            await admin.execute_command("ACL", "SETUSER", "chat", "on", ">other", "~*", "&*", "+@all")
        for login in (":p%40ss%2Fw%3Frd%23", "default:p%40ss%2Fw%3Frd%23", "chat:other"):
            async with connected(f"redis://{login}@127.0.0.1:{port}") as connector:
                await everything_works(connector)
        async with connected(f"redis://:wrong@127.0.0.1:{port}") as connector:
            with pytest.raises(AuthenticationError):
                await connector.scripts.run(ADD, ["n"], [])
        async with connected(f"redis://127.0.0.1:{port}") as connector:
            with pytest.raises(RedisError, match=r"(?i)auth"):
                await connector.scripts.run(ADD, ["n"], [])


async def test_a_cluster(valkey_cluster_url: str) -> None:
    async with connected(valkey_cluster_url) as connector:
        await everything_works(connector)


async def test_a_cluster_with_a_password(valkey_cluster: EmbeddedCluster, valkey_cluster_url: str) -> None:
    """Seen to fail with the clients of its primaries, which watch alarms, made without the login."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Redis.from_url(node.url)) for node in valkey_cluster.nodes]
        for node in nodes:
            await node.config_set("requirepass", "secret")
        try:
            async with connected(valkey_cluster_url.replace("://", "://:secret@")) as connector:
                await everything_works(connector)
            async with connected(valkey_cluster_url) as connector:
                with pytest.raises(RedisError):
                    await connector.scripts.run(ADD, ["n"], [])
        finally:
            for node in nodes:
                await node.execute_command("AUTH", "secret")
                await node.config_set("requirepass", "")


async def first_primary(connector: PoolConnector | ClusterConnector) -> None:
    primaries = await connector.primaries()
    await primaries[0].get("n")


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/main", "redis+cluster://127.0.0.1:{}"]
)
async def test_a_server_that_is_away_is_a_redis_error_at_every_door(url: str) -> None:
    """Seen to fail for a Cluster with redis-py's RedisClusterException, which is no RedisError, passed on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with connected(url.format(taken.getsockname()[1])) as connector, asyncio.timeout(10):
            with pytest.raises((RedisError, OSError)):
                await connector.scripts.run(ADD, ["n"], [])
            with pytest.raises((RedisError, OSError)):
                await connector.subscriber()
            with pytest.raises((RedisError, OSError)):
                await first_primary(connector)


@dataclass
class Watched:
    """A primary and its replica, both with a password, and a Sentinel with another."""

    url: str
    sentinel: Redis
    primary: Embedded
    replica: Embedded
    replica_port: int

    async def fail_over(self) -> None:
        """Let the Sentinel promote the replica. It looks about seldom, and so takes more than one asking."""

        async def promoted() -> bool:
            with contextlib.suppress(ResponseError):  # not yet, or under way
                await self.sentinel.execute_command("SENTINEL", "FAILOVER", "main")
            _, port = await self.sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
            return int(port) == self.replica_port

        async def demoted() -> bool:
            async with Redis.from_url(self.primary.url, password="data") as primary:
                return bool((await primary.info("replication"))["role"] == "slave")

        await until(promoted, 20, away=AWAY)
        await until(demoted, 20, away=AWAY)


@pytest.fixture
async def watched(short_folder: Path) -> AsyncIterator[Watched]:
    primary_port, replica_port, sentinel_port = free_ports(3)
    shared = {"bind": "127.0.0.1", "masterauth": "data", "repl-diskless-sync-delay": "0", "shutdown-timeout": "0"}
    of = {"replicaof": f"127.0.0.1 {primary_port}"}
    folder = short_folder / "sentinel"
    primary = Embedded(folder / "primary", fsync="no", extra={"port": str(primary_port), **shared})
    replica = Embedded(folder / "replica", fsync="no", extra={"port": str(replica_port), **shared, **of})
    async with AsyncExitStack() as stack:
        for server in (primary, replica):
            await stack.enter_async_context(server)
            async with Redis.from_url(server.url) as admin:
                await admin.config_set("requirepass", "data")
        await stack.enter_async_context(run_sentinel(folder, sentinel_port, primary_port))
        sentinel = await stack.enter_async_context(
            Redis(host="127.0.0.1", port=sentinel_port, password="watch", decode_responses=True)
        )

        async def sees_both() -> bool:
            hurry = ("INFO-PERIOD", 50, "PING-PERIOD", 50, "PUBLISH-PERIOD", 50, "ASK-PERIOD", 50)
            await sentinel.execute_command("SENTINEL", "DEBUG", *hurry)
            (seen,) = await sentinel.execute_command("SENTINEL", "REPLICAS", "main")
            return bool(seen["master-link-status"] == "ok" and seen["flags"] == "slave")

        await until(sees_both, 20, away=AWAY)
        url = f"redis+sentinel://:data@127.0.0.1:1,127.0.0.1:{sentinel_port}/main?sentinel_password=watch"
        yield Watched(url, sentinel, primary, replica, replica_port)


@asynccontextmanager
async def run_sentinel(folder: Path, port: int, primary_port: int) -> AsyncIterator[None]:
    config = folder / "sentinel.conf"
    config.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\nlogfile {folder}/log\nrequirepass watch\n"
        f"sentinel monitor main 127.0.0.1 {primary_port} 1\nsentinel auth-pass main data\n"
        "sentinel down-after-milliseconds main 5000\nsentinel failover-timeout main 5000\n"
    )
    process = await asyncio.create_subprocess_exec(str(find_server()), str(config), "--sentinel")
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def test_sentinels_name_the_primary_before_and_after_a_failover(watched: Watched) -> None:
    """One Sentinel of the two in the URL is away; what was written before the failover is there after it."""
    async with connected(watched.url) as connector, asyncio.timeout(40):
        await everything_works(connector)
        before = await connector.scripts.run(ADD, ["n"], [])
        (primary,) = await connector.primaries()
        assert await primary.execute_command("WAIT", 1, 5000) == 1
        await watched.fail_over()
        counted = []

        async def counts_again() -> bool:
            counted.append(await connector.scripts.run(ADD, ["n"], []))
            return True

        await until(counts_again, 20, away=AWAY)
        assert counted == [before + 1], "refused by the one, counted by the other"
        async with Redis.from_url(watched.replica.url, password="data") as promoted:
            assert int(await promoted.get("n")) == before + 1
        await everything_works(connector)
