"""A gateway in a process of its own, for a test to kill: `gateway_process.py REDIS_URL SECRET WHERE`.

It hangs where it is told to: `change`, asking the order system, or `timer`, handling a timer that it has claimed. It
writes its URL, then a line for each time that it hangs.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

from aiohttp import web

from bot.app import House, make_app
from bot.orders.base import ChangeResult, LineChange
from bot.orders.shop import Shop
from bot.redis.connector import connect
from bot.settings import Settings

LEASE = timedelta(seconds=1)


async def hang(where: str) -> None:
    """Say where, and stay."""
    print(where, flush=True)
    await asyncio.Event().wait()


class HangingShop(Shop):
    """A shop that gets no request for a change."""

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        """Never reaches the shop."""
        await hang("change")
        raise AssertionError


class HangingHouse(House):
    """A house that handles no timer."""

    async def timer_fired(self, timer_id: str, due: datetime) -> None:
        """Never done."""
        await hang("timer")


async def main(redis_url: str, secret: str, where: str) -> None:
    """Serve until killed."""
    connector = connect(redis_url)
    settings = Settings(redis_url=redis_url, secret=secret, retry_after=timedelta(milliseconds=500))
    if where == "change":
        house = House(settings, connector, HangingShop(connector.scripts))
    else:
        house = HangingHouse(settings, connector)
        house.timers.lease = LEASE
    runner = web.AppRunner(make_app(house), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"ws://127.0.0.1:{runner.addresses[0][1]}/ws", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
