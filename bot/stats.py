"""How negotiations went over a period: outcomes, consent, and how long buyers took, counted from facts of proposals.

Law: the numbers are of one instant, `now`. What was settled later was open then, and what was made later was not yet.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from cards.model import to_ms
from cards.proposal import FINAL, Proposal, State

OUTCOMES = tuple(state for state in State if state in FINAL)

_HOUR = timedelta(hours=1)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is counted of a proposal; `agent_id` is who proposed it, whoever has the conversation now."""

    state: State
    agent_id: str
    created: datetime
    answered: datetime | None = None
    settled: datetime | None = None

    @classmethod
    def of(cls, proposal: Proposal) -> Self:
        """The facts of a proposal as it now is."""
        return cls(proposal.state, proposal.agent_id, proposal.created, proposal.answered, proposal.settled)


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a shop or of one agent's proposals.

    `outcomes`: how many were settled in the period, by final state. `open`: how many were pending or applying at its
    end. `consent_rate`: agreed / (agreed + rejected + timed_out), of the buyers who could decide: a card that the
    agent took back, or whose order moved, or whose change the order system refused, says nothing of them; None
    without any. `median_answer_ms`: from the card to the buyer's yes or no, of all that were answered in the period
    (also of those whose change is not through), in whole ms, rounded down; None without any.
    """

    outcomes: Mapping[State, int]
    open: int
    consent_rate: float | None
    median_answer_ms: int | None


@dataclass(frozen=True, slots=True)
class Hour:
    """What was settled, by final state, in the part of a clock hour (UTC, from `start`) that the period touches."""

    start: datetime
    outcomes: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Stats:
    """The period from `start` to `now`, both included; every hour it touches in rising order, and agents by id."""

    start: datetime
    now: datetime
    total: Sums
    by_hour: tuple[Hour, ...]
    by_agent: Mapping[str, Sums]


def count(proposals: Iterable[Fact], now: datetime, period: timedelta) -> Stats:
    """The numbers of the period that ends at `now` (UTC); an agent without any part in it is not among them."""
    start = now - period
    hours = _hours(start, now)
    total = _Tally()
    agents = defaultdict[str, _Tally](_Tally)
    for fact in proposals:
        if fact.created > now or (fact.settled is not None and fact.settled < start):
            continue
        is_open = fact.settled is None or fact.settled > now
        if fact.settled is not None and not is_open:
            hours[_hour(fact.settled)][fact.state] += 1
        took = fact.answered - fact.created if fact.answered and start <= fact.answered <= now else None
        for tally in (total, agents[fact.agent_id]):
            tally.add(None if is_open else fact.state, took)
    return Stats(
        start,
        now,
        total.sums(),
        tuple(Hour(hour, outcomes) for hour, outcomes in hours.items()),
        {agent_id: agents[agent_id].sums() for agent_id in sorted(agents)},
    )


@dataclass(slots=True)
class _Tally:
    outcomes: dict[State, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    open: int = 0
    took_ms: list[int] = field(default_factory=list)

    def add(self, outcome: State | None, took: timedelta | None) -> None:
        if outcome is None:
            self.open += 1
        else:
            self.outcomes[outcome] += 1
        if took is not None:
            self.took_ms.append(took // _MS)

    def sums(self) -> Sums:
        agreed = self.outcomes[State.AGREED]
        could_decide = agreed + self.outcomes[State.REJECTED] + self.outcomes[State.TIMED_OUT]
        return Sums(
            self.outcomes,
            self.open,
            agreed / could_decide if could_decide else None,
            int(statistics.median(self.took_ms)) if self.took_ms else None,
        )


def _hours(start: datetime, now: datetime) -> dict[datetime, dict[State, int]]:
    hours = {}
    hour = _hour(start)
    while hour <= now:
        hours[hour] = dict.fromkeys(OUTCOMES, 0)
        hour += _HOUR
    return hours


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def render_stats(stats: Stats) -> dict[str, Any]:
    """The numbers as they go onto the wire: instants in Unix ms, durations in ms, the rate from 0 to 1 or null."""
    return {
        "from_ms": to_ms(stats.start),
        "to_ms": to_ms(stats.now),
        **_render_sums(stats.total),
        "by_hour": [{"hour_ms": to_ms(hour.start), "outcomes": _render(hour.outcomes)} for hour in stats.by_hour],
        "by_agent": [{"agent_id": agent_id, **_render_sums(sums)} for agent_id, sums in stats.by_agent.items()],
    }


def _render_sums(sums: Sums) -> dict[str, Any]:
    return {
        "outcomes": _render(sums.outcomes),
        "open": sums.open,
        "consent_rate": sums.consent_rate,
        "median_answer_ms": sums.median_answer_ms,
    }


def _render(outcomes: Mapping[State, int]) -> dict[str, int]:
    return {state.value: number for state, number in outcomes.items()}
