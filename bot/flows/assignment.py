"""Whose a conversation is: committed, given out by the desk, offered to others when its agent is away for too long.

Law: it is committed in the conversation's document; the desk is told before (a reservation) and after (its place), and
whatever was left between the two is carried out by the next who looks.
"""

import asyncio

import orjson

from bot.conversation import Conversation
from bot.desk.inboxes import Inboxes
from bot.desk.places import Desk, Reserved
from bot.desk.presence import AgentState, News, Presence
from bot.documents.store import CommandId, Commit, Committed, Loaded, Stale
from bot.entry import Entry, render_conversation
from bot.errors import CommandError
from bot.flows.deciding import Parts, decide
from bot.flows.reply_clock import ReplyClock
from bot.flows.timer_ids import keep_timer
from bot.frames import Status
from bot.marks import ASKED_ANEW, Mark
from bot.participant import Participant, Role, desk_channel, live_channel

_AT_ONCE = 50
"""Waiting conversations that are given out at a time."""


class Assignment:
    """Moves conversations between agents, and to and from the desk."""

    def __init__(self, parts: Parts, desk: Desk, inboxes: Inboxes, presence: Presence, clock: ReplyClock) -> None:
        self._parts = parts
        self._desk = desk
        self._inboxes = inboxes
        self._presence = presence
        self._clock = clock
        self._looking: dict[str, bool] = {}
        """The shops whose desk is being seen to here, and whether there is more to see to by now."""

    async def commit(
        self,
        loaded: Loaded,
        changed: Conversation,
        entry: Entry,
        *,
        marks: tuple[Mark, ...] = (),
        command: CommandId | None = None,
    ) -> Committed:
        """Write that the conversation is in other hands. Both sides, the agent before and the desk are told.

        Raises Stale. Whoever calls has reserved it for its agent, if it gets one; a stale decision gives that up.
        """
        channels = [*changed.channels, desk_channel(changed.shop_id)]
        if (before := loaded.conversation) and before.agent_id:
            channels.append(live_channel(before.shop_id, Role.AGENT, before.agent_id))
        try:
            committed = await self._parts.store.commit(
                Commit(
                    changed.id,
                    loaded.conversation_version,
                    conversation=changed,
                    entries=[entry.model_copy(update={"conversation": changed})],
                    marks=marks,
                    channels=list(dict.fromkeys(channels)),
                    command=command,
                    reply=reply_body(changed) if entry.text is None else "{}",
                )
            )
        except (Stale, CommandError):
            if changed.agent_id:
                await self._give_up(changed.id, changed.shop_id, changed.agent_id)
            raise
        if not committed.repeated:
            self._parts.background.start(
                self._place(changed, loaded.conversation_version + 1, loaded), "putting a conversation in its place"
            )
        return committed

    async def _give_up(self, conversation_id: str, shop_id: str, agent_id: str) -> None:
        """What was reserved for a decision that came too late; another one may have given it to the same agent."""
        now = await self._parts.load(conversation_id)
        if now.conversation is None or now.conversation.agent_id != agent_id:
            await self._desk.release(shop_id, conversation_id, agent_id, now.conversation_version)

    async def _place(self, conversation: Conversation, version: int, loaded: Loaded) -> None:
        before = loaded.conversation.agent_id if loaded.conversation else None
        if loaded.conversation is None:
            await self._parts.timers.arm(keep_timer(conversation.id), loaded.now + self._parts.settings.keep)
        await self._desk.place(conversation, version, loaded.marks.asked or loaded.now, before)
        waits = conversation.open and conversation.agent_id is None
        if waits or before not in (None, conversation.agent_id):
            # There is room for another one now; or there has been room since this one was found to have to wait.
            await self._presence.look(conversation.shop_id)

    async def choose(self, who: Participant, command: Status) -> dict[str, str]:
        """The agent gets new conversations from now on, or no new ones."""
        await self._presence.choose(who.shop_id, who.id, AgentState(command.state))
        await self._presence.look(who.shop_id)
        return {"state": command.state}

    async def see_to(self, shop_id: str, news: News) -> None:
        """Something waits at a desk, or somebody has been away for too long: see to it in the background, once."""
        if shop_id in self._looking:
            self._looking[shop_id] = True
        else:
            self._looking[shop_id] = False
            self._parts.background.start(self._see_to(shop_id, news), "seeing to a desk")

    async def _see_to(self, shop_id: str, news: News) -> None:
        try:
            for agent_id in news.gone:
                await self._offer_all(shop_id, agent_id)
            if news.waiting or news.gone:
                await self.hand_out(shop_id)
        finally:
            again = self._looking.pop(shop_id)
        if again:
            await self._presence.look(shop_id)

    async def hand_out(self, shop_id: str) -> None:
        """Give what waits to whoever has room."""
        seen: set[str] = set()
        while new := [one for one in await self._desk.hand_out(shop_id, _AT_ONCE) if one.conversation_id not in seen]:
            seen.update(one.conversation_id for one in new)
            await asyncio.gather(*[self._give(shop_id, one) for one in new])

    async def _give(self, shop_id: str, reserved: Reserved) -> None:
        await decide(lambda: self._give_once(shop_id, reserved))

    async def _give_once(self, shop_id: str, reserved: Reserved) -> None:
        loaded = await self._parts.load(reserved.conversation_id)
        conversation = loaded.conversation
        if conversation is None:  # its first message is still under way, or was lost with whoever carried it
            for agent_id in (reserved.agent_id, None):
                await self._desk.drop(shop_id, agent_id, [reserved.conversation_id])
        elif conversation.open and conversation.agent_id is None:
            version = loaded.conversation_version
            if not await self._desk.take(shop_id, conversation.id, reserved.agent_id, version):
                return  # a stale attempt gave the reservation up, and somebody else has the room
            entry = Entry(system="assigned", params={"agent": reserved.agent_name})
            await self.commit(loaded, conversation.given_to(reserved.agent_id, reserved.agent_name), entry)
        else:
            await self._desk.put_right(loaded)
            if conversation.agent_id != reserved.agent_id:
                await self._desk.release(shop_id, conversation.id, reserved.agent_id, loaded.conversation_version)

    async def _offer_all(self, shop_id: str, agent_id: str) -> None:
        """An agent is away for too long: whoever waits for their reply gets another agent, or waits at the desk."""
        absence = await self._presence.absence(shop_id, agent_id)
        if absence is None or absence.back is None:
            for overview in await self._inboxes.of_agent(shop_id, agent_id):
                if overview.marks.asked:
                    await decide(lambda id=overview.conversation.id: self._offer(id, agent_id))  # type: ignore[misc]
        await self._presence.seen_to(shop_id, agent_id)

    async def _offer(self, conversation_id: str, agent_id: str) -> None:
        loaded = await self._parts.load(conversation_id)
        conversation = loaded.conversation
        if conversation is None or conversation.agent_id != agent_id or not loaded.marks.asked:
            return
        changed, entry = await self.find_other(conversation, loaded.conversation_version)
        if changed.agent_id == agent_id:  # they came back just now: nothing is committed on what was reserved
            await self._desk.release(conversation.shop_id, conversation_id, agent_id, loaded.conversation_version + 1)
            await self._desk.put_right(loaded)
            return
        if changed.agent_id:
            await self._clock.start(conversation.id, loaded.now)
        await self.commit(loaded, changed, entry, marks=ASKED_ANEW if changed.agent_id else ())

    async def find_other(self, conversation: Conversation, version: int) -> tuple[Conversation, Entry]:
        """The conversation in the hands of an agent who is here, or waiting for one; and what both sides are told.

        `version` is that of its document as it was loaded. One whose agent is here again stays as it is.
        """
        found = await self._desk.find_agent(conversation.shop_id, conversation.id, version)
        before = conversation.agent_name or ""
        if found is None:
            waits = conversation.given_up(open=True)
            return waits, Entry(system="returned", params={"agent": before}) if before else Entry()
        if found.agent_id == conversation.agent_id:
            return conversation, Entry()
        given = conversation.given_to(found.agent_id, found.agent_name)
        if before:
            return given, Entry(system="reassigned", params={"agent": before, "to": found.agent_name})
        return given, Entry(system="assigned", params={"agent": found.agent_name})

    async def away_for_long(self, shop_id: str, agent_id: str) -> bool:
        """Whether this agent is away, and has been for longer than the grace time."""
        absence = await self._presence.absence(shop_id, agent_id)
        if absence is None or absence.back is not None:
            return False
        return self._parts.clock.now() - absence.left >= self._parts.settings.agent_grace


def reply_body(conversation: Conversation) -> str:
    """What a command that moves a conversation is answered: JSON, `{"conversation": …}` (`render_conversation`)."""
    return orjson.dumps({"conversation": render_conversation(conversation)}).decode()
