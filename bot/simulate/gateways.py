"""Gateways as processes of their own: started, watched, and always ended."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from bot.embedded.server import dying_with_us

SERVE: Final = (sys.executable, "-m", "bot", "serve", "--port", "0", "--json")
"""Says one line of JSON with its websocket, `ws`, once it listens; its settings come from the environment."""
START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 15.0
LOG_LINES: Final = 15


class GatewayFailed(Exception):
    """A gateway did not start, or ended by itself; the message quotes the last that it said."""


class GatewayProcess:
    """One gateway; an async context manager. `log` takes what it says, `settings` are environment variables."""

    def __init__(self, name: str, log: Path, settings: Mapping[str, str], command: tuple[str, ...] = SERVE) -> None:
        self.name = name
        self.url = ""
        self._log = log
        self._settings = settings
        self._command = command
        self._ended: asyncio.Task[int] | None = None
        self._in_place = asyncio.Event()
        self._in_place.set()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *dying_with_us(self._command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment(),
                # A Ctrl-C in the terminal is for us: they end after the people have left.
                start_new_session=True,
            )
        self._ended = asyncio.create_task(self._process.wait(), name=f"{self.name} ends")
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_LIMIT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise GatewayFailed(f"{self.name} did not start in {START_LIMIT_S:g} s. {self._last_words()}") from None
        if not line:
            raise GatewayFailed(f"{self.name} did not start (status {await self._ended}). {self._last_words()}")
        try:
            self.url = json.loads(line)["ws"]
        except (ValueError, KeyError, TypeError):
            said = line.decode(errors="replace").strip()
            raise GatewayFailed(f"{self.name} said {said!r} instead of its address. {self._last_words()}") from None

    def _environment(self) -> dict[str, str]:
        """Ours without its settings, and with a way to this package wherever we were started."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
        path = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**inherited, "PYTHONPATH": os.pathsep.join(path), **self._settings}

    async def failure(self) -> GatewayFailed:
        """Returns only if the gateway ends by itself: why."""
        while True:
            assert self._ended is not None
            ended = self._ended
            status = await asyncio.shield(ended)
            await self._in_place.wait()
            if ended is self._ended:
                break
        return GatewayFailed(f"{self.name} ended by itself (status {status}). {self._last_words()}")

    async def replace(self, pause: float) -> None:
        """Kill it as a power cut would, and `pause` seconds later start another there. Raises GatewayFailed."""
        assert self._ended is not None
        self._in_place.clear()
        try:
            self._process.kill()
            await asyncio.shield(self._ended)
            await asyncio.sleep(pause)
            self._command = (*self._command, "--port", str(urlsplit(self.url).port))
            await self._start()
        finally:
            self._in_place.set()

    async def stop(self) -> None:
        """End it gently, and after 15 s at once; wait until it has ended."""
        if self._ended is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self._ended.done():
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(sign)
                await asyncio.wait([self._ended], timeout=STOP_LIMIT_S)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(["The last it said:", *(f"  {line}" for line in lines[-LOG_LINES:] or ["(nothing)"])])
