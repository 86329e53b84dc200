"""Who was shown what: nothing of other shops to anybody, nothing of agents' business to buyers."""

import json
from collections import defaultdict
from collections.abc import Iterator

from bot.simulate.busy.buyer import SECRET
from bot.simulate.busy.evidence import BusyEvidence, Notebook

FOR_BUYERS = frozenset({"entry", "reset", "welcome", "conversation", "read", "typing", "presence of agent"})
AGENTS_ONLY = frozenset({"group", "asked_ms", "overdue"})
"""What an item of the list has for agents alone."""


def privacy(evidence: BusyEvidence) -> Iterator[str]:
    """Nobody is shown what is not for them."""
    people: defaultdict[str, set[str]] = defaultdict(set)
    for book in evidence.notebooks:
        people[book.shop_id].add(book.person_id)
    for book in evidence.notebooks:
        yield from _shown(book, people[book.shop_id])
        if book.role == "buyer":
            yield from _welcomed(book)
    for story in evidence.cards.stories:
        views = [(seen.device, seen.entries) for seen in story.seen if seen.audience == "buyer"]
        for who, entries in [*views, ("the buyer, reading back", story.read_back["buyer"])]:
            for entry in entries:
                if "system" in entry and ("reason" in entry["system"] or SECRET in json.dumps(entry["system"])):
                    yield f"{story.conversation_id}, seq {entry['seq']}: {who} saw why it was transferred"


def _shown(book: Notebook, people: set[str]) -> Iterator[str]:
    for kind, id in sorted(book.shown):
        if kind.startswith("presence"):
            mine = id in people
        elif book.role == "buyer":
            mine = id == f"{book.shop_id}.{book.person_id}"
        else:
            mine = id.startswith(f"{book.shop_id}.")
        if not mine or (book.role == "buyer" and kind not in FOR_BUYERS):
            yield f"{book.device} was shown {kind} {id}"


def _welcomed(book: Notebook) -> Iterator[str]:
    for connection in book.connections:
        welcome = connection.welcome
        if parts := {name for item in welcome["conversations"] for name in item} & AGENTS_ONLY:
            yield f"{book.device} was shown {', '.join(sorted(parts))} in its welcome"
        if welcome["waiting"] or "missed" in welcome:
            yield f"{book.device} was shown the desk in its welcome"
