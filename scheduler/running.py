"""What works in the background while its context is open. Law: on leaving, nothing of it runs any more."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import ClassVar, Self


class Running(ABC):
    """An async context manager that begins `run` as a task called `name`; on leaving it cancels it, and waits for it.

    Leaving raises whatever `run` ended with, but for its cancellation.
    """

    name: ClassVar[str]
    _runner: asyncio.Task[None] | None = None

    @abstractmethod
    async def run(self) -> None:
        """Work until cancelled."""

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self.run(), name=self.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            self._runner.cancel()
            with suppress(asyncio.CancelledError):
                await self._runner
