"""What there is to judge: commands, cards, whose a conversation was, and what was broken when. Plain values."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.torture.final import Logged
from tests.faults.torture.history import Record

UNSURE = frozenset({"store_away", "busy", "rate_limited", "internal", "order_system_away"})
"""Errors after which a command may have been carried out all the same: by an earlier sending of it."""


def person_of(who: str) -> str:
    """Whose device that is."""
    return who.partition("#")[0]


class Fault(NamedTuple):
    """From when to when something was broken, Unix ms. `who`: whose own doing it was; empty for the shop's side."""

    name: str
    who: str
    begins_ms: int
    ends_ms: int


@dataclass(slots=True)
class Command:
    """One command of a person, however often it was sent, and all the replies that came."""

    who: str
    id: str
    members: dict[str, Any]
    sent: Record
    replies: list[Record] = field(default_factory=list)
    gave_up: Record | None = None

    @property
    def type(self) -> str:
        """What it is."""
        return str(self.members["type"])

    @property
    def person(self) -> str:
        """Whose it is, whatever the device."""
        return person_of(self.who)

    @property
    def oks(self) -> list[dict[str, Any]]:
        """The replies that say that it was done."""
        return [reply.data["frame"] for reply in self.replies if reply.data["frame"]["type"] == "ok"]

    @property
    def refused(self) -> bool:
        """Every reply says that nothing was done."""
        frames = [reply.data["frame"] for reply in self.replies]
        return bool(frames) and all(frame["type"] == "error" and frame["code"] not in UNSURE for frame in frames)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.members.items() if name not in ("type", "id"))
        return f"{self.who}'s {self.type} {self.id} ({told})"


class Hand(NamedTuple):
    """Whose a conversation is from an entry on."""

    seq: int
    agent_id: str | None
    open: bool


class Hands:
    """Whose a conversation was, as its log says; unknown before what is left of the log says it first."""

    def __init__(self, log: Sequence[Logged]) -> None:
        said = [(entry.seq, entry.body["conversation"]) for entry in log if "conversation" in entry.body]
        self.all = [Hand(seq, body["agent_id"], body["open"]) for seq, body in said]
        self._seqs = [hand.seq for hand in self.all]
        self.whole = bool(log) and log[0].seq == 1

    def at(self, seq: int) -> Hand | None:
        """Whose it was when that entry was written; None: nobody can know."""
        found = bisect_right(self._seqs, seq)
        if found:
            return self.all[found - 1]
        return Hand(0, None, True) if self.whole else None

    def first_of(self, agent_id: str) -> int | None:
        """The entry from which on that agent has had it."""
        return next((hand.seq for hand in self.all if hand.agent_id == agent_id), None)

    def last_for(self, agent_id: str, end: int) -> int | None:
        """The last entry up to `end` that is for that agent: the one that took it away from them is. None: none is."""
        last = None
        for number, hand in enumerate(self.all):
            if hand.agent_id == agent_id and hand.seq <= end:
                until = self.all[number + 1].seq if number + 1 < len(self.all) else end
                last = min(until, end)
        return last


@dataclass(frozen=True, slots=True)
class Story:
    """One card: the entries of its conversation's log in which it moved, in order."""

    id: str
    conversation_id: str
    moves: list[Logged]
    whole: bool
    """Whether its beginning is still in the log."""

    def __str__(self) -> str:
        return f"{self.conversation_id}: card {self.id}"

    @property
    def states(self) -> list[str]:
        """What it was, one after the other."""
        return [move.body["card"]["state"] for move in self.moves]
