"""Lines from stdin, be it a terminal, a pipe or a file. Law: it holds up neither the loop nor the process's end."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable

_CHUNK = 64 * 1024


async def lines() -> AsyncIterator[str]:
    """Each line without its end, until stdin is at its end."""
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(line: str | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, line)

    # A daemon and os.read: a thread that waits in sys.stdin.readline() holds a lock the interpreter wants at its end,
    # and a non-blocking stdin would make stdout non-blocking too, since both are the same terminal.
    threading.Thread(target=_read, args=(sys.stdin.fileno(), put), name="keyboard", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line


def _read(descriptor: int, put: Callable[[str | None], None]) -> None:
    rest = b""
    try:
        while chunk := os.read(descriptor, _CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                put(line.decode(errors="replace"))
        if rest:
            put(rest.decode(errors="replace"))
        put(None)
    except RuntimeError:  # the loop is closed: nobody reads any more
        return
