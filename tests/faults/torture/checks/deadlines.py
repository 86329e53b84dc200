"""When cards were decided, by the log's own clock."""

from collections.abc import Iterator
from itertools import pairwise

from tests.faults.torture.checks.evidence import Evidence


def early(evidence: Evidence) -> Iterator[str]:
    """A waiting card times out at its deadline or later, and anything else happens to it before."""
    for story in evidence.stories.values():
        for one, other in pairwise(story.moves):
            card = other.body["card"]
            if one.body["card"]["state"] != "pending":
                continue
            left_ms, state = card["deadline_ms"] - other.at_ms, card["state"]
            if (left_ms <= 0) != (state == "timed_out"):
                when = f"{left_ms} ms before" if left_ms > 0 else f"{-left_ms} ms after"
                yield f"{story} became {state} {when} its deadline"


def late(evidence: Evidence) -> Iterator[str]:
    """It times out within the bound after its deadline, or after the end of what was broken then."""
    for story in evidence.stories.values():
        for move in story.moves:
            if (card := move.body["card"])["state"] == "timed_out":
                too_late_ms = move.at_ms - evidence.recovered_ms(card["deadline_ms"])
                if too_late_ms > 0:
                    after_ms = move.at_ms - card["deadline_ms"]
                    yield f"{story} timed out {after_ms} ms after its deadline, {too_late_ms} ms later than excused"


def windows(evidence: Evidence) -> Iterator[str]:
    """The deadline is the answer window after the card was made."""
    window_ms = round(evidence.terms.window.total_seconds() * 1000)
    for id, card in evidence.final.proposals.items():
        if (given_ms := card["deadline_ms"] - card["created_ms"]) != window_ms:
            yield f"{card['conversation_id']}: card {id} gives {given_ms} ms, and the window is {window_ms}"
