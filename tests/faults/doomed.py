"""A gateway in a process of its own, which is killed with SIGKILL in the middle of one deed.

It is forked from a process that has imported everything, so that a test may start one for each moment.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from bot.app import House
from bot.cli.listening import listening
from bot.documents.quick_replies import QuickReplyBook
from bot.documents.store import Commit, Committed
from bot.redis.connector import connect
from bot.settings import Settings
from tests.flows.town import SECRET, Idle

When = Literal["reserved", "committed", "acknowledged"]
"""Before the commit, when everything that comes first is written; after it, when nobody knows yet; or when the people
have their answer, and the desk was not told."""
MOMENTS: tuple[When, ...] = ("reserved", "committed", "acknowledged")

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "bot.app"])


class Doomed:
    """That gateway, as its test sees it."""

    def __init__(self, process: BaseProcess, url: str, when: When) -> None:
        self._process = process
        self._when = when
        self.url = url

    async def ends(self) -> None:
        """It dies at its moment, by its own hand; or by ours, when people have been answered."""
        if self._when == "acknowledged":
            await self.kill()
        else:
            await self._dies()

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._process.kill()
        await self._dies()

    async def _dies(self) -> None:
        await asyncio.to_thread(self._process.join, 15)
        assert self._process.exitcode == -signal.SIGKILL, "it lives: its moment did not come"


async def start(
    redis_url: str, when: When, what: str, *, lease: timedelta = timedelta(milliseconds=300), **settings: Any
) -> Doomed:
    """Start one that dies at a moment of the deed `what`: the code of an entry, or `read`, or `quick_replies`.

    `lease` is that of the timers that it claims.
    """
    here, there = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_live, args=(there, redis_url, when, what, lease, settings), daemon=True)
    process.start()
    there.close()
    with here:
        assert await asyncio.to_thread(here.poll, 20), "it did not start"
        return Doomed(process, here.recv(), when)


def _live(tell: Connection, redis_url: str, when: When, what: str, lease: timedelta, settings: dict[str, Any]) -> None:
    asyncio.run(_serve(tell, redis_url, when, what, lease, settings))


async def _serve(
    tell: Connection, redis_url: str, when: When, what: str, lease: timedelta, settings: dict[str, Any]
) -> None:
    house = House(
        Settings(redis_url=redis_url, secret=SECRET, commands_per_second=1000, **settings), connect(redis_url)
    )
    house.timers.lease = lease
    vars(house).update(reconciler=Idle())
    _doom(house, when, what)
    async with listening(house, "127.0.0.1", 0) as address:
        tell.send(address.ws)
        await asyncio.Event().wait()


def _doom(house: House, when: When, what: str) -> None:
    store = house.store
    commit = store.commit

    async def deed(decision: Commit) -> Committed:
        if not any(what in (entry.system, entry.notice) for entry in decision.entries):
            return await commit(decision)
        if when == "reserved":
            _die()
        committed = await commit(decision)
        if when == "committed":
            _die()
        house.desk.place = _never  # type: ignore[method-assign]
        return committed

    store.commit = deed  # type: ignore[method-assign]
    if what == "read":
        store.mark_read = _last(store.mark_read)  # type: ignore[method-assign]
    if what == "quick_replies":
        QuickReplyBook.change = _last(QuickReplyBook.change)  # type: ignore[method-assign]


def _last(write: Callable[..., Any]) -> Callable[..., Any]:
    """It is written, and nobody hears of it."""

    @wraps(write)
    async def last(*args: Any) -> None:
        await write(*args)
        _die()

    return last


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
