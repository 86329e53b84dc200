"""The conversations at a desk as they stand: what the indexes name, checked against the documents.

Law: an index may name too many; what does not belong there is left out here, and dropped from it.
"""

from bot.desk.places import Desk
from bot.documents.store import Overview, Store


class Inboxes:
    """Reads what each agent has and what waits. Every call may raise redis.exceptions.RedisError."""

    def __init__(self, desk: Desk, store: Store) -> None:
        self._desk = desk
        self._store = store

    async def of_agent(self, shop_id: str, agent_id: str) -> list[Overview]:
        """The open conversations that are this agent's now."""
        return await self._checked(shop_id, agent_id, await self._desk.inbox(shop_id, agent_id))

    async def waiting(self, shop_id: str) -> list[Overview]:
        """The open conversations that have no agent now, the longest waiting first."""
        return await self._checked(shop_id, None, await self._desk.waiting(shop_id))

    async def _checked(self, shop_id: str, agent_id: str | None, ids: list[str]) -> list[Overview]:
        found = dict(zip(ids, await self._store.overviews(ids), strict=True))
        here = {
            id: one
            for id, one in found.items()
            if one is not None and one.conversation.open and one.conversation.agent_id == agent_id
        }
        if gone := [id for id in ids if id not in here]:
            await self._desk.drop(shop_id, agent_id, gone)
        return list(here.values())
