"""Open, say, transfer: whose conversation it is, and what is said in it."""

import orjson

from bot.conversation import Conversation, check_current_agent, conversation_id
from bot.desk import Desk
from bot.directory import Directory
from bot.entry import Author, Entry, render_conversation
from bot.errors import CommandError
from bot.flows.deciding import Parts, decide
from bot.frames import Open, Say, Transfer
from bot.participant import Participant, Role, desk_channel, live_channel
from bot.store import CommandId, Commit, Loaded, Reply


class Talk:
    """The conversation around the negotiation."""

    def __init__(self, parts: Parts, desk: Desk, directory: Directory) -> None:
        self._parts = parts
        self._desk = desk
        self._directory = directory

    async def open(self, who: Participant, command: Open, command_id: CommandId) -> Reply:
        """An agent opens the conversation with a buyer, or takes the one that waits. Raises CommandError."""
        if who.role is not Role.AGENT:
            raise CommandError("agents_only")
        return await decide(lambda: self._open(who, command, command_id))

    async def _open(self, who: Participant, command: Open, command_id: CommandId) -> Reply:
        id = conversation_id(who.shop_id, command.buyer_id)
        loaded = await self._parts.load(id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation = loaded.conversation
        if conversation is None:
            name = await self._buyer_name(who.shop_id, command.buyer_id)
            conversation = Conversation(
                id=id, shop_id=who.shop_id, buyer_id=command.buyer_id, buyer_name=name, opened=loaded.now
            )
        elif conversation.agent_id == who.id:
            return Reply(_reply(conversation), loaded.seq)
        elif conversation.agent_id is not None:
            raise CommandError("conversation_taken", agent_name=conversation.agent_name or conversation.agent_id)
        taken = conversation.given_to(who.id, who.name)
        await self._desk.add(taken)
        return await self._commit_conversation(loaded, taken, "opened", who, command_id, {"agent": who.name})

    async def _buyer_name(self, shop_id: str, buyer_id: str) -> str:
        if name := await self._directory.name(shop_id, "buyer", buyer_id):
            return name
        if await self._parts.orders.orders(shop_id, buyer_id):
            return buyer_id
        raise CommandError("unknown_buyer", buyer_id=buyer_id)

    async def say(self, who: Participant, command: Say, command_id: CommandId) -> Reply:
        """A message; a buyer's first one opens the conversation, which then waits for an agent. Raises CommandError."""
        return await decide(lambda: self._say(who, command, command_id))

    async def _say(self, who: Participant, command: Say, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation, opened = loaded.conversation, None
        if who.role is Role.AGENT:
            conversation = check_current_agent(who, conversation)
        elif conversation is None:
            conversation = opened = Conversation(
                id=command.conversation_id,
                shop_id=who.shop_id,
                buyer_id=who.id,
                buyer_name=who.name,
                opened=loaded.now,
            )
            await self._desk.add(opened)
        channels = conversation.channels
        if conversation.agent_id is None:
            channels = [*channels, desk_channel(who.shop_id)]
        committed = await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                conversation=opened,
                entries=[Entry(author=Author.of(who), text=command.text, conversation=opened)],
                channels=channels,
                command=command_id,
            )
        )
        return committed.reply

    async def transfer(self, who: Participant, command: Transfer, command_id: CommandId) -> Reply:
        """The current agent hands the conversation to a colleague, who sees all of it. Raises CommandError."""
        return await decide(lambda: self._transfer(who, command, command_id))

    async def _transfer(self, who: Participant, command: Transfer, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation = check_current_agent(who, loaded.conversation)
        if command.agent_id == who.id:
            raise CommandError("transfer_to_self")
        name = await self._directory.name(who.shop_id, "agent", command.agent_id)
        if name is None:
            raise CommandError("unknown_agent", agent_id=command.agent_id)
        given = conversation.given_to(command.agent_id, name)
        await self._desk.add(given)
        return await self._commit_conversation(
            loaded, given, "transferred", who, command_id, {"agent": who.name, "to": name}
        )

    async def _commit_conversation(
        self,
        loaded: Loaded,
        changed: Conversation,
        what: str,
        who: Participant,
        command_id: CommandId,
        params: dict[str, str],
    ) -> Reply:
        """Write that the conversation is in other hands; both sides, the agent before and the desk are told."""
        agent = live_channel(who.shop_id, Role.AGENT, who.id)
        committed = await self._parts.store.commit(
            Commit(
                changed.id,
                loaded.conversation_version,
                conversation=changed,
                entries=[Entry(author=Author.of(who), system=what, params=params, conversation=changed)],
                channels=list(dict.fromkeys([*changed.channels, agent, desk_channel(who.shop_id)])),
                command=command_id,
                reply=_reply(changed),
            )
        )
        return committed.reply


def _reply(conversation: Conversation) -> str:
    return orjson.dumps({"conversation": render_conversation(conversation)}).decode()
