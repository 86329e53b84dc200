"""What a busy shop leaves behind beside the evidence of its cards: plain records, judged when it is over.

Instants are Unix ms of one clock: everybody here, and the gateways' store, is on one machine.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.simulate.evidence import Evidence
from cards.card import Audience

Frame = Mapping[str, Any]
Item = Mapping[str, Any]
Span = tuple[int, int]
"""From and to."""
Mark = tuple[str, str]
"""A read mark: of which conversation and which side."""


def now_ms() -> int:
    """The clock of this machine."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Said:
    """A message that a buyer's device sent, in the order of sending; `reply` is `ok` or the error's code."""

    device: str
    conversation_id: str
    text: str
    reply: str = "no answer"


@dataclass(slots=True)
class Deed:
    """Any other command: who, what, in which conversation, and the reply: `ok` or the error's code."""

    who: str
    what: str
    conversation_id: str
    reply: str


@dataclass(slots=True)
class Connection:
    """One connection of a device: when it was welcomed and last heard something, and what it was told of read marks."""

    welcome: Frame
    welcomed_ms: int
    heard_ms: int
    reads: list[tuple[Mark, int]] = field(default_factory=list)


@dataclass(slots=True)
class Notebook:
    """What one device was told beside entries. `shown` are the types of frames by conversation, or by person."""

    device: str
    role: Audience
    person_id: str
    shop_id: str
    connections: list[Connection] = field(default_factory=list)
    shown: set[tuple[str, str]] = field(default_factory=set)
    typing: int = 0
    signs: list[tuple[int, str, str]] = field(default_factory=list)
    """At an agent's device: when it was told of an agent, of whom, and what they are."""
    read: dict[str, int] = field(default_factory=dict)
    """How far each conversation was read by this device, as the gateway confirmed."""

    def entry(self, conversation_id: str) -> None:
        """An entry of that conversation."""
        self.shown.add(("entry", conversation_id))
        self._heard()

    def event(self, frame: Frame) -> None:
        """Any other frame."""
        at_ms = now_ms()
        match frame["type"]:
            case "welcome":
                self.connections.append(Connection(frame, at_ms, at_ms))
                for item in (*frame["conversations"], *frame["waiting"]):
                    self.shown.add(("welcome", item["conversation_id"]))
            case "presence":
                self.shown.add((f"presence of {frame['role']}", frame["id"]))
                if self.role == frame["role"] == "agent":
                    self.signs.append((at_ms, frame["id"], frame["state"]))
            case "read":
                mark = frame["conversation_id"], frame["by"]
                self.connections[-1].reads.append((mark, frame["seq"]))
                self.shown.add(("read", frame["conversation_id"]))
            case "typing":
                self.typing += frame["active"]
                self.shown.add(("typing", frame["conversation_id"]))
            case kind if "conversation_id" in frame:
                self.shown.add((kind, frame["conversation_id"]))
        self._heard()

    def here(self) -> None:
        """It is still connected."""
        self._heard()

    def _heard(self) -> None:
        if self.connections:
            self.connections[-1].heard_ms = now_ms()

    @property
    def connected(self) -> list[Span]:
        """When it surely was connected."""
        return [(one.welcomed_ms, one.heard_ms) for one in self.connections]


@dataclass(slots=True)
class Shift:
    """An agent's day: when they surely were here and took conversations, and when they surely did not.

    `out` is from having left, or being suspended, to the first step back; `away` from the first step out to being here.
    """

    agent_id: str
    taking: list[Span] = field(default_factory=list)
    out: list[Span] = field(default_factory=list)
    away: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Document:
    """A conversation at the end as each side reads it, with the marks of that side."""

    conversation_id: str
    sides: Mapping[Audience, Item]


@dataclass(frozen=True, slots=True)
class Shown:
    """An item of a list at the end, as a device kept it from what it was told, and as the gateway says (or None)."""

    device: str
    kept: Item
    told: Item | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateways' settings that matter, in ms, and the bound on lateness."""

    conversations: int
    grace_ms: int
    lease_ms: int
    warning_ms: int
    overdue_ms: int
    window_ms: int
    remind_before_ms: int
    late_ms: int


@dataclass(frozen=True, slots=True)
class BusyEvidence:
    """Everything there is to judge. `lists` are the open conversations of each agent, `waiting` those of nobody."""

    cards: Evidence
    limits: Limits
    ended_ms: int
    said: Sequence[Said]
    deeds: Sequence[Deed]
    notebooks: Sequence[Notebook]
    shifts: Mapping[str, Shift]
    documents: Sequence[Document]
    lists: Mapping[str, Sequence[Item]]
    waiting: Sequence[Item]
    counted: Mapping[str, int]
    """How many conversations each agent has, as the desk counts them when it gives out new ones."""
    shown: Sequence[Shown]
    killed: Sequence[int] = ()
    """When a gateway was killed."""
    errors: Sequence[str] = ()
    last: Literal["quiet", "restless"] = "quiet"
    """Whether the shop came to rest in the end."""
