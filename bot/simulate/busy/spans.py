"""Stretches of time, as pairs of instants in ms: pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from bot.simulate.busy.evidence import Span

EVER = 2**53


def union(spans: Iterable[Span]) -> list[Span]:
    """The same instants as spans that are apart, in order."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] <= span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def overlap(some: Iterable[Span], others: Sequence[Span]) -> list[Span]:
    """The instants that are in both."""
    return [(max(a, c), min(b, d)) for a, b in union(some) for c, d in union(others) if max(a, c) <= min(b, d)]


def gaps_between(spans: Iterable[Span]) -> list[Span]:
    """All other instants."""
    edges = [(0, 0), *union(spans), (EVER, EVER)]
    return [(one[1], other[0]) for one, other in pairwise(edges)]


def covers(spans: Iterable[Span], start: int, end: int) -> bool:
    """Whether one of them holds all of that time."""
    return any(a <= start and end <= b for a, b in spans)
