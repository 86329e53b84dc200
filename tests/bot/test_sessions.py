"""Sessions that are behind, while very much waits for all of them: who takes what they are sent is left alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.participant import Participant, Role
from bot.sessions import Backlog, Session
from bot.settings import Settings
from cards.texts import Locale

SETTINGS = Settings(secret="a secret of the tests, 32 or longer")
WHO = Participant(role=Role.BUYER, id="b", shop_id="s", name="B", expires=datetime.now(UTC) + timedelta(hours=1))
FRAME = b"x" * 1000


class Socket:
    """A websocket that takes frames, or none while it is held."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.taken = 0
        self.closed: list[int] = []

    async def send_frame(self, frame: bytes, opcode: Any) -> None:
        await self.free.wait()
        self.taken += 1

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        self.closed.append(code)


def session(socket: Socket, backlog: Backlog) -> Session:
    return Session(socket, None, WHO, Locale.ZH_CN, SETTINGS, backlog)  # type: ignore[arg-type]


@pytest.fixture
async def full() -> Backlog:
    """More waits than may, all of it for others."""
    backlog = Backlog(10_000)
    backlog.waiting = 20_000
    return backlog


async def test_who_takes_everything_is_not_behind(full: Backlog) -> None:
    """Many frames of one turn wait for the next. Seen to fail with whatever waits for how far one is behind."""
    socket = Socket()
    reader = session(socket, full)
    for _ in range(50):
        reader.send(FRAME)
    assert not reader.over
    await reader.flushed(5)
    assert (socket.taken, full.waiting) == (50, 20_000)


async def test_of_those_who_take_nothing_no_more_are_closed_than_must() -> None:
    """What waited for one who is closed is given back at once. Seen to fail with that left to the closing: all were."""
    backlog = Backlog(100_000)
    held = [Socket() for _ in range(10)]
    readers = [session(socket, backlog) for socket in held]
    for socket, reader in zip(held, readers, strict=True):
        socket.free.clear()
        for _ in range(4):
            reader.send(FRAME)
    await asyncio.sleep(0)
    backlog.most = 35_000
    for reader in readers:
        reader.send(FRAME)
    assert 0 < sum(reader.over for reader in readers) < 10
    for socket in held:
        socket.free.set()
    for reader in readers:
        await reader.end()
    assert backlog.waiting == 0
