"""What every flow stands on: the parts of the house it needs, and deciding again when a commit was stale."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from bot.clock import ServerClock
from bot.documents.store import CommandId, Loaded, Stale, Store
from bot.errors import CommandError
from bot.orders.base import OrderSystem, UnknownOrder
from bot.settings import Settings
from cards.errors import Refusal
from cards.order import Order
from cards.proposal import Proposal
from scheduler.timers import Timers

log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS = 12
"""How often a decision is made again before the caller is told `busy`; two racing flows need two."""


class Background:
    """Work that outlives the command that began it; the process waits for it when it drains."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Run it; a failure is logged, and left to the timer or event that will come again."""
        task = asyncio.create_task(self._run(work, what), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        try:
            await work
        except Exception:
            log.warning("%s failed; a timer, an event or the reconciler will make up for it", what, exc_info=True)

    async def drain(self, limit: float) -> None:
        """Wait for all of it, and what it begins, `limit` seconds at most; the rest is cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass(slots=True)
class AnswerWindow:
    """How long a buyer may take to answer a card that is sent from now on; only the demo ever moves it."""

    length: timedelta


@dataclass(frozen=True, slots=True)
class Parts:
    """What flows work with; made once, by the composition root."""

    store: Store
    orders: OrderSystem
    timers: Timers
    clock: ServerClock
    settings: Settings
    window: AnswerWindow
    background: Background = field(default_factory=Background)

    async def load(
        self,
        conversation_id: str,
        command: CommandId | None = None,
        *,
        orders: tuple[str, ...] = (),
        proposals: tuple[str, ...] = (),
    ) -> Loaded:
        """`Store.load`, and the clock takes note of the server's time."""
        loaded = await self.store.load(conversation_id, command, orders=orders, proposals=proposals)
        self.clock.heard(loaded.now)
        return loaded

    async def order_in(self, conversation_id: str, order_id: str) -> Order:
        """An order of this conversation's buyer. Raises Refusal `unknown_order`, also for somebody else's."""
        shop_id, _, buyer_id = conversation_id.partition(".")
        with contextlib.suppress(UnknownOrder):
            order = await self.orders.order(shop_id, order_id)
            if order.buyer_id == buyer_id:
                return order
        raise Refusal("unknown_order", {"order_id": order_id})


def found(loaded: Loaded, proposal_id: str) -> Proposal:
    """The proposal that was asked for. Raises CommandError `unknown_proposal`."""
    if (proposal := loaded.proposals[0]) is None:
        raise CommandError("unknown_proposal", proposal_id=proposal_id)
    return proposal


async def decide(attempt: Callable[[], Awaitable[T]]) -> T:
    """The first attempt that is not stale; each loads and decides anew. Raises CommandError `busy` after a dozen."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except Stale:
            continue
    raise CommandError("busy", retry_after_ms=200)
