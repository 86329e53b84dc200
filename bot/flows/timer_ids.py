"""The timers of a proposal, by id: one for its deadline, one for asking the order system again."""

from typing import Literal, NamedTuple, cast

from cards.proposal import Proposal

Kind = Literal["expire", "apply"]


class TimerId(NamedTuple):
    """What a timer's id says."""

    kind: Kind
    conversation_id: str
    proposal_id: str


def expiry_of(conversation_id: str, proposal_id: str) -> str:
    """The timer of a proposal's deadline."""
    return f"expire:{conversation_id}:{proposal_id}"


def retry_of(proposal: Proposal) -> str:
    """The timer that asks the order system again for a change that was agreed to."""
    return f"apply:{proposal.conversation_id}:{proposal.id}"


def read_timer_id(timer_id: str) -> TimerId:
    """The parts of an id made above."""
    kind, conversation_id, proposal_id = timer_id.split(":")
    return TimerId(cast(Kind, kind), conversation_id, proposal_id)
