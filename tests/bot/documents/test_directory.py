"""Names by shop, role and id."""

import pytest
from redis.asyncio import Redis

from bot.documents.directory import Directory
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("小雨", {"amy"}),
        ("雨", {"amy", "rain"}),
        ("RAIN", {"rain"}),
        ("ain 雨", {"rain"}),
        ("é", {"zoe"}),
        ("É", set()),
        ("%a+", {"odd"}),
        (".", {"odd"}),
        ("%", {"odd"}),
        ("[", {"odd"}),
        ("amy", set()),
        ("nobody", set()),
    ],
)
async def test_people_are_found_by_a_part_of_their_name(either_redis: Redis, text: str, found: set[str]) -> None:
    """Whatever the case of ASCII letters, and as it stands: nothing in it is a pattern."""
    directory = Directory(ClientScripts(either_redis))
    names = {"amy": "小雨", "rain": "Rain 雨", "zoe": "Zoé", "odd": "[%a+.*]"}
    await directory.remember_all("s", "buyer", names)
    await directory.remember("s", "agent", "agent", "小雨 Rain [%a+.*] é")
    await directory.remember("other", "buyer", "stranger", "小雨 Rain [%a+.*] é")
    assert set(await directory.find("s", "buyer", text, 10)) == found


async def test_a_search_through_very_many_ends_and_is_bounded(either_redis: Redis) -> None:
    """Hashes of any size are gone through step by step."""
    directory = Directory(ClientScripts(either_redis))
    names = {f"b{number}": f"{'Wang' if number % 10 == 0 else 'Li'} {number}" for number in range(5000)}
    await directory.remember_all("s", "buyer", names)
    found = await directory.find("s", "buyer", "wang", 10_000)
    assert set(found) == {f"b{number}" for number in range(0, 5000, 10)}
    assert len(await directory.find("s", "buyer", "wang", 7)) == 7
    assert await directory.find("s", "buyer", "Li 4999", 7) == ["b4999"]
    assert await directory.find("nobody", "buyer", "wang", 7) == []
