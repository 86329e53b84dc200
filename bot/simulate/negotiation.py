"""One proposal as people play it: asked for, seen, answered, waited for; and what was done is noted in its case."""

import asyncio
import random
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from bot.client import CommandFailed
from bot.orders.shop import IllegalMove
from bot.simulate.chat import Chat
from bot.simulate.evidence import Act, Card, Case
from bot.simulate.mix import Answer
from bot.simulate.sightings import ANY_AGENT, Sightings
from bot.simulate.town import Town
from cards.errors import LINE_CODES, ORDER_CODES

REFUSALS = ORDER_CODES | LINE_CODES
CUT_WITHIN = 0.05
"""Seconds after a card was shown within which a connection may be cut: about as long as an answer takes."""


class Negotiator:
    """Plays cases. `patience` is how long a card may take to be shown, and to be settled once its `window` is over.

    What takes longer is not waited for: the checker will find it missing. `cuts` is the percentage of the cards during
    which somebody's connection is cut.
    """

    def __init__(
        self,
        town: Town,
        sightings: Sightings,
        agents: list[str],
        chance: random.Random,
        *,
        window: timedelta,
        patience: timedelta,
        cuts: int,
    ) -> None:
        self._town = town
        self._sightings = sightings
        self._agents = agents
        self._chance = chance
        self._shown_limit = patience.total_seconds()
        self._cuts = cuts
        self._settled_limit = (window + patience).total_seconds()

    async def ask(self, chat: Chat, case: Case, changes: list[dict[str, str]]) -> bool:
        """The current agent proposes, waiving differences; whether there is a card now."""
        try:
            _, reply = await chat.as_agent(
                lambda agent: agent.propose(chat.id, case.order_id, changes, waive_difference=True)
            )
            case.proposal_id = reply["proposal_id"]
        except CommandFailed as failed:
            if failed.code in REFUSALS:
                case.refusal = failed.code
                case.refused_lines = {line["line_id"]: line["code"] for line in failed.problem["lines"]}
            else:
                case.errors.append(f"the proposal was answered with {failed}")
        except TimeoutError as late:
            case.errors.append(f"the proposal was not answered ({late})")
        return case.proposal_id is not None

    async def play(self, chat: Chat, case: Case, answer: Answer, *, paid: bool) -> bool:
        """Play a card that is out to its end; whether everybody saw it settled. `paid`: the order is."""
        assert case.proposal_id is not None
        case.answer = answer
        shown = await self._everybody(
            [self._sightings.waiting(device.name, case.proposal_id, self._shown_limit) for device in chat.devices]
        )
        if self._chance.randrange(100) < self._cuts:
            unlucky = self._chance.choice([*chat.devices, await chat.people.agent(chat.agent_id)])
            asyncio.get_running_loop().call_later(self._chance.random() * CUT_WITHIN, unlucky.client.cut)
        if all(shown):
            await self._answer(chat, case, answer, shown, paid)
        settled = await self._everybody(
            [
                self._sightings.settled(who, case.proposal_id, self._settled_limit)
                for who in [ANY_AGENT, *(device.name for device in chat.devices)]
            ]
        )
        return all(settled)

    async def _everybody(self, sights: list[Awaitable[Card]]) -> list[Card]:
        """What each saw; an empty card for who saw nothing in time."""
        seen = await asyncio.gather(*sights, return_exceptions=True)
        for one in seen:
            if isinstance(one, BaseException) and not isinstance(one, TimeoutError):
                raise one
        return [{} if isinstance(one, BaseException) else one for one in seen]

    async def _answer(self, chat: Chat, case: Case, answer: Answer, shown: list[Card], paid: bool) -> None:
        match answer:
            case Answer.AGREE | Answer.REJECT:
                await self._click(chat, case, answer, shown)
            case Answer.TRANSFER:
                await self._transfer(chat, case)
                await self._click(chat, case, Answer.AGREE, shown)
            case Answer.WITHDRAW:
                withdrawing = chat.as_agent(lambda agent: agent.withdraw(dict(shown[0])))
                await self._act(case, "the agent", answer.value, withdrawing)
            case Answer.REFUND:
                case.moved = "refund" if paid else "pay"
                try:
                    await self._town.move(chat.id.partition(".")[0], case.order_id, case.moved)
                except IllegalMove as illegal:
                    case.errors.append(str(illegal))

    async def _click(self, chat: Chat, case: Case, answer: Answer, shown: list[Card]) -> None:
        """The first device clicks; a second one in the same instant, where chance rules now and then the opposite."""
        other = Answer.REJECT if answer is Answer.AGREE and case.raced else Answer.AGREE
        answers = [answer, *(self._chance.choice([answer, other]) for _ in chat.devices[1:])]
        await asyncio.gather(
            *[
                self._act(case, device.name, one.value, device.client.answer(dict(card), one.value))
                for device, card, one in zip(chat.devices, shown, answers, strict=True)
            ]
        )

    async def _act(self, case: Case, device: str, action: str, command: Awaitable[Any]) -> None:
        act = Act(device, action, time.perf_counter())
        case.acts.append(act)
        try:
            await command
            act.reply = "ok"
        except CommandFailed as failed:
            act.reply = failed.code
            act.shown = failed.card["state"] if failed.card else None
        except TimeoutError:
            case.errors.append(f"{device}'s {action} was not answered")

    async def _transfer(self, chat: Chat, case: Case) -> None:
        """The current agent hands the conversation over; the next one has connected by then."""
        next_agent = self._chance.choice([agent for agent in self._agents if agent != chat.agent_id])
        try:
            await chat.as_agent(lambda agent: agent.transfer(chat.id, next_agent))
        except CommandFailed as failed:
            if failed.code != "transfer_to_self":  # another case was quicker
                case.errors.append(f"the transfer was answered with {failed}")
        else:
            chat.agent_id = next_agent
