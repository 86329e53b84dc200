"""How far each side has read, what is unread, and each device's list: the same everywhere, and as the logs say."""

from collections.abc import Iterator

from bot.simulate.busy.evidence import BusyEvidence, Mark
from cards.card import Audience

SIDES: tuple[Audience, ...] = ("agent", "buyer")


def reads(evidence: BusyEvidence) -> Iterator[str]:
    """No read mark ever moves back on any device: along one connection, and from one to the next."""
    for book in evidence.notebooks:
        known: dict[Mark, int] = {}
        for connection in book.connections:
            for item in connection.welcome["conversations"]:
                for side, seq in item["read"].items():
                    mark = item["conversation_id"], side
                    if seq < known.get(mark, 0):
                        yield f"{book.device}: read by the {side} in {mark[0]} goes from {known[mark]} back to {seq}"
                    known[mark] = max(seq, known.get(mark, 0))
            latest: dict[Mark, int] = {}
            for mark, seq in connection.reads:
                if seq < latest.get(mark, 0):
                    yield f"{book.device}: read by the {mark[1]} in {mark[0]} goes from {latest[mark]} back to {seq}"
                latest[mark] = seq
                known[mark] = max(seq, known.get(mark, 0))


def read_so_far(evidence: BusyEvidence) -> Iterator[str]:
    """What was confirmed as read is read in the end."""
    items = {document.conversation_id: document.sides for document in evidence.documents}
    for book in evidence.notebooks:
        for conversation_id, seq in book.read.items():
            if conversation_id in items and (mark := items[conversation_id][book.role]["read"][book.role]) < seq:
                yield f"{conversation_id}: {book.device} read up to {seq}, and the mark is {mark}"


def unread(evidence: BusyEvidence) -> Iterator[str]:
    """Unread are the entries after the read mark that ask for attention; both sides are told the same marks."""
    items = {document.conversation_id: document.sides for document in evidence.documents}
    for story in evidence.cards.stories:
        sides = items[story.conversation_id]
        if sides["agent"]["read"] != sides["buyer"]["read"]:
            yield f"{story.conversation_id}: read marks {sides['agent']['read']} and {sides['buyer']['read']}"
        for side in SIDES:
            mark = sides[side]["read"][side]
            counted = sum(bool(entry.get("unread")) and entry["seq"] > mark for entry in story.read_back[side])
            if counted != sides[side]["unread"]:
                told = sides[side]["unread"]
                yield f"{story.conversation_id}: {told} unread for the {side}, and {counted} by the log after {mark}"


def lists(evidence: BusyEvidence) -> Iterator[str]:
    """The list that a device keeps from what it is told is the gateway's, in every part."""
    for shown in evidence.shown:
        id = shown.kept["conversation_id"]
        if shown.told is None:
            yield f"{shown.device} has {id} in its list, the gateway has not"
        elif shown.kept != shown.told:
            parts = [
                f"{name} is {shown.kept.get(name)!r} instead of {shown.told.get(name)!r}"
                for name in sorted({*shown.kept, *shown.told})
                if shown.kept.get(name) != shown.told.get(name)
            ]
            yield f"{shown.device}, {id}: {'; '.join(parts)}"
