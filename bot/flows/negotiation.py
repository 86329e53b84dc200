"""Propose, agree, reject, withdraw, expire, invalidate: one straight line each.

Law: of all that happens to a waiting proposal the first to be committed decides. Whoever comes later loads again, and
the pure rule answers *already settled*, with the card as it now is.
"""

import asyncio
from collections.abc import Sequence

import orjson

from bot.conversation import check_current_agent, conversation_id
from bot.documents.proposal_index import ProposalIndex
from bot.documents.store import CommandId, Commit, Loaded, Reply, Stale
from bot.entry import Author, Entry
from bot.errors import CommandError
from bot.flows.applying import Applying
from bot.flows.deciding import Parts, decide, found
from bot.flows.reminding import Reminding, next_look
from bot.flows.timer_ids import expiry_of, retry_of
from bot.frames import Answer, Propose, Withdraw
from bot.marks import ANSWERED
from bot.orders.base import OrderEvent, UnknownOrder, read_products
from bot.participant import Participant, Role
from cards.errors import AlreadySettled, Refusal, TooEarly
from cards.model import to_ms
from cards.order import Order
from cards.proposal import Action, Change, Proposal, State, propose, settle, why_moved
from cards.rules import order_refusal


class Negotiation:
    """Everything that can happen to a proposal, but for the order system's answer (`Applying`)."""

    def __init__(self, parts: Parts, applying: Applying, reminding: Reminding, index: ProposalIndex) -> None:
        self._parts = parts
        self._applying = applying
        self._reminding = reminding
        self._index = index

    async def propose(self, who: Participant, command: Propose, command_id: CommandId) -> Reply:
        """Send a card. Raises Refusal, CommandError."""
        return await decide(lambda: self._propose(who, command, command_id))

    async def _propose(self, who: Participant, command: Propose, command_id: CommandId) -> Reply:
        parts = self._parts
        reading = asyncio.create_task(parts.order_in(command.conversation_id, command.order_id))
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        proposal_id = command_id.id.replace("-", "")
        loaded = await parts.load(
            command.conversation_id, command_id, orders=(command.order_id,), proposals=(proposal_id,)
        )
        if loaded.reply:
            if (mine := loaded.proposals[1]) and mine.state is State.PENDING:  # it may have been sent without a look
                parts.background.start(self.verify(mine), "reading the order once more")
            return loaded.reply
        if loaded.proposals[1] is not None:  # a repeat so late that its reply is no longer kept
            raise CommandError("id_reused")
        conversation = check_current_agent(who, loaded.conversation)
        await self._check_not_held(loaded)
        order = await reading
        if refusal := order_refusal(order):
            raise refusal
        window = parts.window.length
        deadline = loaded.now + window
        expiry = expiry_of(command.conversation_id, proposal_id)
        products, currency, *_ = await asyncio.gather(
            read_products(parts.orders, who.shop_id, _products_of(order, command.changes)),
            parts.orders.currency(who.shop_id),
            parts.timers.arm(expiry, next_look(loaded.now, deadline, loaded.now, parts.settings)),
            self._index.add(who.shop_id, conversation.id, proposal_id, loaded.now),
        )
        proposal = propose(
            order,
            products,
            command.changes,
            proposal_id=proposal_id,
            conversation_id=conversation.id,
            agent_id=who.id,
            currency=currency,
            waive_difference=command.waive_difference,
            now=loaded.now,
            window=window,
            deadline=deadline,
        )
        committed = await parts.store.commit(
            Commit(
                conversation.id,
                loaded.conversation_version,
                changed=proposal,
                entries=[Entry(author=Author.of(who), card=proposal)],
                marks=ANSWERED,
                channels=conversation.channels,
                command=command_id,
                reply=_reply(proposal),
                not_after=proposal.deadline,
            )
        )
        if not committed.repeated:
            parts.background.start(self.verify(proposal), "reading the order once more")
        return committed.reply

    async def _check_not_held(self, loaded: Loaded) -> None:
        """R8; a card whose deadline has passed holds nothing up: it is settled first (R10)."""
        if (held := loaded.proposals[0]) is None:
            return
        if held.state is State.PENDING and loaded.now >= held.deadline:
            await self._applying.commit_settled(loaded, held, settle(held, Action.EXPIRE, now=loaded.now))
            raise Stale
        raise Refusal("proposal_pending", {"order_id": held.order_id})

    async def verify(self, proposal: Proposal) -> None:
        """A second look at the order: one that moved before the card was committed invalidates it after all."""
        try:
            order = await self._parts.orders.order(proposal.shop_id, proposal.order_id)
            reason = why_moved(proposal, order)
        except UnknownOrder:
            reason = "order_gone"
        if reason:
            await decide(lambda: self._invalidate(proposal.conversation_id, proposal.order_id, proposal.id, reason))

    async def answer(self, who: Participant, command: Answer, command_id: CommandId) -> Reply:
        """The buyer's click. Raises AlreadySettled or OldVersion with the card as it now is, or CommandError."""
        return await decide(lambda: self._answer(who, command, command_id))

    async def _answer(self, who: Participant, command: Answer, command_id: CommandId) -> Reply:
        parts = self._parts
        loaded = await parts.load(command.conversation_id, command_id, proposals=(command.proposal_id,))
        if loaded.reply:
            return loaded.reply
        before = found(loaded, command.proposal_id)
        if who.role is not Role.BUYER or before.buyer_id != who.id:
            raise CommandError("not_the_buyer")
        action = Action(command.action)
        after = await self._settled(loaded, before, action, who, version=command.version, comment=command.comment)
        if after.state is State.APPLYING:
            await parts.timers.arm(retry_of(after), loaded.now + parts.settings.retry_after)
        committed = await self._applying.commit_settled(
            loaded, before, after, command=command_id, reply=_reply(after), author=Author.of(who)
        )
        if after.state is State.APPLYING and not committed.repeated:
            self._applying.start(after, loaded)
        return committed.reply

    async def withdraw(self, who: Participant, command: Withdraw, command_id: CommandId) -> Reply:
        """The current agent takes a waiting card back. Raises AlreadySettled, CommandError."""
        return await decide(lambda: self._withdraw(who, command, command_id))

    async def _withdraw(self, who: Participant, command: Withdraw, command_id: CommandId) -> Reply:
        loaded = await self._parts.load(command.conversation_id, command_id, proposals=(command.proposal_id,))
        if loaded.reply:
            return loaded.reply
        check_current_agent(who, loaded.conversation)
        before = found(loaded, command.proposal_id)
        after = await self._settled(loaded, before, Action.WITHDRAW, who)
        committed = await self._applying.commit_settled(
            loaded, before, after, command=command_id, reply=_reply(after), author=Author.of(who)
        )
        return committed.reply

    async def _settled(
        self,
        loaded: Loaded,
        before: Proposal,
        action: Action,
        who: Participant,
        *,
        version: int | None = None,
        comment: str | None = None,
    ) -> Proposal:
        """What a person's action makes of the proposal; one that comes too late is kept in the record, and told so."""
        try:
            after = settle(before, action, now=loaded.now, version=version, comment=comment)
            if after.state is State.TIMED_OUT:
                await self._applying.commit_settled(loaded, before, after)
                raise AlreadySettled(after)
        except AlreadySettled as settled:
            intent = {"role": who.role.value, "id": who.id, "action": action.value}
            await self._parts.store.add_late(settled.proposal, intent)
            raise
        return after

    async def expire(self, conversation_id: str, proposal_id: str) -> None:
        """The deadline's timer fired. Before the deadline it is armed again; if it is near, both sides are reminded."""

        async def attempt() -> None:
            loaded = await self._parts.load(conversation_id, proposals=(proposal_id,))
            if (before := loaded.proposals[0]) is None:
                return
            try:
                after = settle(before, Action.EXPIRE, now=loaded.now)
            except AlreadySettled:
                return
            except TooEarly:
                # Told before it is armed again: until then the timer is only leased, and fires again if this fails.
                if loaded.conversation:
                    await self._reminding.near_deadline(loaded, before, loaded.conversation)
                again = next_look(before.created, before.deadline, loaded.now, self._parts.settings)
                await self._parts.timers.arm(expiry_of(conversation_id, proposal_id), again)
                return
            await self._applying.commit_settled(loaded, before, after)

        await decide(attempt)

    async def order_moved(self, event: OrderEvent) -> None:
        """An order event: what waits for that order becomes invalid; what is being applied is asked for again at once.

        Our own change, echoed back, and news older than the card are no reason.
        """
        if event.change_id is not None or event.buyer_id is None:
            return
        id = conversation_id(event.shop_id, event.buyer_id)
        loaded = await self._parts.load(id, orders=(event.order_id,))
        held = loaded.proposals[0]
        if held is None or event.version <= held.order_version:
            return
        if held.state is State.APPLYING:
            self._applying.start(held)
        else:
            await decide(lambda: self._invalidate(id, event.order_id, held.id, event.kind.value))

    async def _invalidate(self, conversation_id: str, order_id: str, proposal_id: str, reason: str) -> None:
        loaded = await self._parts.load(conversation_id, orders=(order_id,))
        before = loaded.proposals[0]
        if before is None or before.id != proposal_id or before.state is not State.PENDING:
            return
        after = settle(before, Action.INVALIDATE, now=loaded.now, reason=reason)
        await self._applying.commit_settled(loaded, before, after)


def _products_of(order: Order, changes: Sequence[Change]) -> list[str]:
    return [line.product_id for change in changes if (line := order.line(change.line_id))]


def _reply(proposal: Proposal) -> str:
    return orjson.dumps(
        {
            "proposal_id": proposal.id,
            "state": proposal.state.value,
            "version": proposal.version,
            "deadline_ms": to_ms(proposal.deadline),
        }
    ).decode()
