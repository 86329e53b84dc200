"""What a hello's cursor gets: exactly what is missing, or, where that can't be, a fresh page that says so."""

from typing import Any

from bot.client import ChatClient, Frame
from bot.documents.store import LogPage
from bot.participant import Role
from tests.flows.scene import Scene
from tests.flows.town import Town


async def resumed(scene: Scene, cursor: int, role: Role = Role.BUYER, id: str = "lin-wan") -> list[Frame]:
    """The frames a hello with that cursor is answered with, after the welcome, until a ping that follows is."""
    ws = await scene.town.socket(scene.town.token(role, id), cursors={scene.conversation_id: cursor})
    frames = []
    while not frames or frames[-1]["type"] != "ok":
        frames.append(await ws.receive_json(timeout=5))
        if frames[-1]["type"] == "welcome":
            await ws.send_str('{"type":"ping","id":"5b1c7e2c-26f5-4c05-8f1d-2a4a6f1e6d3b"}')
    assert frames[0]["type"] == "welcome"
    return frames[1:-1]


async def test_a_cursor_gets_exactly_what_is_missing(scene: Scene) -> None:
    for number in range(5):
        await scene.buyer.say(scene.conversation_id, f"{number}")
    for cursor in range(7):
        frames = await resumed(scene, cursor)
        assert [(frame["type"], frame["seq"]) for frame in frames] == [("entry", seq) for seq in range(cursor + 1, 7)]


async def test_what_is_said_while_the_log_is_read_comes_after_it(scene: Scene) -> None:
    """The newest entry is published after the log was read for a session, and before the session is let live.

    Seen to fail with `Fanout.release` forgetting what came while the welcome was read.
    """
    gateway = scene.town.gateways[1]
    read, witness = gateway.house.store.read_after, await scene.town.buyer(on=gateway)
    await scene.agent.say(scene.conversation_id, "您好")

    async def read_and_wait(*args: Any) -> LogPage:
        page = await read(*args)
        if page.last_seq == 2:
            await scene.agent.say(scene.conversation_id, "在吗")
            await scene.caught_up(witness)
        return page

    gateway.house.store.read_after = read_and_wait  # type: ignore[method-assign]
    late = ChatClient(gateway.url, scene.town.token(Role.BUYER, "lin-wan"), patience=5)
    late.cursors[scene.conversation_id] = 1
    async with late:
        await late.wait_for(lambda: late.cursors[scene.conversation_id] == 3, 5)
        assert [entry["seq"] for entry in late.logs[scene.conversation_id]] == [2, 3]


async def test_a_cursor_too_far_behind_gets_a_fresh_page(town: Town) -> None:
    scene = await town.scene(resume_entries=5)
    for number in range(60):
        await scene.buyer.say(scene.conversation_id, f"{number}")
    assert len(await resumed(scene, 56)) == 5
    (reset,) = await resumed(scene, 55)
    assert (reset["type"], reset["first_seq"], reset["last_seq"]) == ("reset", 1, 61)
    assert [entry["seq"] for entry in reset["entries"]] == list(range(12, 62))


async def test_a_cursor_older_than_the_log_gets_a_fresh_page(town: Town) -> None:
    """The oldest entries are trimmed, by whole nodes of the stream."""
    scene = await town.scene(keep_entries=100)
    for number in range(300):
        await scene.buyer.say(scene.conversation_id, f"{number}")
    first = (await scene.buyer.history(scene.conversation_id))["first_seq"]
    assert 1 < first <= 201
    assert [frame["seq"] for frame in await resumed(scene, first - 1)] == list(range(first, 302))
    (reset,) = await resumed(scene, first - 2)
    assert (reset["type"], reset["first_seq"], reset["last_seq"]) == ("reset", first, 301)


async def test_a_cursor_ahead_of_the_log_gets_a_fresh_page(scene: Scene) -> None:
    """As after a restore from an older copy: what the client remembers is no longer so."""
    (reset,) = await resumed(scene, 1_000)
    assert (reset["type"], reset["last_seq"], [entry["seq"] for entry in reset["entries"]]) == ("reset", 1, [1])
    client = ChatClient(scene.town.gateways[0].url, scene.town.token(Role.BUYER, "lin-wan"), patience=5)
    client.cursors[scene.conversation_id] = 1_000
    client.logs[scene.conversation_id] = [{"seq": 1_000, "at_ms": 1}]
    async with client:
        await scene.agent.say(scene.conversation_id, "您好")
        await client.wait_for(lambda: len(client.logs[scene.conversation_id]) == 2, 5)
        assert [entry["seq"] for entry in client.logs[scene.conversation_id]] == [1, 2]


async def test_nobodys_cursor_opens_a_strangers_conversation(scene: Scene) -> None:
    assert await resumed(scene, 0, Role.BUYER, "chen-mo") == []
