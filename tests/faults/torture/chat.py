"""One buyer's conversation as it is lived: their devices, whoever of the agents has it, and what they do in it.

Law: an agent acts as the current one, and looks for who that is when told no; nobody waits for ever.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bot.orders.base import OrderSystemAway
from bot.orders.shop import IllegalMove, Move, Shop
from bot.transcript import Frame
from tests.faults.torture.deck import Deck
from tests.faults.torture.history import History
from tests.faults.torture.life import NO_ANSWER, live
from tests.faults.torture.manners import Doubler, HalfFrame, Laggard
from tests.faults.torture.people import People
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.sheets import Sheet

_TRIES = 5
"""How often somebody looks for the current agent before giving up: it may be transferred again and again."""
_SPARE = 3
"""Orders of a buyer that are left as they are, to negotiate over."""
_LOST: Frame = {"type": "lost"}
_DONE: Frame = {"type": "done"}
MANNERS = {"plain": 70, "doubled": 4, "half_frame": 1, "delayed": 1}
"""How often a command is sent how."""


class Chat:
    """The conversation `<shop>.<buyer>`. `sheets` are the buyer's orders; `manners` says how commands are sent."""

    def __init__(
        self,
        people: People,
        devices: list[RecordingClient],
        buyer_id: str,
        sheets: list[Sheet],
        *,
        shop_id: str,
        shop: Shop,
        history: History,
        manners: Deck[str],
        chance: random.Random,
        window: timedelta,
        patience: timedelta,
    ) -> None:
        self.people = people
        self.devices = devices
        self.buyer_id = buyer_id
        self.id = f"{shop_id}.{buyer_id}"
        self.chance = chance
        self.agent_id = chance.choice(list(people.agents))
        self.window = window.total_seconds()
        self.patience = patience.total_seconds()
        self._sheets = sheets
        self._shop_id = shop_id
        self._shop = shop
        self._history = history
        self._manners = manners
        self._said = 0

    def device(self) -> RecordingClient:
        """Any of the buyer's, which may send its next command badly."""
        return self._badly(self.chance.choice(self.devices), self.devices)

    def agent(self) -> RecordingClient:
        """Any device of whoever is believed to be the current agent, which may send its next command badly."""
        devices = self.people.agents[self.agent_id]
        return self._badly(self.chance.choice(devices), devices)

    def another_agent(self) -> str:
        """An agent who is not believed to be the current one, if there are two."""
        others = [id for id in self.people.agents if id != self.agent_id]
        return self.chance.choice(others or [self.agent_id])

    def _badly(self, client: RecordingClient, devices: list[RecordingClient]) -> RecordingClient:
        match self._manners.draw():
            case "half_frame":
                client.manner = HalfFrame()
            case "doubled":
                others = [device for device in devices if device is not client]
                seconds = self.chance.choice([0.0, self.chance.uniform(0, self.window)])
                client.manner = Doubler(self.chance.choice(others or [client]), seconds)
            case "delayed":
                client.manner = Laggard(self.chance.uniform(0.1, self.window + 1))
        return client

    async def as_agent(self, act: Callable[[RecordingClient], Awaitable[Frame]]) -> Frame:
        """What the current agent's command is answered, as `live` says; whoever is told no looks for who it is."""
        reply = NO_ANSWER
        for _ in range(_TRIES):
            reply = await live(act(self.agent()))
            match reply.get("code"):
                case "not_current_agent" if reply["agent_id"]:
                    self.agent_id = reply["agent_id"]
                case "not_current_agent" | "unknown_conversation":
                    await self.open()
                case _:
                    break
        return reply

    async def open(self) -> None:
        """An agent takes the conversation that nobody has."""
        agent_id = self.chance.choice(list(self.people.agents))
        reply = await live(self.people.agents[agent_id][0].open(self.buyer_id))
        if reply["type"] == "ok":
            self.agent_id = reply["conversation"]["agent_id"]

    async def transfer(self, to: str | None = None) -> Frame:
        """The current agent hands the conversation to a colleague."""
        to = to or self.another_agent()
        reply = await self.as_agent(lambda agent: agent.transfer(self.id, to))
        if reply["type"] == "ok":
            self.agent_id = reply["conversation"]["agent_id"]
        return reply

    def text(self, by: RecordingClient) -> str:
        """Something to say that nobody ever said."""
        self._said += 1
        words = self.chance.choice(["在吗", "请稍等", "好的呢", "这个颜色还有吗", "Could it be the other one?", "谢谢"])
        return f"{words} ({by.who}, {self.buyer_id}, {self._said})"

    async def buyer_says(self) -> None:
        """A line of the buyer's."""
        device = self.device()
        await live(device.say(self.id, self.text(device)))

    async def agent_says(self) -> None:
        """A line of the current agent's."""
        await self.as_agent(lambda agent: agent.say(self.id, self.text(agent)))

    def order(self) -> Sheet | None:
        """An order that can change and that nobody negotiates over; it is busy from now on."""
        free = [sheet for sheet in self._sheets if not sheet.gone and not sheet.busy]
        if not free:
            return None
        sheet = self.chance.choice(free)
        sheet.busy = True
        return sheet

    def can_spare(self, sheet: Sheet) -> bool:
        """Whether enough orders are left to negotiate over if this one can change no more."""
        return not sheet.paid or sum(not one.gone for one in self._sheets) > _SPARE

    async def move(self, sheet: Sheet) -> None:
        """An order moves behind everybody's back: an unpaid one is paid, a paid one can change no more."""
        move: Move = self.chance.choice(["refund", "ship", "close"]) if sheet.paid else "pay"
        version = None
        try:
            version = (await self._shop.move(self._shop_id, sheet.id, move)).version
            result = "done"
        except IllegalMove:
            result = "illegal"
        except OrderSystemAway:
            result = "unknown"
        self._history.note("moved", order_id=sheet.id, move=move, result=result, version=version)
        if result == "done":
            sheet.gone, sheet.paid = sheet.paid, True

    async def look_again(self, sheet: Sheet) -> None:
        """The agent looks at an order that is not what they believed."""
        reply = await self.as_agent(lambda agent: agent.command("orders", conversation_id=self.id))
        for order in reply.get("orders", ()):
            for one in self._sheets:
                if one.id == order["id"]:
                    one.listed(order)
        reply = await self.as_agent(lambda agent: agent.command("quote", conversation_id=self.id, order_id=sheet.id))
        if reply["type"] == "ok":
            sheet.quoted(reply["quote"])

    async def shown(self, proposal_id: str, limit: float) -> Frame | None:
        """The card as the buyer's first device is shown it, or None if it is not within `limit` seconds."""
        return await self._when(lambda: self.devices[0].seen.get(proposal_id), limit)

    async def ended(self, card: Frame) -> Frame | None:
        """The card as the first device sees it settled; None when a failover lost it, or its time and patience end."""
        device, id = self.devices[0], card["proposal_id"]
        limit = max(0.0, card["deadline_ms"] / 1000 - time.time()) + self.patience
        settled = await self._when(lambda: device.settled(id) or (_LOST if id not in device.seen else None), limit)
        return None if settled is _LOST else settled

    async def all_ended(self) -> None:
        """Also the cards that nobody played: their agent had given up, or a late copy asked. Or their time is over."""
        agents = [device for devices in self.people.agents.values() for device in devices]
        await asyncio.gather(*[client.nothing_late() for client in (*self.devices, *agents)])
        await self.catch_up()
        device = self.devices[0]
        await self._when(lambda: None if device.open_cards() else _DONE, self.window + self.patience)

    async def _when(self, found: Callable[[], Frame | None], limit: float) -> Frame | None:
        try:
            card: Frame = await self.devices[0].wait_for(found, limit)
        except TimeoutError:
            return None
        return card

    async def catch_up(self) -> list[str]:
        """Wait until the buyer's devices and the current agent's have all of the log; whoever has not, in the end."""
        reply = await live(self.devices[0].history(self.id, limit=1))
        agent_id = reply["conversation"]["agent_id"] if reply["type"] == "ok" else None
        readers = [*self.devices, *(self.people.agents[agent_id] if agent_id else ())]
        behind = await asyncio.gather(*[self._catches_up(reader) for reader in readers])
        return [complaint for complaint in behind if complaint]

    async def _catches_up(self, reader: RecordingClient) -> str:
        last = None
        try:
            async with asyncio.timeout(self.patience):
                while last is None or reader.cursors.get(self.id) != last:
                    page = await live(reader.history(self.id, limit=1))
                    last = page.get("last_seq", 0)
                    await self._arrives(reader, last)
        except TimeoutError:
            return f"{reader.who} is at {reader.cursors.get(self.id)} of {self.id}, which is at {last}"
        return ""

    async def _arrives(self, reader: RecordingClient, seq: int) -> None:
        try:
            await reader.wait_for(lambda: reader.cursors.get(self.id) == seq, 2)
        except TimeoutError:
            return  # it may have grown meanwhile: ask again
