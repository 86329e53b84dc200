"""Gateways in this process, on a thread of their own, and `simulate` as a command line against them."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.__main__ import app
from bot.app import House, make_app
from bot.cli.failure import exit_status
from bot.redis.connector import connect
from bot.settings import Settings
from bot.shopfile import DEMO, load

SECRET = "a secret of the tests, 32 or longer"
LIMIT = 20.0


class GatewayThread:
    """One gateway with a shop, serving from a thread: the command line has the main one, as it must."""

    def __init__(self, redis_url: str, shop: Path, **settings: Any) -> None:
        self._settings = Settings(
            **{"redis_url": redis_url, "secret": SECRET, "commands_per_second": 1e5, "command_burst": 10**5, **settings}
        )
        self._shop = load(shop)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        house = House(self._settings, connect(self._settings.redis_url))
        runner = web.AppRunner(make_app(house), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await house.shop.import_shop(self._shop)
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(LIMIT), "the gateway did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the gateway did not stop"


@pytest.fixture
def gateway(valkey_url: str) -> Iterator[Callable[..., str]]:
    """Starts gateways with a shop (the demo's), and gives their websockets; settings are those of bot.settings."""
    started: list[GatewayThread] = []

    def start(shop: Path = DEMO, **settings: Any) -> str:
        thread = GatewayThread(valkey_url, shop, **settings)
        thread.start()
        started.append(thread)
        return thread.url

    yield start
    for thread in started:
        thread.stop()


@dataclass(frozen=True)
class Played:
    """How a command line ended: `report` is the object on its last line, empty if there is none."""

    status: int
    report: dict[str, Any]
    out: str
    err: str

    @property
    def kinds(self) -> set[str]:
        return {violation["kind"] for violation in self.report["violations"]}


@pytest.fixture
def simulate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], valkey_url: str
) -> Callable[..., Played]:
    """Runs `simulate … --json` in this process, with the environment that the gateways here have."""
    monkeypatch.setenv("ASSENT_SECRET", SECRET)
    monkeypatch.setenv("REDIS_URL", valkey_url)

    def run(*arguments: object) -> Played:
        line = ["simulate", *map(str, arguments), "--json"]
        status = exit_status(lambda: app(line, standalone_mode=False))
        out, err = capsys.readouterr()
        last = (out.splitlines() or [""])[-1]
        return Played(status, json.loads(last) if last.startswith("{") else {}, out, err)

    return run
