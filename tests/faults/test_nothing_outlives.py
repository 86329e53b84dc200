"""No key outlives what it belongs to: when things are older than they are kept, only what is explained is left."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.client import CommandFailed
from bot.shopfile import DEMO, load
from bot.simulate.busy.hours import with_people
from bot.simulate.mix import read_mix
from bot.simulate.simulation import Plan, simulate
from bot.simulate.town import running_town
from tests.flows.town import SECRET, Gateway, Town

STAYS: Mapping[str, str] = {
    r"shops": "the shops there are",
    r"shop:\{.+\}:(info|skus|index|product:.+|buyer:.+)": "the embedded shop's goods and whose its orders are",
    r"shop:\{.+\}:order:.+": "an order of the embedded shop: its body, and no result of a change",
    r"shop:\{.+\}:events": "the stream of its order events, empty",
    r"people:\{.+\}:(agents|buyers)": "what people are called",
    r"desk:\{.+\}:(agents|seen|left|back|idle|gone)": "what an agent chose to be, and when they came and went",
    r"desk:\{.+\}:quick:.+": "quick replies, until somebody deletes them",
    r"desk:\{.+\}:proposals": "proposals that were refused before they came to be, for nine days",
}
"""All that may be left, and why."""
LIMIT = 15.0
TIMES = {
    "answer_window": timedelta(seconds=1),
    "remind_before": timedelta(seconds=0.5),
    "agent_grace": timedelta(seconds=1),
    "reply_warning": timedelta(seconds=0.5),
    "reply_overdue": timedelta(seconds=1),
}


async def left_over(redis: Redis) -> list[str]:
    """What is there and is not explained, alarms excepted: they expire."""
    keys: list[str] = [key for key in await redis.keys() if await redis.ttl(key) == -1]
    left = [key for key in keys if not any(re.fullmatch(pattern, key) for pattern in STAYS)]
    for key in set(keys) - set(left):
        if ":order:" in key:
            left += [f"{key} {field}" for field in await redis.hkeys(key) if field != "body"]
        elif key.endswith(":events"):
            left += [f"{key} {await redis.xlen(key)} entries"] * bool(await redis.xlen(key))
        elif re.fullmatch(r"desk:.+:(agents|seen|left|back|idle|gone)", key):
            members = await (redis.zrange(key, 0, -1) if key.endswith(("idle", "gone")) else redis.hkeys(key))
            agents = await redis.hkeys(key.replace("desk:", "people:").rpartition(":")[0] + ":agents")
            left += [f"{key} {member}" for member in set(members) - set(agents)]
    return sorted(left)


async def nothing_of(found: Callable[[], Awaitable[list[str]]]) -> None:
    """Wait until there is nothing of that. By the clock: the client may swallow a cancellation."""
    clock = asyncio.get_running_loop().time
    until = clock() + LIMIT
    while (left := await found()) and clock() < until:
        await asyncio.sleep(0.05)
    assert left == []


async def years_pass(town: Town, redis: Redis) -> Gateway:
    """All gateways are gone, and when one comes back, all is older than what it keeps."""
    for gateway in town.gateways:
        await gateway.stop()
    for key in [*await redis.keys("timers:{*}"), *await redis.keys("desk:*:inbox:*")]:
        for member in await redis.zrange(key, 0, -1):
            await redis.zadd(key, {member: 1})
    return await town.gateway(**TIMES, keep=timedelta(milliseconds=50))


async def play(town: Town) -> None:
    """One of everything, and a day of a busy shop besides."""
    scene = await town.scene(**TIMES)
    answers = {"reject": "paid", "agree": "two-lines"}
    for answer, order in answers.items():
        card = await scene.propose(order)
        await scene.buyer.answer(card, answer)
        await scene.sees(scene.agent, card, {"reject": "rejected", "agree": "agreed"}[answer])
        with pytest.raises(CommandFailed, match="already_settled"):
            await scene.buyer.answer(card, answer)
    ignored = await scene.propose("paid")
    await scene.agent.remind(ignored)
    await scene.agent.transfer(scene.conversation_id, "ahe")
    await scene.sees(scene.buyer, ignored, "timed_out")
    colleague = await town.agent("ahe")
    await colleague.add_quick_reply("您好")
    card = await scene.send("unpaid", by=colleague)
    await colleague.withdraw({**card, "conversation_id": scene.conversation_id})
    with pytest.raises(CommandFailed, match="price_lower_after_payment"):
        await scene.send("paid", by=colleague, line_1="grey-m")
    await colleague.close_conversation(scene.conversation_id)
    await scene.agent.be("suspended")
    await colleague.be("suspended")
    waiting = await town.buyer("chen-mo")
    await waiting.say("nanshan.chen-mo", "有人吗")
    # A first message whose gateway died before it was said, and whose buyer never came back.
    await colleague.be("online")
    assert await town.gateways[0].house.desk.find_agent("nanshan", "nanshan.never", 0)
    await _busy(town)
    for client in (scene.agent, scene.buyer, colleague, waiting):
        await client.aclose()


async def _busy(town: Town) -> None:
    file = with_people(load(DEMO), 40, 4)
    await town.gateways[0].house.shop.import_shop(file)
    plan = Plan(
        file=file,
        rows=None,
        negotiations=60,
        mix=read_mix("agree=40,reject=15,ignore=10,refund=10,withdraw=10,transfer=15"),
        agents=4,
        in_flight=20,
        two_devices=25,
        cuts=20,
        patience=timedelta(seconds=10),
        seed=1,
    )
    async with running_town(tuple(gateway.url for gateway in town.gateways), SECRET, town.redis_url) as place:
        report = await simulate(plan, place, lambda: None)
    assert report.violations == []


async def test_nothing_outlives_what_it_belongs_to(town: Town) -> None:
    """Nothing is gone as long as it is kept; then all of it, and soon.

    Seen to fail without each of these: `last`, `past` and `inbox` in forget.lua; the results of changes forgotten; a
    proposal's late intents, and its place in the index, removed with it; the timer armed for a new conversation, and
    the reconciler's `watch` besides; the reconciler's look at the desk.
    """
    await play(town)
    redis = await town.redis()
    await nothing_of(lambda: redis.keys("desk:*:leases"))  # some seconds after they left nobody counts as here
    conversations = await redis.keys("chat:{*}")
    keys = await redis.keys("chat:*:proposal:*")
    proposals = {key.rpartition(":")[2] for key in keys if not key.endswith(":late")}
    assert len(conversations) >= 10
    assert len(proposals) > 40

    await years_pass(town, redis)

    await nothing_of(lambda: left_over(redis))
    indexed = [member for key in await redis.keys("desk:*:proposals") for member in await redis.zrange(key, 0, -1)]
    assert proposals.isdisjoint(member.partition(" ")[2] for member in indexed)
