"""What a conversation's hash says beside its document: who has read what, who waits for a reply, which cards are open.

Law: marks lie outside the document's version, so that chatter makes no decision stale; a decision that needs one says
so with `must`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from cards.card import Audience
from cards.model import from_ms, to_ms
from cards.proposal import FINAL, Proposal, State

Verb = Literal["must", "set", "once", "again", "drop", "add"]

NOW = "now"
"""A mark's value that the script replaces by the server's time."""


class Mark(NamedTuple):
    """One change of a mark by a commit, or (`must`) what it must be; commit.lua says what each verb does."""

    verb: Verb
    field: str
    value: str | int = ""


ASKED = Mark("once", "asked", NOW)
"""The buyer wrote: since the first of such messages they wait for a reply."""
ANSWERED = tuple(Mark("drop", name) for name in ("asked", "warned", "overdue"))
"""The agent replied, or nobody has to any more."""
ASKED_ANEW = (Mark("again", "asked", NOW), *ANSWERED[1:])
"""Somebody else has to reply: their time begins now."""
NO_OPEN_CARDS = Mark("must", "cards")
"""No card waits, for the buyer or for the order system."""


def still_asked(asked: datetime | None) -> Mark:
    """The buyer waits since that instant, as it was read; None: they do not wait."""
    return Mark("must", "asked", to_ms(asked) if asked else "")


@dataclass(frozen=True, slots=True)
class OpenCard:
    """A card that waits for the buyer, or (`applying`) for the order system."""

    proposal_id: str
    order_id: str
    state: State
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Marks:
    """`asked` is since when the buyer waits for a reply; seqs are 0 where there is none."""

    asked: datetime | None = None
    warned: bool = False
    overdue: bool = False
    read: Mapping[Audience, int] = field(default_factory=dict)
    unread: Mapping[Audience, int] = field(default_factory=dict)
    cards: tuple[OpenCard, ...] = ()
    """By deadline; those of one instant by id."""


def read_marks(fields: Mapping[bytes, bytes]) -> Marks:
    """The marks among the fields of a conversation's hash."""
    asked = fields.get(b"asked")
    cards = [_read_card(name, value) for name, value in fields.items() if name.startswith(b"card:")]
    return Marks(
        asked=from_ms(int(asked)) if asked else None,
        warned=b"warned" in fields,
        overdue=b"overdue" in fields,
        read={"agent": int(fields.get(b"read:agent", 0)), "buyer": int(fields.get(b"read:buyer", 0))},
        unread={"agent": int(fields.get(b"unread:agent", 0)), "buyer": int(fields.get(b"unread:buyer", 0))},
        cards=tuple(sorted(cards, key=lambda card: (card.deadline, card.proposal_id))),
    )


def card_marks(before: Proposal | None, after: Proposal) -> list[Mark]:
    """The marks that a move of a proposal leaves: it is open, in another state, or no longer open."""
    name = f"card:{after.id}"
    if after.state in FINAL:
        # The count is kept beside the cards themselves so that a commit can insist on there being none.
        return [Mark("drop", name), Mark("drop", f"reminded:{after.id}"), Mark("drop", f"near:{after.id}"), *_count(-1)]
    card = Mark("set", name, f"{after.state} {to_ms(after.deadline)} {after.order_id}")
    return [card] if before else [card, *_count(1)]


def _count(change: int) -> tuple[Mark, ...]:
    return (Mark("add", "cards", change),)


def _read_card(name: bytes, value: bytes) -> OpenCard:
    state, deadline_ms, order_id = value.decode().split(" ")
    return OpenCard(name.decode().removeprefix("card:"), order_id, State(state), from_ms(int(deadline_ms)))
