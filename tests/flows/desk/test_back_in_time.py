"""An agent who comes back in the very moment in which their conversations are given to others keeps them."""

import asyncio

from bot.transcript import Transcript
from tests.flows.town import Town


async def test_a_conversation_is_not_given_to_the_agent_who_has_it(town: Town) -> None:
    """They were found to be away, and are here again when somebody is looked for.

    Seen to fail without the comparison in `find_other`: both sides were told that the agent is offline and has it now,
    and the buyer's waiting time began anew.
    """
    gateway = await town.gateway()
    agent, buyer = await town.agent("xiaoyu"), await town.buyer("lin-wan")
    await buyer.say("nanshan.lin-wan", "在吗")
    before = await agent.wait_for(lambda: agent.logs.get("nanshan.lin-wan"))
    asked_ms = agent.conversations["nanshan.lin-wan"]["asked_ms"]
    async with asyncio.timeout(15):
        await gateway.house.assignment._offer("nanshan.lin-wan", "xiaoyu")
    page = await agent.history("nanshan.lin-wan")
    assert [entry["seq"] for entry in page["entries"]] == [entry["seq"] for entry in before]
    assert page["conversation"]["asked_ms"] == asked_ms
    listed = await agent.list_conversations()
    assert (listed["counts"]["to_reply"], listed["counts"]["unassigned"]) == (1, 0)
    assert await gateway.house.desk.waiting("nanshan") == []


def test_what_went_to_somebody_else_is_not_shown_as_waiting() -> None:
    """Whoever resumes is sent what was said in conversations that are no longer theirs, not whose they are.

    Seen to fail: the agent's list of what waits had an item without a buyer.
    """
    transcript = Transcript()
    transcript.cursors["shop.ann"] = 4
    who = {"role": "agent", "id": "mo", "shop_id": "shop"}
    transcript.take({"type": "welcome", "participant": who, "conversations": [], "waiting": []})
    said = {"by": {"role": "buyer", "id": "ann"}, "text": "hello"}
    transcript.take({"type": "entry", "conversation_id": "shop.ann", "seq": 5, "at_ms": 1, "text": said})
    assert transcript.waiting == {}
