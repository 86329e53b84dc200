"""In whose hands conversations are at the end: one agent's each, and every document, log, list and count says so."""

from collections import Counter
from collections.abc import Iterator

from bot.simulate.busy.evidence import BusyEvidence
from bot.simulate.busy.replay import all_holds, at_once, holds


def ends(evidence: BusyEvidence) -> Iterator[str]:
    """Every open conversation is one agent's, and in that agent's list alone; a closed one is in nobody's."""
    if evidence.last != "quiet":
        yield "the shop did not come to rest: somebody still waits for an agent or a reply"
    where: dict[str, list[str]] = {}
    for agent_id, items in evidence.lists.items():
        for item in items:
            where.setdefault(item["conversation_id"], []).append(agent_id)
    for item in evidence.waiting:
        where.setdefault(item["conversation_id"], []).append("(waiting)")
    for document in evidence.documents:
        item = document.sides["agent"]
        listed = where.pop(document.conversation_id, [])
        if item["open"] and item["agent_id"] is None:
            yield f"{document.conversation_id}: nobody has it, though everybody is here"
        expected = [item["agent_id"] or "(waiting)"] if item["open"] else []
        if listed != expected:
            yield f"{document.conversation_id}: the document says {expected}, the lists say {listed}"
    for conversation_id, listed in where.items():
        yield f"{conversation_id}: in the lists of {listed}, and nobody played it"


def documents(evidence: BusyEvidence) -> Iterator[str]:
    """A conversation's document says what its log says."""
    items = {document.conversation_id: document.sides["agent"] for document in evidence.documents}
    for story in evidence.cards.stories:
        if mine := holds(story):
            last, item = mine[-1], items[story.conversation_id]
            if (last.agent_id, last.open) != (item["agent_id"], item["open"]):
                yield (
                    f"{story.conversation_id}: the log ends with {last.agent_id} (open: {last.open}), "
                    f"the document says {item['agent_id']} (open: {item['open']})"
                )


def counts(evidence: BusyEvidence) -> Iterator[str]:
    """The desk counts for each agent what is in their list. What a killed gateway had reserved may be counted too."""
    for agent_id, items in evidence.lists.items():
        counted = evidence.counted[agent_id]
        if counted < len(items) or (counted > len(items) and not evidence.killed):
            yield f"the desk counts {counted} conversations of {agent_id}, whose list has {len(items)}"


def limits(evidence: BusyEvidence) -> Iterator[str]:
    """No agent has more conversations than they may, at any time."""
    limit = evidence.limits.conversations
    over = Counter[str]()
    for hold, count in at_once(all_holds(evidence.cards.stories)):
        assert hold.agent_id is not None
        if count > limit:
            over[hold.agent_id] += 1
            if over[hold.agent_id] == 1:
                yield f"{hold.agent_id} has {count} of at most {limit} with {hold.conversation_id} (seq {hold.seq})"
