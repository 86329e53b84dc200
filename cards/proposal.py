"""A proposal, from asked to settled: the machine is a table, and `settle` is the only way a proposal moves.

The law of the table:

* A proposal waits (`pending`), and the first thing to happen decides: the buyer's answer, the deadline, the order
  moving on, or the agent taking it back. One outcome, ever: no final state has a way out (R11).
* An agree is never yet the outcome. It is consent, kept safe in `applying`; from there only the order system's answer
  decides (taken, or refused with a reason). No deadline, withdrawal or order event moves it any more.
* The deadline is data, exclusive, and looked at in the moment of decision: at or after it, whatever would have moved a
  waiting proposal finds it timed out instead, whether or not a timer fired (R10).
* What is settled is said before what is old: a stale screen learns the outcome, not that it is stale (R11).
* Every move makes a new version.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from cards.errors import AlreadySettled, OldVersion, TooEarly
from cards.model import Id, Instant, Model, from_ms, to_ms
from cards.order import AfterSale, Order, OrderStatus, Product
from cards.rules import CHANGEABLE, Ask, check
from cards.rules import Change as Change


class State(StrEnum):
    """Where a proposal stands (R9)."""

    PENDING = "pending"
    APPLYING = "applying"
    AGREED = "agreed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    INVALID = "invalid"
    WITHDRAWN = "withdrawn"


class Action(StrEnum):
    """What can happen to a proposal: what people do, then what the order does, then the order system's answer."""

    AGREE = "agree"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    INVALIDATE = "invalidate"
    TAKEN = "taken"
    REFUSED = "refused"
    DELAYED = "delayed"


TRANSITIONS: Mapping[State, Mapping[Action, State]] = {
    State.PENDING: {
        Action.AGREE: State.APPLYING,
        Action.REJECT: State.REJECTED,
        Action.WITHDRAW: State.WITHDRAWN,
        Action.EXPIRE: State.TIMED_OUT,
        Action.INVALIDATE: State.INVALID,
    },
    State.APPLYING: {
        Action.TAKEN: State.AGREED,
        Action.REFUSED: State.INVALID,
        Action.DELAYED: State.APPLYING,  # no answer yet, and the agent is told so, once
    },
    State.AGREED: {},
    State.REJECTED: {},
    State.TIMED_OUT: {},
    State.INVALID: {},
    State.WITHDRAWN: {},
}

FINAL = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


class ProposedLine(Model):
    """One line as it is and as it would be; a spec is a SKU's option values.

    `unit_price_after_cents` is the new SKU's price, also on a paid order, where nobody is charged it (R5): it is the
    price the order system is told to expect.
    """

    line_id: Id
    product_id: Id
    title: str
    quantity: int
    from_sku: Id
    from_spec: Mapping[str, str]
    to_sku: Id
    to_spec: Mapping[str, str]
    unit_price_before_cents: int
    unit_price_after_cents: int


class Proposal(Model):
    """One change of spec that an agent asks a buyer for, and what became of it.

    The totals are the whole order's; a paid order's stays what was paid, and `waived_cents` is the difference that
    nobody is charged (R5). `answered` is when the buyer said yes or no, `settled` when the outcome was known. `reason`
    says why it is invalid, `comment` is what the buyer wrote with a no. In JSON instants are Unix ms, `created_ms` etc.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    id: Id
    conversation_id: str
    shop_id: Id
    buyer_id: Id
    agent_id: Id
    order_id: Id
    order_version: int
    paid: bool
    currency: str
    lines: tuple[ProposedLine, ...]
    total_before_cents: int
    total_after_cents: int
    waived_cents: int
    state: State = State.PENDING
    version: int = 1
    created: Instant = Field(alias="created_ms")
    deadline: Instant = Field(alias="deadline_ms")
    answered: Instant | None = Field(default=None, alias="answered_ms")
    settled: Instant | None = Field(default=None, alias="settled_ms")
    reason: str | None = None
    comment: str | None = None
    delay_told: bool = False


def propose(
    order: Order,
    products: Mapping[str, Product],
    changes: Sequence[Change],
    *,
    proposal_id: str,
    conversation_id: str,
    agent_id: str,
    currency: str,
    waive_difference: bool,
    now: datetime,
    window: timedelta,
    deadline: datetime | None = None,
) -> Proposal:
    """The proposal that asks for these changes, waiting until `deadline` (or `now + window`).

    `products` by product id; `waive_difference` is the agent's confirmation of R5. Raises Refusal (R2 to R5).
    """
    asks = check(order, products, changes, waived=waive_difference, currency=currency)
    rise = sum(ask.rise * ask.line.quantity for ask in asks)
    paid = order.status is OrderStatus.PAID
    return Proposal(
        id=proposal_id,
        conversation_id=conversation_id,
        shop_id=order.shop_id,
        buyer_id=order.buyer_id,
        agent_id=agent_id,
        order_id=order.id,
        order_version=order.version,
        paid=paid,
        currency=currency,
        lines=tuple(_proposed(ask) for ask in asks),
        total_before_cents=order.total_cents,
        total_after_cents=order.total_cents + (0 if paid else rise),
        waived_cents=rise if paid else 0,
        created=_stored(now),
        deadline=_stored(deadline or now + window),
    )


def settle(
    proposal: Proposal,
    action: Action,
    *,
    now: datetime,
    version: int | None = None,
    reason: str | None = None,
    comment: str | None = None,
) -> Proposal:
    """The proposal after `action`; the law is this module's. What comes too late gives `timed_out`, without raising.

    `version` is the one the actor saw, None for the machine's own actions; `reason` goes with INVALIDATE and REFUSED,
    `comment` with REJECT. Raises AlreadySettled, OldVersion, or TooEarly for EXPIRE before the deadline.
    """
    state = TRANSITIONS[proposal.state].get(action)
    if state is None or (action is Action.DELAYED and proposal.delay_told):
        raise AlreadySettled(proposal)
    late = proposal.state is State.PENDING and now >= proposal.deadline
    if late:
        action, state = Action.EXPIRE, State.TIMED_OUT
    elif action is Action.EXPIRE:
        raise TooEarly(proposal.deadline)
    elif version is not None and version != proposal.version:
        raise OldVersion(proposal)
    successor: dict[str, Any] = {"state": state, "version": proposal.version + 1}
    if state in FINAL:
        successor["settled"] = _stored(now)
    if action in (Action.AGREE, Action.REJECT):
        successor["answered"] = _stored(now)
    if action is Action.REJECT:
        successor["comment"] = comment
    if action in (Action.INVALIDATE, Action.REFUSED):
        successor["reason"] = reason
    if action is Action.DELAYED:
        successor["delay_told"] = True
    return proposal.model_copy(update=successor)


_QUARTERS = 4


def quarter(proposal: Proposal, now: datetime) -> int:
    """In which quarter (0 to 3) of its time a waiting proposal is: it can be reminded of once in each."""
    window = proposal.deadline - proposal.created
    return max(0, min(_QUARTERS - 1, (now - proposal.created) * _QUARTERS // window))


def quarter_end(proposal: Proposal, number: int) -> datetime | None:
    """When the next quarter begins; None after the last one."""
    if number >= _QUARTERS - 1:
        return None
    return proposal.created + (proposal.deadline - proposal.created) * (number + 1) / _QUARTERS


NOTICES = frozenset({State.AGREED, State.REJECTED, State.TIMED_OUT, State.INVALID})
"""The states whose coming the agent is told of (R9); of `withdrawn` they are the author."""


def notice_of(before: Proposal, after: Proposal) -> str | None:
    """The code of what the agent is told about this move, or None."""
    if after.state is not before.state:
        return after.state.value if after.state in NOTICES else None
    return "delayed" if after.delay_told and not before.delay_told else None


REASONS = frozenset(
    {
        "order_paid",
        "order_shipped",
        "order_completed",
        "order_closed",
        "after_sale_opened",
        "lines_changed",
        "order_moved",  # its version moved, and nothing here shows why
        "deposit_presale",
        "order_gone",
        "stock_gone",
        "price_moved",
        "off_sale",
    }
)
"""Why a proposal is invalid; the last four only the order system says."""


def why_moved(proposal: Proposal, order: Order) -> str | None:
    """Why the order, read now, is no longer what a waiting proposal was made on: one of REASONS, or None."""
    if order.version == proposal.order_version:
        return None
    if order.status not in CHANGEABLE:
        return f"order_{order.status.value}"
    if order.after_sale is not AfterSale.NONE:
        return "after_sale_opened"
    if order.deposit_presale:
        return "deposit_presale"
    if order.status is OrderStatus.PAID and not proposal.paid:
        return "order_paid"
    if order.total_cents != proposal.total_before_cents or not all(_stands(line, order) for line in proposal.lines):
        return "lines_changed"
    return "order_moved"


def _proposed(ask: Ask) -> ProposedLine:
    line, product = ask.line, ask.product
    today = product.sku(line.sku_id) if product else None
    return ProposedLine(
        line_id=line.id,
        product_id=line.product_id,
        title=product.title if product else "",
        quantity=line.quantity,
        from_sku=line.sku_id,
        from_spec=today.options if today else {},
        to_sku=ask.sku.id,
        to_spec=ask.sku.options,
        unit_price_before_cents=line.unit_price_cents,
        unit_price_after_cents=ask.sku.price_cents,
    )


def _stands(proposed: ProposedLine, order: Order) -> bool:
    line = order.line(proposed.line_id)
    return line is not None and (line.sku_id, line.quantity, line.unit_price_cents) == (
        proposed.from_sku,
        proposed.quantity,
        proposed.unit_price_before_cents,
    )


def _stored(instant: datetime) -> datetime:
    """The instant as it will be read again: to the millisecond."""
    return from_ms(to_ms(instant))
