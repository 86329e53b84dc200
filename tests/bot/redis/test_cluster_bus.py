"""Looking at the bus of a real cluster; what becomes of people when it loses something is in tests/faults."""

import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from bot.embedded.cluster import EmbeddedCluster
from bot.redis.connector import connect

PASSWORD = "a-password"


@pytest.fixture
async def nodes(valkey_cluster: EmbeddedCluster) -> AsyncIterator[list[Redis]]:
    """Clients of the three primaries."""
    clients = [Redis.from_url(node.url) for node in valkey_cluster.nodes]
    yield clients
    for client in clients:
        await client.aclose()


async def test_a_bus_that_is_whole_has_lost_nothing(valkey_cluster_url: str) -> None:
    connector = connect(valkey_cluster_url)
    listening = await connector.subscriber()
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
        assert caplog.text.count("CLUSTER LINKS is refused") == 1
        await listening.disconnect()
        await connector.aclose()
    finally:
        for node in nodes:
            await node.execute_command("ACL", "DELUSER", "blind")
