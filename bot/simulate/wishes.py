"""What a random agent asks for: lines and SKUs out of a quote, mostly allowed ones."""

import random
from collections.abc import Mapping
from typing import Any

UNWISE = 0.1
"""The share of proposals that the quote had forbidden: they must be refused, for the reason it gave."""
WHOLE_ORDERS = 0.2
"""The share of proposals that ask for every line of the order that can change."""

Wishes = dict[str, Mapping[str, Any]]
"""For each line's id the quote's verdict on its new SKU."""


def draw_wishes(quote: Mapping[str, Any], chance: random.Random) -> Wishes | None:
    """What to ask for; None when no line of the order can change."""
    allowed = {
        line["line_id"]: verdicts
        for line in quote["lines"]
        if (verdicts := [verdict for verdict in line["verdicts"] if verdict["allowed"]])
    }
    if not allowed:
        return None
    forbidden = [
        (line["line_id"], verdict) for line in quote["lines"] for verdict in line["verdicts"] if not verdict["allowed"]
    ]
    if forbidden and chance.random() < UNWISE:
        return dict([chance.choice(forbidden)])
    lines = list(allowed) if chance.random() < WHOLE_ORDERS else [chance.choice(list(allowed))]
    return {line_id: chance.choice(allowed[line_id]) for line_id in lines}
