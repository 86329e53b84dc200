"""What a simulation leaves behind: plain records, gathered while it plays and judged when it is over.

An entry is as a client gets it: `seq`, `at_ms` and the parts its audience sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.orders.shop import Move
from bot.simulate.mix import Answer
from cards.card import Audience
from cards.proposal import FINAL

Entry = Mapping[str, Any]
Card = Mapping[str, Any]

FINAL_STATES = frozenset(state.value for state in FINAL)
"""How a card's state reads when it is settled."""


@dataclass(slots=True)
class Act:
    """A person's command on a card: `agree` or `reject` (a click), or `withdraw`.

    `reply` is `ok` or the error's code, and `shown` the state of the card that came with it; `at` is when it was sent
    (seconds of this process's clock).
    """

    device: str
    action: str
    at: float
    reply: str = "no answer"
    shown: str | None = None


@dataclass(slots=True)
class Case:
    """One proposal that an agent tried, and what was done to its card.

    `expected` by line id: `allowed`, or the code it is to be refused with; `expect` and `expected` are None and empty
    where nothing is foretold. `raced`: others change stock meanwhile, so it may run out, or come back. `prices`: what
    each line's new SKU costs now, in cents.
    """

    number: int
    order_id: str
    conversation_id: str
    wishes: Mapping[str, str]
    prices: Mapping[str, int] = field(default_factory=dict)
    expect: Literal["card", "refused"] | None = None
    expected: Mapping[str, str] = field(default_factory=dict)
    raced: bool = False
    proposal_id: str | None = None
    refusal: str | None = None
    refused_lines: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None
    acts: list[Act] = field(default_factory=list)
    moved: Move | None = None
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """How violations name it, up to a colon."""
        wishes = ", ".join(f"{line} to {sku}" for line, sku in self.wishes.items())
        card = f", card {self.proposal_id}" if self.proposal_id else ""
        return f"case {self.number}, order {self.order_id} ({wishes}){card}"

    def ok(self, *actions: str) -> list[Act]:
        """The commands of these kinds that were answered with ok."""
        return [act for act in self.acts if act.action in actions and act.reply == "ok"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one device saw live of one conversation, in the order it came."""

    device: str
    audience: Audience
    person_id: str
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Story:
    """One conversation when all is over: its log after `since`, read back in full for each audience.

    `agent_before` had it at `since`; `last_seq` is where the log stands.
    """

    conversation_id: str
    since: int
    agent_before: str | None
    last_seq: int
    read_back: Mapping[Audience, Sequence[Entry]]
    seen: Sequence[Seen]

    def moves(self) -> dict[str, list[Entry]]:
        """The entries of each card that began here, by proposal id, as read back by the agent."""
        moves: dict[str, list[Entry]] = {}
        for entry in self.read_back["agent"]:
            if (card := entry.get("card")) and (card["version"] == 1 or card["proposal_id"] in moves):
                moves.setdefault(card["proposal_id"], []).append(entry)
        return moves

    def agent_at(self, seq: int) -> str | None:
        """Whose the conversation was when that entry was written."""
        agent = self.agent_before
        for entry in self.read_back["agent"]:
            if entry["seq"] > seq:
                break
            if "conversation" in entry:
                agent = entry["conversation"]["agent_id"]
        return agent


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything there is to judge; orders by id, as the agent's list of orders has them."""

    cases: Sequence[Case]
    stories: Sequence[Story]
    orders_before: Mapping[str, Mapping[str, Any]]
    orders_after: Mapping[str, Mapping[str, Any]]
    complaints: Sequence[str] = ()
    """What the clients themselves say about the gateways."""
    away: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """Of each agent when they may not have been reachable, from and to in ms of the logs' clock."""

    def was_away(self, agent_id: str | None, at_ms: int) -> bool:
        """Whether that agent may have been away then."""
        return any(start <= at_ms <= end for start, end in self.away.get(agent_id or "", ()))

    def outcomes(self) -> dict[str, Card]:
        """The settled cards, as first settled, by proposal id."""
        outcomes: dict[str, Card] = {}
        for story in self.stories:
            for proposal_id, entries in story.moves().items():
                for entry in entries:
                    if entry["card"]["state"] in FINAL_STATES:
                        outcomes.setdefault(proposal_id, entry["card"])
        return outcomes
