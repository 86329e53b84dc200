"""What is left when all is quiet: timers, holds and marks for what is open, and for nothing else."""

from collections import Counter
from collections.abc import Iterator

from tests.faults.torture.checks.evidence import FINAL_STATES, Evidence

_OF_CARDS = {"expire": "pending", "apply": "applying"}


def timers(evidence: Evidence) -> Iterator[str]:
    """An open card has its timer; a timer of anything else is gone, at the latest a bound after it fires.

    Documented: whoever settles a card disarms its timer in the background, and a timer is armed before the card that it
    is for; where a gateway dies between the two the timer is left, fires, and finds nothing to do.
    """
    final = evidence.final
    for id, card in final.proposals.items():
        for kind, state in _OF_CARDS.items():
            if card["state"] == state and f"{kind}:{card['conversation_id']}:{id}" not in final.timers:
                yield f"{card['conversation_id']}: card {id} is {state}, and has no timer"
    for timer, due_ms in final.timers.items():
        kind, conversation_id, proposal_id = (*timer.split(":"), "", "")[:3]
        if kind in _OF_CARDS:
            state = final.proposals.get(proposal_id, {}).get("state", "nowhere")
            if state == _OF_CARDS[kind]:
                continue
            what = f"card {proposal_id} is {state}"
            if final.now_ms > due_ms + evidence.bound_ms:
                yield f"{conversation_id}: {what}, and {timer} was due {final.now_ms - due_ms} ms ago"
            elif not evidence.faults:
                yield f"{conversation_id}: {what}, and {timer} is left, though nothing was broken"
        elif kind not in ("reply", "keep"):
            yield f"the timer {timer} is for nothing that there is"
        elif conversation_id not in final.conversations:
            yield f"the timer {timer} is for a conversation that there is not"
    for timer in final.leases:
        if timer not in final.timers:
            yield f"the timer {timer} is claimed, and is not there"


def holds(evidence: Evidence) -> Iterator[str]:
    """An order is held by its open card, and an order without one by none."""
    final = evidence.final
    held = {(id, order): proposal for id, orders in final.holds.items() for order, proposal in orders.items()}
    for id, card in final.proposals.items():
        place = card["conversation_id"], card["order_id"]
        if card["state"] not in FINAL_STATES and held.pop(place, None) != id:
            yield f"{place[0]}: card {id} is {card['state']}, and does not hold order {place[1]}"
    for (conversation_id, order), id in held.items():
        yield f"{conversation_id}: order {order} is held by {id}, which is not open"


def marks(evidence: Evidence) -> Iterator[str]:
    """A conversation's marks name its open cards and count them, and count what is unread as the log does."""
    open_cards: dict[str, set[str]] = {}
    for id, card in evidence.final.proposals.items():
        if card["state"] not in FINAL_STATES:
            open_cards.setdefault(card["conversation_id"], set()).add(id)
    for id, marks in evidence.final.marks.items():
        wanted = open_cards.get(id, set())
        for kind in ("card", "reminded", "near"):
            named = {name.partition(":")[2] for name in marks if name.startswith(f"{kind}:")}
            if (named != wanted) if kind == "card" else (named - wanted):
                yield f"{id}: {kind} is marked of {sorted(named)}, and open are {sorted(wanted)}"
        if (count := int(marks.get("cards", 0))) != len(wanted):
            yield f"{id}: {count} cards are counted, and {len(wanted)} are open"
        log = evidence.final.logs.get(id, [])
        unread = Counter[str]()
        for entry in log:
            for side, flag in (("agent", "a"), ("buyer", "b")):
                unread[side] += flag in entry.flags and entry.seq > int(marks.get(f"read:{side}", 0))
        for side in ("agent", "buyer"):
            if log and log[0].seq == 1 and (count := int(marks.get(f"unread:{side}", 0))) != unread[side]:
                yield f"{id}: {count} entries are counted as unread by the {side}, and {unread[side]} are"
