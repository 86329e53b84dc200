"""A gateway is killed with SIGKILL at the worst moment: another finishes what it began, once."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bot.client import ChatClient
from bot.participant import Role
from tests.flows.scene import Scene
from tests.flows.town import SECRET, Town

ROOT = Path(__file__).parents[2]


class Doomed:
    """A gateway in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def hangs(self, where: str) -> None:
        """Wait until it says that it hangs there."""
        assert await _line(self._process) == where

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


@pytest.fixture
async def doomed(town: Town) -> AsyncIterator[Callable[[str], Awaitable[Doomed]]]:
    """Starts a gateway that hangs at `change` or `timer`."""
    started: list[Doomed] = []

    async def start(where: str) -> Doomed:
        command = [sys.executable, str(Path(__file__).parent / "gateway_process.py"), town.redis_url, SECRET, where]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        started.append(Doomed(process, await _line(process)))
        return started[-1]

    yield start
    for each in started:
        await each.kill()


async def test_killed_between_consent_and_change(town: Town, doomed: Callable[[str], Awaitable[Doomed]]) -> None:
    """Its buyer comes back at the other gateway, whose timer asks the order system again.

    Seen to fail with the retry timer not armed before the consent was committed: it stayed `applying`.
    """
    other = await town.gateway()
    gateway = await doomed("change")
    agent = await town.agent(on=other)
    await agent.open("lin-wan")
    buyer = ChatClient([gateway.url, other.url], town.token(Role.BUYER, "lin-wan"), backoff=(0.02, 0.5), patience=10)
    await town.stack.enter_async_context(buyer)
    scene = Scene(town, "nanshan.lin-wan", "lin-wan", agent, buyer)
    card = await scene.propose()
    assert (await buyer.answer(card, "agree"))["state"] == "applying"
    await gateway.hangs("change")

    await gateway.kill()

    for client in (agent, buyer):
        await scene.sees(client, card, "agreed")
    await scene.caught_up()
    for client in (agent, buyer):
        assert scene.states(client, card) == ["pending", "applying", "agreed"]
    assert [notice["text"] for notice in scene.notices(agent)] == ["用户已同意修改规格"]
    assert await scene.skus() == ["white-s"]
    assert buyer.connections == 2


async def test_killed_with_a_lease_on_a_deadlines_timer(town: Town, doomed: Callable[[str], Awaitable[Doomed]]) -> None:
    """It had claimed the timer and not handled it: after its lease (a second) another does.

    Seen to fail with claims that remove the timer at once: the card waited for ever.
    """
    scene = await town.scene(timers=False, answer_window=timedelta(milliseconds=300))
    gateway = await doomed("timer")
    card = await scene.propose()
    await gateway.hangs("timer")
    await gateway.kill()
    assert scene.states(scene.buyer, card) == ["pending"]

    await town.gateway()

    for client in (scene.agent, scene.buyer):
        await scene.sees(client, card, "timed_out")
    await scene.settled_work()
    await scene.caught_up()
    assert scene.outcomes(scene.agent, card) == ["timed_out"]
    assert [notice["text"] for notice in scene.notices(scene.agent)] == ["用户超时未处理改规格申请"]
    (entry,) = [entry for entry in scene.log(scene.agent) if "notice" in entry]
    assert 1000 <= entry["at_ms"] - card["deadline_ms"] < 3500
