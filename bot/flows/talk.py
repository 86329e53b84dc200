"""What is said in a conversation, how far each side has read, and who is writing."""

from collections.abc import Sequence

import orjson

from bot.conversation import Conversation, check_current_agent
from bot.documents.store import CommandId, Commit, Loaded, ReadMark, Reply
from bot.entry import Author, Entry
from bot.errors import CommandError
from bot.flows.assignment import Assignment
from bot.flows.deciding import Parts, decide
from bot.flows.reading import audience_of
from bot.flows.reply_clock import ReplyClock
from bot.frames import Read, Say, Typing
from bot.marks import ANSWERED, ASKED, Mark, still_asked
from bot.participant import Participant, Role


class Talk:
    """Messages, and the signs around them."""

    def __init__(self, parts: Parts, assignment: Assignment, clock: ReplyClock) -> None:
        self._parts = parts
        self._assignment = assignment
        self._clock = clock

    async def say(self, who: Participant, command: Say, command_id: CommandId) -> Reply:
        """A message. A buyer's opens the conversation (again), for an agent who is here. Raises CommandError."""
        if who.role is Role.AGENT:
            return await decide(lambda: self._say_as_agent(who, command, command_id))
        if who.role is not Role.BUYER:
            raise CommandError("agents_only")
        return await decide(lambda: self._say_as_buyer(who, command, command_id))

    async def _say_as_agent(self, who: Participant, command: Say, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation = check_current_agent(who, loaded.conversation)
        message = Entry(author=Author.of(who), text=command.text)
        return await self._commit(loaded, conversation, message, ANSWERED, command_id)

    async def _say_as_buyer(self, who: Participant, command: Say, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id)
        if loaded.reply:
            return loaded.reply
        conversation = loaded.conversation or Conversation(
            id=command.conversation_id, shop_id=who.shop_id, buyer_id=who.id, buyer_name=who.name, opened=loaded.now
        )
        message = Entry(author=Author.of(who), text=command.text)
        asked = loaded.marks.asked
        if asked is None or loaded.marks.overdue:
            await self._clock.start(conversation.id, loaded.now)
        # A reply at this very moment would make this message the first one, whose clock nobody has started.
        marks = (still_asked(asked), ASKED)
        if await self._needs_an_agent(conversation, loaded):
            changed, told = await self._assignment.find_other(conversation, loaded.conversation_version)
            entry = told.model_copy(update={"author": message.author, "text": message.text})
            return (await self._assignment.commit(loaded, changed, entry, marks=marks, command=command_id)).reply
        return await self._commit(loaded, conversation, message, marks, command_id)

    async def _commit(
        self, loaded: Loaded, conversation: Conversation, message: Entry, marks: Sequence[Mark], command: CommandId
    ) -> Reply:
        """Write a message into a conversation that stays in the hands that it is in. Raises Stale."""
        committed = await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                entries=[message],
                marks=marks,
                channels=conversation.channels,
                command=command,
            )
        )
        return committed.reply

    async def _needs_an_agent(self, conversation: Conversation, loaded: Loaded) -> bool:
        """A new conversation, one that was closed, and one whose agent has been away for too long."""
        if loaded.conversation is None or not conversation.open:
            return True
        if conversation.agent_id is None or loaded.marks.asked is not None:
            return False  # it waits already, or its agent's absence is seen to when the grace time ends
        return await self._assignment.away_for_long(conversation.shop_id, conversation.agent_id)

    async def read(self, who: Participant, command: Read) -> dict[str, int]:
        """This side has read so far: on all devices, and the other side is told. Raises CommandError."""
        mark = await decide(lambda: self._read(who, command))
        return {"seq": mark.seq, "unread": mark.unread, "last_seq": mark.last_seq}

    async def _read(self, who: Participant, command: Read) -> ReadMark:
        conversation, version = await self._taking_part(who, command.conversation_id)
        return await self._parts.store.mark_read(conversation, version, audience_of(who), command.seq)

    async def typing(self, who: Participant, command: Typing) -> dict[str, int]:
        """The other side is told that this one is writing, or no longer. Raises CommandError."""
        conversation, _ = await self._taking_part(who, command.conversation_id)
        if conversation.agent_id is None:
            return {}
        side = audience_of(who)
        sign = {"type": "typing", "conversation_id": conversation.id, "by": side, "active": command.active}
        for channel in conversation.channels:
            if channel != who.channel:
                await self._parts.store.tell(channel, conversation.id, self._parts.clock.now_ms(), orjson.dumps(sign))
        return {}

    async def _taking_part(self, who: Participant, conversation_id: str) -> tuple[Conversation, int]:
        """The conversation and its version."""
        loaded = await self._parts.load(conversation_id)
        if who.role is not Role.BUYER:
            check_current_agent(who, loaded.conversation)
        if loaded.conversation is None:
            raise CommandError("unknown_conversation", conversation_id=conversation_id)
        return loaded.conversation, loaded.conversation_version
