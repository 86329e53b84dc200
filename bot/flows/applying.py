"""From a buyer's consent to the changed order, whatever the order system does meanwhile.

The law of `applying`: the consent is committed, and the buyer's `ok` sent, before the order system is called. From then
on only its answer decides. While it is away we ask again, for ever, with the same change id.
"""

import asyncio
import logging
from datetime import datetime

from bot.documents.store import CommandId, Commit, Committed, Loaded
from bot.entry import Author, Entry
from bot.flows.deciding import Parts, decide
from bot.flows.timer_ids import expiry_of, retry_of
from bot.orders.base import ChangeResult, LineChange, OrderSystemAway
from cards.errors import AlreadySettled
from cards.proposal import FINAL, Action, Proposal, State, notice_of, settle

log = logging.getLogger(__name__)


class Applying:
    """Commits what became of proposals, and carries consents to the order system."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def commit_settled(
        self,
        loaded: Loaded,
        before: Proposal,
        after: Proposal,
        *,
        command: CommandId | None = None,
        reply: str = "{}",
        author: Author | None = None,
    ) -> Committed:
        """Write one move of a proposal: the card for both, the notice for the agent of this instant. Raises Stale."""
        conversation = loaded.conversation
        assert conversation is not None
        notice = notice_of(before, after)
        timed_out = after.state is State.TIMED_OUT
        committed = await self._parts.store.commit(
            Commit(
                before.conversation_id,
                loaded.conversation_version,
                proposal=before,
                changed=after,
                entries=[
                    Entry(
                        author=author,
                        card=after,
                        notice=notice,
                        notice_to=conversation.agent_id if notice else None,
                    )
                ],
                channels=conversation.channels,
                command=command,
                reply=reply,
                not_before=before.deadline if timed_out else None,
                not_after=before.deadline if before.state is State.PENDING and not timed_out else None,
            )
        )
        if after.state in FINAL and not committed.repeated:
            self._parts.background.start(self._disarm(before), "disarming a settled card")
        return committed

    async def _disarm(self, proposal: Proposal) -> None:
        timers = self._parts.timers
        await timers.disarm(expiry_of(proposal.conversation_id, proposal.id))
        if proposal.state is State.APPLYING:
            await timers.disarm(retry_of(proposal))

    def start(self, proposal: Proposal, seen: Loaded | None = None) -> None:
        """`apply`, without waiting for the order system."""
        self._parts.background.start(self.apply(proposal, seen), "changing an order")

    async def apply(self, proposal: Proposal, seen: Loaded | None = None) -> None:
        """Ask the order system for what was agreed to and commit its answer; without one the timer asks again.

        `seen` is the reading that the consent was committed on: it saves a load where nothing happened since.
        """
        try:
            async with asyncio.timeout(self._parts.settings.order_system_timeout.total_seconds()):
                result = await self._parts.orders.change(
                    proposal.shop_id, proposal.order_id, proposal.id, _lines(proposal), paid=proposal.paid
                )
        except (OrderSystemAway, TimeoutError) as error:
            log.warning("order system away, proposal %s waits: %s", proposal.id, error or "no answer in time")
            return
        first_reading = seen

        async def attempt() -> None:
            nonlocal first_reading
            if first_reading is not None:
                loaded, before, first_reading = first_reading, proposal, None
                now = self._parts.clock.now()
            else:
                loaded = await self._parts.load(proposal.conversation_id, proposals=(proposal.id,))
                now = loaded.now
                if (found := loaded.proposals[0]) is None:
                    return
                before = found
            await self._commit_answer(loaded, before, result, now)

        await decide(attempt)

    async def _commit_answer(self, loaded: Loaded, before: Proposal, result: ChangeResult, now: datetime) -> None:
        action = Action.TAKEN if result.taken else Action.REFUSED
        try:
            after = settle(before, action, now=now, reason=result.reason.value if result.reason else None)
        except AlreadySettled:
            return
        await self.commit_settled(loaded, before, after)

    async def retry(self, conversation_id: str, proposal_id: str) -> None:
        """The retry timer fired: ask again, and again after twice the time; after a minute the agent is told, once."""
        loaded = await self._parts.load(conversation_id, proposals=(proposal_id,))
        proposal = loaded.proposals[0]
        if proposal is None or proposal.state is not State.APPLYING or proposal.answered is None:
            return
        settings = self._parts.settings
        waited = loaded.now - proposal.answered
        pause = min(max(waited, settings.retry_after), settings.retry_at_most)
        await self._parts.timers.arm(retry_of(proposal), loaded.now + pause)
        self.start(proposal)
        if waited >= settings.slow_after and not proposal.delay_told:
            await decide(lambda: self._tell_delay(conversation_id, proposal_id))

    async def _tell_delay(self, conversation_id: str, proposal_id: str) -> None:
        loaded = await self._parts.load(conversation_id, proposals=(proposal_id,))
        if (before := loaded.proposals[0]) is None:
            return
        try:
            after = settle(before, Action.DELAYED, now=loaded.now)
        except AlreadySettled:
            return
        await self.commit_settled(loaded, before, after)


def _lines(proposal: Proposal) -> list[LineChange]:
    return [
        LineChange(
            line_id=line.line_id,
            from_sku=line.from_sku,
            to_sku=line.to_sku,
            expected_price_cents=line.unit_price_after_cents,
        )
        for line in proposal.lines
    ]
