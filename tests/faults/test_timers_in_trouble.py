"""Timers whose alarms are lost, or that are lost themselves: the deadline is told all the same, once and in time."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from bot.client import Frame
from bot.flows.timer_ids import keep_timer
from cards.model import from_ms
from tests.flows.ending import ended
from tests.flows.scene import Scene
from tests.flows.town import Town

SWEEP = 1.0
"""Every bucket is swept at least so often (s): `scheduler.watcher.IDLE`."""
SLACK = 0.5
"""What a busy machine may add."""


async def timed_out_once(scene: Scene, card: Frame) -> float:
    """How late (s) both were told, once."""
    await ended(scene, card, "timed_out")
    (entry,) = [entry for entry in scene.log(scene.agent) if "notice" in entry]
    return (entry["at_ms"] - card["deadline_ms"]) / 1000


@contextlib.asynccontextmanager
async def no_notifications(town: Town) -> AsyncIterator[None]:
    """The server tells nobody of expired keys."""
    redis = await town.redis()
    before = (await redis.config_get("notify-keyspace-events"))["notify-keyspace-events"]
    await redis.config_set("notify-keyspace-events", "")
    try:
        yield
    finally:
        await redis.config_set("notify-keyspace-events", before)


async def test_without_expired_events_a_deadline_is_told_within_the_sweep(town: Town) -> None:
    scene = await town.scene(answer_window=timedelta(milliseconds=300))
    async with no_notifications(town):
        assert 0 <= await timed_out_once(scene, await scene.propose()) < SWEEP + SLACK


async def test_deaf_to_alarms_and_wakes_alike_a_deadline_is_told_within_the_sweep(town: Town) -> None:
    """Nothing at all is heard of timers; nobody knows that one was armed until the next sweep.

    Seen to fail with `scheduler.watcher.IDLE` at a minute.
    """
    scene = await town.scene(answer_window=timedelta(milliseconds=300))
    for gateway in town.gateways:
        for hear in ("wake", "alarm"):
            setattr(gateway.house.watcher, hear, lambda *_: None)
    async with no_notifications(town):
        assert 0 <= await timed_out_once(scene, await scene.propose()) < SWEEP + SLACK


async def test_a_timer_that_fires_everywhere_at_once_is_told_once(town: Town) -> None:
    """Firing is at least once, deciding exactly once: three handlers of one deadline, and the watchers' own.

    Seen to fail with the version check and the check of holds removed from commit.lua: told up to four times.
    """
    scene = await town.scene(answer_window=timedelta(milliseconds=300))
    card = await scene.propose()
    await scene.deadline_passed(card)
    for gateway in (*town.gateways, town.gateways[0]):
        gateway.house.parts.background.start(
            gateway.house.negotiation.expire(scene.conversation_id, card["proposal_id"]), "firing once more"
        )
    await timed_out_once(scene, card)


async def test_a_timer_that_fires_too_early_waits_for_its_deadline(town: Town) -> None:
    """Seen to fail with a handler that ends there: the timer was gone, and the card waited for ever."""
    scene = await town.scene(answer_window=timedelta(milliseconds=600))
    card = await scene.propose()
    timers = town.gateways[0].house.timers
    timer = f"expire:{scene.conversation_id}:{card['proposal_id']}"
    await timers.arm(timer, from_ms(await scene.now_ms()))
    assert 0 <= await timed_out_once(scene, card) < SWEEP + SLACK


async def lose_timers(town: Town) -> None:
    """As after a failover to a replica that had not heard of them."""
    redis = await town.redis()
    for key in await redis.keys("timers:*"):
        await redis.delete(key)


async def test_a_lost_deadlines_timer_is_armed_again(town: Town) -> None:
    """Seen to fail with the reconciler stopped: the card waited for ever."""
    soon = timedelta(milliseconds=300)
    scene = await town.scene(answer_window=soon, reconcile=soon)
    card = await scene.propose()
    await lose_timers(town)
    await timed_out_once(scene, card)


@pytest.mark.parametrize("answer", ["agree", "reject"])
async def test_an_answered_card_leaves_no_timer(town: Town, answer: str) -> None:
    """Seen to fail with nobody disarming: the deadline's timer stayed for its two hours."""
    scene = await town.scene()
    card = await scene.propose()
    redis = await town.redis()
    assert await _armed(redis)
    await scene.buyer.answer(card, answer)
    await scene.sees(scene.agent, card, {"agree": "agreed", "reject": "rejected"}[answer])
    await scene.settled_work()
    assert await _armed(redis) == {keep_timer(scene.conversation_id)}


async def _armed(redis: Redis) -> set[str]:
    return {timer for key in await redis.keys("timers:{*}") for timer in await redis.zrange(key, 0, -1)}
