"""What a tortured gateway does: all that `serve` does, with a few things between its parts; it tells its figures."""

import asyncio
import contextlib
import gc
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.app import House
from bot.cli import serve as product
from bot.cli.listening import Address, listening
from bot.orders.shop import Shop
from bot.redis.connector import Connector
from bot.redis.link import Link
from bot.settings import Settings
from tests.faults.torture.gateway import Config
from tests.faults.torture.moments import Doom
from tests.faults.torture.orders import ScriptedOrders
from tests.faults.torture.planted import PLANTED

_NUMBER = re.compile(r"[-_ ]?\d+$|[ :].*$")
"""What tells tasks of one kind apart: `timers-12`, `shop-events shop:{nanshan}:events`, `Task-7`."""


def serve(config: Config) -> None:
    """Serve until SIGTERM, then drain: the product's own command, whose house is a haunted one."""

    def build(settings: Settings, connector: Connector) -> House:
        return haunted_house(config, settings, connector)

    vars(product).update(House=build, listening=_listening)
    product.serve_command(host="127.0.0.1", port=config.port, wait=config.wait, log_level="info", as_json=True)


def haunted_house(config: Config, settings: Settings, connector: Connector) -> House:
    """The parts of a gateway, with those that torture it."""
    doom = Doom(Path(config.doom))
    house = House(settings, connector, ScriptedOrders(Shop(connector.scripts), Path(config.orders), doom))
    if config.planted is not None:
        PLANTED[config.planted](house)
    doom.haunt(house)
    house.timers.lease = timedelta(seconds=config.lease)
    house.watcher._lease = config.lease
    if config.deaf_alarms:
        house.watcher.alarm = lambda bucket: None  # type: ignore[method-assign]
    return house


@contextlib.asynccontextmanager
async def _listening(house: House, host: str, port: int) -> AsyncIterator[Address]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(figures(house))

    async with listening(house, host, port, extra=[web.get("/torture/figures", answer)]) as address:
        yield address


def figures(house: House) -> dict[str, Any]:
    """What must not grow, and the clocks (ms): ours, as `time` and as `datetime` tell it, and what we think Redis's is.

    `tasks` by the first word of their name; `background` and `catching` are work that outlives a command, `timers`
    those claimed and not handled yet. `gc_objects` are what the collector looks after since the gateway listens.
    """
    _forget_what_is_cached()
    gc.collect()
    names = Counter(_NUMBER.sub("", task.get_name()) for task in asyncio.all_tasks())
    return {
        "pid": os.getpid(),
        "sessions": len(house.fanout.sessions),
        "sockets": len(house.gateway._sockets),
        "under_way": len(house.gateway._under_way),
        "tasks": dict(names),
        "background": len(house.parts.background._tasks),
        "catching": len(house.fanout._catching),
        "timers": house.watcher._unhandled,
        "channels": len(house.subscriber._channels) - 1,  # but its own
        "in_flight": sum(link.in_flight for link in _links(house.connector.scripts)),
        "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        "fds": len(os.listdir("/proc/self/fd")),
        "gc_objects": len(gc.get_objects()),
        "wall_ms": time.time() * 1000,
        "now_ms": datetime.now(UTC).timestamp() * 1000,
        "server_ms": house.parts.clock.now_ms(),
    }


def _links(scripts: Any) -> list[Link]:
    """The connections behind it: itself, or those that it keeps, one by one or in a dict."""
    if isinstance(scripts, Link):
        return [scripts]
    kept = [one for each in vars(scripts).values() for one in (each.values() if isinstance(each, dict) else [each])]
    return [one for one in kept if isinstance(one, Link)]


def _forget_what_is_cached() -> None:
    """A cache has a bound of its own, and would hide what has none."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("bot", "cards")):
            for one in list(vars(module).values()):
                if isinstance(one, _lru_cache_wrapper):
                    one.cache_clear()
