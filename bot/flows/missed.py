"""What happened in an agent's conversations while they were away: read from the logs, in order.

Law: nothing is kept for this; an absence is two instants, and what lies between them is in the logs.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.desk.inboxes import Inboxes
from bot.desk.places import Desk
from bot.desk.presence import Presence
from bot.documents.store import LoggedEntry, Overview
from bot.entry import read_entry
from bot.flows.deciding import Parts
from bot.frames import Missed as MissedCommand
from bot.overview import render_logged
from bot.participant import Participant, check_agent
from cards.model import from_ms, to_ms
from cards.proposal import NOTICES
from cards.texts import Locale

_OF_EACH = 500
"""Entries of one conversation that are read at a time."""
_READS = 200
"""Logs that are read at the same time."""
_FRESH = timedelta(minutes=10)
"""After that nobody is told of their absence any more: who reloads a page in the evening knows of the morning."""


class Missed:
    """Reads what an agent missed."""

    def __init__(self, parts: Parts, desk: Desk, inboxes: Inboxes, presence: Presence) -> None:
        self._parts = parts
        self._desk = desk
        self._inboxes = inboxes
        self._presence = presence

    async def summary(self, who: Participant, mine: Sequence[Overview]) -> dict[str, Any] | None:
        """Of the agent's last absence: `outcomes` by state, how many conversations came (`new_conversations`) and went
        to others (`handed_on`), in how many a reply was `overdue`; `from_ms` and `to_ms` are its ends.

        `mine` are the agent's conversations now. None for an agent who was never away, or is back for a while.
        """
        absence = await self._presence.absence(who.shop_id, who.id)
        if absence is None or absence.back is None or self._parts.clock.now() - absence.back > _FRESH:
            return None
        outcomes: Counter[str] = Counter()
        came: set[str] = set()
        went: set[str] = set()
        overdue: set[str] = set()
        async for conversation_id, logged in self._between(who, mine, absence.left, absence.back):
            entry = read_entry(logged.body)
            if entry.author and (entry.author.role, entry.author.id) == (who.role, who.id):
                continue  # what they did themselves, on their way out
            if entry.notice in NOTICES and entry.notice_to == who.id:
                outcomes[entry.notice] += 1
            if entry.notice == "reply_overdue" and entry.notice_to == who.id:
                overdue.add(conversation_id)
            if entry.conversation is not None:
                came_here = entry.conversation.agent_id == who.id
                (came if came_here else went).add(conversation_id)
                (went if came_here else came).discard(conversation_id)
        return {
            "from_ms": to_ms(absence.left),
            "to_ms": to_ms(absence.back),
            "outcomes": dict(outcomes),
            "new_conversations": len(came),
            "handed_on": len(went),
            "overdue": len(overdue),
        }

    async def entries(self, who: Participant, command: MissedCommand, locale: Locale) -> dict[str, Any]:
        """What happened since an instant: `now_ms`, `entries` in order, `next_ms` (where to go on, or None).

        Each entry is as `render_logged`, with its `conversation_id`. Raises CommandError `agents_only`.
        """
        check_agent(who)
        mine = await self._inboxes.of_agent(who.shop_id, who.id)
        news, next_ms = await self._since(who, mine, from_ms(command.since_ms))
        end = command.limit
        while end < len(news) and news[end][1].at_ms == news[end - 1][1].at_ms:
            end += 1  # where to go on is an instant, so nothing of one instant is left for the next page
        page = news[:end]
        return {
            "now_ms": self._parts.clock.now_ms(),
            "entries": [{"conversation_id": id, **render_logged(one, "agent", locale)} for id, one in page],
            "next_ms": news[end][1].at_ms if end < len(news) else next_ms,
        }

    async def _between(
        self, who: Participant, mine: Sequence[Overview], since: datetime, until: datetime
    ) -> AsyncIterator[tuple[str, LoggedEntry]]:
        """Everything from one instant to another, both included, by time."""
        next_ms: int | None = to_ms(since)
        while next_ms is not None and next_ms <= to_ms(until):
            news, next_ms = await self._since(who, mine, from_ms(next_ms))
            for one in news:
                if one[1].at_ms <= to_ms(until):
                    yield one

    async def _since(
        self, who: Participant, mine: Sequence[Overview], since: datetime, most: int | None = None
    ) -> tuple[list[tuple[str, LoggedEntry]], int | None]:
        """The first entries since then of these conversations, and of those that went to others, until they went.

        By time, and from which instant on there are more, if there are: `most` of each conversation are read.
        """
        most = most or _OF_EACH
        gone = await self._desk.past(who.shop_id, who.id, since)
        whole = {one.conversation.id for one in mine}
        ids = [*whole, *(id for id in gone if id not in whole)]
        found: list[tuple[str, LoggedEntry]] = []
        next_ms: int | None = None
        for start in range(0, len(ids), _READS):
            batch = ids[start : start + _READS]
            logs = await asyncio.gather(*[self._parts.store.read_since(id, since, most) for id in batch])
            for id, log in zip(batch, logs, strict=True):
                if len(log) == most:
                    next_ms = min(next_ms or log[-1].at_ms, log[-1].at_ms)
                found += [(id, entry) for entry in log if id in whole or entry.at_ms <= to_ms(gone[id])]
        if next_ms == to_ms(since):  # so many at one instant that there would be no end to it
            return await self._since(who, mine, since, 2 * most)
        known = [one for one in found if next_ms is None or one[1].at_ms < next_ms]
        return sorted(known, key=lambda one: (one[1].at_ms, one[0], one[1].seq)), next_ms
