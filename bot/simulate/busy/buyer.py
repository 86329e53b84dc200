"""A buyer's day: they write in bursts, are answered sooner or later, negotiate, go, and come again."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from bot.simulate.busy.evidence import now_ms
from bot.simulate.busy.hours import Hours
from bot.simulate.busy.talk import BusyChat
from bot.simulate.device import Device
from bot.simulate.random_play import RandomPlay

SECRET = "between agents"
"""What every reason of a transfer contains: no buyer may ever be shown it."""
_COMES_AGAIN, _NEGOTIATES, _REMINDS, _TRANSFERS, _ENDS = 0.4, 0.6, 0.4, 0.2, 0.5
_VISITS = 3
_NEGLECTED, _SLOW = 0.08, 0.08
_READS_OLD = 0.3
"""How often somebody scrolls up after reading, and so says that they have read less."""
_CARD_SHOWN_S = 2.0


class BuyerDay:
    """Plays one conversation from its first message to its last reply."""

    def __init__(
        self, hours: Hours, chat: BusyChat, orders: Sequence[str], cards: RandomPlay, agents: Sequence[str], seed: int
    ) -> None:
        """`orders` are the buyer's that can change."""
        self._hours = hours
        self._chat = chat
        self._orders = list(orders)
        self._cards = cards
        self._agents = agents
        self._chance = random.Random(seed)
        self._messages = 0

    async def play(self) -> None:
        """All of it."""
        chance = self._chance
        for visits_left in reversed(range(_VISITS)):
            await self._write()
            await self._reply()
            for _ in range(chance.randrange(3)):
                await self._turn()
            ended = False
            if self._orders and chance.random() < _NEGOTIATES:
                ended = await self._negotiate(self._orders.pop())
            if not ended and chance.random() < _TRANSFERS:
                await self._transfer()
            again = visits_left > 0 and chance.random() < _COMES_AGAIN
            if not ended and (again or chance.random() < _ENDS):
                await self._end()
            if not again:
                return
            await asyncio.sleep(chance.uniform(0.1, 1.5))

    async def _write(self) -> None:
        """One to three messages from each device, without waiting for the ok of the one before."""
        await asyncio.gather(*[self._write_from(device) for device in self._chat.devices])

    async def _write_from(self, device: Device) -> None:
        self._cut_perhaps(device)
        texts = []
        for _ in range(self._chance.choice([1, 1, 2, 3])):
            self._messages += 1
            texts.append(f"message {self._messages} of {self._chat.id} from {device.name}")
        await asyncio.gather(*[self._chat.say(device, text) for text in texts])

    def _cut_perhaps(self, device: Device) -> None:
        if self._chance.randrange(100) < self._hours.cuts:
            asyncio.get_running_loop().call_later(self._chance.random() * 0.05, device.client.cut)

    async def _turn(self) -> None:
        """The buyer reads and writes again, and is answered; their second device may be off meanwhile."""
        chat, chance = self._chat, self._chance
        device = chance.choice(chat.devices)
        await self._read(device, device.client.cursors[chat.id])
        if chance.random() < _READS_OLD:
            await self._read(device, max(1, device.client.cursors[chat.id] - 2))
        await chat.do_as_buyer(device, "typing", device.client.say_typing(chat.id))
        away = chat.devices[1] if len(chat.devices) > 1 and chance.random() < 0.3 else None
        if away:
            await away.leave()
            chat.devices.remove(away)
        await self._write()
        await self._reply()
        if away:
            await away.come_back()
            chat.devices.append(away)

    async def _read(self, device: Device, seq: int) -> None:
        chat = self._chat
        if await chat.do_as_buyer(device, "read", device.client.read(chat.id, seq)):
            notebook = next(one for one in chat.notebooks if one.device == device.name)
            notebook.read[chat.id] = max(seq, notebook.read.get(chat.id, 0))

    async def _reply(self) -> None:
        """The agent reads and answers: mostly soon, sometimes late, sometimes too late."""
        chat, chance, times = self._chat, self._chance, self._hours.times
        drawn = chance.random()
        if drawn < _NEGLECTED:
            await asyncio.sleep(times.reply_overdue.total_seconds() + chance.uniform(0.2, 1.5))
        elif drawn < _NEGLECTED + _SLOW:
            await asyncio.sleep(times.reply_warning.total_seconds() + 0.3)
        await chat.do("read", lambda agent: agent.read(chat.id, agent.cursors.get(chat.id, 0)))
        if chance.random() < 0.3:
            await chat.do("typing", lambda agent: agent.say_typing(chat.id))
            await asyncio.sleep(chance.uniform(0.02, 0.2))
        await chat.do("reply", lambda agent: agent.say(chat.id, f"reply at {now_ms()}"))

    async def _end(self) -> bool:
        return await self._chat.do("close", lambda agent: agent.close_conversation(self._chat.id))

    async def _negotiate(self, order_id: str) -> bool:
        """A card, of which the agent may remind, and during which they may try to end the conversation.

        Whether they did, as the card was settled by then.
        """
        chat = self._chat
        ended = False
        playing = asyncio.create_task(self._cards.play_one(order_id))
        try:
            if self._chance.random() < _REMINDS and (card := await self._pending_card()):
                await chat.do("remind", lambda agent: agent.remind(card))
                ended = await self._end()
                if not ended:
                    await chat.do("remind", lambda agent: agent.remind(card))
            usable, _ = await playing
            if usable:
                self._orders.insert(0, order_id)
        except TimeoutError:
            chat.errors.append(f"{chat.id}: no agent for a card of order {order_id}")
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        return ended

    async def _pending_card(self) -> dict[str, Any] | None:
        client = self._chat.devices[0].client

        def pending() -> dict[str, Any] | None:
            cards = client.cards(self._chat.id).values()
            return next((card for card in cards if card["state"] == "pending"), None)

        with contextlib.suppress(TimeoutError):
            card: dict[str, Any] = await client.wait_for(pending, _CARD_SHOWN_S)
            return card
        return None

    async def _transfer(self) -> None:
        """To any other agent, here or not, with a reason or without; then the buyer writes, and that one replies."""
        chat = self._chat
        to = self._chance.choice(self._agents)
        reason = f"{SECRET}: {self._chance.randrange(1000)}" if self._chance.random() < 0.7 else None
        await chat.do("transfer", lambda agent: agent.transfer(chat.id, to, reason=reason))
        if self._chance.random() < 0.5:
            await self._write()
            await self._reply()
