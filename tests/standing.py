"""What stands for longer than one test: entered and left outside of every test's event loop."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, leaving the current loop, which is pytest-asyncio's, alone."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def standing(context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enter it in one loop, and leave it in another; what it is then belongs to neither."""
    entered = run(context.__aenter__())
    try:
        yield entered
    finally:
        run(context.__aexit__(None, None, None))
