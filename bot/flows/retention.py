"""What nobody needs any more is removed: a conversation idle for `keep`, and proposals settled that long ago.

Law: a card that is open is never removed, nor the conversation it is in. What other slots know of something (the desk,
the index of proposals, results of changes) goes before it: who dies on the way leaves what the timer will find again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.desk.places import Desk
from bot.desk.presence import Presence
from bot.documents.keeping import AT_ONCE, Age, Keeping
from bot.documents.proposal_index import ProposalIndex
from bot.documents.store import Overview, Stale
from bot.flows.deciding import Parts, decide
from bot.flows.timer_ids import keep_timer
from bot.frames import encode
from bot.marks import Marks
from bot.orders.shop import Shop
from bot.overview import render_overview
from cards.model import to_ms
from cards.texts import Locale

_LOOKS = 180
"""How many looks at most are taken at one conversation in the time that things are kept: one a day."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be removed now, and when to look again; None: there is nothing left to look at."""

    proposals: tuple[str, ...]
    conversation: bool
    again: datetime | None


def what_is_due(age: Age, keep: timedelta) -> Due:
    """What of this conversation is `keep` old; the next look is when more of it may be, but not before `keep / 180`."""
    old = age.now - keep
    proposals = tuple(one.proposal_id for one in age.settled if one.at <= old)
    if age.active <= old and not age.open_cards and len(proposals) == age.settled_count:
        return Due(proposals, True, None)
    if len(proposals) == AT_ONCE:
        return Due(proposals, False, age.now)
    # What is open becomes idle when it is settled, which is yet to come.
    ends = [age.now if age.open_cards else age.active, *(one.at for one in age.settled if one.at > old)]
    return Due(proposals, False, max(min(ends) + keep, age.now + keep / _LOOKS))


class Retention:
    """Removes what is due, woken by a timer of each conversation. Every call may raise redis.exceptions.RedisError."""

    def __init__(
        self, parts: Parts, keeping: Keeping, desk: Desk, presence: Presence, index: ProposalIndex, shop: Shop
    ) -> None:
        self._parts = parts
        self._keeping = keeping
        self._desk = desk
        self._presence = presence
        self._index = index
        self._shop = shop

    async def watch(self, conversation_id: str) -> None:
        """A conversation whose timer was lost, or that never had one, is looked at soon."""
        timers = self._parts.timers
        if await timers.due_of(keep_timer(conversation_id)) is None:
            await timers.arm(keep_timer(conversation_id), self._parts.clock.now())

    async def fired(self, conversation_id: str) -> None:
        """The timer fired: remove what is due, and look again when something else may be."""
        await decide(lambda: self._fired(conversation_id))

    async def _fired(self, conversation_id: str) -> None:
        keep = self._parts.settings.keep
        age = await self._keeping.age(conversation_id)
        if age is None:
            return
        due = what_is_due(age, keep)
        shop_id = age.conversation.shop_id
        if due.proposals:
            await self._forget(age, due.proposals)
        if due.conversation and not await self._desk.forget(shop_id, conversation_id, age.version):
            due = Due(due.proposals, False, age.now + keep / _LOOKS)  # somebody is about to have it
        if due.proposals or due.conversation:
            removed = await self._keeping.remove(age, due.proposals, conversation=due.conversation)
            if not removed:  # something happened in the conversation that the desk has just forgotten
                await self._desk.put_right(await self._parts.load(conversation_id))
                raise Stale
        if due.conversation:
            await self._tell(age)
        if due.again is not None:
            await self._parts.timers.arm(keep_timer(conversation_id), due.again)

    async def _forget(self, age: Age, proposal_ids: tuple[str, ...]) -> None:
        """What other slots know of these proposals. A change id has had its last word: its proposal is settled."""
        shop_id, conversation_id = age.conversation.shop_id, age.conversation.id
        loaded = await self._parts.load(conversation_id, proposals=proposal_ids)
        asked = [(one.order_id, one.id) for one in loaded.proposals if one is not None and one.answered is not None]
        if asked:
            await self._shop.forget(shop_id, asked)
        await self._index.remove(shop_id, conversation_id, proposal_ids)

    async def _tell(self, age: Age) -> None:
        """Whoever has it in their list is shown that it is over; an agent has room for another."""
        conversation = age.conversation
        if not conversation.open:
            return
        over = Overview(conversation.given_up(open=False), age.version, age.seq, Marks(), None)
        item = {**render_overview(over, "agent", Locale.ZH_CN), "online": False}
        frame = encode({"type": "conversation", "now_ms": to_ms(age.now), **item})
        *_, staff = conversation.channels
        await self._parts.store.tell(staff, conversation.id, to_ms(age.now), frame)
        if conversation.agent_id is not None:
            await self._presence.look(conversation.shop_id)

    async def tidy(self, shop_id: str) -> None:
        """The desk forgets what it knows of documents that are no more, or were never written, or were lost."""
        async for conversation_id, version in self._desk.known(shop_id):
            # Read after the desk was: its documents are never older than what it knows of them.
            if (await self._parts.load(conversation_id)).conversation_version < max(1, version):
                await self._desk.forget(shop_id, conversation_id, version)
                await self._desk.put_right(await self._parts.load(conversation_id))
