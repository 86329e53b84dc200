"""Waiting for what sets no event here, since it happens in a server or another process: looked at until it is so."""

import asyncio
import contextlib
from collections.abc import Callable
from inspect import isawaitable
from typing import Any


async def until(found: Callable[[], Any], limit: float = 10, *, away: tuple[type[Exception], ...] = ()) -> Any:
    """What `found` gives, awaited if it has to be, as soon as it is true; an error of `away` counts as not yet.

    Raises TimeoutError after `limit` seconds.
    """
    async with asyncio.timeout(limit):
        while True:
            with contextlib.suppress(*away):
                result = found()
                if isawaitable(result):
                    result = await result
                if result:
                    return result
            await asyncio.sleep(0.01)
