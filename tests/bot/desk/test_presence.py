"""Presence: leases of several gateways for the same people, on a clock that the tests wind forward."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected

import bot.desk.presence
from bot.desk.presence import AgentState, News, Presence
from bot.participant import Participant, Role
from scheduler.script import ClientScripts, Script

SHOP = "nanshan"
LEASE, LINGER = 3_600_000, 1_800_000
"""In ms, and so long that no test is slow enough for one to end by itself."""
DESK = f"desk:{{{SHOP}}}:"


def somebody(role: Role, id: str) -> Participant:
    return Participant(role=role, id=id, shop_id=SHOP, name=id, expires=datetime(2100, 1, 1, tzinfo=UTC))


class Counted(ClientScripts):
    """Scripts that count their calls, and can be away."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.calls = 0
        self.away = False
        self.changed = asyncio.Event()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        try:
            if self.away:
                raise Disconnected("away")
            return await super().run(script, keys, args)
        finally:
            self.calls += 1
            self.changed.set()

    async def called(self, times: int) -> None:
        """Wait until so many calls are over."""
        async with asyncio.timeout(15):
            while self.calls < times:
                self.changed.clear()
                await self.changed.wait()


class Gateways:
    """Gateways with one server, and what was published."""

    def __init__(self, redis: Redis, ear: Any) -> None:
        self.redis = redis
        self._ear = ear
        self.news: list[News] = []
        self.all: list[Presence] = []
        self.scripts: list[Counted] = []
        for _ in range(3):
            self.add()

    def add(self, grace: timedelta = timedelta(hours=100)) -> Presence:
        scripts = Counted(self.redis)
        presence = Presence(scripts, lease=timedelta(milliseconds=LEASE), grace=grace, on_news=self._on_news)
        self.scripts.append(scripts)
        self.all.append(presence)
        return presence

    async def _on_news(self, shop_id: str, news: News) -> None:
        assert shop_id == SHOP
        self.news.append(news)

    async def leave(self, number: int, who: Participant) -> None:
        """A session ends; returns when the lease was shortened, if it is."""
        before = self.scripts[number].calls
        leaving = len(self.all[number]._leaving)
        self.all[number].leave(who)
        if len(self.all[number]._leaving) > leaving:
            await self.scripts[number].called(before + 1)

    async def renew(self, number: int) -> None:
        """What a gateway does three times a lease."""
        people = list(self.all[number]._here.get(SHOP, ()))
        await self.all[number]._vouch(SHOP, people)

    async def pass_time(self, ms: int) -> None:
        """Everything was so much longer ago."""
        for key in ("leases", "gone"):
            if ends := await self.redis.zrange(DESK + key, 0, -1, withscores=True):
                await self.redis.zadd(DESK + key, {member: score - ms for member, score in ends})
        for key in ("seen", "left", "back"):
            for id, at in (await self.redis.hgetall(DESK + key)).items():
                await self.redis.hset(DESK + key, id, int(at) - ms)

    async def told(self) -> list[tuple[str, str, str]]:
        """Channel, person and state of every sign since this was last asked."""
        await self.redis.publish("end", "")
        found = []
        while (message := await self._ear.get_message(timeout=None)) is None or message["channel"] != b"end":
            if message:
                sign = orjson.loads(message["data"].split(b" ", 3)[3])
                found.append((message["channel"].decode(), f"{sign['role']}:{sign['id']}", sign["state"]))
        return found


@pytest.fixture
async def gateways(either_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateways]:
    monkeypatch.setattr(bot.desk.presence, "_LINGER", LINGER / 1000)
    async with either_redis.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.psubscribe("live:*", "desk:*", "end")
        made = Gateways(either_redis, ear)
        yield made
        for presence in made.all:
            await presence.aclose()


AGENT, BUYER = somebody(Role.AGENT, "ahe"), somebody(Role.BUYER, "lin-wan")
PEOPLE = [AGENT, somebody(Role.AGENT, "xiaoyu"), BUYER]
NUMBER = st.integers(0, 2)
STORY = st.lists(
    st.one_of(
        st.tuples(st.just("arrives"), NUMBER, NUMBER),
        st.tuples(st.just("leaves"), NUMBER, NUMBER),
        st.tuples(st.just("is renewed"), NUMBER, st.just(0)),
        st.tuples(st.just("passes"), st.sampled_from([LINGER // 2, LINGER + 1, LEASE + 1]), st.just(0)),
    ),
    min_size=5,
    max_size=25,
)


OVER = [("passes", LEASE + 1, 0), ("is renewed", 1, 0)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=STORY)
@example([("arrives", 0, 0), *OVER, ("leaves", 0, 0), *OVER])
async def test_people_are_here_as_long_as_a_lease_says_so(
    gateways: Gateways, story: list[tuple[str, int, int]]
) -> None:
    """Whoever comes, leaves, comes back, or is no longer renewed, on any gateway: told once, when it becomes so."""
    await gateways.redis.flushall()
    for presence in gateways.all:
        await presence.aclose()
        presence._here.clear()
    leases: dict[tuple[str, int], int] = {}
    sessions: Counter[tuple[str, int]] = Counter()
    here: set[str] = set()
    now = 0
    for what, number, person in story:
        who = PEOPLE[person]
        name, at = f"{who.role}:{who.id}", (f"{who.role}:{who.id}", number)
        looked = True
        match what:
            case "arrives":
                await gateways.all[number].arrive(who)
                sessions[at] += 1
                looked = sessions[at] == 1
                if looked:
                    leases[at] = now + LEASE
            case "leaves" if sessions[at]:
                await gateways.leave(number, who)
                sessions[at] -= 1
                looked = sessions[at] == 0
                if looked and at in leases:
                    leases[at] = now + LINGER
            case "leaves":
                looked = False
            case "is renewed":
                await gateways.renew(number)
                leases |= {each: now + LEASE for each, count in sessions.items() if count and each[1] == number}
            case "passes":
                await gateways.pass_time(number)
                now, looked = now + number, False
        before = set(here)
        if looked:
            # Whoever looks also sees who is away by now; one who comes back in that moment was away before.
            here |= {each for each, _ in leases}
            leases = {each: end for each, end in leases.items() if end > now}
            here = {each for each, _ in leases}
        told = [(channel, person, state) for channel, person, state in await gateways.told() if person[0] == "a"]
        assert sorted(told) == sorted(
            (f"desk:{SHOP}", each, "online" if each in here else "offline") for each in before ^ here if each[0] == "a"
        ), name
        people = [(one.role, one.id) for one in PEOPLE]
        assert await gateways.all[0].present(SHOP, people) == [f"{role}:{id}" in here for role, id in people]


async def test_who_is_told_of_whom(gateways: Gateways) -> None:
    """An agent comes and goes for the desk and for the buyers they have; a buyer for their agent, or the desk."""
    await gateways.redis.zadd(f"{DESK}inbox:ahe", {"nanshan.lin-wan": 1, "nanshan.chen-mo": 1})
    await gateways.redis.hset(f"{DESK}placed", mapping={"nanshan.lin-wan": "3 ahe", "nanshan.chen-mo": "1 "})
    here = gateways.all[0]
    await here.arrive(AGENT)
    buyers = [f"live:{SHOP}:buyer:{id}" for id in ("chen-mo", "lin-wan")]
    assert sorted(await gateways.told()) == [(each, "agent:ahe", "online") for each in [f"desk:{SHOP}", *buyers]]
    await here.arrive(BUYER)
    assert await gateways.told() == [(f"live:{SHOP}:agent:ahe", "buyer:lin-wan", "online")]
    other = somebody(Role.BUYER, "chen-mo")
    await here.arrive(other)
    assert await gateways.told() == [], "nobody has that conversation, and it does not wait"
    await gateways.redis.zadd(f"{DESK}waiting", {"nanshan.chen-mo": 1})
    await gateways.leave(0, other)
    await gateways.pass_time(LINGER + 1)
    await here.look(SHOP)
    assert await gateways.told() == [(f"desk:{SHOP}", "buyer:chen-mo", "offline")]
    await here.arrive(somebody(Role.SUPERVISOR, "boss"))
    assert await gateways.told() == []


async def test_an_agent_is_what_they_chose_for_as_long_as_they_are_here(gateways: Gateways) -> None:
    here = gateways.all[0]
    await gateways.redis.hset(f"people:{{{SHOP}}}:agents", "ahe", "阿禾")
    (before,) = await here.agents(SHOP)
    assert (before.state, before.left) == (AgentState.OFFLINE, None)
    await here.arrive(AGENT)
    for _ in range(2):
        await here.choose(SHOP, "ahe", AgentState.SUSPENDED)
    assert [state for _, _, state in await gateways.told()] == ["online", "suspended"]
    await gateways.leave(0, AGENT)
    await gateways.pass_time(LINGER + 1)
    await here.look(SHOP)
    assert (await here.agents(SHOP))[0].state is AgentState.OFFLINE
    await gateways.all[1].arrive(AGENT)
    assert [state for _, _, state in await gateways.told()] == ["offline", "suspended"]
    assert await here.chosen(SHOP, "ahe") is AgentState.SUSPENDED


async def test_an_agent_has_left_when_a_gateway_last_heard_of_them(gateways: Gateways) -> None:
    """Also one whose gateway died: not when that was noticed."""
    dead, other = gateways.all[:2]
    assert await other.absence(SHOP, "ahe") is None
    await dead.arrive(AGENT)
    assert await other.absence(SHOP, "ahe") is None
    await gateways.pass_time(LEASE // 3)
    await gateways.renew(0)
    renewed = int(await gateways.redis.hget(f"{DESK}seen", "ahe"))
    await gateways.pass_time(LEASE + 5000)
    await other.look(SHOP)
    absence = await other.absence(SHOP, "ahe")
    assert absence is not None
    assert (round(absence.left.timestamp() * 1000), absence.back) == (renewed - LEASE - 5000, None)
    await other.arrive(AGENT)
    back = await other.absence(SHOP, "ahe")
    assert back is not None
    assert back.back is not None
    assert back.left == absence.left < back.back


async def test_agents_away_for_long_are_news_until_they_are_seen_to_or_back(gateways: Gateways) -> None:
    short = gateways.add(grace=timedelta(milliseconds=LEASE))
    await gateways.all[0].arrive(AGENT)
    await gateways.leave(0, AGENT)
    await gateways.pass_time(LINGER + 1)
    await short.look(SHOP)
    assert gateways.news == []
    await gateways.pass_time(LEASE)
    for _ in range(2):
        await short.look(SHOP)
    assert gateways.news == [News(0, ("ahe",))] * 2
    await short.seen_to(SHOP, "ahe")
    await short.look(SHOP)
    assert len(gateways.news) == 2
    await gateways.redis.zadd(f"{DESK}gone", {"ahe": 1})
    await gateways.all[1].arrive(AGENT)
    await short.look(SHOP)
    assert len(gateways.news) == 2


async def test_all_of_a_dead_gateways_people_are_away_at_once(gateways: Gateways) -> None:
    """However many: a call ends a thousand leases, and the look goes on while there are more.

    Seen to fail with a look that is one call: of 2,500 people 1,500 stayed until the next renewal.
    """
    dead, other = gateways.all[:2]
    people = [f"buyer:b{number}" for number in range(2500)]
    await dead._vouch(SHOP, people)
    await gateways.pass_time(LEASE + 1)
    await other.look(SHOP)
    assert await gateways.redis.zcard(f"{DESK}leases") == await gateways.redis.hlen(f"{DESK}present") == 0


async def test_who_cannot_be_vouched_for_has_not_arrived(gateways: Gateways) -> None:
    here, scripts = gateways.all[0], gateways.scripts[0]
    scripts.away = True
    with pytest.raises(Disconnected):
        await here.arrive(BUYER)
    scripts.away = False
    await gateways.renew(0)
    assert await here.present(SHOP, [(Role.BUYER, "lin-wan")]) == [False]
    await here.arrive(BUYER)
    assert await here.present(SHOP, [(Role.BUYER, "lin-wan")]) == [True]


async def test_renewing_goes_on_after_the_store_was_away(either_redis: Redis) -> None:
    """Who was lost with it is here again by the next renewal; who left meanwhile is not called back."""
    scripts = Counted(either_redis)

    async def no_news(shop_id: str, news: News) -> None:
        raise AssertionError

    lease = timedelta(milliseconds=30)
    presence = Presence(scripts, lease=lease, grace=timedelta(hours=1), on_news=no_news)
    for who in PEOPLE:
        await presence.arrive(who)
    scripts.away = True
    running = asyncio.create_task(presence.run())
    presence.leave(PEOPLE[1])
    await scripts.called(scripts.calls + 3)
    await either_redis.flushall()
    scripts.away = False
    await scripts.called(scripts.calls + 2)
    assert sorted(await either_redis.hkeys(f"{DESK}present")) == [b"agent:ahe", b"buyer:lin-wan"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await presence.aclose()
