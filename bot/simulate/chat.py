"""One conversation as it is played: the buyer's devices, and the agent who has it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.client import ChatClient, CommandFailed
from bot.conversation import conversation_id
from bot.simulate.device import Device
from bot.simulate.people import People

T = TypeVar("T")

TRIES = 20
"""How often somebody looks for the current agent before giving up: it may be transferred again and again."""


@dataclass(slots=True)
class Chat:
    """A conversation since the simulation came: its log stood at `since`, and `agent_before` had it."""

    id: str
    people: People
    devices: list[Device]
    agent_id: str
    since: int
    agent_before: str | None
    orders_before: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def as_agent(self, act: Callable[[ChatClient], Awaitable[T]]) -> tuple[Device, T]:
        """What the current agent does, who is asked for again if it is another by now. Raises CommandFailed."""
        for _ in range(TRIES):
            agent = await self.people.agent(self.agent_id)
            try:
                return agent, await act(agent.client)
            except CommandFailed as failed:
                if failed.code != "not_current_agent":
                    raise
                self.agent_id = failed.problem["agent_id"] or self.agent_id
        raise TimeoutError(f"{self.id}: no agent could act in {TRIES} tries")

    async def orders(self) -> dict[str, dict[str, Any]]:
        """The buyer's orders by id, as the agent's list has them."""
        _, orders = await self.as_agent(lambda agent: agent.orders(self.id))
        return {order["id"]: order for order in orders}


async def open_chat(people: People, shop_id: str, buyer_id: str, agent_id: str, devices: int) -> Chat:
    """The conversation of that buyer, opened by `agent_id` unless somebody has it already.

    The buyer's first device is on another gateway than the agent, the next one a gateway further. Raises CommandFailed.
    """
    place = people.place_of((await people.agent(agent_id)).person_id)
    mine = [await people.buyer(buyer_id, number, place + number) for number in range(1, devices + 1)]
    id = conversation_id(shop_id, buyer_id)
    known: dict[str, Any] = next(iter(mine[0].client.welcome["conversations"]), {"seq": 0, "agent_id": None})
    if known["agent_id"] is None:
        await (await people.agent(agent_id)).client.open(buyer_id)
    return Chat(id, people, mine, known["agent_id"] or agent_id, known["seq"], known["agent_id"])
