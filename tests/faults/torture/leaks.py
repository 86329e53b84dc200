"""What must not be left when everybody has gone: sessions, tasks, subscriptions, calls; and leases of timers.

Law: a gateway at rest has what it needs to be one, however much happened before.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from tests.faults.torture.gateways import Fleet
from tests.faults.torture.stores import Store

REST_WITHIN = 30.0
"""Seconds for leases, heartbeats and clean-up to come to rest."""
NONE_LEFT = ("sessions", "sockets", "under_way", "background", "catching", "channels")
"""Figures of a gateway (serving.figures) that are 0 when nobody is there."""
OF_A_KIND = 12
"""Tasks of one kind that a gateway has by itself: watchers of links, two for each of three primaries, are the most."""
SWEEPERS = 65
"""Tasks `timers`: one for each bucket, and the one that runs them."""
FILES = 200
"""Open files; connections to the store, and those of a pool, which stays open."""


async def at_rest(store: Store, fleet: Fleet) -> list[str]:
    """What is left once everything has had its time to come to rest."""
    left: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REST_WITHIN):
            while left := [what async for what in _left(store, fleet)]:
                await asyncio.sleep(0.2)
    return left


async def _left(store: Store, fleet: Fleet) -> AsyncIterator[str]:
    for number in range(len(fleet.urls)):
        for what in _too_much(await fleet.figures(number)):
            yield f"gateway {number} has {what}, though everybody has gone"
    async with store.primaries() as primaries:
        for primary in primaries:
            async for key in primary.scan_iter(match="timers:*:leases", count=1000):
                if leases := await primary.hlen(key):
                    yield f"{leases} leases are out in {key.decode()}, though nothing is due"


def _too_much(figures: Mapping[str, Any]) -> Iterator[str]:
    for name in NONE_LEFT:
        if figures[name]:
            yield f"{figures[name]} {name}"
    for task, count in figures["tasks"].items():
        if count > (SWEEPERS if task == "timers" else OF_A_KIND):
            yield f"{count} tasks {task!r}"
    if figures["fds"] > FILES:
        yield f"{figures['fds']} open files"
