"""An agent takes a conversation, hands it to a colleague, or ends it.

Law: only the current agent gives a conversation away (R12), and nobody is given more than they may have.
"""

from bot.conversation import Conversation, check_current_agent, conversation_id
from bot.desk.places import Desk
from bot.documents.directory import Directory
from bot.documents.store import CommandId, Reply
from bot.entry import Author, Entry
from bot.errors import CommandError
from bot.flows.assignment import Assignment, reply_body
from bot.flows.deciding import Parts, decide
from bot.flows.reply_clock import ReplyClock
from bot.frames import Close, Open, Transfer
from bot.marks import ANSWERED, ASKED_ANEW, NO_OPEN_CARDS, still_asked
from bot.participant import Participant


class Taking:
    """What agents do about whose a conversation is."""

    def __init__(
        self, parts: Parts, assignment: Assignment, desk: Desk, directory: Directory, clock: ReplyClock
    ) -> None:
        self._parts = parts
        self._assignment = assignment
        self._desk = desk
        self._directory = directory
        self._clock = clock

    async def open(self, who: Participant, command: Open, command_id: CommandId) -> Reply:
        """An agent opens the conversation with a buyer, or takes the one that waits. Raises CommandError."""
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
            await self._parts.store.confirm(id, loaded.conversation_version)
            return Reply(reply_body(conversation), loaded.seq)
        elif conversation.agent_id is not None:
            raise CommandError("conversation_taken", agent_name=conversation.agent_name or conversation.agent_id)
        if not await self._desk.take(who.shop_id, id, who.id, loaded.conversation_version):
            raise CommandError("too_many_open", limit=self._parts.settings.agent_limit)
        committed = await self._assignment.commit(
            loaded,
            conversation.given_to(who.id, who.name),
            Entry(author=Author.of(who), system="opened", params={"agent": who.name}),
            command=command_id,
        )
        return committed.reply

    async def _buyer_name(self, shop_id: str, buyer_id: str) -> str:
        if name := await self._directory.name(shop_id, "buyer", buyer_id):
            return name
        if await self._parts.orders.orders(shop_id, buyer_id):
            return buyer_id
        raise CommandError("unknown_buyer", buyer_id=buyer_id)

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
        version = loaded.conversation_version
        if not await self._desk.take(who.shop_id, conversation.id, command.agent_id, version):
            raise CommandError("agent_full", agent_name=name, limit=self._parts.settings.agent_limit)
        what, params = "transferred", {"agent": who.name, "to": name}
        if command.reason is not None:
            what, params = "transferred_because", {**params, "reason": command.reason}
        if loaded.marks.asked:
            await self._clock.start(conversation.id, loaded.now)
        committed = await self._assignment.commit(
            loaded,
            conversation.given_to(command.agent_id, name),
            Entry(author=Author.of(who), system=what, params=params),
            marks=ASKED_ANEW,
            command=command_id,
        )
        return committed.reply

    async def close(self, who: Participant, command: Close, command_id: CommandId) -> Reply:
        """The current agent ends the conversation, until the buyer writes again. Raises CommandError."""
        return await decide(lambda: self._close(who, command, command_id))

    async def _close(self, who: Participant, command: Close, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation = check_current_agent(who, loaded.conversation)
        if loaded.open_cards:
            raise CommandError("open_cards", cards=loaded.open_cards)
        asked = loaded.marks.asked
        if asked is not None and command.seq is not None and loaded.seq > command.seq:
            raise CommandError("unseen_message")
        committed = await self._assignment.commit(
            loaded,
            conversation.given_up(open=False),
            Entry(author=Author.of(who), system="closed", params={"agent": who.name}),
            marks=(NO_OPEN_CARDS, still_asked(asked), *ANSWERED),
            command=command_id,
        )
        return committed.reply
