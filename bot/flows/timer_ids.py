"""The timers, by id: of a proposal one for its deadline, one for asking the order system again; of a conversation one
for the buyer who waits for a reply, and one for the removal of what is old.
"""

from typing import Literal, NamedTuple, cast

from cards.proposal import Proposal

Kind = Literal["expire", "apply", "reply", "keep"]


class TimerId(NamedTuple):
    """What a timer's id says; `proposal_id` is empty for `reply` and `keep`."""

    kind: Kind
    conversation_id: str
    proposal_id: str


def expiry_of(conversation_id: str, proposal_id: str) -> str:
    """The timer of a proposal's deadline."""
    return f"expire:{conversation_id}:{proposal_id}"


def retry_of(proposal: Proposal) -> str:
    """The timer that asks the order system again for a change that was agreed to."""
    return f"apply:{proposal.conversation_id}:{proposal.id}"


def reply_timer(conversation_id: str) -> str:
    """The timer of the buyer's first message without a reply."""
    return f"reply:{conversation_id}:"


def keep_timer(conversation_id: str) -> str:
    """The timer that removes what of a conversation is old."""
    return f"keep:{conversation_id}:"


def read_timer_id(timer_id: str) -> TimerId:
    """The parts of an id made above."""
    kind, conversation_id, proposal_id = timer_id.split(":")
    return TimerId(cast(Kind, kind), conversation_id, proposal_id)
