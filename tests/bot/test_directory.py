"""Names by shop, role and id."""

from redis.asyncio import Redis

from bot.directory import Directory
from scheduler.script import ClientScripts


async def test_people_are_remembered_by_shop_and_role(either_redis: Redis) -> None:
    directory = Directory(ClientScripts(either_redis))
    assert await directory.name("s", "agent", "amy") is None
    assert await directory.names("s", "agent") == {}
    await directory.remember("s", "agent", "amy", "Amy")
    await directory.remember("s", "agent", "amy", "小雨")
    await directory.remember_all("s", "buyer", {f"b{number}": f"Buyer {number}" for number in range(1200)})
    assert await directory.name("s", "agent", "amy") == "小雨"
    assert await directory.names("s", "agent") == {"amy": "小雨"}
    assert await directory.name("s", "buyer", "amy") is None
    assert await directory.name("other", "agent", "amy") is None
    assert len(await directory.names("s", "buyer")) == 1200
