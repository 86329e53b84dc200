"""Which conversations an agent has, and which nobody has: supersets, checked against the documents when read.

Law: an index is written before the commit that needs it and lives in another slot, so it may name too many
conversations and never too few; whoever reads it drops what has been elsewhere for a while.
"""

from bot.conversation import Conversation
from bot.store import Loaded, Store
from scheduler.script import Script, Scripts

_INDEX = Script.beside(__file__, "desk")


class Desk:
    """The inbox of each agent of a shop, and its waiting conversations."""

    def __init__(self, scripts: Scripts, store: Store) -> None:
        self._scripts = scripts
        self._store = store

    async def add(self, conversation: Conversation) -> None:
        """Note whose the conversation is about to be: its agent's, or, without one, waiting."""
        await self._scripts.run(_INDEX, [_key(conversation.shop_id, conversation.agent_id)], ["add", conversation.id])

    async def of_agent(self, shop_id: str, agent_id: str) -> list[Loaded]:
        """The conversations that are this agent's now."""
        return await self._members(shop_id, agent_id)

    async def waiting(self, shop_id: str) -> list[Loaded]:
        """The conversations that have no agent now."""
        return await self._members(shop_id, None)

    async def _members(self, shop_id: str, agent_id: str | None) -> list[Loaded]:
        key = _key(shop_id, agent_id)
        ids = [id.decode() for id in await self._scripts.run(_INDEX, [key], ["members"])]
        loaded = await self._store.load_many(ids)
        members = {
            id: one
            for id, one in zip(ids, loaded, strict=True)
            if one.conversation is not None and one.conversation.agent_id == agent_id
        }
        if gone := [id for id in ids if id not in members]:
            await self._scripts.run(_INDEX, [key], ["drop", *gone])
        return list(members.values())


def _key(shop_id: str, agent_id: str | None) -> str:
    return f"waiting:{{{shop_id}}}" if agent_id is None else f"inbox:{{{shop_id}:{agent_id}}}"
