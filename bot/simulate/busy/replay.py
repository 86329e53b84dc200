"""What the logs say of a conversation's hands and of its waiting, played again entry by entry: pure.

Law: it takes no list's and no mark's word for anything; entries and their times are all it knows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.simulate.busy.spans import EVER
from bot.simulate.evidence import Entry, Story

ANEW = frozenset({"transferred", "transferred_because", "reassigned"})
"""System lines after which somebody else has to reply, in their own time."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch in which one agent had a conversation (None: it waited for one, or was closed).

    `how` is the code of the system line that began it, empty where the buyer's message alone did.
    """

    conversation_id: str
    agent_id: str | None
    open: bool
    start_ms: int
    end_ms: int
    seq: int
    how: str
    by_buyer: bool
    closed: bool
    """Whether it ended with the conversation being closed."""


@dataclass(slots=True)
class Wait:
    """A stretch in which a buyer waited for a reply, and the notices about it; `until_ms` is None if they still do."""

    conversation_id: str
    since_ms: int
    until_ms: int | None = None
    warnings: list[Entry] = field(default_factory=list)
    overdue: list[Entry] = field(default_factory=list)


def holds(story: Story) -> list[Hold]:
    """Whose it was, in order and without gaps; the last one has no end."""
    moves = [entry for entry in story.read_back["agent"] if "conversation" in entry]
    ends = [(entry["at_ms"], not entry["conversation"]["open"]) for entry in moves[1:]] + [(EVER, False)]
    return [
        Hold(
            conversation_id=story.conversation_id,
            agent_id=entry["conversation"]["agent_id"],
            open=entry["conversation"]["open"],
            start_ms=entry["at_ms"],
            end_ms=end_ms,
            seq=entry["seq"],
            how=entry.get("system", {}).get("code", ""),
            by_buyer="text" in entry and entry["text"]["by"]["role"] == "buyer",
            closed=closed,
        )
        for entry, (end_ms, closed) in zip(moves, ends, strict=True)
    ]


def all_holds(stories: Iterable[Story]) -> list[Hold]:
    """Those of all conversations."""
    return [hold for story in stories for hold in holds(story)]


def waits(story: Story) -> tuple[list[Wait], list[Entry]]:
    """Every wait for a reply, and the notices that came while nobody waited."""
    found: list[Wait] = []
    strays: list[Entry] = []
    now: Wait | None = None
    for entry in story.read_back["agent"]:
        by = entry["text"]["by"]["role"] if "text" in entry else None
        system = entry.get("system", {}).get("code")
        anew = system in ANEW and now is not None
        answered = by == "agent" or ("card" in entry and entry["card"]["version"] == 1) or system == "closed"
        if now is not None and (answered or anew):
            now.until_ms, now = entry["at_ms"], None
        if anew or (by == "buyer" and now is None):
            now = Wait(story.conversation_id, entry["at_ms"])
            found.append(now)
        code = entry.get("notice", {}).get("code")
        if code in ("reply_warning", "reply_overdue"):
            if now is None:
                strays.append(entry)
            else:
                (now.warnings if code == "reply_warning" else now.overdue).append(entry)
    return found, strays


def at_once(holds: Iterable[Hold]) -> Iterator[tuple[Hold, int]]:
    """Each stretch in an agent's hands, with how many that agent then had, this one among them.

    Of what happened in the same millisecond the endings are taken first.
    """
    moves: list[tuple[int, int, Hold]] = []
    for hold in holds:
        if hold.agent_id is not None and hold.start_ms < hold.end_ms:
            moves += [(hold.start_ms, 1, hold), (hold.end_ms, 0, hold)]
    counts: dict[str, int] = {}
    for _, begins, hold in sorted(moves, key=lambda move: move[:2]):
        assert hold.agent_id is not None
        counts[hold.agent_id] = counts.get(hold.agent_id, 0) + (1 if begins else -1)
        if begins:
            yield hold, counts[hold.agent_id]
