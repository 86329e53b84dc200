"""What an agent was told on coming back: as much as the logs say of the time they were away.

Law: judged for the first welcome after an absence, and only where no conversation of the agent changed hands so near
to its ends that the desk may not have known yet.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from bot.simulate.busy.evidence import BusyEvidence, Connection, Notebook
from bot.simulate.busy.replay import Hold, all_holds
from cards.proposal import NOTICES

_NEAR_MS = 500
_FIRST_MS = 1500
"""A welcome this long after the agent was back is no longer the first."""


class Return(NamedTuple):
    """A first welcome after an absence that can be judged."""

    book: Notebook
    connection: Connection


def judged_absences(evidence: BusyEvidence) -> list[Return]:
    """The welcomes that can be judged."""
    everything = all_holds(evidence.cards.stories)
    return [
        Return(book, connection)
        for book in evidence.notebooks
        if book.person_id in evidence.shifts and book.role == "agent"
        for connection in book.connections
        if (missed := connection.welcome["missed"]) is not None
        and connection.welcomed_ms - missed["to_ms"] < _FIRST_MS
        and not _disturbed(everything, book.person_id, missed, connection.welcomed_ms)
    ]


def _disturbed(everything: list[Hold], agent_id: str, missed: dict[str, Any], welcomed_ms: int) -> bool:
    """Whether the agent got or lost one near an end; one that they closed is in nobody's list of what went."""
    mine = [hold for hold in everything if hold.agent_id == agent_id]
    edges = [hold.start_ms for hold in mine] + [hold.end_ms for hold in mine if not hold.closed]
    near = ((missed["from_ms"] - _NEAR_MS, missed["from_ms"]), (missed["to_ms"] - _NEAR_MS, welcomed_ms + _NEAR_MS))
    return any(start <= at <= end for at in edges for start, end in near)


def missed(evidence: BusyEvidence) -> Iterator[str]:
    """Outcomes, conversations that came and went, and overdue ones."""
    everything = all_holds(evidence.cards.stories)
    for book, connection in judged_absences(evidence):
        told = dict(connection.welcome["missed"])
        expected = _expected(evidence, everything, book.person_id, told["from_ms"], told["to_ms"])
        if told != expected:
            wrong = [
                f"{name} {told[name]} instead of {expected[name]}" for name in expected if told[name] != expected[name]
            ]
            yield f"{book.device}, back at {told['to_ms']}: {'; '.join(wrong)}"


def _expected(
    evidence: BusyEvidence, everything: list[Hold], agent_id: str, from_ms: int, to_ms: int
) -> dict[str, Any]:
    outcomes, overdue = Counter[str](), set()
    for story in evidence.cards.stories:
        for entry in story.read_back["agent"]:
            notice = entry.get("notice")
            if notice and notice["agent_id"] == agent_id and from_ms <= entry["at_ms"] <= to_ms:
                if notice["code"] in NOTICES:
                    outcomes[notice["code"]] += 1
                elif notice["code"] == "reply_overdue":
                    overdue.add(story.conversation_id)
    mine: set[str] = set()
    came: set[str] = set()
    went: set[str] = set()
    for hold in sorted(everything, key=lambda one: (one.start_ms, one.seq)):
        id = hold.conversation_id
        if hold.start_ms < from_ms <= hold.end_ms and hold.agent_id == agent_id:
            mine.add(id)
        if from_ms <= hold.start_ms <= to_ms:
            if hold.agent_id == agent_id:
                mine.add(id)
                came.add(id)
                went.discard(id)
            elif id in mine:
                went.add(id)
                came.discard(id)
    return {
        "from_ms": from_ms,
        "to_ms": to_ms,
        "outcomes": dict(outcomes),
        "new_conversations": len(came),
        "handed_on": len(went),
        "overdue": len(overdue),
    }
