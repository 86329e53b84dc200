"""Whose each conversation of a shop is, as the desk knows it, and who gets one that nobody has.

Law: an index is written before the commit that needs it, so it may name too many conversations and never too few; after
the commit the conversation is put in its place, and of two such calls the later document wins.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from bot.conversation import Conversation
from bot.desk.keys import desk_key, inbox_key, waiting_key
from bot.documents.store import Loaded
from cards.model import from_ms, to_ms
from scheduler.script import Script, Scripts

_HAND_OUT, _TAKE, _PLACE, _RELEASE, _MEMBERS, _PAST_OF, _FORGET, _KNOWN = (
    Script.beside(__file__, name)
    for name in ("hand_out", "take", "place", "release", "members", "past", "forget", "known")
)

_PAST = 200
"""How many conversations that went to others an agent is still told of."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A conversation that is kept for an agent until it is committed that they have it."""

    conversation_id: str
    agent_id: str
    agent_name: str


class Desk:
    """The waiting conversations and the inboxes of every shop. Every call may raise redis.exceptions.RedisError.

    `agent_limit` is how many open conversations an agent may have.
    """

    def __init__(self, scripts: Scripts, agent_limit: int) -> None:
        self._scripts = scripts
        self._limit = agent_limit

    async def find_agent(self, shop_id: str, conversation_id: str, version: int) -> Reserved | None:
        """An agent for this conversation, now reserved for them; None: nobody has room, and it waits at the desk.

        `version` is that of the document which is decided on.
        """
        found = await self._hand_out(shop_id, 0, [conversation_id, version])
        return found[0] if found else None

    async def hand_out(self, shop_id: str, most: int = 50) -> list[Reserved]:
        """An agent for each of the conversations that wait longest, as far as there is room."""
        return await self._hand_out(shop_id, most, [])

    async def _hand_out(self, shop_id: str, most: int, which: list[str | int]) -> list[Reserved]:
        found = await self._scripts.run(_HAND_OUT, [waiting_key(shop_id)], [self._limit, most, *which])
        parts = [part.decode() for part in found]
        return [Reserved(*parts[i : i + 3]) for i in range(0, len(parts), 3)]

    async def take(self, shop_id: str, conversation_id: str, agent_id: str, version: int = 0) -> bool:
        """Reserve it for this agent; False: they have as many as they may.

        `version` is that of the document which is decided on.
        """
        others = ("held", "idle", "present", "gone", "left")
        keys = [inbox_key(shop_id, agent_id), *(desk_key(shop_id, name) for name in others)]
        return bool(await self._scripts.run(_TAKE, keys, [conversation_id, agent_id, self._limit, version]))

    async def release(self, shop_id: str, conversation_id: str, agent_id: str, version: int) -> None:
        """Give up a reservation: by its document of that version the conversation is not theirs."""
        keys = [inbox_key(shop_id, agent_id), desk_key(shop_id, "held"), desk_key(shop_id, "placed")]
        await self._scripts.run(_RELEASE, keys, [conversation_id, agent_id, version])

    async def place(self, conversation: Conversation, version: int, since: datetime, former: str | None = None) -> None:
        """Put it where its document of that version says; if that is among the waiting, then since that instant.

        `former` is the agent who had it until then, where that is known.
        """
        whose = "closed" if not conversation.open else "agent" if conversation.agent_id else "nobody"
        await self._scripts.run(
            _PLACE,
            [waiting_key(conversation.shop_id)],
            [conversation.id, version, whose, conversation.agent_id or "", to_ms(since), _PAST, former or ""],
        )

    async def put_right(self, loaded: Loaded) -> None:
        """Put the conversation where its document, read just now, says; nothing happens where it has none."""
        if loaded.conversation is not None:
            await self.place(loaded.conversation, loaded.conversation_version, loaded.marks.asked or loaded.now)

    async def forget(self, shop_id: str, conversation_id: str, version: int) -> bool:
        """It is removed, or about to be, with its document of that version.

        False: nothing is forgotten, since there is a newer version, or will be.
        """
        return bool(await self._scripts.run(_FORGET, [waiting_key(shop_id)], [conversation_id, version]))

    async def known(self, shop_id: str) -> AsyncIterator[tuple[str, int]]:
        """The conversations that the desk has taken note of, with the version of its document; 0: not read yet."""
        for name in ("placed", "held"):
            at: bytes | str = "0"
            while True:
                at, flat = await self._scripts.run(_KNOWN, [desk_key(shop_id, name)], [at])
                for id, value in zip(flat[::2], flat[1::2], strict=True):
                    version = value.split(b" ")[0]
                    yield id.decode(), int(version) if version.isdigit() else 0
                if at == b"0":
                    break

    async def inbox(self, shop_id: str, agent_id: str) -> list[str]:
        """The conversations that may be this agent's: check each against its document, and `drop` the others."""
        return await self._members(inbox_key(shop_id, agent_id), [])

    async def waiting(self, shop_id: str) -> list[str]:
        """The conversations that may wait, longest first: check each against its document, and `drop` the others."""
        return await self._members(waiting_key(shop_id), [])

    async def past(self, shop_id: str, agent_id: str, since: datetime) -> dict[str, datetime]:
        """The conversations that went from this agent to somebody else since then, of the last 200, and when."""
        flat = await self._scripts.run(_PAST_OF, [desk_key(shop_id, f"past:{agent_id}")], [to_ms(since)])
        return {id.decode(): from_ms(int(ms)) for id, ms in zip(flat[::2], flat[1::2], strict=True)}

    async def drop(self, shop_id: str, agent_id: str | None, conversation_ids: list[str]) -> None:
        """These are not the agent's (None: do not wait), unless they are about to be."""
        key = waiting_key(shop_id) if agent_id is None else inbox_key(shop_id, agent_id)
        await self._members(key, conversation_ids)

    async def _members(self, key: str, drop: list[str]) -> list[str]:
        return [id.decode() for id in await self._scripts.run(_MEMBERS, [key], drop)]
