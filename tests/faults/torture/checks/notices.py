"""What agents are told of outcomes: once each, and whoever has the conversation in that instant."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from cards.proposal import NOTICES
from tests.faults.torture.checks.evidence import FINAL_STATES, Evidence
from tests.faults.torture.checks.readers import Reader
from tests.faults.torture.checks.told import due_seq

NOTICED = frozenset(state.value for state in NOTICES)
_OF_TALK = frozenset({"reply_warning", "reply_overdue"})


def once(evidence: Evidence) -> Iterator[str]:
    """Every outcome but `withdrawn` has one notice, in the entry in which it came; a delay is told of once at most."""
    for story in evidence.stories.values():
        told = Counter(move.body["notice"] for move in story.moves if "notice" in move.body)
        for move in story.moves:
            state, notice = move.body["card"]["state"], move.body.get("notice")
            wanted = (state,) if state in NOTICED else ("delayed",) if state == "applying" else ()
            if notice not in (*wanted, *((None,) if state not in NOTICED else ())):
                yield f"{story} became {state} (seq {move.seq}) with the notice {notice}"
        for code, count in told.items():
            if count > 1:
                yield f"{story} has {count} notices {code}"
    for id, log in evidence.final.logs.items():
        for entry in log:
            if (code := entry.body.get("notice")) and "card" not in entry.body and code not in _OF_TALK:
                yield f"{id}, seq {entry.seq}: the notice {code} is of no card"


def addressed(evidence: Evidence) -> Iterator[str]:
    """A notice is addressed to the agent who has the conversation in that instant."""
    for id, log in evidence.final.logs.items():
        for entry in log:
            code, to, hand = entry.body.get("notice"), entry.body.get("notice_to"), evidence.hands[id].at(entry.seq)
            if code and hand and hand.agent_id != to:
                yield f"{id}, seq {entry.seq}: the notice {code} is addressed to {to}, and {hand.agent_id} has it"


def delivered(evidence: Evidence) -> Iterator[str]:
    """That agent's devices have it by the end: told live, on resuming, or on the page that they began with."""
    by_agent: defaultdict[str, list[Reader]] = defaultdict(list)
    for reader in evidence.readers:
        if reader.role == "agent":
            by_agent[reader.person_id].append(reader)
    for id, log in evidence.final.logs.items():
        notices = [entry for entry in log if entry.body.get("notice") in FINAL_STATES and entry.body.get("notice_to")]
        for reader in {r.who: r for entry in notices for r in by_agent[entry.body["notice_to"]]}.values():
            due = due_seq(evidence, reader, id)
            seen = reader.seen.get(id)
            for entry in notices:
                if entry.body["notice_to"] != reader.person_id or entry.seq > due:
                    continue
                if seen is None or not seen.passed(entry.seq):
                    yield f"{id}, seq {entry.seq}: {reader.who} never got the notice {entry.body['notice']}"
