"""The gateways, seen from the harness: processes that are killed, drained, paused, doomed, and started again.

Law: a gateway ends when it was asked to, or at the moment it was doomed to; any other end is a failure.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self

import aiohttp

from bot.embedded.server import dying_with_us
from tests.faults.torture.gateway import Config
from tests.faults.torture.moments import Moment as Moment
from tests.faults.torture.orders import Mood, Temper

ROOT: Final = Path(__file__).parents[3]
START_LIMIT_S: Final = 90.0
"""A store that is away at the start is waited for (`Config.wait`); then a slow machine may take some seconds."""
DRAIN_LIMIT_S: Final = 30.0
"""More than the product's own limits add up to: its setting `drain` (10 s by default) twice, and some for closing."""
DOOM_LIMIT_S: Final = 10.0
FIGURES_LIMIT_S: Final = 10.0
PORTS: Final = range(20_000, 32_000)
"""Below the kernel's own choice for outgoing connections: a client's port must not be that of a dead gateway."""
LOG_LINES: Final = 15


class GatewayFailed(Exception):
    """A gateway did not start, or did not do what it was asked to; the message quotes the last that it said."""


class Place(Protocol):
    """Where the data lives: `url` for the gateways, and the settings that belong with it."""

    @property
    def url(self) -> str:
        """REDIS_URL."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables."""
        ...


class Gateway:
    """One gateway and its successors on the same port."""

    def __init__(self, name: str, folder: Path, config: Config) -> None:
        self.name = name
        self.config = config
        self.log = folder / f"{name}.log"
        self.failures: list[str] = []
        self._file = folder / f"{name}.json"
        self._doom = Path(config.doom)
        self._taken = self._doom.with_name(f"{self._doom.name}.taken")
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[None] | None = None
        self._asked = False
        """Whether the process of now was asked to end, or doomed to."""
        self._lock = asyncio.Lock()

    @property
    def alive(self) -> bool:
        """Whether it runs (or is paused)."""
        return self._ended is not None and not self._ended.done()

    async def start(self) -> None:
        """Start it if it is down; it listens when this returns. Raises GatewayFailed."""
        async with self._lock:
            if not self.alive:
                await self._start()

    async def _start(self) -> None:
        for file in (self._doom, self._taken):
            file.unlink(missing_ok=True)
        self._file.write_text(json.dumps(asdict(self.config)))
        command = [sys.executable, "-m", "tests.faults.torture.gateway", str(self._file)]
        with self.log.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *dying_with_us(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        self._asked = False
        self._ended = asyncio.create_task(self._ends(process), name=f"{self.name} ends")
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_LIMIT_S):
                line = await process.stdout.readline()
        if not line:
            self._asked = True
            await self._signal(signal.SIGKILL)
            raise GatewayFailed(f"{self.name} did not start within {START_LIMIT_S:g} s. {self._last_words()}")

    async def _ends(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        if not self._asked and not self._taken.exists():
            self.failures.append(f"{self.name} ended by itself (status {status}). {self._last_words()}")
        elif status not in (0, -signal.SIGKILL):
            self.failures.append(f"{self.name} ended with status {status}. {self._last_words()}")

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone. Nothing happens to one that is down."""
        self._asked = True
        await self._signal(signal.SIGKILL)

    async def drain(self) -> None:
        """SIGTERM; returns when it has drained, and is gone. One that takes too long is a failure, and killed."""
        async with self._lock:
            if not self.alive:
                return
            self._asked = True
            try:
                async with asyncio.timeout(DRAIN_LIMIT_S):
                    await self._signal(signal.SIGTERM)
            except TimeoutError:
                self.failures.append(f"{self.name} had not drained after {DRAIN_LIMIT_S:g} s. {self._last_words()}")
                await self._signal(signal.SIGKILL)

    async def _signal(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait for the end."""
        if self._process is not None and self._ended is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            await asyncio.shield(self._ended)

    def pause(self) -> None:
        """SIGSTOP: it holds everything it has, and says nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def doom(self, moment: Moment, limit: float) -> bool:
        """Have it kill itself at that moment; whether it did, within `limit` seconds. Otherwise it lives on."""
        if self._ended is None or not self.alive:
            return False
        ended = self._ended
        draft = self._doom.with_name(f"{self._doom.name}.draft")
        draft.write_text(moment)
        draft.rename(self._doom)
        while not self._taken.exists() and not ended.done() and limit > 0:
            await asyncio.wait([ended], timeout=min(limit, 0.02))
            limit -= 0.02
        try:
            self._doom.unlink()
        except FileNotFoundError:
            await asyncio.shield(ended)
            return True
        return False

    async def stop(self) -> None:
        """End it, whatever it does at the moment: gently, if it can."""
        self.resume()
        await self.drain()

    def troubles(self) -> Iterator[str]:
        """What it logged that no gateway should."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        for record in _RECORD.split(text):
            if _is_trouble(record):
                yield f"{self.name} logged:\n{_shortened(record)}"

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *(f"  {line}" for line in lines[-LOG_LINES:] or ["(nothing)"])])


class Fleet:
    """All the gateways on one store, numbered from 0; an async context manager.

    `settings` are environment variables of the gateways (ASSENT_…), besides those of the store; `planted` is a bug that
    all of them have (`planted.PLANTED`), `lease` (seconds) that of the timers they claim. `folder` takes their logs and
    the files that control them.
    """

    def __init__(
        self,
        folder: Path,
        store: Place,
        settings: Mapping[str, str],
        *,
        size: int,
        chance: random.Random,
        planted: str | None = None,
        lease: float = 10.0,
    ) -> None:
        self.secret = chance.randbytes(32).hex()
        self._mood = folder / "orders.json"
        environment = {**store.settings, **settings, "REDIS_URL": store.url, "ASSENT_SECRET": self.secret}
        self._gateways = [
            Gateway(
                f"gateway-{number}",
                folder,
                Config(
                    port=port,
                    doom=str(folder / f"gateway-{number}.doom"),
                    orders=str(self._mood),
                    environment=environment,
                    planted=planted,
                    lease=lease,
                ),
            )
            for number, port in enumerate(_free_ports(size))
        ]
        self.urls = tuple(f"ws://127.0.0.1:{gateway.config.port}/ws" for gateway in self._gateways)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FIGURES_LIMIT_S))
        try:
            await asyncio.gather(*[gateway.start() for gateway in self._gateways])
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*[gateway.stop() for gateway in self._gateways], return_exceptions=True)
        await self._http.close()

    def alive(self, number: int) -> bool:
        """Whether that gateway runs (or is paused)."""
        return self._gateways[number].alive

    async def kill(self, number: int) -> None:
        """SIGKILL; returns when it is gone."""
        await self._gateways[number].kill()

    async def restart(self, number: int) -> None:
        """Start one that is down again, on its port; it listens when this returns. Raises GatewayFailed."""
        await self._gateways[number].start()

    async def drain(self, number: int) -> None:
        """SIGTERM; returns when it has drained and ended."""
        await self._gateways[number].drain()

    async def roll(self) -> None:
        """A rolling restart: each is drained and started again, one after another. Raises GatewayFailed."""
        for gateway in self._gateways:
            await gateway.drain()
            await gateway.start()

    async def pause(self, number: int) -> None:
        """SIGSTOP."""
        self._gateways[number].pause()

    async def resume(self, number: int) -> None:
        """SIGCONT."""
        self._gateways[number].resume()

    async def doom(self, number: int, moment: Moment, limit: float = DOOM_LIMIT_S) -> bool:
        """It kills itself at that moment of the next negotiation. False: in `limit` seconds it did not come; it lives.

        When this returns True it is gone, until `restart`.
        """
        return await self._gateways[number].doom(moment, limit)

    async def orders(self, mood: Mood, **details: float) -> None:
        """The order system's mood, at all gateways; `seconds` and `share` as in `orders.Temper`."""
        Temper(mood, **details).write(self._mood)

    async def skew(self, number: int, seconds: float) -> None:
        """Drain it, and start it again with a wall clock that is off by so much, from now on; 0: right again."""
        await self._again(number, skew=seconds)

    async def deafen(self, number: int, deaf: bool = True) -> None:
        """Drain it, and start it again without ears for expired events; or with them again."""
        await self._again(number, deaf_alarms=deaf)

    async def _again(self, number: int, **changes: Any) -> None:
        gateway = self._gateways[number]
        gateway.config = replace(gateway.config, **changes)
        await gateway.drain()
        await gateway.start()

    async def figures(self, number: int) -> dict[str, Any]:
        """What `serving.figures` says there. Raises aiohttp.ClientError, TimeoutError."""
        port = self._gateways[number].config.port
        async with self._http.get(f"http://127.0.0.1:{port}/torture/figures") as response:
            found: dict[str, Any] = await response.json()
            return found

    def failures(self) -> list[str]:
        """Every end that nobody asked for, and what gateways logged that none should."""
        return [failure for gateway in self._gateways for failure in (*gateway.failures, *gateway.troubles())]


def _environment() -> dict[str, str]:
    """Ours without its settings, and with a way to this package."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("ASSENT_") and name != "REDIS_URL"
    }
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(path)}


def _free_ports(size: int) -> list[int]:
    """Ports that nobody has now; which ones is up to chance, as two runs may look at the same time."""
    ports = list(PORTS)
    random.shuffle(ports)
    found: list[int] = []
    while len(found) < size:
        port = ports.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


_RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} )", re.MULTILINE)
"""Where a record of the log begins."""
_TROUBLE = (
    "Traceback (most recent call last)",
    "failed unexpectedly",
    "Task exception was never retrieved",
    "Task was destroyed",
    "was never awaited",
)
_MADE_UP_FOR = ("will make up for it", "it fires again after its lease")
"""Work that the product does again by itself when the store or the order system was away; logged with its traceback."""
_AWAY = re.compile(
    r"^(redis\.exceptions\.(?!ResponseError|DataError)\w+|bot\.redis\.replicated\.Unreplicated"
    r"|bot\.redis\.link\.Overloaded|bot\.orders\.base\.OrderSystemAway|ConnectionError|Connection\w+Error|BrokenPipeError|OSError|TimeoutError)\b"
)


def _is_trouble(record: str) -> bool:
    if not any(sign in record for sign in _TROUBLE):
        return False
    head, *lines = record.rstrip().splitlines()
    last = next((line for line in reversed(lines) if line and not line[0].isspace()), "")
    return not (any(words in head for words in _MADE_UP_FOR) and _AWAY.match(last))


def _shortened(record: str) -> str:
    lines = record.rstrip().splitlines()
    return "\n".join(lines if len(lines) <= 2 * LOG_LINES else [*lines[:LOG_LINES], "  …", *lines[-LOG_LINES:]])
