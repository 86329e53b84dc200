"""Simulated buyers over real websockets: they chat, and answer cards, after as long as people take.

Law: what a buyer does next follows from the conversation's log alone, so a restart is no break in it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bot.client import ChatClient, CommandFailed
from bot.conversation import conversation_id
from bot.demo.cast import Persona, Temper

log = logging.getLogger(__name__)

Entry = dict[str, Any]

TYPING = (3.0, 9.0)
READING = (5.0, 15.0)
DECIDING = (15.0, 60.0)
"""Seconds, from and to, that people take to write on, to answer a message, and to decide on a card."""


@dataclass(frozen=True)
class Act:
    """What a buyer does next, after so many seconds, from and to; `card` is the one that is answered."""

    what: Literal["say", "agree", "reject"]
    text: str | None
    pause: tuple[float, float]
    card: Entry | None = None


def next_act(persona: Persona, log: Sequence[Entry]) -> Act | None:
    """What this buyer does next, given all entries so far; None: wait for something to happen."""
    cards = {entry["card"]["proposal_id"]: entry["card"] for entry in log if "card" in entry}
    for number, card in enumerate(cards.values()):
        if card["state"] == "pending":
            return _answer(persona, card, persona.tempers[min(number, len(persona.tempers) - 1)])
    said = sum(_says(entry, "buyer") for entry in log)
    whole = not log or log[0]["seq"] == 1  # of a very long log only the end was sent
    if whole and said < len(persona.opening):
        return Act("say", persona.opening[said], TYPING if said else (persona.arrives, persona.arrives))
    for entry in reversed(log):
        if _says(entry, "buyer"):
            return None
        if _says(entry, "agent"):
            reply = persona.replies[(said - len(persona.opening)) % len(persona.replies)]
            return Act("say", reply, READING)
        if "card" in entry and (words := persona.after.get(entry["card"]["state"])):
            return Act("say", words, TYPING)
    return None


def _says(entry: Entry, role: str) -> bool:
    return "text" in entry and bool(entry["text"]["by"]["role"] == role)


def _answer(persona: Persona, card: Entry, temper: Temper) -> Act | None:
    # Half of what the card gives at most, so that a short answer window still shows people who answer.
    most = (card["deadline_ms"] - card["created_ms"]) / 2000
    pause = min(DECIDING[0], most), min(DECIDING[1], most)
    if temper == "ignore":
        return None
    fits = not persona.wants or all(line["to_sku"] in persona.wants for line in card["lines"])
    if temper == "agree" and fits:
        return Act("agree", None, pause, card)
    return Act("reject", persona.no, pause, card)


class SimulatedBuyer:
    """One persona at their telephone. `pace` multiplies every pause: 0 is at once."""

    def __init__(self, persona: Persona, url: str, token: str, shop_id: str, pace: float) -> None:
        self._persona = persona
        self._pace = pace
        self._id = conversation_id(shop_id, persona.id)
        self._changed = asyncio.Event()
        self._client = ChatClient(url, token, on_entry=lambda id, entry: self._changed.set())
        self._client.cursors[self._id] = 0  # from the beginning: all that was said counts

    async def run(self) -> None:
        """Take part until cancelled."""
        async with self._client as client:
            await self._caught_up(client.conversations.get(self._id, {"seq": 0})["seq"])
            while True:
                self._changed.clear()
                act = self._next()
                if act is None:
                    await self._changed.wait()
                    continue
                await asyncio.sleep(random.uniform(*act.pause) * self._pace)
                if self._next() == act:
                    await self._do(act)

    def _next(self) -> Act | None:
        return next_act(self._persona, self._client.logs.get(self._id, ()))

    async def _do(self, act: Act) -> None:
        try:
            if act.card is not None:
                done = await self._client.answer(act.card, act.what, comment=act.text)
            else:
                done = await self._client.say(self._id, act.text or "")
            await self._caught_up(done["seq"])
        except CommandFailed as failed:
            log.info("%s was late: %s", self._persona.id, failed)
            await self._changed.wait()
        except TimeoutError:
            log.info("%s had no answer", self._persona.id)

    async def _caught_up(self, seq: int) -> None:
        """Wait until the log is known up to there: nobody says twice what they have not seen themselves say."""
        await self._client.wait_for(lambda: self._client.cursors[self._id] >= seq, limit=600)


async def greet(url: str, token: str, conversation_id: str, words: str) -> None:
    """Say the first words of a conversation, unless something was said already, and leave."""
    async with ChatClient(url, token) as client:
        if not client.conversations.get(conversation_id, {}).get("seq"):
            await client.say(conversation_id, words)


async def play(buyers: Sequence[SimulatedBuyer], told: Callable[[str], None] = log.warning) -> None:
    """Let them all take part until cancelled; one who can't is told of, and missed by nobody."""
    ends = await asyncio.gather(*[buyer.run() for buyer in buyers], return_exceptions=True)
    for end in ends:
        told(f"a simulated buyer left: {end!r}")
