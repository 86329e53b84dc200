"""The private cluster: three primaries that share the slots."""

from pathlib import Path

from redis.asyncio import Redis, RedisCluster

from bot.embedded.cluster import EmbeddedCluster


async def test_the_slots_are_split_over_three_primaries(tmp_path: Path) -> None:
    async with EmbeddedCluster(tmp_path) as cluster:
        assert cluster.url == "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in cluster.ports)
        async with RedisCluster(host="127.0.0.1", port=cluster.ports[0]) as client:
            for number in range(300):
                await client.set(f"key{number}", number)
        sizes = []
        for node in cluster.nodes:
            async with Redis.from_url(node.url) as one:
                sizes.append(await one.dbsize())
    assert sum(sizes) == 300
    assert min(sizes) > 50
