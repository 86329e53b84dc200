"""What the watcher promises: every timer fires, in time, whatever dies; and it bothers Redis no more than it must."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection

from bot.embedded.server import Embedded
from scheduler.alarms import Alarms
from scheduler.script import ClientScripts, Script
from scheduler.timers import Timers
from scheduler.watcher import FLOOR, Watcher

LEASE = timedelta(milliseconds=200)


def soon(ms: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=ms)


async def test_timers_fire_once_never_early_and_are_gone(scripts: ClientScripts, fired: Any) -> None:
    timers = Timers(scripts)
    for number in range(30):
        await timers.arm(f"timer-{number}", soon(number * 10))
    async with Watcher(timers, fired):
        await fired.until(30)
    assert sorted(fired.ids) == sorted(f"timer-{number}" for number in range(30))
    # Redis reads its clock to the millisecond.
    assert all(called >= due - timedelta(milliseconds=1) for _, due, called in fired.calls)
    for number in range(30):
        assert await timers.due_of(f"timer-{number}") is None


async def test_a_backlog_larger_than_a_batch_fires_whole(scripts: ClientScripts, fired: Any) -> None:
    timers = Timers(scripts, buckets=2)
    for number in range(120):
        await timers.arm(str(number), soon())
    async with Watcher(timers, fired, concurrency=7, batch=5):
        await fired.until(120)
    assert len(set(fired.ids)) == len(fired.ids) == 120


async def test_handlers_run_no_more_than_allowed_at_once(scripts: ClientScripts) -> None:
    """Red without the semaphore: the claims of several buckets run together."""
    timers = Timers(scripts, buckets=8)
    running, most, left = 0, 0, 40
    all_done = asyncio.Event()

    async def handler(timer_id: str, due: datetime) -> None:
        nonlocal running, most, left
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        left -= 1
        if not left:
            all_done.set()

    for number in range(left):
        await timers.arm(str(number), soon())
    async with Watcher(timers, handler, concurrency=3), asyncio.timeout(10):
        await all_done.wait()
    assert most == 3


async def test_a_handler_that_raises_is_called_again_after_the_lease(
    scripts: ClientScripts, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Red when done is said whatever the handler did."""
    timers = Timers(scripts, lease=LEASE)

    async def handler(timer_id: str, due: datetime) -> None:
        await fired(timer_id, due)
        if len(fired.calls) == 1:
            raise RuntimeError("the first try fails")

    due = soon()
    await timers.arm("stubborn", due)
    async with Watcher(timers, handler):
        await fired.until(2)
    (_, first_due, first), (_, second_due, second) = fired.calls
    assert first_due == second_due
    assert second - first > LEASE / 2
    assert await timers.due_of("stubborn") is None
    assert "the handler of timer stubborn failed" in caplog.text
    assert "the first try fails" in caplog.text


async def test_a_handler_that_overruns_the_lease_is_cut_off_and_called_again(
    scripts: ClientScripts, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Red without the timeout around the handler: with one place, it is never called again."""
    timers = Timers(scripts, lease=LEASE)

    async def handler(timer_id: str, due: datetime) -> None:
        await fired(timer_id, due)
        if len(fired.calls) == 1:
            await asyncio.Event().wait()

    await timers.arm("slow", soon())
    async with Watcher(timers, handler, concurrency=1):
        await fired.until(2)
    assert "timer slow was not handled within its lease" in caplog.text
    assert await timers.due_of("slow") is None


async def test_a_lease_that_ended_before_there_was_a_place_is_left_to_the_next(
    scripts: ClientScripts, fired: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Red when `_handle` does not look at the lease first: the handler runs without one."""
    timers = Timers(scripts, buckets=2, lease=LEASE)
    assert timers.bucket_of("a") != timers.bucket_of("d")

    async def handler(timer_id: str, due: datetime) -> None:
        await fired(timer_id, due)
        if len(fired.calls) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)
                raise

    await timers.arm("a", soon())
    await timers.arm("d", soon())
    async with Watcher(timers, handler, concurrency=1):
        await fired.until(3)
    first, *others = fired.ids
    assert sorted(others) == ["a", "d"]
    (waited,) = {"a", "d"} - {first}
    assert f"timer {waited} found no free place within its lease" in caplog.text


async def test_a_timer_that_its_handler_arms_again_fires_again(scripts: ClientScripts, fired: Any) -> None:
    """A handler called early does so. Red when done.lua does not compare leases."""
    timers = Timers(scripts)
    again = soon(150)

    async def handler(timer_id: str, due: datetime) -> None:
        await fired(timer_id, due)
        if len(fired.calls) == 1:
            await timers.arm(timer_id, again)

    await timers.arm("early", soon())
    async with Watcher(timers, handler):
        await fired.until(2)
    (_, second_due, called) = fired.calls[1]
    assert timedelta(0) <= second_due - again < timedelta(milliseconds=1)
    assert called >= again - timedelta(milliseconds=1)


async def test_what_was_armed_earlier_than_the_sleepers_target_fires_within_the_idle_sweep(
    scripts: ClientScripts, fired: Any
) -> None:
    """No listener, so neither wake nor alarm comes. Red with the idle sweep removed (IDLE = 1000)."""
    timers = Timers(scripts, buckets=1)
    await timers.arm("first", soon())
    await timers.arm("target", soon(3_600_000))
    async with Watcher(timers, fired):
        await fired.until(1)
        await timers.arm("earlier", soon(50))
        await fired.until(2)
    _, due, called = fired.calls[1]
    assert called - due < timedelta(seconds=2)


@pytest.mark.usefixtures("oversleeping")
async def test_what_another_process_arms_earlier_than_the_sleepers_target_is_in_time(
    client: Redis, valkey_url: str, fired: Any, attentive: Any, eventually: Any
) -> None:
    """Its alarm isn't heard, as another database's are listened for. Red without the PUBLISH in arm.lua, and when
    Alarms ignores it: the sleeper sleeps on."""
    timers = Timers(ClientScripts(client), buckets=1)
    await timers.arm("target", soon(3_600_000))
    async with attentive(timers, fired) as watcher, Alarms(watcher, _only(client), db=9):
        await eventually(lambda: watcher.listens == 1)
        await timers.arm("first", soon())
        await fired.until(1)
        async with Redis.from_url(valkey_url) as other:
            await Timers(ClientScripts(other), buckets=1).arm("earlier", soon(200))
        await fired.until(2)
    assert fired.ids == ["first", "earlier"]


@pytest.mark.usefixtures("oversleeping")
async def test_without_notifications_timers_known_fire_in_time(flags: Redis, fired: Any) -> None:
    """The `expired` event is lost. Red when a watcher rests for the idle time instead of until the instant it knows."""
    timers = Timers(ClientScripts(flags))
    for number in range(20):
        await timers.arm(str(number), soon(100 + number * 10))
    await flags.config_set("notify-keyspace-events", "")
    async with Watcher(timers, fired):
        await fired.until(20)


async def test_two_watchers_fire_each_timer_once(any_server: str | None, scripts: ClientScripts, fired: Any) -> None:
    """Red when claim_due.lua leaves the scores as they are: both fire nearly every timer."""
    timers = Timers(scripts)
    for number in range(200):
        await timers.arm(f"timer-{number}", soon(300 + number))
    async with Watcher(timers, fired), Watcher(Timers(scripts), fired):
        await fired.until(200)
    assert len(set(fired.ids)) == len(fired.ids) == 200


async def test_what_a_dead_watcher_had_claimed_fires_elsewhere(scripts: ClientScripts, fired: Any) -> None:
    """Red when claim_due.lua removes what it claims: the timers died with their claimer."""
    timers = Timers(scripts, lease=LEASE)
    claimed = asyncio.Semaphore(0)

    async def dies(timer_id: str, due: datetime) -> None:
        claimed.release()
        await asyncio.Event().wait()

    for number in range(10):
        await timers.arm(str(number), soon())
    async with asyncio.timeout(10), Watcher(timers, dies, drain=timedelta(0)):
        for _ in range(10):
            await claimed.acquire()
    async with Watcher(timers, fired):
        await fired.until(10)
    assert sorted(fired.ids) == sorted(map(str, range(10)))


async def test_a_stop_lets_running_handlers_finish(scripts: ClientScripts) -> None:
    """Red when `run` cancels its handlers at once."""
    timers = Timers(scripts)
    started, proceed, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(timer_id: str, due: datetime) -> None:
        started.set()
        await proceed.wait()
        finished.set()

    await timers.arm("running", soon())
    running = asyncio.create_task(Watcher(timers, handler).run())
    async with asyncio.timeout(10):
        await started.wait()
        running.cancel()
        asyncio.get_running_loop().call_later(0.05, proceed.set)
        with pytest.raises(asyncio.CancelledError):
            await running
    assert finished.is_set()
    assert await timers.due_of("running") is None


class Held(ClientScripts):
    """Scripts whose claims in one bucket are written, but answered only when released."""

    def __init__(self, inner: ClientScripts, key: str) -> None:
        self._inner = inner
        self._key = key
        self.written, self.released = asyncio.Event(), asyncio.Event()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        reply = await self._inner.run(script, keys, args)
        if keys[0] == self._key and len(args) == 3:
            self.written.set()
            await self.released.wait()
        return reply


async def test_a_stop_handles_what_a_claim_on_its_way_brings(scripts: ClientScripts, fired: Any) -> None:
    """Red when `_stop` cancels the sweepers at once: the timer waits for the end of its lease."""
    timers = Timers(scripts, buckets=1)
    await timers.arm("on its way", soon())
    held = Held(scripts, "timers:{0}")
    running = asyncio.create_task(Watcher(Timers(held, buckets=1), fired).run())
    async with asyncio.timeout(10):
        await held.written.wait()
        running.cancel()
        asyncio.get_running_loop().call_later(0.05, held.released.set)
        with pytest.raises(asyncio.CancelledError):
            await running
    assert fired.ids == ["on its way"]
    assert await timers.due_of("on its way") is None


async def test_a_bucket_without_answer_holds_up_no_other(scripts: ClientScripts, fired: Any) -> None:
    """One primary of a cluster hangs. Red when one loop sweeps all buckets together."""
    timers = Timers(scripts, buckets=4)
    ids = [str(number) for number in range(40)]
    others = [timer_id for timer_id in ids if timers.bucket_of(timer_id) != 0]
    assert len(others) < len(ids)
    for timer_id in ids:
        await timers.arm(timer_id, soon())
    held = Held(scripts, "timers:{0}")
    async with Watcher(Timers(held, buckets=4), fired):
        await fired.until(len(others))
        assert sorted(fired.ids) == sorted(others)
        held.released.set()
        await fired.until(len(ids))


async def test_a_client_that_swallows_its_cancellation_holds_up_no_stop() -> None:
    """As redis-py 8 may. Red when a sweeper goes on for as long as it isn't cancelled: it outlives the watcher."""

    class Swallowing:
        swallowed = 0

        async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.swallowed == 2:
                    raise
                self.swallowed += 1
                raise LostConnection("the cancellation is lost") from None

    swallowing = Swallowing()
    async with asyncio.timeout(5), Watcher(Timers(swallowing, buckets=2), _never, drain=timedelta(0)):
        await asyncio.sleep(0)
    assert swallowing.swallowed == 2
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("timers")]


async def test_a_storm_of_wakes_is_few_sweeps(client: Redis) -> None:
    """Red without the floor: nearly as many sweeps as wakes."""

    class Counting(ClientScripts):
        calls = 0

        async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
            self.calls += 1
            return await super().run(script, keys, args)

    counting = Counting(client)
    async with Watcher(Timers(counting, buckets=1), _never) as watcher:
        start = asyncio.get_running_loop().time()
        for _ in range(300):
            watcher.wake(0)
            await client.ping()
        took = asyncio.get_running_loop().time() - start
        assert 1 <= counting.calls <= took / FLOOR + 2


async def test_a_wake_of_a_bucket_of_others_is_harmless() -> None:
    """Another number of buckets was once in use; its alarms still go off."""
    watcher = Watcher(Timers(ClientScripts(Redis()), buckets=2), _never)
    watcher.wake(2)
    watcher.alarm(63)


async def test_timers_survive_a_crash_of_redis_and_so_does_the_watcher(
    short_folder: Path, fired: Any, caplog: pytest.LogCaptureFixture, eventually: Any
) -> None:
    """Red when a sweeper ends at its first error. It says so once, not once for each bucket and try."""
    caplog.set_level(logging.INFO)
    async with Embedded(short_folder / "restart") as server, Redis.from_url(server.url) as client:
        timers = Timers(ClientScripts(client))
        async with Watcher(timers, fired) as watcher, Alarms(watcher, _only(client)):
            for number in range(20):
                await timers.arm(str(number), soon(1000))
            await server.kill()
            await eventually(lambda: "can't be swept" in caplog.text)
            await server.start()
            await fired.until(20)
            await eventually(lambda: "all timers are swept again" in caplog.text)
    assert sorted(fired.ids) == sorted(map(str, range(20)))
    assert caplog.text.count("can't be swept") == 1


async def _never(timer_id: str, due: datetime) -> None:
    raise AssertionError("no timer was armed")


def _only(client: Redis) -> Any:
    async def nodes() -> list[Redis]:
        return [client]

    return nodes
