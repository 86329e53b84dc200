"""A small, quick busy shop through gateways in this process, which a test may break."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

import bot.desk.presence
from bot.orders.shop import Shop
from bot.redis.connector import connect
from bot.shopfile import DEMO, load
from bot.simulate.busy import buyer, read_back, shifts, talk
from bot.simulate.busy.checks import assignment
from bot.simulate.busy.hours import Hours, Patience, with_people
from bot.simulate.busy.report import BusyReport
from bot.simulate.busy.shop import keep_busy
from bot.simulate.mix import read_mix
from bot.simulate.town import Town

SECRET = "a secret of the tests, 32 or longer"
QUICK = Patience(
    grace=timedelta(seconds=0.5),
    lease=timedelta(seconds=1.5),
    reply_warning=timedelta(seconds=0.4),
    reply_overdue=timedelta(seconds=0.8),
    remind_before=timedelta(seconds=0.3),
)


@pytest.fixture
def play(gateway: Callable[..., str], valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BusyReport]:
    """Plays the demo shop on two gateways with short times, afresh each time; Hours' members may be given."""
    monkeypatch.setattr(bot.desk.presence, "_LINGER", 0.3)
    monkeypatch.setattr(shifts, "_LINGER_S", 0.3)
    monkeypatch.setattr(buyer, "_VISITS", 2)
    monkeypatch.setattr(assignment, "_SETTLED_MS", 500)
    monkeypatch.setattr(read_back, "_SETTLES_S", 1.0)
    monkeypatch.setattr(talk, "AGENT_LIMIT_S", 4.0)

    def play(**members: Any) -> BusyReport:
        hours = Hours(
            **{
                "file": with_people(load(DEMO), 18, 6),
                "buyers": 16,
                "agents": 4,
                "mix": read_mix("agree=3,reject=2,ignore=2,refund=2,withdraw=1"),
                "window": timedelta(seconds=1),
                "two_devices": 50,
                "cuts": 20,
                "kill_gateway": False,
                "patience": timedelta(seconds=2),
                "seed": 5,
                "late": timedelta(seconds=2),
                "times": QUICK,
                **members,
            }
        )
        with Redis.from_url(valkey_url) as redis:
            redis.flushall()
        urls = tuple(gateway(DEMO, **_settings(hours)) for _ in range(2))
        return asyncio.run(_play(hours, urls, valkey_url))

    return play


def _settings(hours: Hours) -> dict[str, Any]:
    times = hours.times
    return {
        "agent_limit": hours.limit,
        "agent_grace": times.grace,
        "presence_lease": times.lease,
        "reply_warning": times.reply_warning,
        "reply_overdue": times.reply_overdue,
        "remind_before": times.remind_before,
        "answer_window": hours.window,
        "commands_under_way": 10_000,
    }


async def _play(hours: Hours, urls: tuple[str, ...], redis_url: str) -> BusyReport:
    connector = connect(redis_url)
    try:
        shop = Shop(connector.scripts)
        await shop.import_shop(hours.file)
        return await keep_busy(hours, Town(urls, SECRET, shop, True), lambda: None)
    finally:
        await connector.aclose()
