"""What became of each card: one outcome, by moves that the machine knows, and the one that people were promised."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from cards.proposal import TRANSITIONS, State
from tests.faults.torture.checks.evidence import FINAL_STATES, Evidence
from tests.faults.torture.checks.subjects import Command

_STAYS = ("order_id", "agent_id", "buyer_id", "deadline_ms", "created_ms", "lines", "total_after_cents", "paid")
_ENDS = {"agree": {"agreed", "invalid", "applying"}, "reject": {"rejected"}, "withdraw": {"withdrawn"}}
"""What an accepted command leaves; whether what is `applying` should have ended by now is for `decided`."""


def outcomes(evidence: Evidence) -> Iterator[str]:
    """A card has at most one outcome: its versions count up by legal moves, and its document says what its log says."""
    proposals = evidence.final.proposals
    for story in evidence.stories.values():
        cards = [move.body["card"] for move in story.moves]
        states = story.states
        if sum(state in FINAL_STATES for state in states) > 1:
            yield f"{story} has more than one outcome: {' → '.join(states)}"
        if story.whole and (cards[0]["version"], states[0]) != (1, "pending"):
            yield f"{story} begins as {states[0]}, version {cards[0]['version']}"
        for one, other in pairwise(cards):
            if other["version"] != one["version"] + 1:
                yield f"{story}: after version {one['version']} comes {other['version']}"
            if State(other["state"]) not in TRANSITIONS[State(one["state"])].values():
                yield f"{story} goes from {one['state']} to {other['state']}"
            if changed := [name for name in _STAYS if one.get(name) != other.get(name)]:
                yield f"{story}: {', '.join(changed)} changed with version {other['version']}"
        document = proposals.get(story.id)
        if document is None:
            yield f"{story} is in the log, and has no document"
        elif (document["version"], document["state"]) != (cards[-1]["version"], states[-1]):
            yield f"{story} ends as {states[-1]}, and its document says {document['state']} (v{document['version']})"
    for id, document in proposals.items():
        log = evidence.final.logs.get(document["conversation_id"])
        if id not in evidence.stories and log and log[0].seq == 1:
            yield f"{document['conversation_id']}: card {id} is {document['state']}, and in no log"


def decided(evidence: Evidence) -> Iterator[str]:
    """Once its deadline and the bound have passed a card has its outcome; one that is applying, once orders answer."""
    now_ms = evidence.final.now_ms
    for id, card in evidence.final.proposals.items():
        if card["state"] in FINAL_STATES:
            continue
        applying = card["state"] == "applying"
        due_ms = evidence.recovered_ms(card["answered_ms"] if applying else card["deadline_ms"], orders=applying)
        if now_ms > due_ms:
            yield f"{card['conversation_id']}: card {id} is {card['state']} still, {now_ms - due_ms} ms too late"


def one_open(evidence: Evidence) -> Iterator[str]:
    """No order has two open cards, at any entry of the log."""
    for conversation_id, log in evidence.final.logs.items():
        open_cards: dict[str, str] = {}
        for entry in log:
            if (card := entry.body.get("card")) is None:
                continue
            order, id = card["order_id"], card["id"]
            if open_cards.get(order, id) != id:
                yield f"{conversation_id}, seq {entry.seq}: of order {order} {open_cards[order]} is open, and {id} too"
            if card["state"] in FINAL_STATES:
                if open_cards.get(order) == id:
                    del open_cards[order]
            else:
                open_cards[order] = id


def promised(evidence: Evidence) -> Iterator[str]:
    """An accepted answer or withdrawal is how the card ends; where acknowledged commands are kept."""
    if not evidence.kept:
        return
    for command in evidence.commands:
        if command.oks and (wish := _wish(command)):
            card = evidence.final.proposals.get(command.members["proposal_id"])
            if card is None:
                yield f"{command} was accepted, and there is no such card"
            elif card["state"] not in _ENDS[wish]:
                yield f"{command} was accepted, and the card is {card['state']}"


def one_answer(evidence: Evidence) -> Iterator[str]:
    """Of all that people want of a card one thing is accepted, and once: under one command id."""
    if not evidence.kept:
        return
    accepted = Counter(
        command.members["proposal_id"] for command in evidence.commands if command.oks and _wish(command)
    )
    for id, count in accepted.items():
        if count > 1:
            yield f"card {id}: {count} answers and withdrawals were accepted"


def _wish(command: Command) -> str | None:
    if command.type == "answer":
        return str(command.members["action"])
    return "withdraw" if command.type == "withdraw" else None


def causes(evidence: Evidence) -> Iterator[str]:
    """A card that waited became invalid since its order moved on: it has another version by now."""
    for story in evidence.stories.values():
        for one, other in pairwise(story.moves):
            card = other.body["card"]
            if (one.body["card"]["state"], card["state"]) == ("pending", "invalid"):
                order = evidence.final.orders_after.get(card["order_id"])
                if order is not None and order["version"] <= card["order_version"]:
                    yield f"{story} is invalid ({card.get('reason')}), and order {card['order_id']} never moved"


def shown(evidence: Evidence) -> Iterator[str]:
    """The card that comes with a conflict is one that there was: settled if it says so, of that version and state."""
    for command in evidence.commands:
        for reply in command.replies:
            frame = reply.data["frame"]
            if (card := frame.get("card")) is None or frame["type"] != "error":
                continue
            if frame["code"] == "already_settled" and card["state"] == "pending":
                yield f"{command} was told that the card is settled, and pending"
            if evidence.may_cut_back(reply.wall_ms):
                continue
            story = evidence.stories.get(card["proposal_id"])
            if story is None or not story.whole:
                there_was = card["proposal_id"] in evidence.final.proposals
            else:
                moves = [move.body["card"] for move in story.moves]
                there_was = (card["version"], card["state"]) in {(move["version"], move["state"]) for move in moves}
            if not there_was:
                yield f"{command} was shown version {card['version']}, {card['state']}, which there never was"
