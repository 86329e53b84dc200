"""Many call over one connection at once, and some give up: each gets their own answer, whatever the others do."""

import asyncio

import pytest
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from bot.redis.link import Link
from scheduler.script import Script

Caller = tuple[str, int, int | None]
CALLERS = st.lists(
    st.tuples(st.sampled_from(["say", "refuse", "all"]), st.integers(0, 5), st.none() | st.integers(0, 8)), max_size=40
)
"""What each caller calls, after how many turns of the loop it begins, and after how many it is cancelled."""


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def call_at_once(link: Link, callers: list[Caller], *, say: Script, refuse: Script) -> None:
    """Let them all call, and look at what each got; `say` answers its argument, `refuse` the error `refused <it>`."""

    async def call(number: int, kind: str, begin: int) -> None:
        await turns(begin)
        if kind == "say":
            assert await link.run(say, [], [number]) == b"%d" % number
        elif kind == "all":
            told = await link.execute_all(("ECHO", f"a{number}"), ("ECHO", f"b{number}"))
            assert told == [b"a%d" % number, b"b%d" % number]
        else:
            with pytest.raises(ResponseError, match=rf"refused {number}$"):
                await link.run(refuse, [], [number])

    async def cancel(task: asyncio.Task[None], after: int) -> None:
        await turns(after)
        task.cancel()

    tasks = [asyncio.create_task(call(number, kind, begin)) for number, (kind, begin, _) in enumerate(callers)]
    ends = [(task, after) for task, (_, _, after) in zip(tasks, callers, strict=True) if after is not None]
    async with asyncio.timeout(20):
        await asyncio.gather(*[cancel(task, after) for task, after in ends])
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert await link.execute("ECHO", "last") == b"last"
    for result, (_, _, cancelled_after) in zip(results, callers, strict=True):
        assert result is None or (cancelled_after is not None and isinstance(result, asyncio.CancelledError))
    assert link.in_flight == 0
