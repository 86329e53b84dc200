"""`python -m bot …` as real processes: started, spoken to, and always ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.client import ChatClient

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the tests, 32 or longer"
LIMIT = 30.0
"""Seconds for anything here: far more than it takes, so that a slow machine is no failure."""


class Ended:
    """A process that has ended: its status, and all that it said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


class Running:
    """A process that runs, with what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._said = asyncio.Event()
        assert process.stdout is not None
        assert process.stderr is not None
        self._reading = [
            asyncio.create_task(self._read("out", process.stdout)),
            asyncio.create_task(self._read("err", process.stderr)),
        ]

    async def _read(self, name: str, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.readline():
            setattr(self, name, getattr(self, name) + chunk.decode())
            self._said.set()
        self._said.set()

    async def until(self, said: Callable[[str], object]) -> str:
        """All of stdout, once `said` is true of it. Raises TimeoutError, AssertionError when the process ended."""
        async with asyncio.timeout(LIMIT):
            while not said(self.out):
                assert not all(task.done() for task in self._reading), f"it ended:\n{self.out}\n{self.err}"
                self._said.clear()
                await self._said.wait()
        return self.out

    async def type(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all of its group, as a terminal does."""
        os.killpg(self.process.pid, number)

    async def ended(self) -> Ended:
        """Wait for its end."""
        async with asyncio.timeout(LIMIT):
            status = await self.process.wait()
            await asyncio.gather(*self._reading)
        return Ended(status, self.out, self.err)


class CommandLine:
    """Starts commands, in an environment of their own. Use as an async context manager."""

    def __init__(self, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSENT_", "REDIS_"))}
        self.environment = {**kept, **environment}
        self._running: list[Running] = []

    async def __aenter__(self) -> "CommandLine":
        return self

    async def __aexit__(self, *_: object) -> None:
        for running in self._running:
            if running.process.returncode is None:
                running.signal(signal.SIGKILL)
            await running.ended()

    async def start(self, *words: str, within: Sequence[str] = ()) -> Running:
        """`python -m bot` with these words, running, in a process group of its own; by the command `within`, if any."""
        process = await asyncio.create_subprocess_exec(
            *(*within, sys.executable, "-m", "bot", *words),
            cwd=ROOT,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        running = Running(process)
        self._running.append(running)
        return running

    async def run(self, *words: str) -> Ended:
        """The same, ended."""
        return await (await self.start(*words)).ended()


def client(url: str, token: str, **options: Any) -> ChatClient:
    """A participant, quick to come back; options are ChatClient's."""
    return ChatClient(url, token, backoff=(0.02, 0.5), patience=LIMIT, **options)
