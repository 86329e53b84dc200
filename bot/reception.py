"""What somebody is told when they come in: who they are, what they have, what waits, what they missed.

Law: it is read after the session has subscribed, so what happens meanwhile is heard, and nothing falls in between.
"""

import asyncio
import contextlib
from typing import Any, Literal

from redis.exceptions import OutOfMemoryError

from bot.conversation import conversation_id
from bot.desk.presence import Presence
from bot.documents.directory import Directory
from bot.flows.deciding import Parts
from bot.flows.listing import Listing
from bot.flows.missed import Missed
from bot.participant import Participant, Role
from cards.model import to_ms
from cards.texts import Locale


class Reception:
    """Makes welcomes."""

    def __init__(
        self, parts: Parts, presence: Presence, listing: Listing, missed: Missed, directory: Directory
    ) -> None:
        self._parts = parts
        self._presence = presence
        self._listing = listing
        self._missed = missed
        self._directory = directory

    async def arrive(self, who: Participant) -> None:
        """A session of theirs began: from now on they are here. Raises RedisError."""
        await self._remember(who)
        await self._presence.arrive(who)

    def leave(self, who: Participant) -> None:
        """A session of theirs that had arrived is over."""
        self._presence.leave(who)

    async def welcome(self, who: Participant, locale: Locale) -> tuple[dict[str, Any], dict[str, int], dict[str, int]]:
        """The welcome's members, the seq at which each conversation of theirs was read, and that entry's `at_ms`."""
        mine, waiting = await asyncio.gather(self._listing.mine(who), self._listing.waiting(who))
        settings = self._parts.settings
        frame: dict[str, Any] = {
            "now_ms": self._parts.clock.now_ms(),
            "participant": {"role": who.role, "id": who.id, "shop_id": who.shop_id, "name": who.name},
            "expires_ms": to_ms(who.expires),
            "heartbeat_ms": round(settings.heartbeat.total_seconds() * 1000),
            "answer_window_ms": round(self._parts.window.length.total_seconds() * 1000),
        }
        if who.role is Role.BUYER:
            frame["conversations"] = [await self._listing.own_item(who, one, locale) for one in mine]
            frame["waiting"] = []
            id = conversation_id(who.shop_id, who.id)
            return frame, {id: mine[0].seq if mine else 0}, {id: mine[0].at_ms if mine else 0}
        items = await self._listing.items(who.shop_id, [*mine, *waiting], locale)
        frame["conversations"], frame["waiting"] = items[: len(mine)], items[len(mine) :]
        if who.role is Role.AGENT:
            frame["missed"] = await self._missed.summary(who, mine)
            frame["reply_overdue_ms"] = round(settings.reply_overdue.total_seconds() * 1000)
            frame["state"] = await self._listing.state(who)
        if who.role is not Role.AGENT:
            return frame, {}, {}
        return (
            frame,
            {one.conversation.id: one.seq for one in mine},
            {one.conversation.id: one.at_ms for one in mine},
        )

    async def _remember(self, who: Participant) -> None:
        role: Literal["agent", "buyer"]
        match who.role:
            case Role.AGENT:
                role = "agent"
            case Role.BUYER:
                role = "buyer"
            case _:
                return
        if await self._directory.name(who.shop_id, role, who.id) != who.name:
            with contextlib.suppress(OutOfMemoryError):  # a name can wait, reading can't
                await self._directory.remember(who.shop_id, role, who.id, who.name)
