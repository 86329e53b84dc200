"""From a command to the flow that carries it out, once it is sure that this participant may name that conversation."""

import asyncio
from typing import Any

from bot.conversation import check_may_see, conversation_id
from bot.errors import CommandError
from bot.flows.negotiation import Negotiation
from bot.flows.reading import Reading
from bot.flows.talk import Talk
from bot.frames import Answer, History, InConversation, Open, Orders, Propose, Quote, Say, Transfer, Withdraw
from bot.participant import Participant, Role
from bot.sessions import Session
from bot.store import CommandId, Reply


class Commands:
    """Every command that needs the store."""

    def __init__(self, talk: Talk, negotiation: Negotiation, reading: Reading) -> None:
        self._talk = talk
        self._negotiation = negotiation
        self._reading = reading

    async def run(self, session: Session, command: Open | InConversation) -> Reply | dict[str, Any]:
        """The command's answer. Raises CommandError, Refusal, Conflict, RedisError, OrderSystemAway."""
        who, locale = session.who, session.locale
        if not isinstance(command, Open):
            check_may_see(who, command.conversation_id)
        match command:
            case Orders():
                return await self._reading.orders(who, command, locale)
            case Quote():
                if who.role is not Role.AGENT:
                    raise CommandError("agents_only")
                return await self._reading.quote(who, command, locale)
            case History():
                return await self._reading.history(who, command, locale)
        lane = conversation_id(who.shop_id, command.buyer_id) if isinstance(command, Open) else command.conversation_id
        async with session.lanes.setdefault(lane, asyncio.Lock()):
            return await self._change(who, command)

    async def _change(self, who: Participant, command: Open | Say | Propose | Answer | Withdraw | Transfer) -> Reply:
        command_id = CommandId.of(
            str(command.id), f"{who.role}:{who.id}:{command.model_dump_json(exclude={'id'})}".encode()
        )
        match command:
            case Open():
                return await self._talk.open(who, command, command_id)
            case Say():
                return await self._talk.say(who, command, command_id)
            case Transfer():
                return await self._talk.transfer(who, command, command_id)
            case Answer():
                return await self._negotiation.answer(who, command, command_id)
        if who.role is not Role.AGENT:
            raise CommandError("agents_only")
        match command:
            case Propose():
                return await self._negotiation.propose(who, command, command_id)
            case Withdraw():
                return await self._negotiation.withdraw(who, command, command_id)
