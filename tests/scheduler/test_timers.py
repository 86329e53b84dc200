"""What arm, disarm, claim and done promise, on fakeredis, a real server and a real cluster."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from scheduler.script import ClientScripts
from scheduler.timers import WAKE, Claim, Timers, alarmed_bucket

HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)


@pytest.fixture
def timers(scripts: ClientScripts) -> Timers:
    """Timers of few buckets whose leases outlast every test."""
    return Timers(scripts, buckets=5, lease=HOUR)


@pytest.fixture
def hasty(scripts: ClientScripts) -> Timers:
    """The same timers, for a claimer whose leases end at once: a claimer that died."""
    return Timers(scripts, buckets=5, lease=timedelta(0))


async def claim_all(timers: Timers) -> list[Claim]:
    return [claim for bucket in range(timers.buckets) for claim in (await timers.claim_due(bucket)).claims]


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def test_a_timer_is_claimed_when_it_is_due_and_gone_when_it_is_done(timers: Timers) -> None:
    due = now() - HOUR
    await timers.arm("past", due)
    await timers.arm("future", now() + HOUR)
    claims = await claim_all(timers)
    assert [(claim.timer_id, claim.due) for claim in claims] == [("past", due)]
    await timers.done(claims)
    assert await timers.due_of("past") is None
    assert await timers.due_of("future") is not None


async def test_done_covers_timers_of_many_buckets(timers: Timers) -> None:
    ids = {f"timer-{number}" for number in range(20)}
    await asyncio.gather(*(timers.arm(timer_id, now()) for timer_id in ids))
    claims = await claim_all(timers)
    assert {claim.timer_id for claim in claims} == ids
    await timers.done(claims)
    assert {await timers.due_of(timer_id) for timer_id in ids} == {None}
    await timers.done([])


async def test_arming_again_moves_a_timer(timers: Timers) -> None:
    await timers.arm("moved", now() - HOUR)
    later = now() + HOUR
    await timers.arm("moved", later)
    assert await claim_all(timers) == []
    assert await timers.due_of("moved") == later


async def test_disarming_forgets_a_timer_and_minds_no_unknown_one(timers: Timers) -> None:
    await timers.arm("gone", now() - HOUR)
    await timers.disarm("gone")
    await timers.disarm("gone")
    await timers.disarm("never armed")
    assert await claim_all(timers) == []
    assert await timers.due_of("gone") is None


async def test_a_bucket_is_claimed_in_batches_earliest_first(scripts: ClientScripts) -> None:
    timers = Timers(scripts, buckets=1, lease=HOUR)
    start = now() - HOUR
    for number in (3, 1, 4, 0, 2):
        await timers.arm(str(number), start + number * MS)
    first = await timers.claim_due(0, limit=3)
    assert [claim.timer_id for claim in first.claims] == ["0", "1", "2"]
    assert first.more
    assert first.next_due == start + 3 * MS
    second = await timers.claim_due(0, limit=3)
    assert [claim.timer_id for claim in second.claims] == ["3", "4"]
    assert not second.more
    assert second.next_due == first.now + HOUR
    assert second.now >= first.now


async def test_an_empty_bucket_has_no_next_instant(timers: Timers) -> None:
    claimed = await timers.claim_due(0)
    assert (claimed.claims, claimed.next_due, claimed.more) == ((), None, False)


async def test_the_next_instant_of_a_bucket_is_known(scripts: ClientScripts) -> None:
    timers = Timers(scripts, buckets=1)
    later = now() + HOUR
    await timers.arm("later still", later + HOUR)
    await timers.arm("later", later)
    assert (await timers.claim_due(0)).next_due == later


async def test_a_claimed_timer_belongs_to_its_claimer_for_the_lease(timers: Timers) -> None:
    await timers.arm("one", now() - HOUR)
    assert len(await claim_all(timers)) == 1
    assert await claim_all(timers) == []
    assert await timers.due_of("one") is not None


async def test_two_that_claim_at_once_share_no_timer(timers: Timers) -> None:
    """Red when claim_due.lua leaves the scores as they are: every claimer gets every timer."""
    for number in range(50):
        await timers.arm(f"timer-{number}", now() - HOUR)
    claimers = await asyncio.gather(*(claim_all(timers) for _ in range(8)))
    assert sorted(claim.timer_id for claims in claimers for claim in claims) == sorted(
        f"timer-{number}" for number in range(50)
    )


async def test_a_claimer_that_dies_loses_nothing(timers: Timers, hasty: Timers) -> None:
    """Red when claim_due.lua removes what it claims."""
    due = now() - HOUR
    await timers.arm("survivor", due)
    assert len(await claim_all(hasty)) == 1
    assert [(claim.timer_id, claim.due) for claim in await claim_all(timers)] == [("survivor", due)]


async def test_one_whose_lease_ended_cannot_end_the_next_lease(timers: Timers, hasty: Timers) -> None:
    """Red when done.lua removes whatever it is told: the timer is gone while its second claimer handles it."""
    await timers.arm("twice", now() - HOUR)
    late = await claim_all(hasty)
    in_time = await claim_all(timers)
    await timers.done(late)
    assert await timers.due_of("twice") is not None
    await timers.done(in_time)
    assert await timers.due_of("twice") is None


@pytest.mark.parametrize("again", [-HOUR, HOUR])
async def test_a_timer_armed_again_while_it_is_handled_stays(timers: Timers, again: timedelta) -> None:
    """Red when arm.lua leaves the lease alone: done removes the timer that was just armed."""
    due = now() + again
    await timers.arm("rearmed", now() - HOUR)
    claims = await claim_all(timers)
    await timers.arm("rearmed", due)
    await timers.done(claims)
    assert await timers.due_of("rearmed") == due
    assert [claim.due for claim in await claim_all(timers)] == ([due] if again < timedelta(0) else [])


async def test_a_timer_disarmed_while_it_is_handled_is_gone(timers: Timers) -> None:
    """Red when disarm.lua leaves the lease alone: the timer is still known by it."""
    due = now() - 2 * MS
    await timers.arm("reborn", now() - HOUR)
    claims = await claim_all(timers)
    await timers.disarm("reborn")
    assert await timers.due_of("reborn") is None
    await timers.arm("reborn", due)
    await timers.done(claims)
    assert [claim.due for claim in await claim_all(timers)] == [due]


async def test_a_timer_is_never_early(timers: Timers) -> None:
    whole = datetime(2100, 1, 1, tzinfo=UTC)
    await timers.arm("odd", whole + timedelta(microseconds=1))
    assert await timers.due_of("odd") == whole + MS


async def test_any_instant_can_be_armed(timers: Timers) -> None:
    for due in (datetime(1, 1, 2, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        await timers.arm("any", due)
        assert await timers.due_of("any") == due


async def test_an_instant_without_a_zone_is_refused(timers: Timers) -> None:
    with pytest.raises(TypeError, match="naive"):
        await timers.arm("naive", datetime(2100, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_claim_has_bounds(timers: Timers, limit: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        await timers.claim_due(0, limit)


async def test_the_largest_claim_fits(scripts: ClientScripts) -> None:
    timers = Timers(scripts, buckets=1)
    for number in range(1001):
        await timers.arm(f"timer-{number}", now() - HOUR)
    claimed = await timers.claim_due(0, limit=1000)
    assert len(claimed.claims) == 1000
    assert claimed.more


def test_a_timer_has_the_same_bucket_everywhere() -> None:
    timers = Timers(ClientScripts(Redis()))
    assert timers.bucket_of("deadline:买家") == 2827246529 % 64
    assert {timers.bucket_of(str(number)) for number in range(1000)} == set(range(64))


def test_an_alarm_names_its_bucket() -> None:
    assert alarmed_bucket(b"alarm:{12}") == 12
    assert alarmed_bucket(b"alarm:{12}:x") is None
    assert alarmed_bucket(b"session:12") is None


@pytest.mark.parametrize(("ahead", "announced"), [(timedelta(seconds=1), [b"0", b"0"]), (HOUR, [])])
async def test_a_new_earliest_timer_moves_the_alarm_and_is_announced_when_it_is_near(
    client: Redis, ahead: timedelta, announced: list[bytes]
) -> None:
    """A far one every watcher finds by its next idle sweep, long before it is due."""
    timers = Timers(ClientScripts(client), buckets=1)
    start = now() + ahead
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(WAKE)
        for number, earliest in ((5, 5), (7, 5), (5, 5), (3, 3), (9, 3)):
            await timers.arm(str(number), start + number * MS)
            alarm = await client.pexpiretime("alarm:{0}")
            assert alarm == (start + earliest * MS).timestamp() * 1000
        await client.publish(WAKE, "end")
        heard = [message["data"] async for message in _until_end(pubsub)]
    assert heard == announced


async def _until_end(pubsub: PubSub) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(10):
        async for message in pubsub.listen():
            if message["data"] == b"end":
                return
            yield message


async def test_a_claim_sets_the_alarm_to_what_is_next(client: Redis) -> None:
    timers = Timers(ClientScripts(client), buckets=1, lease=HOUR)
    await timers.arm("first", now() - HOUR)
    await timers.arm("next", now() + 2 * HOUR)
    claimed = await timers.claim_due(0)
    assert await client.pexpiretime("alarm:{0}") == (claimed.now + HOUR).timestamp() * 1000
    await timers.done(claimed.claims)
    claimed = await timers.claim_due(0)
    assert claimed.next_due is not None
    assert await client.pexpiretime("alarm:{0}") == claimed.next_due.timestamp() * 1000


async def test_a_sweep_for_nothing_writes_nothing(client: Redis) -> None:
    """A write is a sync of the append-only file: a second's idle sweeps would cost one for each bucket and process."""
    timers = Timers(ClientScripts(client), buckets=2)
    await timers.arm("far", now() + HOUR)
    await claim_all(timers)
    before = (await client.info("persistence"))["rdb_changes_since_last_save"]
    assert await claim_all(timers) == []
    assert (await client.info("persistence"))["rdb_changes_since_last_save"] == before


async def test_timers_leave_nothing_behind_but_alarms(client: Redis) -> None:
    timers = Timers(ClientScripts(client), buckets=3)
    for number in range(30):
        await timers.arm(f"timer-{number}", now() - HOUR)
    for number in range(0, 30, 2):
        await timers.disarm(f"timer-{number}")
    await timers.done(await claim_all(timers))
    assert {key.partition(b":")[0] for key in await client.keys()} <= {b"alarm"}
    assert all([await client.pttl(key) > 0 for key in await client.keys()])
