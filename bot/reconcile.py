"""A slow second look: has every open proposal, and every buyer who waits for a reply, their timer? Is the order still
the one that the proposal was made on? Does the desk know whose every conversation is?

Law: it repairs what only a lost write can break (a failover that lost timers, a process that died between a commit and
its second look at the order); nothing else depends on it. Any number of processes may run it, since all it does is
harmless to repeat.
"""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.desk.places import Desk
from bot.documents.proposal_index import ProposalIndex
from bot.flows.deciding import Parts
from bot.flows.negotiation import Negotiation
from bot.flows.reminding import next_look
from bot.flows.reply_clock import NOTHING_DUE, next_step
from bot.flows.retention import Retention
from bot.flows.timer_ids import expiry_of, reply_timer, retry_of
from cards.proposal import Proposal, State

log = logging.getLogger(__name__)

_HOLD = re.compile(rb"^chat:\{([^}]+)\}:hold:(.+)$")
_CHAT = re.compile(rb"^chat:\{([^}]+)\}$")
_DESK = re.compile(rb"^desk:\{([^}]+)\}:(?:placed|held)$")
_SPREAD = 5.0
"""Seconds over which the gateways' looks are spread after the store was away; they all learn of it at once."""
_KEYS = "[cd]*"
"""Those of conversations and of desks, in one walk over all there are."""
_SCAN = 500
"""Keys looked at in one step; a pause of as long as the step took follows, so that it takes half a core at most."""


class Reconciler:
    """Looks at start, soon after the store was away, and about every `settings.reconcile`, at a moment of its own."""

    def __init__(
        self,
        parts: Parts,
        negotiation: Negotiation,
        index: ProposalIndex,
        desk: Desk,
        retention: Retention,
        primaries: Callable[[], Awaitable[Sequence[Redis]]],
    ) -> None:
        self._parts = parts
        self._negotiation = negotiation
        self._index = index
        self._desk = desk
        self._retention = retention
        self._primaries = primaries
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Look within seconds: what was written last may be lost, timers too."""
        self._hurry.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        pause = self._parts.settings.reconcile.total_seconds()
        while True:
            try:
                repaired = await self.look()
                if repaired:
                    log.warning("reconciled %d timers that were gone", repaired)
            except (RedisError, OSError) as error:
                log.warning("reconciling broke off, and begins anew soon: %s", error)
                self._hurry.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.5, 1)):
                    await self._hurry.wait()
            if self._hurry.is_set():
                await asyncio.sleep(_SPREAD * random.uniform(0.1, 1))
                self._hurry.clear()

    async def look(self) -> int:
        """Look at everything that is open once; how many timers were lost. Raises RedisError."""
        repaired = 0
        desks: set[str] = set()
        async for key in self._keys():
            if hold := _HOLD.match(key):
                repaired += await self._check(hold[1].decode(), hold[2].decode())
            elif chat := _CHAT.match(key):
                repaired += await self._place(chat[1].decode())
                await self._retention.watch(chat[1].decode())
            elif desk := _DESK.match(key):
                desks.add(desk[1].decode())
        for shop_id in desks:
            await self._retention.tidy(shop_id)
        return repaired

    async def _place(self, conversation_id: str) -> bool:
        """Put a conversation right at the desk, which does not know if a gateway died between commit and telling it.

        And see to the timer of a buyer who waits for a reply; whether that was lost.
        """
        loaded = await self._parts.load(conversation_id)
        if loaded.conversation is None:
            return False
        await self._desk.put_right(loaded)
        settings, timers, timer = self._parts.settings, self._parts.timers, reply_timer(conversation_id)
        step = next_step(loaded.marks, loaded.now, settings.reply_warning, settings.reply_overdue)
        lost = step != NOTHING_DUE and await timers.due_of(timer) is None
        if lost:
            await timers.arm(timer, step.again if step.again and not step.notice else loaded.now)
        return lost

    async def _keys(self) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        for primary in await self._primaries():
            cursor = 0
            while True:
                began = clock()
                cursor, keys = await primary.scan(cursor, match=_KEYS, count=_SCAN)
                for key in keys:
                    yield cast(bytes, key)
                if cursor == 0:
                    break
                await asyncio.sleep(clock() - began)

    async def _check(self, conversation_id: str, order_id: str) -> bool:
        """See to the timer of that order's open proposal, and look at the order; whether the timer was lost."""
        loaded = await self._parts.load(conversation_id, orders=(order_id,))
        if (proposal := loaded.proposals[0]) is None:
            return False
        await self._index.add(proposal.shop_id, conversation_id, proposal.id, loaded.now)
        timers, settings = self._parts.timers, self._parts.settings
        if proposal.state is State.APPLYING:
            timer, due = retry_of(proposal), self._parts.clock.now() + settings.retry_after
        else:
            timer = expiry_of(conversation_id, proposal.id)
            # As when it was made: what was to be told meanwhile is told now.
            due = next_look(proposal.created, proposal.deadline, proposal.created, settings)
        lost = await timers.due_of(timer) is None
        if lost:
            await timers.arm(timer, due)
        if proposal.state is State.PENDING:
            await self._verify(proposal)
        return lost

    async def _verify(self, proposal: Proposal) -> None:
        """An order system that is away, or what else is wrong with one order, keeps nobody from looking at the next."""
        try:
            async with asyncio.timeout(self._parts.settings.order_system_timeout.total_seconds()):
                await self._negotiation.verify(proposal)
        except Exception as error:
            log.warning("order %s could not be looked at: %s", proposal.order_id, error or type(error).__name__)
