"""Somebody does not read: they are closed with the code for *resume*, and nobody else waits for them."""

import asyncio
import socket
import time

import aiohttp
import pytest
from aiohttp import WSMsgType

from bot.participant import Role
from bot.sessions import CloseCode, Session
from tests.flows.scene import Scene
from tests.flows.town import Town

TEXT = "话" * 1900
MOST = 2000
"""Entries of about 6 KB until a reader must have been found too slow: a few buffers of the kernel, and ours."""


def narrow(address: tuple) -> socket.socket:
    """A socket that takes little before its reader reads."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    return made


@pytest.fixture
async def scene(town: Town) -> Scene:
    """A buyer whose reader may be behind by 64 KB."""
    return await town.scene(buffer_bytes=64 * 1024, commands_per_second=10_000)


async def unread(scene: Scene) -> tuple[aiohttp.ClientWebSocketResponse, Session]:
    """A second device of the buyer's, at their gateway, that has read nothing yet; and its session."""
    gateway = scene.town.gateways[1]
    before = set(gateway.house.fanout.sessions)
    token, connector = scene.town.token(Role.BUYER, "lin-wan"), aiohttp.TCPConnector(socket_factory=narrow)
    slow = await scene.town.socket(token, gateway, connector=connector)
    async with asyncio.timeout(15):
        while not (new := [each for each in gateway.house.fanout.sessions if each.ready and each not in before]):
            await asyncio.sleep(0.01)
    return slow, new[0]


async def flood(scene: Scene, session: Session) -> float:
    """The agent talks until that session is closed; the longest (s) that the buyer's other device waited for it."""
    longest = 0.0
    for _ in range(MOST):
        began = time.monotonic()
        said = await scene.agent.say(scene.conversation_id, TEXT)
        await scene.buyer.wait_for(lambda said=said: scene.buyer.cursors[scene.conversation_id] == said["seq"], 5)
        longest = max(longest, time.monotonic() - began)
        if session.closing is not None:
            return longest
    raise AssertionError("a reader that read nothing was never closed")


async def test_who_does_not_read_is_cut_off_and_nobody_waits(scene: Scene) -> None:
    """Seen to fail without the bound on a session's buffer: never closed; and without the abort: it kept its memory."""
    _, session = await unread(scene)
    assert await flood(scene, session) < 1
    assert scene.buyer.connections == 1
    async with asyncio.timeout(15):
        while session in scene.town.gateways[1].house.fanout.sessions or session._transport.get_write_buffer_size():
            await asyncio.sleep(0.01)


async def test_whoever_reads_on_is_told_to_resume_and_misses_nothing(scene: Scene) -> None:
    """Seen to fail with the connection aborted at once: the code was thrown away with what stood before it."""
    slow, session = await unread(scene)
    await flood(scene, session)
    read = []
    while (message := await slow.receive(timeout=5)).type is WSMsgType.TEXT:
        if message.json()["type"] == "entry":
            read.append(message.json()["seq"])
    assert slow.close_code == CloseCode.TOO_SLOW
    assert read == list(range(2, 2 + len(read)))
    last, cursor = await scene.last_seq(), read[-1]
    assert cursor < last
    again = await scene.town.socket(
        scene.town.token(Role.BUYER, "lin-wan"), scene.town.gateways[0], cursors={scene.conversation_id: cursor}
    )
    assert (await again.receive_json(timeout=5))["type"] == "welcome"
    missing = [(await again.receive_json(timeout=5))["seq"] for _ in range(last - cursor)]
    assert missing == list(range(cursor + 1, last + 1))


async def test_many_who_are_each_a_little_behind_do_not_fill_the_memory(town: Town) -> None:
    """What waits for all readers has a bound too; who reads is never behind, and is left alone. What was counted for
    those who were closed is given back.

    Seen to fail without the bound of all: four times as much waited. And with the bytes under way given back twice: the
    count fell below nothing.
    """
    scene = await town.scene(buffers_bytes=1024 * 1024, buffer_bytes=1024 * 1024, commands_per_second=10_000)
    backlog = town.gateways[1].house.gateway._backlog
    slow = [await unread(scene) for _ in range(4)]
    most = 0
    for _ in range(MOST):
        said = await scene.agent.say(scene.conversation_id, TEXT)
        await scene.buyer.wait_for(lambda said=said: scene.buyer.cursors[scene.conversation_id] == said["seq"], 5)
        most = max(most, backlog.waiting)
        if all(session.closing is not None for _, session in slow):
            break
    assert most < 1.1 * backlog.most
    assert all(session.closing is not None for _, session in slow)
    assert scene.buyer.connections == 1
    async with asyncio.timeout(8):
        while backlog.waiting:
            await asyncio.sleep(0.01)


async def test_who_does_not_read_holds_up_no_drain(town: Town) -> None:
    """Its buffer is not full enough to be closed, but the kernel takes no more.

    Seen to fail with a close that waits for the socket: the gateway never stopped.
    """
    scene = await town.scene(buffer_bytes=16 * 1024 * 1024, commands_per_second=10_000)
    gateway = town.gateways[1]
    _, session = await unread(scene)
    async with asyncio.timeout(20):
        while session._transport.get_write_buffer_size() < 128 * 1024:
            await scene.agent.say(scene.conversation_id, TEXT)
    began = time.monotonic()
    async with asyncio.timeout(10):
        await gateway.stop()
    assert time.monotonic() - began < 5
    town.gateways.remove(gateway)


async def test_a_reader_who_leaves_in_the_middle_of_a_catch_up_leaves_no_task(scene: Scene) -> None:
    """Seen to fail with a catch-up that waits for room though nobody makes any: it went on entry by entry, for long."""
    slow, session = await unread(scene)
    fanout = scene.town.gateways[1].house.fanout
    for _ in range(100):
        await scene.agent.say(scene.conversation_id, TEXT)
    session.cursors[scene.conversation_id] = 0
    fanout._behind(session, scene.conversation_id, await scene.last_seq())
    await slow.close()
    async with asyncio.timeout(8):
        while fanout._catching:
            await asyncio.sleep(0.01)
