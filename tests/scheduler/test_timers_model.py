"""Timers against a model of them: any sequence of arms, disarms, claims, dones and deaths of claimers."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from scheduler.script import ClientScripts
from scheduler.timers import Claim, Timers

BUCKETS = 2
MS = timedelta(milliseconds=1)
LEASES = {"long": 3_600_000 * MS, "short": 2 * MS}
T = TypeVar("T")

ids = st.sampled_from("abcdef")
offsets = st.sampled_from([-3_600_000, -1, 0, 2, 3_600_000])


class Model(RuleBasedStateMachine):
    """Expects of each look exactly what the instants say, the server's own `TIME` given: no clock is faked."""

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.redis = FakeAsyncRedis(server=FakeServer()) if url is None else Redis.from_url(url)
        self.run(self.redis.flushall())
        self.timers = {name: Timers(ClientScripts(self.redis), buckets=BUCKETS, lease=LEASES[name]) for name in LEASES}
        self.fires: dict[str, datetime] = {}
        self.dues: dict[str, datetime] = {}
        self.owners: dict[str, Claim] = {}
        self.claims: list[Claim] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def now(self) -> datetime:
        seconds, micros = self.run(self.redis.time())
        return datetime.fromtimestamp(seconds, UTC) + micros // 1000 * MS

    def bucket(self, number: int) -> dict[str, datetime]:
        return {each: self.fires[each] for each in self.fires if self.timers["long"].bucket_of(each) == number}

    @rule(timer_id=ids, offset=offsets)
    def arm(self, timer_id: str, offset: int) -> None:
        due = self.now() + offset * MS
        self.run(self.timers["long"].arm(timer_id, due))
        self.fires[timer_id] = self.dues[timer_id] = due
        self.owners.pop(timer_id, None)

    @rule(timer_id=ids)
    def disarm(self, timer_id: str) -> None:
        self.run(self.timers["long"].disarm(timer_id))
        for known in (self.fires, self.dues, self.owners):
            known.pop(timer_id, None)

    @rule(number=st.integers(0, BUCKETS - 1), limit=st.integers(1, 3), lease=st.sampled_from(sorted(LEASES)))
    def claim(self, number: int, limit: int, lease: str) -> None:
        claimed = self.run(self.timers[lease].claim_due(number, limit))
        due = [each for each, at in self.bucket(number).items() if at <= claimed.now]
        due = sorted(due, key=lambda each: (self.fires[each], each))[:limit]
        assert [(claim.timer_id, claim.due) for claim in claimed.claims] == [(each, self.dues[each]) for each in due]
        for claim in claimed.claims:
            self.fires[claim.timer_id] = claimed.now + LEASES[lease]
            self.owners[claim.timer_id] = claim
        self.claims += claimed.claims
        assert claimed.next_due == min(self.bucket(number).values(), default=None)
        assert claimed.more == any(at <= claimed.now for at in self.bucket(number).values())

    @rule(choice=st.lists(st.integers(0, 20), max_size=4))
    def done(self, choice: list[int]) -> None:
        claims = [self.claims[index] for index in set(choice) if index < len(self.claims)]
        self.run(self.timers["long"].done(claims))
        for claim in claims:
            if self.owners.get(claim.timer_id) == claim:
                for known in (self.fires, self.dues, self.owners):
                    del known[claim.timer_id]

    @rule()
    def short_leases_end(self) -> None:
        start = self.now()
        while self.now() < start + 3 * MS:
            pass

    @invariant()
    def every_timer_is_known(self) -> None:
        for timer_id in "abcdef":
            assert self.run(self.timers["long"].due_of(timer_id)) == self.dues.get(timer_id)

    @invariant()
    def no_alarm_is_later_than_the_earliest_timer(self) -> None:
        for number in range(BUCKETS):
            alarm = self.run(self.redis.pexpiretime(f"alarm:{{{number}}}"))
            earliest = min(self.bucket(number).values(), default=None)
            if alarm > 0 and earliest is not None and earliest > self.now():
                assert alarm <= round(earliest.timestamp() * 1000)

    def teardown(self) -> None:
        self.run(self.redis.aclose())
        self.runner.close()


def test_timers_are_their_model(either_server: str | None) -> None:
    """Red with any of these: no lease in the claim, no comparison in done, no HDEL in arm or in disarm."""
    run_state_machine_as_test(
        lambda: Model(either_server), settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
