"""A buyer's stay, from the first word to the last: negotiations one after another, some at once, and talk between."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from bot.transcript import Frame
from tests.faults.torture.answering import Case, Plot
from tests.faults.torture.asking import Ask
from tests.faults.torture.chat import Chat
from tests.faults.torture.deck import Deck
from tests.faults.torture.life import live
from tests.faults.torture.sheets import Sheet

_AT_ONCE = 2
"""Negotiations of one buyer at a time."""
_PAUSE = 0.5
"""Seconds between two of them, on average."""
_TALK = 1.5
"""Seconds between two lines, on average."""
_CLOSES = 3
"""How often an agent tries to close a conversation that is not at its end yet."""


class Stay:
    """What happens in one conversation. `asks` and `plots` are everybody's, so that each comes in its share."""

    def __init__(self, chat: Chat, asks: Deck[Ask], plots: Deck[Plot]) -> None:
        self.chat = chat
        self._asks = asks
        self._plots = plots
        self._left = 0
        self._chance = random.Random(chat.chance.getrandbits(64))

    async def begin(self) -> None:
        """The buyer writes first, or an agent does."""
        if self._chance.random() < 0.5:
            await self.chat.open()
        await self.chat.buyer_says()

    async def negotiate(self, stop: asyncio.Event, cards: int | None) -> None:
        """Until so many cards have been asked for (None: for ever), or stop is set; returns when all have ended."""
        self._left = cards if cards is not None else -1
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            playing = [group.create_task(self._play(stop)) for _ in range(_AT_ONCE)]
            group.create_task(self._talk(over))
            await asyncio.wait(playing)
            over.set()

    async def _play(self, stop: asyncio.Event) -> None:
        while self._left and not stop.is_set():
            self._left -= 1
            if sheet := self.chat.order():
                try:
                    await self._negotiation(sheet)
                finally:
                    sheet.busy = False
            await asyncio.sleep(self._chance.expovariate(1 / _PAUSE))

    async def _negotiation(self, sheet: Sheet) -> None:
        chat = self.chat
        proposal_id = await self._asks.draw()(chat, sheet)
        if proposal_id is None or (card := await chat.shown(proposal_id, chat.patience)) is None:
            return
        await self._plots.draw()(Case(chat, sheet, card))
        ended = await chat.ended(card)
        if ended and ended["state"] == "agreed":
            sheet.changed(ended)

    async def _talk(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._chance.choice([self._buyer_says, self._agent_says, self._read, self._look, self._sign])()
            try:
                async with asyncio.timeout(self._chance.expovariate(1 / _TALK)):
                    await over.wait()
            except TimeoutError:
                continue

    async def _buyer_says(self) -> None:
        await self.chat.buyer_says()

    async def _agent_says(self) -> None:
        await self.chat.agent_says()

    async def _read(self) -> None:
        """Both sides have read what is here."""
        chat = self.chat
        for reader in (chat.devices[0], chat.people.agents[chat.agent_id][0]):
            if seq := reader.cursors.get(chat.id):
                await live(reader.read(chat.id, seq))

    async def _look(self) -> None:
        """Somebody looks around, also where they have no business."""
        chat = self.chat
        stranger = self._chance.choice(chat.people.clients)
        looks: list[Callable[[], Awaitable[Frame]]] = [
            lambda: chat.agent().list_conversations(),
            lambda: chat.agent().command("waiting_cards"),
            lambda: chat.device().history(chat.id, limit=self._chance.randint(1, 30)),
            lambda: stranger.history(chat.id, limit=1),
            lambda: stranger.say_typing(chat.id),
        ]
        await live(self._chance.choice(looks)())

    async def _sign(self) -> None:
        await live(self.chat.device().say_typing(self.chat.id, self._chance.random() < 0.5))

    async def end(self) -> list[str]:
        """The buyer leaves for good: all is read, the agent closes the conversation. Whoever did not catch up."""
        chat = self.chat
        await chat.all_ended()
        for _ in range(_CLOSES):
            closed = await chat.as_agent(lambda agent: agent.close_conversation(chat.id))
            if closed["type"] == "ok":
                break
            await chat.catch_up()
        behind = await chat.catch_up()
        for device in chat.devices:
            await chat.people.leave(device)
        for devices in chat.people.agents.values():
            for device in devices:
                device.forget(chat.id)
        return behind
