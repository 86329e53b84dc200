"""Reminders of cards: of waiting ones only, an agent's once for each quarter of the time, the automatic one once."""

from collections.abc import Iterator
from itertools import pairwise

from bot.simulate.busy.evidence import BusyEvidence
from bot.simulate.evidence import Entry

_DECIDED_MS = 300
"""How long before its entry a reminder may have been decided on."""


def reminders(evidence: BusyEvidence) -> Iterator[str]:
    """As the cards' times say."""
    for story in evidence.cards.stories:
        cards = story.moves()
        told: dict[tuple[str, str], list[Entry]] = {}
        for entry in story.read_back["agent"]:
            if (system := entry.get("system")) and system["code"] in ("reminded", "near_deadline"):
                told.setdefault((system["code"], system["proposal_id"]), []).append(entry)
        for (code, proposal_id), entries in told.items():
            card = f"{story.conversation_id}: card {proposal_id}"
            moves = cards.get(proposal_id, [])
            for entry in entries:
                before = [move for move in moves if move["seq"] < entry["seq"]]
                if not before or before[-1]["card"]["state"] != "pending":
                    yield f"{card} is reminded of (seq {entry['seq']}) and does not wait"
            if not moves:
                continue
            deadline_ms = moves[0]["card"]["deadline_ms"]
            if code == "reminded":
                yield from _quarters(card, entries, deadline_ms - evidence.limits.window_ms, evidence.limits.window_ms)
                continue
            if len(entries) > 1:
                yield f"{card} has {len(entries)} automatic reminders"
            for entry in entries:
                left_ms = deadline_ms - entry["at_ms"]
                if not 0 < left_ms <= evidence.limits.remind_before_ms:
                    yield f"{card} has its automatic reminder {left_ms} ms before its deadline"


def _quarters(card: str, entries: list[Entry], created_ms: int, window_ms: int) -> Iterator[str]:
    for one, other in pairwise(entries):
        first, second = (entry["at_ms"] - created_ms for entry in (one, other))
        if (first - _DECIDED_MS) * 4 // window_ms == second * 4 // window_ms:
            yield f"{card} is reminded of twice in one quarter, after {first} and {second} ms"
