"""One conversation of a busy shop: whoever has it acts in it, as soon as they are here."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bot.client import ChatClient, CommandFailed
from bot.simulate.busy.evidence import Deed, Notebook, Said
from bot.simulate.busy.staff import Away, Worker
from bot.simulate.chat import Chat
from bot.simulate.device import Device

T = TypeVar("T")

AGENT_LIMIT_S = 90.0
"""How long somebody waits for an agent who is here: longer than anybody is away."""
_LOOK_S = 0.05


@dataclass(slots=True)
class BusyChat(Chat):
    """A conversation whose agents come and go. What was said and done in it is noted."""

    staff: dict[str, Worker] = field(default_factory=dict)
    notebooks: list[Notebook] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def as_agent(self, act: Callable[[ChatClient], Awaitable[T]]) -> tuple[Device, T]:
        """What the current agent does, once one is here. Raises CommandFailed, and TimeoutError without any."""
        async with asyncio.timeout(AGENT_LIMIT_S):
            while True:
                worker = self.staff.get(self.devices[0].client.conversations.get(self.id, {}).get("agent_id") or "")
                try:
                    if worker is not None:
                        async with worker.at_work() as agent:
                            self.agent_id = worker.id
                            return agent, await act(agent.client)
                except Away:
                    pass
                except CommandFailed as failed:
                    if failed.code != "not_current_agent":
                        raise
                await asyncio.sleep(_LOOK_S)

    async def do(self, what: str, act: Callable[[ChatClient], Awaitable[object]]) -> bool:
        """The current agent does it, which is noted; whether it was answered with ok."""
        return await self._note("the agent", what, self.as_agent(act))

    async def do_as_buyer(self, device: Device, what: str, command: Awaitable[object]) -> bool:
        """The same for the buyer."""
        return await self._note(device.name, what, command)

    async def _note(self, who: str, what: str, command: Awaitable[object]) -> bool:
        try:
            await command
        except CommandFailed as failed:
            self.deeds.append(Deed(who, what, self.id, failed.code))
            return False
        except TimeoutError:
            self.deeds.append(Deed(who, what, self.id, "no answer"))
            return False
        self.deeds.append(Deed(who, what, self.id, "ok"))
        return True

    async def say(self, device: Device, text: str) -> None:
        """The buyer says it."""
        said = Said(device.name, self.id, text)
        self.said.append(said)
        try:
            await device.client.say(self.id, text)
            said.reply = "ok"
        except CommandFailed as failed:
            said.reply = failed.code
        except TimeoutError:
            pass
