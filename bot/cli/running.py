"""A command's coroutine from start to end: the fastest loop there is, and an end that SIGINT and SIGTERM ask for.

Law: the first signal cancels the command, whose cleaning up is its draining; a second one ends the process at once.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(command: Coroutine[Any, Any, None]) -> bool:
    """Run it to its end; False when a signal ended it before, which is no error."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_told(command))


async def told_to_stop() -> None:
    """Return when a signal says so, instead of being cancelled by it: what follows is the cleaning up."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def calm_collector() -> None:
    """Have the garbage collector leave alone what is loaded, and look less often: a gateway makes no cycles worth it.

    By tests/bench/negotiations.py the default thresholds cost about a tenth of a gateway's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def log_to_stderr(level: str) -> None:
    """Have everything from `level` on (`info`, `warning` …) logged to stderr, a readable line each."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", force=True
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_told(command: Coroutine[Any, Any, None]) -> bool:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    told = False

    def tell() -> None:
        nonlocal told
        told = True
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, tell)
    try:
        await task
    except asyncio.CancelledError:
        if not told:
            raise
    return not told
