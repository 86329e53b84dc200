"""Who was given a conversation: somebody who was here with room, the agent of last time first, and without delay.

Law: judged only where it can be judged exactly. Whether an agent was here is known for the stretches that their devices
were connected for sure, and a little around changes is left out.
"""

from collections.abc import Iterator
from itertools import pairwise, product

from bot.simulate.busy.evidence import BusyEvidence, Span
from bot.simulate.busy.replay import ANEW as HANDED_ON
from bot.simulate.busy.replay import Hold, all_holds, holds, waits
from bot.simulate.busy.spans import covers, gaps_between, overlap, union

LINGER_MS = 2000
"""How long a gateway takes for granted that whoever left is still here."""
_UNDER_WAY_MS = 2000
"""What was under way when an agent left or was suspended is over by then."""
_SETTLED_MS = 1500
"""How long before a moment nothing may have changed for it to be judged."""


class Presence:
    """When each agent was here for sure, and when not."""

    def __init__(self, evidence: BusyEvidence) -> None:
        self._evidence = evidence
        self._connected: dict[str, list[Span]] = {}
        for book in evidence.notebooks:
            if book.role == "agent" and book.person_id in evidence.shifts:
                self._connected.setdefault(book.person_id, []).extend(book.connected)
        self.taking = {id: overlap(shift.taking, self._connected.get(id, [])) for id, shift in evidence.shifts.items()}
        self.not_taking = {id: self._not_taking(id) for id in evidence.shifts}

    def _not_taking(self, agent_id: str) -> list[Span]:
        """From when somebody was told, while the agent was out."""
        told = sorted(
            at_ms
            for book in self._evidence.notebooks
            for at_ms, id, state in book.signs
            if id == agent_id and state != "online"
        )
        return union(
            (at_ms + _UNDER_WAY_MS, end)
            for start, end in self._evidence.shifts[agent_id].out
            for at_ms in told
            if start <= at_ms <= end
        )

    def noticed_ms(self, at_ms: int) -> int:
        """How long it takes until whoever left then counts as away; a killed gateway's word counts for a lease."""
        limits = self._evidence.limits
        killed = any(abs(at_ms - killed) < 2 * limits.lease_ms for killed in self._evidence.killed)
        return LINGER_MS + _UNDER_WAY_MS + (2 * limits.lease_ms if killed else 0)


def given(evidence: BusyEvidence) -> Iterator[str]:
    """Whoever is given a conversation takes some: they are neither away nor suspended; and it is not theirs already."""
    presence = Presence(evidence)
    for story in evidence.cards.stories:
        for one, other in pairwise(holds(story)):
            if other.how in HANDED_ON and one.agent_id == other.agent_id:
                yield f"{story.conversation_id}: {other.how} from {one.agent_id} to the same (seq {other.seq})"
    for hold in all_holds(evidence.cards.stories):
        not_taking = presence.not_taking.get(hold.agent_id or "", ())
        if hold.how in ("assigned", "reassigned") and covers(not_taking, hold.start_ms, hold.start_ms):
            yield f"{hold.conversation_id}: {hold.how} to {hold.agent_id} (seq {hold.seq}), who takes none then"


def waiting(evidence: BusyEvidence) -> Iterator[str]:
    """Nobody waits for an agent while one is here with room, for longer than the gateways need to see that."""
    presence = Presence(evidence)
    everything = all_holds(evidence.cards.stories)
    with_room = {id: _with_room(id, everything, evidence.limits.conversations) for id in evidence.shifts}
    slack = evidence.limits.late_ms + (2 * evidence.limits.lease_ms if evidence.killed else 0)
    for hold in everything:
        if hold.agent_id is None and hold.open:
            for agent_id, taking in presence.taking.items():
                for start, end in overlap(overlap([(hold.start_ms, hold.end_ms)], taking), with_room[agent_id]):
                    if end - start > slack:
                        yield f"{hold.conversation_id} waits for {end - start} ms while {agent_id} has room"


def _with_room(agent_id: str, everything: list[Hold], limit: int) -> list[Span]:
    """When that agent had room."""
    moves = []
    for hold in everything:
        if hold.agent_id == agent_id:
            moves += [(hold.start_ms, 1), (hold.end_ms, -1)]
    count, since = 0, 0
    full: list[Span] = []
    for at_ms, change in sorted(moves):
        if count < limit <= count + change:
            since = at_ms
        elif count >= limit > count + change:
            full.append((since, at_ms))
        count += change
    return gaps_between(full)


def judged_returns(evidence: BusyEvidence) -> list[tuple[Hold, str]]:
    """The buyers' returns to closed conversations where the agent of last time was here with room for sure."""
    presence = Presence(evidence)
    everything = all_holds(evidence.cards.stories)
    judged = []
    for story in evidence.cards.stories:
        mine = holds(story)
        for number, hold in enumerate(mine):
            if number == 0 or mine[number - 1].open or not hold.by_buyer:
                continue
            last = next(one for one in reversed(mine[:number]) if one.agent_id)
            assert last.agent_id is not None
            at_ms = hold.start_ms
            here = covers(presence.taking.get(last.agent_id, ()), at_ms - _SETTLED_MS, at_ms + _SETTLED_MS)
            had = {
                one.conversation_id
                for one in everything
                if one.agent_id == last.agent_id
                and one.start_ms <= at_ms + _SETTLED_MS
                and one.end_ms >= at_ms - 2 * _SETTLED_MS
            } - {story.conversation_id}
            room = len(had) < evidence.limits.conversations
            if here and room and at_ms - last.start_ms > _SETTLED_MS:
                judged.append((hold, last.agent_id))
    return judged


def returned(evidence: BusyEvidence) -> Iterator[str]:
    """A buyer who comes again gets the agent of last time, if that one is here with room."""
    for hold, last in judged_returns(evidence):
        if hold.agent_id != last:
            yield f"{hold.conversation_id} (seq {hold.seq}): {hold.agent_id} got it, though {last} was here with room"


def kept(evidence: BusyEvidence) -> Iterator[str]:
    """Who is away for longer than the grace time keeps no conversation in which somebody waits for a reply."""
    presence = Presence(evidence)
    limits = evidence.limits
    for story in evidence.cards.stories:
        found, _ = waits(story)
        for hold in holds(story):
            shift = evidence.shifts.get(hold.agent_id or "")
            for (left, back), wait in product(shift.away if shift else (), found):
                noticed = max(limits.grace_ms, presence.noticed_ms(left))
                since = max(left + noticed, hold.start_ms + noticed, wait.since_ms)
                until = min(back, hold.end_ms, wait.until_ms or evidence.ended_ms)
                if until - since > limits.late_ms + limits.lease_ms // 3:
                    too_long = f"{until - since} ms after others should have it"
                    yield f"{story.conversation_id} waits for {hold.agent_id}, who is away, {too_long}"
