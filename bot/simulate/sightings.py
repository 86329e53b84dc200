"""Who has seen which card wait, and which settled: what those who play wait for."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bot.simulate.evidence import FINAL_STATES, Card, Entry

ANY_AGENT = "any agent"
"""Whichever agent it is: after a transfer it is another."""

Sight = tuple[str, str, bool]
"""Device (or ANY_AGENT), proposal id, and whether the card is settled."""


class Sightings:
    """Fed with every entry of every device; each sight can be waited for, before or after it came."""

    def __init__(self) -> None:
        self.noticed: dict[str, float] = {}
        """When the notice of a card's outcome reached its agent, in seconds of this process's clock."""
        self._seen: dict[Sight, asyncio.Future[Card]] = {}

    def saw(self, device: str, agent: bool, entry: Entry) -> None:
        """A device received an entry."""
        card: Mapping[str, Any] | None = entry.get("card")
        if card is None:
            return
        settled = card["state"] in FINAL_STATES
        if settled and "notice" in entry:
            self.noticed.setdefault(card["proposal_id"], time.perf_counter())
        seen = self._sight((ANY_AGENT if agent else device, card["proposal_id"], settled))
        if not seen.done():
            seen.set_result(card)

    async def waiting(self, device: str, proposal_id: str, limit: float) -> Card:
        """The card as the device first saw it wait. Raises TimeoutError after `limit` seconds."""
        return await self._wait((device, proposal_id, False), limit)

    async def settled(self, device: str, proposal_id: str, limit: float) -> Card:
        """The card as the device saw it settled. Raises TimeoutError after `limit` seconds."""
        return await self._wait((device, proposal_id, True), limit)

    async def _wait(self, sight: Sight, limit: float) -> Card:
        async with asyncio.timeout(limit):
            return await asyncio.shield(self._sight(sight))

    def _sight(self, sight: Sight) -> asyncio.Future[Card]:
        if sight not in self._seen:
            self._seen[sight] = asyncio.get_running_loop().create_future()
        return self._seen[sight]
