"""What must hold of the logs: the durable one, and what each device saw of it live.

Law: everybody sees the same log, once and in order, less what is not for them; read back, it is what they saw.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from bot.simulate.evidence import FINAL_STATES, Entry, Evidence


def gaps(evidence: Evidence) -> Iterator[str]:
    """Every log has every seq once, in order, from where it must begin to where it must end."""
    for story in evidence.stories:
        first, last = story.since + 1, story.last_seq
        for audience, entries in story.read_back.items():
            yield from _holes(f"{story.conversation_id}, read back by the {audience}", entries, first, last)
        agent = story.agent_at(last)
        for seen in story.seen:
            name = f"{story.conversation_id}, seen by {seen.device}"
            buyer = seen.audience == "buyer"
            ends = last if buyer or seen.person_id == agent else None
            yield from _holes(name, seen.entries, first if buyer else None, ends)


def _holes(name: str, entries: Sequence[Entry], first: int | None, last: int | None) -> Iterator[str]:
    seqs = [entry["seq"] for entry in entries]
    for one, other in pairwise(seqs):
        if other != one + 1:
            yield f"{name}: after {one} came {other}"
    if last is not None and last >= (first or 0) and (not seqs or seqs[-1] != last):
        yield f"{name}: it ends at {seqs[-1] if seqs else 'nothing'} instead of {last}"
    if first is not None and seqs and seqs[0] != first:
        yield f"{name}: it begins at {seqs[0]} instead of {first}"


def histories(evidence: Evidence) -> Iterator[str]:
    """The log read back in full is what everybody saw live."""
    for story in evidence.stories:
        read_back = {
            audience: {entry["seq"]: entry for entry in entries} for audience, entries in story.read_back.items()
        }
        for seen in story.seen:
            for entry in seen.entries:
                kept = read_back[seen.audience].get(entry["seq"])
                if entry["seq"] > story.since and kept != entry:
                    differing = [part for part in {*entry, *(kept or {})} if entry.get(part) != (kept or {}).get(part)]
                    what = f"{', '.join(sorted(differing))} differ" if kept else "it is not in the history"
                    yield f"{story.conversation_id}, seq {entry['seq']}, as {seen.device} saw it: {what}"


def leaks(evidence: Evidence) -> Iterator[str]:
    """No buyer ever sees a notice."""
    for story in evidence.stories:
        views = [(seen.device, seen.entries) for seen in story.seen if seen.audience == "buyer"]
        for who, entries in [*views, ("the buyer, reading back", story.read_back["buyer"])]:
            for entry in entries:
                if "notice" in entry:
                    yield f"{story.conversation_id}, seq {entry['seq']}: {who} saw notice {entry['notice']['code']!r}"


def disagreements(evidence: Evidence) -> Iterator[str]:
    """Whoever saw an outcome of a card saw the same one."""
    for story in evidence.stories:
        views = [(seen.device, seen.entries) for seen in story.seen]
        views += [(f"the {audience}, reading back", entries) for audience, entries in story.read_back.items()]
        said: dict[str, dict[str, str]] = {}
        for who, entries in views:
            for entry in entries:
                if (card := entry.get("card")) and card["state"] in FINAL_STATES:
                    said.setdefault(card["proposal_id"], {}).setdefault(card["state"], who)
        for proposal_id, states in said.items():
            if len(states) > 1:
                views_of_it = ", ".join(f"{state} to {who}" for state, who in states.items())
                yield f"{story.conversation_id}: card {proposal_id} is {views_of_it}"


def complaints(evidence: Evidence) -> Iterator[str]:
    """What the clients say of the protocol: they keep a list."""
    yield from evidence.complaints
