"""From a command to the flow that carries it out, once it is sure that this participant may name that conversation."""

import asyncio
from dataclasses import dataclass
from typing import Any

from bot import frames
from bot.conversation import check_may_see, conversation_id
from bot.documents.store import CommandId, Reply
from bot.flows.assignment import Assignment
from bot.flows.listing import Listing
from bot.flows.missed import Missed
from bot.flows.negotiation import Negotiation
from bot.flows.quick_replying import QuickReplying
from bot.flows.reading import Reading
from bot.flows.reminding import Reminding
from bot.flows.supervising import Supervising
from bot.flows.taking import Taking
from bot.flows.talk import Talk
from bot.participant import Participant, check_agent
from bot.sessions import Session
from cards.texts import Locale

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flows:
    """Every flow that a command may begin; made once, by the composition root."""

    assignment: Assignment
    taking: Taking
    talk: Talk
    negotiation: Negotiation
    reminding: Reminding
    reading: Reading
    listing: Listing
    missed: Missed
    supervising: Supervising
    quick_replies: QuickReplying


class Commands:
    """Every command that needs the store."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    async def run(self, session: Session, command: frames.StoreCommand) -> Reply | Answer:
        """The command's answer. Raises CommandError, Refusal, Conflict, RedisError, OrderSystemAway."""
        who, locale = session.who, session.locale
        match command:
            case frames.Open():
                lane = conversation_id(who.shop_id, command.buyer_id)
            case frames.InConversation():
                check_may_see(who, command.conversation_id)
                lane = command.conversation_id
            case _:
                return await self._at_the_desk(who, command, locale)
        if isinstance(command, frames.Act):
            async with session.lanes.setdefault(lane, asyncio.Lock()):
                return await self._change(who, command)
        return await self._look(who, command, locale)

    async def _look(self, who: Participant, command: frames.Look, locale: Locale) -> Answer:
        """What leaves no entry in the conversation's log."""
        flows = self._flows
        match command:
            case frames.Orders():
                return await flows.reading.orders(who, command, locale)
            case frames.Quote():
                check_agent(who)
                return await flows.reading.quote(who, command, locale)
            case frames.Preview():
                check_agent(who)
                return await flows.reading.preview(who, command, locale)
            case frames.History():
                return await flows.reading.history(who, command, locale)
            case frames.Read():
                return await flows.talk.read(who, command)
            case frames.Typing():
                return await flows.talk.typing(who, command)

    async def _change(self, who: Participant, command: frames.Act) -> Reply:
        """What leaves one; those of a session run one after another in each conversation."""
        flows = self._flows
        command_id = CommandId.of(
            str(command.id), f"{who.role}:{who.id}:{command.model_dump_json(exclude={'id'})}".encode()
        )
        match command:
            case frames.Say():
                return await flows.talk.say(who, command, command_id)
            case frames.Answer():
                return await flows.negotiation.answer(who, command, command_id)
        check_agent(who)
        match command:
            case frames.Open():
                return await flows.taking.open(who, command, command_id)
            case frames.Transfer():
                return await flows.taking.transfer(who, command, command_id)
            case frames.Close():
                return await flows.taking.close(who, command, command_id)
            case frames.Propose():
                return await flows.negotiation.propose(who, command, command_id)
            case frames.Withdraw():
                return await flows.negotiation.withdraw(who, command, command_id)
            case frames.Remind():
                return await flows.reminding.remind(who, command, command_id)

    async def _at_the_desk(self, who: Participant, command: frames.AtTheDesk, locale: Locale) -> Answer:
        flows = self._flows
        match command:
            case frames.Conversations():
                return await flows.listing.conversations(who, command, locale)
            case frames.Agents():
                return await flows.listing.agents(who)
            case frames.Status():
                check_agent(who)
                return await flows.assignment.choose(who, command)
            case frames.WaitingCards():
                return await flows.listing.waiting_cards(who)
            case frames.Stats():
                return await flows.supervising.stats(who, command)
            case frames.Missed():
                return await flows.missed.entries(who, command, locale)
            case frames.QuickReplies():
                return await flows.quick_replies.read(who, command)
        return await flows.quick_replies.change(who, command)
