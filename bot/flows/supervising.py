"""What a supervisor asks of the whole shop: how the last day or week of negotiations went.

Law: every number is counted from the proposals' documents as they stood at one instant; nothing is counted along the
way, so nothing can drift. What is final cannot change (R11), so it is read once and then remembered.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bot.documents.proposal_index import OPEN_UNSEEN, WEEK, ProposalIndex
from bot.errors import CommandError
from bot.flows.deciding import Parts
from bot.frames import Stats as AskStats
from bot.participant import Participant, Role
from bot.stats import Fact, Stats, count, render_stats
from cards.proposal import FINAL

PERIODS = {"day": timedelta(days=1), "week": WEEK}

_AT_ONCE = 50
"""Documents read in one step, so that whoever else needs this process or Redis waits a few milliseconds at most."""


class Supervising:
    """Answers for supervisors.

    `remember` bounds the settled proposals that are kept in mind (400 bytes each), of all shops together.
    """

    def __init__(self, parts: Parts, index: ProposalIndex, *, remember: int = 50_000) -> None:
        self._parts = parts
        self._index = index
        self._remember = remember
        self._final: dict[tuple[str, str], Fact] = {}

    async def stats(self, who: Participant, command: AskStats) -> dict[str, Any]:
        """The numbers of the supervisor's shop (`render_stats`). Raises CommandError `supervisor_only`."""
        if who.role is not Role.SUPERVISOR:
            raise CommandError("supervisor_only")
        counted = await self.count(who.shop_id, PERIODS[command.period])
        return {"period": command.period, **render_stats(counted)}

    async def count(self, shop_id: str, period: timedelta) -> Stats:
        """The shop's numbers of the period that ends now; a week at most. Raises RedisError."""
        proposals = await self._index.since(shop_id, self._parts.clock.now() - period - OPEN_UNSEEN)
        if proposals:
            await self._parts.load(proposals[-1][0])  # the clock hears the server's time before it is asked
        now = self._parts.clock.now()
        facts = await self._facts(proposals)
        return await asyncio.to_thread(count, facts, now, period)  # 4 µs each: as many as a big shop's hold nobody up

    async def _facts(self, proposals: Sequence[tuple[str, str]]) -> list[Fact]:
        """The facts of those that have a document. All that is remembered is taken before anything is forgotten."""
        facts, unknown = [], []
        for proposal in proposals:
            if fact := self._final.get(proposal):
                facts.append(fact)
            else:
                unknown.append(proposal)
        unknown.sort()
        for start in range(0, len(unknown), _AT_ONCE):
            facts += await self._read(unknown[start : start + _AT_ONCE])
        return facts

    async def _read(self, proposals: Sequence[tuple[str, str]]) -> list[Fact]:
        of_conversation = defaultdict(list)
        for conversation_id, proposal_id in proposals:
            of_conversation[conversation_id].append(proposal_id)
        loads = [self._parts.load(id, proposals=tuple(ids)) for id, ids in of_conversation.items()]
        facts = []
        for loaded in await asyncio.gather(*loads):
            for proposal in filter(None, loaded.proposals):
                facts.append(fact := Fact.of(proposal))
                if fact.state in FINAL:
                    self._final[proposal.conversation_id, proposal.id] = fact
        while len(self._final) > self._remember:
            del self._final[next(iter(self._final))]
        return facts
