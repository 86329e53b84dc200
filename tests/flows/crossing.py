"""Makes two flows meet: both decide on the same reading before either may commit, and the test says who goes first."""

import asyncio
from collections.abc import Sequence

from bot.documents.store import Commit, Committed, Store

LIMIT = 15.0


class Crossing:
    """Holds the next commit of each store until all of them have come, then lets them through in that order.

    Each goes when the one before has its outcome. Later commits pass.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._arrived = [asyncio.Event() for _ in stores]
        self._gone = [asyncio.Event() for _ in stores]
        for place, store in enumerate(stores):
            self._hold(place, store)

    def _hold(self, place: int, store: Store) -> None:
        commit = store.commit

        async def held(decision: Commit) -> Committed:
            if self._arrived[place].is_set():
                return await commit(decision)
            self._arrived[place].set()
            try:
                async with asyncio.timeout(LIMIT):
                    for other in self._arrived:
                        await other.wait()
                    for earlier in self._gone[:place]:
                        await earlier.wait()
                return await commit(decision)
            finally:
                self._gone[place].set()

        store.commit = held  # type: ignore[method-assign]

    async def arrived(self, place: int) -> None:
        """Wait until that one has decided, and stands before its commit."""
        async with asyncio.timeout(LIMIT):
            await self._arrived[place].wait()
