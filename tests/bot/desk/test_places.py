"""The desk's scripts: who gets what waits, what a reservation holds, and where a conversation is put."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from bot.conversation import Conversation
from bot.desk.keys import inbox_key, waiting_key
from bot.desk.places import Desk, Reserved
from bot.desk.presence import AgentState, News, Presence
from bot.participant import Participant, Role
from scheduler.script import ClientScripts

SHOP = "s"
NOW = datetime.now(UTC)
MINUTE_MS = 60_000


class House:
    """A desk, the presence of its agents, and what both keep."""

    def __init__(self, redis: Redis, limit: int = 100) -> None:
        self.redis = redis
        scripts = ClientScripts(redis)
        self.desk = Desk(scripts, limit)
        self.news: list[News] = []
        self.presence = Presence(
            scripts, lease=timedelta(hours=1), grace=timedelta(milliseconds=50), on_news=self.on_news
        )

    async def on_news(self, shop_id: str, news: News) -> None:
        self.news.append(news)

    async def come(self, *agents: str) -> None:
        """These agents are here, each idle for longer than the next."""
        for number, id in enumerate(agents):
            await self.redis.hset(f"people:{{{SHOP}}}:agents", id, id.title())
            await self.presence.arrive(participant(id))
            await self.redis.zadd(key("idle"), {id: number})

    async def go(self, agent: str) -> None:
        """Their lease ends."""
        for member in await self.redis.zrange(key("leases"), 0, -1):
            if member.decode().startswith(f"agent:{agent} "):
                await self.redis.zadd(key("leases"), {member: 0})
        await self.presence.look(SHOP)

    async def has(self, agent: str) -> set[str]:
        return set(await self.desk.inbox(SHOP, agent))

    async def assigned(self, name: str, version: int, agent: str, *, before: str | None = None) -> None:
        """A decision on the version before is committed and placed."""
        await self.desk.place(conversation(name).given_to(agent, agent), version, NOW, before)

    async def find(self, name: str, version: int = 0) -> str | None:
        found = await self.desk.find_agent(SHOP, f"{SHOP}.{name}", version)
        return found and found.agent_id

    async def handed_out(self, most: int = 50) -> dict[str, str]:
        return {one.conversation_id: one.agent_id for one in await self.desk.hand_out(SHOP, most)}

    async def a_minute_passes(self) -> None:
        for index in await self.redis.keys(f"desk:{{{SHOP}}}:*"):
            if index.decode() == waiting_key(SHOP) or b":inbox:" in index:
                for member in await self.redis.zrange(index, 0, -1):
                    await self.redis.zincrby(index, -MINUTE_MS - 1, member)


@pytest.fixture
def house(either_redis: Redis) -> House:
    return House(either_redis)


@pytest.fixture
def small(either_redis: Redis) -> House:
    """A house in which an agent may have one conversation."""
    return House(either_redis, 1)


def key(name: str) -> str:
    return f"desk:{{{SHOP}}}:{name}"


def participant(agent: str) -> Participant:
    return Participant(role=Role.AGENT, id=agent, shop_id=SHOP, name=agent, expires=NOW + timedelta(hours=1))


def conversation(name: str) -> Conversation:
    return Conversation(id=f"{SHOP}.{name}", shop_id=SHOP, buyer_id=name, buyer_name=name, opened=NOW)


# Who gets it


async def test_the_one_with_the_fewest_gets_it(house: House) -> None:
    """Seen to fail with `least` comparing idle times only."""
    await house.come("ann", "bob", "cai")
    for agent, names in (("ann", "12"), ("bob", "3"), ("cai", "45")):
        for name in names:
            assert await house.desk.take(SHOP, f"s.{name}", agent)
    assert await house.desk.find_agent(SHOP, "s.u", 0) == Reserved("s.u", "bob", "Bob")


async def test_of_those_the_longest_idle(house: House) -> None:
    """Whoever was given one is not idle any more. Seen to fail without the comparison of idle."""
    await house.come("cai", "ann", "bob")
    assert [await house.find(name) for name in "uvw"] == ["cai", "ann", "bob"]


async def test_one_call_spreads_what_waits(house: House) -> None:
    """The oldest first. Seen to fail without `free[agent].open + 1`: all went to bob."""
    for name in "uvwx":
        assert await house.find(name) is None
        await house.desk.place(conversation(name), 1, NOW)
    await house.redis.zadd(waiting_key(SHOP), {f"s.{name}": age for age, name in enumerate("xwvu")})
    await house.come("ann", "bob")
    await house.assigned("y", 1, "ann")
    assert await house.handed_out(3) == {"s.x": "bob", "s.w": "ann", "s.v": "bob"}
    assert await house.has("bob") == {"s.x", "s.v"}


async def test_nobody_gets_more_than_the_limit(small: House) -> None:
    """Found, handed out or taken. Seen to fail with `room` and `least` without the limit, and take.lua without."""
    await small.come("ann", "bob")
    assert {await small.find("u"), await small.find("v")} == {"ann", "bob"}
    assert await small.find("w") is None
    assert await small.desk.waiting(SHOP) == ["s.u", "s.v", "s.w"]
    assert set(await small.handed_out()) == {"s.u", "s.v"}
    assert not await small.desk.take(SHOP, "s.w", "ann")
    assert await small.has("ann") != {"s.w"}


async def test_what_is_theirs_needs_no_room(small: House) -> None:
    """Also at the limit an agent takes again what is reserved for them."""
    await small.come("ann")
    assert await small.find("u") == "ann"
    assert await small.desk.take(SHOP, "s.u", "ann")


@pytest.mark.parametrize("last_has_more", [False, True])
async def test_a_buyer_who_returns_gets_the_agent_of_last_time(house: House, last_has_more: bool) -> None:
    """Though others have fewer. Seen to fail without `last`."""
    await house.come("ann", "bob")
    await house.assigned("u", 1, "bob")
    await house.desk.place(conversation("u").given_up(open=False), 2, NOW, "bob")
    if last_has_more:
        await house.assigned("v", 1, "bob")
    assert await house.find("u", 2) == "bob"


async def test_who_is_full_suspended_or_away_is_not_the_one_of_last_time(small: House) -> None:
    """Seen to fail with `last` taken without asking for room."""
    await small.come("ann", "bob", "cai", "dan")
    for name, agent in (("u", "ann"), ("v", "bob"), ("w", "cai")):
        await small.assigned(name, 1, agent)
        await small.desk.place(conversation(name).given_up(open=False), 2, NOW, agent)
    await small.assigned("x", 1, "ann")
    await small.presence.choose(SHOP, "bob", AgentState.SUSPENDED)
    await small.go("cai")
    assert [await small.find(name, 2) for name in "uvw"] == ["dan", None, None]


async def test_suspended_and_absent_agents_get_nothing_new_and_keep_what_they_have(house: House) -> None:
    """Seen to fail without either condition on `free`."""
    await house.come("ann", "bob")
    await house.assigned("u", 1, "ann")
    await house.assigned("v", 1, "bob")
    await house.presence.choose(SHOP, "ann", AgentState.SUSPENDED)
    await house.go("bob")
    assert await house.find("w") is None
    assert (await house.has("ann"), await house.has("bob")) == ({"s.u"}, {"s.v"})
    await house.presence.choose(SHOP, "ann", AgentState.ONLINE)
    assert await house.handed_out() == {"s.w": "ann"}


async def test_many_at_once_get_agents_within_the_limit(either_redis: Redis) -> None:
    house = House(either_redis, 3)
    await house.come("ann", "bob")
    found = await asyncio.gather(*[house.find(f"{number}") for number in range(10)])
    assert sorted(filter(None, found)) == ["ann"] * 3 + ["bob"] * 3
    assert len(await house.desk.waiting(SHOP)) == 10


# What a reservation holds


async def test_a_reservation_is_given_again_to_whoever_asks(house: House) -> None:
    """Whoever made it may have died. Seen to fail with `held` never asked: bob had a place taken too."""
    await house.come("ann", "bob")
    assert await house.find("u") == "ann"
    assert await house.handed_out() == {"s.u": "ann"}
    assert await house.find("u") == "ann"
    assert (await house.has("ann"), await house.has("bob")) == ({"s.u"}, set())


async def test_a_reservation_for_somebody_who_left_is_made_for_another(house: House) -> None:
    await house.come("ann", "bob")
    assert await house.find("u") == "ann"
    await house.go("ann")
    assert await house.find("u") == "bob"


async def test_until_it_is_placed_a_conversation_waits_too(house: House) -> None:
    """So that the next who looks finds what a gateway left undone. Seen to fail without the addition to waiting."""
    await house.come("ann")
    await house.find("u")
    assert await house.desk.waiting(SHOP) == ["s.u"]
    await house.assigned("u", 1, "ann")
    assert await house.desk.waiting(SHOP) == []
    assert await house.redis.hgetall(key("held")) == {}


@pytest.mark.parametrize("to", ["the same", "another", "nobody"])
async def test_what_is_under_way_is_not_undone_by_what_was_before(house: House, to: str) -> None:
    """A conversation was closed, and its buyer has written again, before the desk hears that it was closed.

    Seen to fail without `under_way` in place.lua: it was in no index until the next place, and that may never come.
    """
    await house.come("ann", "bob")
    await house.assigned("u", 1, "ann")
    if to != "the same":
        await house.presence.choose(SHOP, "ann", AgentState.SUSPENDED)
    if to == "nobody":
        await house.presence.choose(SHOP, "bob", AgentState.SUSPENDED)
    found = await house.find("u", 2)
    assert found == {"the same": "ann", "another": "bob", "nobody": None}[to]

    await house.desk.place(conversation("u").given_up(open=False), 2, NOW, "ann")

    assert await house.desk.waiting(SHOP) == ["s.u"]
    assert {agent for agent in ("ann", "bob") if await house.has(agent)} == ({found} if found else set())
    changed = conversation("u").given_to(found, found) if found else conversation("u")
    await house.desk.place(changed, 3, NOW)
    assert await house.redis.hgetall(key("held")) == {}
    assert await house.desk.waiting(SHOP) == ([] if found else ["s.u"])
    assert {agent for agent in ("ann", "bob") if await house.has(agent)} == ({found} if found else set())


async def test_what_is_under_way_is_given_up_by_nobody_else(house: House) -> None:
    """A handing out that finds the conversation closed must not free the place that a message is taking just now.

    Seen to fail with a release.lua that does not look at versions: the limit did not count it.
    """
    await house.come("ann")
    await house.desk.place(conversation("u").given_up(open=False), 2, NOW)
    assert await house.find("u", 2) == "ann"
    await house.desk.release(SHOP, "s.u", "ann", 2)
    assert await house.has("ann") == {"s.u"}
    await house.desk.release(SHOP, "s.u", "ann", 3)
    assert await house.has("ann") == set()
    assert await house.redis.hgetall(key("held")) == {}


async def test_a_reservation_lasts_a_minute(house: House) -> None:
    """Then whoever made it is dead. Seen to fail with `under_way` for ever, in place.lua and in release.lua."""
    await house.come("ann", "bob")
    closed = conversation("u").given_up(open=False)
    await house.desk.place(closed, 2, NOW)
    assert await house.find("u", 2) == "ann"
    assert await house.desk.take(SHOP, "s.v", "bob", 2)
    await house.a_minute_passes()
    await house.desk.place(closed, 2, NOW)
    await house.desk.release(SHOP, "s.v", "bob", 2)
    assert (await house.has("ann"), await house.has("bob"), await house.desk.waiting(SHOP)) == (set(), set(), [])


async def test_a_lost_reservation_goes_when_the_winner_is_placed(house: House) -> None:
    """Seen to fail with a place.lua that forgets about other agents' reservations: cai had a place less."""
    await house.come("ann", "bob", "cai")
    await house.assigned("u", 1, "ann")
    assert await house.desk.take(SHOP, "s.u", "cai", 1)
    await house.assigned("u", 2, "bob", before="ann")
    assert [await house.has(agent) for agent in ("ann", "bob", "cai")] == [set(), {"s.u"}, set()]


async def test_giving_up_leaves_what_is_theirs(house: House) -> None:
    """Seen to fail without the comparison with `placed`."""
    await house.come("ann")
    await house.assigned("u", 3, "ann")
    await house.desk.release(SHOP, "s.u", "ann", 2)
    assert await house.has("ann") == {"s.u"}


async def test_who_takes_for_an_absent_agent_has_them_seen_to(house: House) -> None:
    """Seen to fail without `gone` in take.lua: nobody was ever told."""
    await house.come("bob")
    await house.redis.hset(f"people:{{{SHOP}}}:agents", "ann", "Ann")
    assert await house.desk.take(SHOP, "s.u", "ann")
    assert (await house.presence.absence(SHOP, "ann")) is not None
    await later(house, 51)
    await house.presence.look(SHOP)
    assert house.news == [News(0, ("ann",))]


async def later(house: House, ms: int) -> None:
    """So much time passes for those who are away."""
    for agent in await house.redis.zrange(key("gone"), 0, -1):
        await house.redis.zincrby(key("gone"), -ms, agent)


@pytest.mark.parametrize("has_some", [True, False])
async def test_who_was_seen_to_is_seen_to_again_as_long_as_something_is_theirs(house: House, has_some: bool) -> None:
    """A buyer may have written in the moment in between. Seen to fail with a gone.lua that always removes them."""
    await house.come("ann")
    if has_some:
        await house.assigned("u", 1, "ann")
    await house.go("ann")
    await later(house, 51)
    await house.presence.seen_to(SHOP, "ann")
    await house.presence.look(SHOP)
    assert house.news == []
    await later(house, 51)
    await house.presence.look(SHOP)
    assert [news.gone for news in house.news] == ([("ann",)] if has_some else [])


# Where it is put


async def test_of_two_the_later_document_holds(house: House) -> None:
    """They come in any order. Seen to fail without the comparison of versions."""
    await house.come("ann", "bob")
    await house.assigned("u", 1, "ann")
    await house.assigned("u", 3, "ann", before="bob")
    await house.assigned("u", 2, "bob", before="ann")
    assert (await house.has("ann"), await house.has("bob")) == ({"s.u"}, set())
    assert await house.redis.hget(key("last"), "s.u") == b"ann"


async def test_it_leaves_whoever_had_it_by_the_document_too(house: House) -> None:
    """A place that nobody made in between. Seen to fail without `former`."""
    await house.come("ann", "bob", "cai")
    await house.assigned("u", 1, "ann")
    assert await house.desk.take(SHOP, "s.u", "bob", 1)
    assert await house.desk.take(SHOP, "s.u", "cai", 2)
    await house.assigned("u", 3, "cai", before="bob")
    assert [await house.has(agent) for agent in ("ann", "bob", "cai")] == [set(), set(), {"s.u"}]


async def test_what_waits_waits_since_its_first_message(house: House) -> None:
    """What came back from somebody who left is older than what came since."""
    await house.desk.place(conversation("new"), 1, NOW)
    await house.desk.place(conversation("old"), 3, NOW - timedelta(minutes=9))
    assert await house.desk.waiting(SHOP) == ["s.old", "s.new"]


async def test_those_who_lost_it_are_told_of_it_for_a_while(house: House) -> None:
    """The last 200, until it is theirs again; what was closed went to nobody else."""
    for number in range(201):
        await house.assigned(f"{number}", 1, "ann")
        await house.assigned(f"{number}", 2, "bob", before="ann")
        await house.redis.zadd(key("past:ann"), {f"s.{number}": number})
    past = await house.desk.past(SHOP, "ann", NOW - timedelta(days=99999))
    assert set(past) == {f"s.{number}" for number in range(1, 201)}
    await house.assigned("200", 3, "ann", before="bob")
    await house.desk.place(conversation("200").given_up(open=False), 4, NOW, "ann")
    assert "s.200" not in await house.desk.past(SHOP, "ann", NOW - timedelta(days=99999))


async def test_only_what_is_no_longer_under_way_is_dropped(house: House) -> None:
    """Seen to fail with a members.lua without its minute: a place that a commit needed was gone."""
    assert await house.desk.take(SHOP, "s.u", "ann")
    await house.find("v")
    for agent in ("ann", None):
        await house.desk.drop(SHOP, agent, ["s.u", "s.v"])
    assert (await house.has("ann"), await house.desk.waiting(SHOP)) == ({"s.u"}, ["s.v"])
    await house.a_minute_passes()
    for agent in ("ann", None):
        await house.desk.drop(SHOP, agent, ["s.u", "s.v"])
    assert (await house.has("ann"), await house.desk.waiting(SHOP)) == (set(), [])
    assert await house.redis.exists(inbox_key(SHOP, "ann")) == 0
