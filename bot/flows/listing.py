"""The desk as its people see it: the list of conversations, the agents, the cards that wait.

Law: everything listed is read from the documents; groups and orders are made here, at the moment of asking.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bot.conversation import conversation_id
from bot.desk.inboxes import Inboxes
from bot.desk.presence import AgentState, Presence
from bot.documents.directory import Directory
from bot.documents.store import Overview
from bot.entry import render_conversation
from bot.flows.deciding import Parts
from bot.frames import Conversations
from bot.orders.base import OrderSystemAway, UnknownOrder
from bot.overview import group_of, render_open_card, render_overview
from bot.participant import STAFF, Participant, Role, check_staff
from cards.model import Id, to_ms
from cards.texts import Locale

GROUPS = ("to_reply", "in_progress", "unassigned")
_FOUND = 1000
"""Buyers that a search by name looks at; most of a shop's may never have written."""
_ID: TypeAdapter[str] = TypeAdapter(Id)


class Listing:
    """Reads lists for agents and supervisors."""

    def __init__(self, parts: Parts, inboxes: Inboxes, presence: Presence, directory: Directory) -> None:
        self._parts = parts
        self._inboxes = inboxes
        self._presence = presence
        self._directory = directory

    async def mine(self, who: Participant) -> list[Overview]:
        """What this participant has: a buyer their conversation, an agent their open ones, a supervisor all agents'."""
        match who.role:
            case Role.AGENT:
                return await self._inboxes.of_agent(who.shop_id, who.id)
            case Role.SUPERVISOR:
                agents = await self._presence.agents(who.shop_id)
                busy = [agent.id for agent in agents if agent.conversations]
                found = await asyncio.gather(*[self._inboxes.of_agent(who.shop_id, id) for id in busy])
                return [overview for overviews in found for overview in overviews]
        overviews = await self._parts.store.overviews([conversation_id(who.shop_id, who.id)])
        return [overview for overview in overviews if overview is not None]

    async def waiting(self, who: Participant) -> list[Overview]:
        """What waits for an agent, the longest first; nothing for buyers."""
        return await self.waiting_of(who.shop_id) if who.role in STAFF else []

    async def waiting_of(self, shop_id: str) -> list[Overview]:
        """What waits for an agent of that shop, the longest first."""
        return await self._inboxes.waiting(shop_id)

    async def conversations(self, who: Participant, command: Conversations, locale: Locale) -> dict[str, Any]:
        """A page of the list: `now_ms`, `counts` of all groups, the `total` found, and `conversations` (`items`).

        Raises CommandError `agents_only`; OrderSystemAway where only an order's id could have found somebody.
        """
        check_staff(who)
        here = await self._here(who)
        counts = Counter(group_of(one.conversation, one.marks) for one in here)
        if command.search is not None:
            found = await self._search(who.shop_id, command.search)
        else:
            found = sorted(here, key=_urgency)
        if command.group is not None:
            found = [one for one in found if group_of(one.conversation, one.marks) == command.group]
        page = found[command.offset : command.offset + command.limit]
        return {
            "now_ms": self._parts.clock.now_ms(),
            "counts": {group: counts[group] for group in GROUPS},
            "total": len(found),
            "conversations": await self.items(who.shop_id, page, locale),
        }

    async def _here(self, who: Participant) -> list[Overview]:
        """What is theirs and what waits; one that changed hands between the two readings is there once."""
        mine, waiting = await asyncio.gather(self.mine(who), self.waiting(who))
        by_age = sorted((*mine, *waiting), key=lambda one: one.seq)
        return list({one.conversation.id: one for one in by_age}.values())

    async def items(self, shop_id: str, overviews: Sequence[Overview], locale: Locale) -> list[dict[str, Any]]:
        """Overviews as agents see them (`render_overview`), and `online`: whether each buyer is here."""
        buyers = [(Role.BUYER, one.conversation.buyer_id) for one in overviews]
        here = await self._presence.present(shop_id, buyers) if buyers else []
        return [
            {**render_overview(one, "agent", locale), "online": online}
            for one, online in zip(overviews, here, strict=True)
        ]

    async def own_item(self, who: Participant, overview: Overview, locale: Locale) -> dict[str, Any]:
        """The buyer's own conversation (`render_overview`), and `online`: whether their agent is here."""
        online = False
        if agent_id := overview.conversation.agent_id:
            (online,) = await self._presence.present(who.shop_id, [(Role.AGENT, agent_id)])
        return {**render_overview(overview, "buyer", locale), "online": online}

    async def _search(self, shop_id: str, text: str) -> list[Overview]:
        """The conversations of buyers whose name has this text in it, whose id it is, or one of whose orders it is."""
        named = await self._directory.find(shop_id, "buyer", text, _FOUND)
        buyers = dict.fromkeys(named)
        if _is_id(text):
            buyers.setdefault(text)
            try:
                buyers.setdefault((await self._parts.orders.order(shop_id, text)).buyer_id)
            except UnknownOrder:
                pass
            except OrderSystemAway:
                if not named:
                    raise
        ids = [conversation_id(shop_id, buyer_id) for buyer_id in buyers]
        found = zip(buyers, ids, await self._parts.store.overviews(ids), strict=True)
        known = [one for _, _, one in found if one is not None]
        return sorted(known, key=lambda one: -(one.line.at_ms if one.line else 0))

    async def agents(self, who: Participant) -> dict[str, Any]:
        """Everybody who works in the shop as `agents`, those who are here first. Raises CommandError `agents_only`.

        Each is `{id, name, state, conversations, limit, left_ms}`: how many they have and may have, since when away.
        """
        check_staff(who)
        agents = await self._presence.agents(who.shop_id)
        return {
            "agents": [
                {
                    "id": one.id,
                    "name": one.name,
                    "state": one.state,
                    "conversations": one.conversations,
                    "limit": self._parts.settings.agent_limit,
                    "left_ms": to_ms(one.left) if one.left else None,
                }
                for one in sorted(agents, key=lambda one: (one.state is AgentState.OFFLINE, one.name, one.id))
            ]
        }

    async def state(self, who: Participant) -> str:
        """What this agent is: `online`, `suspended` or `offline`."""
        return await self._presence.chosen(who.shop_id, who.id)

    async def waiting_cards(self, who: Participant) -> dict[str, Any]:
        """The open cards of an agent, or for a supervisor of the shop, by time left: `now_ms` and `cards`.

        Each as `render_open_card` with `render_conversation`. Raises CommandError `agents_only`.
        """
        check_staff(who)
        overviews = await (self._here(who) if who.role is Role.SUPERVISOR else self.mine(who))
        cards = [
            {**render_open_card(card), **render_conversation(one.conversation)}
            for one in overviews
            for card in one.marks.cards
        ]
        return {
            "now_ms": self._parts.clock.now_ms(),
            "cards": sorted(cards, key=lambda card: (card["deadline_ms"], card["proposal_id"])),
        }


def _urgency(one: Overview) -> tuple[int, int]:
    """待回复 by how long the buyer waits, then 进行中 by the newest line, then 未分配 as they wait."""
    group = group_of(one.conversation, one.marks)
    asked_ms = to_ms(one.marks.asked) if one.marks.asked else 0
    newest_first = -(one.line.at_ms if one.line else 0)
    return GROUPS.index(group) if group else len(GROUPS), newest_first if group == "in_progress" else asked_ms


def _is_id(text: str) -> bool:
    try:
        _ID.validate_python(text)
    except ValidationError:
        return False
    return True
