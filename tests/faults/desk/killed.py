"""A gateway is killed in the middle of each deed of the desk, and another lives on: one effect, and a desk in order.

The moments are those of `doomed`: reserved and not committed, committed and nobody told, people answered and the desk
not told.
"""

from collections.abc import Awaitable, Callable

import pytest

from bot.client import ChatClient, Frame
from tests.faults.doomed import MOMENTS, Doomed
from tests.flows.town import Gateway, Town

LIN_WAN, CHEN_MO = "nanshan.lin-wan", "nanshan.chen-mo"
SLACK = 1.5
"""What a busy machine may add to what is due at an instant (s), the sweep of a watcher included."""

Start = Callable[..., Awaitable[Doomed]]
every_moment = pytest.mark.parametrize("when", MOMENTS)


async def outlives(client: ChatClient, gateway: Doomed, command: Awaitable[Frame]) -> Frame:
    """The answer to a command whose gateway dies over it, and its client back at the other."""
    answer = await command
    await gateway.ends()
    await client.wait_for(lambda: client.connections == 2, 10)
    return answer


async def hears_all(client: ChatClient, gateway: Gateway, conversation_id: str) -> None:
    """Wait until a client has the whole log, without a gap or a double."""
    seq = (await gateway.house.store.load(conversation_id)).seq
    await client.wait_for(lambda: client.cursors.get(conversation_id) == seq, 5)
    assert client.violations == []


async def listed(agent: ChatClient) -> set[str]:
    """The open conversations in an agent's list that are theirs."""
    items = (await agent.list_conversations())["conversations"]
    return {item["conversation_id"] for item in items if item["agent_id"]}


async def a_minute_later(town: Town, *indexes: str) -> None:
    """As if lin-wan had been in these indexes of the desk for a minute."""
    redis = await town.redis()
    for index in indexes:
        await redis.zincrby(f"desk:{{nanshan}}:{index}", -61_000, LIN_WAN)
