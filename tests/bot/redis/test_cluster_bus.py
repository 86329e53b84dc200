"""Looking at the bus of a real cluster; what becomes of people when it loses something is in tests/faults."""

import logging
from collections.abc import AsyncIterator, Collection
from typing import Any, ClassVar, cast
from unittest.mock import AsyncMock

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ResponseError

from bot.embedded.cluster import EmbeddedCluster
from bot.redis.cluster_bus import Bus
from bot.redis.cluster_link import ClusterLink
from bot.redis.connector import Connector, connect
from tests.until import until

PASSWORD = "a-password"


@pytest.fixture
async def nodes(valkey_cluster: EmbeddedCluster) -> AsyncIterator[list[Redis]]:
    """Clients of the three primaries."""
    clients = [Redis.from_url(node.url) for node in valkey_cluster.nodes]
    yield clients
    for client in clients:
        await client.aclose()


async def nothing_missed(connector: Connector) -> bool:
    return not await connector.missed()


async def test_a_bus_that_is_whole_has_lost_nothing(valkey_cluster_url: str) -> None:
    connector = connect(valkey_cluster_url)
    listening = await connector.subscriber()
    # Nodes that have just met have not all called one another yet.
    await until(lambda: nothing_missed(connector), away=(Disconnected,))
    assert [await connector.missed() for _ in range(3)] == [False] * 3
    await listening.disconnect()
    await connector.aclose()


async def test_who_may_not_look_goes_on_and_says_so_once(
    valkey_cluster_url: str, nodes: list[Redis], caplog: pytest.LogCaptureFixture
) -> None:
    for node in nodes:
        await node.execute_command(
            "ACL", "SETUSER", "blind", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-cluster|links"
        )
    try:
        connector = connect(valkey_cluster_url.replace("redis+cluster://", f"redis+cluster://blind:{PASSWORD}@"))
        with caplog.at_level(logging.WARNING, "bot.redis.cluster_bus"):
            listening = await connector.subscriber()
            assert [await connector.missed() for _ in range(3)] == [False] * 3
        assert caplog.text.count("what the bus loses is learned") == 1
        await listening.disconnect()
        await connector.aclose()
    finally:
        for node in nodes:
            await node.execute_command("ACL", "DELUSER", "blind")


class Node:
    """One primary as redis-py names it; connections to it do nothing."""

    connection_kwargs: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def connection_class(self) -> Any:
        return AsyncMock()


class Nodes:
    """Primaries that answer as they are told to, in place of a ClusterLink: what a real cluster does once in a year."""

    def __init__(self, *names: str) -> None:
        self.nodes = [Node(name) for name in names]
        self.silent: set[str] = set()
        self.refused: set[str] = set()
        """Of `LINKS` and `MYID`."""
        self.links = dict.fromkeys(names, 1)
        """When the link from each node into any other was made; one that is missing is down."""
        self.listened: list[str] = []

    async def learn(self) -> None:
        """All is known."""

    def primaries(self) -> list[Node]:
        return self.nodes

    def any_primary(self, besides: Collection[str]) -> Node:
        node = next((one for one in self.nodes if one.name not in besides), self.nodes[0])
        self.listened.append(node.name)
        return node

    async def ask(self, node: Node, *command: str) -> Any:
        if node.name in self.silent:
            raise TimeoutError
        if command[1] in self.refused:
            raise ResponseError("BUSY Redis is busy running a script")
        if command[1] == "MYID":
            return node.name.encode()
        return [
            [b"direction", b"from", b"node", name.encode(), b"create-time", made]
            for name, made in self.links.items()
            if name != node.name
        ]


async def listening_on(nodes: Nodes) -> Bus:
    bus = Bus(cast(ClusterLink, nodes))
    await bus.connect()
    return bus


async def test_a_link_made_anew_is_noticed_once() -> None:
    nodes = Nodes("a", "b", "c")
    bus = await listening_on(nodes)
    nodes.links["b"] = 2
    assert [await bus.missed() for _ in range(2)] == [True, False]


async def test_a_link_from_a_primary_that_does_not_answer_is_compared_when_it_does() -> None:
    """Seen to fail with every link taken as seen: what was lost on it was never learned."""
    nodes = Nodes("a", "b", "c")
    bus = await listening_on(nodes)
    nodes.silent, nodes.links["b"] = {"b"}, 2
    assert [await bus.missed() for _ in range(2)] == [False, False]
    nodes.silent = set()
    assert [await bus.missed() for _ in range(2)] == [True, False]


async def test_a_node_that_a_primary_does_not_reach_is_left_for_another() -> None:
    nodes = Nodes("a", "b", "c")
    bus = await listening_on(nodes)
    del nodes.links["b"]
    with pytest.raises(Disconnected):
        await bus.missed()
    await bus.connect()
    assert nodes.listened == ["a", "b"]
    assert [await bus.missed() for _ in range(2)] == [False, False]


async def test_where_no_node_is_reached_by_all_one_stays_and_reads_again_and_again() -> None:
    """Seen to fail with a fresh connection for every look: twenty in a second, and nobody heard anything."""
    nodes = Nodes("a", "b", "c")
    bus = await listening_on(nodes)
    nodes.links = {}
    for _ in range(2):
        with pytest.raises(Disconnected):
            await bus.missed()
        await bus.connect()
    assert [await bus.missed() for _ in range(3)] == [True] * 3
    assert nodes.listened == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["LINKS", "MYID"])
async def test_what_is_refused_for_a_while_is_said_and_nothing_is_forgotten(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = Nodes("a", "b", "c")
    bus = await listening_on(nodes)
    nodes.refused, nodes.links["b"] = {what}, 2
    assert [await bus.missed() for _ in range(2)] == [False, False]
    assert caplog.text.count("BUSY Redis is busy") == 1
    nodes.refused = set()
    assert [await bus.missed() for _ in range(2)] == [True, False]
