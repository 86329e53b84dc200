"""Reminders of a card that waits: the agent's, once for each quarter of its time, and an automatic one near its end.

Law: a reminder changes nothing about the card, not even its version: the buyer's click on it stays good.
"""

from datetime import datetime

from bot.conversation import Conversation, check_current_agent
from bot.documents.store import CommandId, Commit, Loaded, Reply
from bot.entry import Author, Entry
from bot.errors import CommandError
from bot.flows.applying import Applying
from bot.flows.deciding import Parts, decide, found
from bot.frames import Remind
from bot.marks import NOW, Mark
from bot.participant import Participant
from bot.settings import Settings
from cards.errors import AlreadySettled
from cards.model import to_ms
from cards.proposal import Action, Proposal, State, quarter, quarter_end, settle


def near_at(created: datetime, deadline: datetime, settings: Settings) -> datetime | None:
    """When both sides are told that a card's time is nearly over; None for one that never had more time than that."""
    near = deadline - settings.remind_before
    return near if near > created else None


def next_look(created: datetime, deadline: datetime, now: datetime, settings: Settings) -> datetime:
    """When the timer of a waiting card is to fire: in time for the automatic reminder, and then at the deadline."""
    near = near_at(created, deadline, settings)
    return near if near is not None and now < near else deadline


class Reminding:
    """Reminds of cards."""

    def __init__(self, parts: Parts, applying: Applying) -> None:
        self._parts = parts
        self._applying = applying

    async def remind(self, who: Participant, command: Remind, command_id: CommandId) -> Reply:
        """The current agent reminds the buyer. Raises AlreadySettled, CommandError."""
        return await decide(lambda: self._remind(who, command, command_id))

    async def _remind(self, who: Participant, command: Remind, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id, proposals=(command.proposal_id,))
        if loaded.reply:
            return loaded.reply
        conversation = check_current_agent(who, loaded.conversation)
        proposal = found(loaded, command.proposal_id)
        if proposal.state is State.PENDING and loaded.now >= proposal.deadline:
            after = settle(proposal, Action.EXPIRE, now=loaded.now)
            await self._applying.commit_settled(loaded, proposal, after)
            raise AlreadySettled(after)
        if proposal.state is not State.PENDING:
            raise AlreadySettled(proposal)
        now_in = quarter(proposal, loaded.now)
        reminded = (await self._parts.store.card_marks(conversation.id, proposal.id)).reminded
        if reminded == now_in:
            raise CommandError("reminded_already", again_ms=_ms(quarter_end(proposal, now_in)))
        committed = await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                proposal=proposal,
                entries=[_entry("reminded", proposal, Author.of(who))],
                marks=[
                    Mark("must", f"reminded:{proposal.id}", "" if reminded is None else reminded),
                    Mark("set", f"reminded:{proposal.id}", now_in),
                ],
                channels=conversation.channels,
                command=command_id,
                not_after=proposal.deadline,
            )
        )
        return committed.reply

    async def near_deadline(self, loaded: Loaded, proposal: Proposal, conversation: Conversation) -> None:
        """Both sides are told, once, that a waiting card's time is nearly over, if it is. Raises Stale."""
        near = near_at(proposal.created, proposal.deadline, self._parts.settings)
        if near is None or loaded.now < near:
            return
        if (await self._parts.store.card_marks(conversation.id, proposal.id)).near:
            return
        await self._parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                proposal=proposal,
                entries=[_entry("near_deadline", proposal, None)],
                marks=[Mark("must", f"near:{proposal.id}"), Mark("set", f"near:{proposal.id}", NOW)],
                channels=conversation.channels,
                not_after=proposal.deadline,
            )
        )


def _entry(what: str, proposal: Proposal, author: Author | None) -> Entry:
    return Entry(author=author, system=what, params={"proposal_id": proposal.id, "order_id": proposal.order_id})


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)
