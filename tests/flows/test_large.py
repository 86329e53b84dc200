"""Much to say: what is large reaches an honest reader whole, and what is sent in one breath stays in order."""

import asyncio

from tests.flows.scene import Scene

LONG = "好" * 2000
"""6,000 bytes: 50 of them are more than a session's buffer (256 KiB)."""


async def talk_long(scene: Scene, messages: int) -> None:
    await asyncio.gather(*[scene.buyer.say(scene.conversation_id, LONG) for _ in range(messages)])


async def test_a_long_absence_is_caught_up_entry_by_entry(scene: Scene) -> None:
    """Seen to fail (closed with 4500, again and again) when a catch-up does not wait for room."""
    await scene.caught_up()
    cursors = dict(scene.agent.cursors)
    await scene.agent.aclose()
    await talk_long(scene, 120)
    back = await scene.town.agent("xiaoyu", cursors=cursors)
    await scene.caught_up(back, scene.buyer)
    assert back.connections == 1
    assert len(scene.log(back)) == 120


async def test_a_page_larger_than_the_buffer_arrives(scene: Scene) -> None:
    """Seen to fail (closed with 4500) when the frame itself counts against the buffer."""
    await talk_long(scene, 100)
    page = await scene.agent.history(scene.conversation_id, limit=100)
    assert [entry["text"]["text"] for entry in page["entries"]] == [LONG] * 100
    assert scene.agent.connections == 1


async def test_open_and_say_in_one_breath(scene: Scene) -> None:
    """Seen to fail (unknown_conversation) with a lane of its own for `open`."""
    agent = await scene.town.agent("ahe")
    await asyncio.gather(agent.open("chen-mo"), agent.say(f"{scene.town.shop_id}.chen-mo", "您好"))
