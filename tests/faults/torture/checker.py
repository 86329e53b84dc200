"""What must hold after any run, whatever was broken: pure functions over the history and the final state.

Law: the evidence judges itself. Each check has a name and one law, its docstring; it compares what people sent and were
told with the durable log, the orders and the proposals, and takes no gateway's word for anything.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tests.faults.torture.checks import cards, commands, deadlines, leftovers, logs, notices, orders, privacy, told
from tests.faults.torture.checks.evidence import Evidence, Terms
from tests.faults.torture.final import Final
from tests.faults.torture.history import History

__all__ = ["CHECKS", "Terms", "Violation", "check"]


class Violation(NamedTuple):
    """A promise that was broken: which check says so, and how."""

    kind: str
    what: str


def check(history: History, final: Final, terms: Terms) -> list[Violation]:
    """Every violation there is; none is what a run should end with."""
    evidence = Evidence(history, final, terms)
    gc.disable()  # a million records, looked through again and again, and nothing of them is garbage
    try:
        return [Violation(kind, what) for kind, find in CHECKS.items() for what in find(evidence)]
    finally:
        gc.enable()


CHECKS: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "outcome": cards.outcomes,
    "decided": cards.decided,
    "one-open": cards.one_open,
    "promised": cards.promised,
    "one-answer": cards.one_answer,
    "cause": cards.causes,
    "conflict": cards.shown,
    "early": deadlines.early,
    "late": deadlines.late,
    "window": deadlines.windows,
    "answered": commands.answered,
    "error": commands.errors,
    "repeated": commands.repeated,
    "effect": commands.effects,
    "kept": commands.kept,
    "read-mark": commands.read_marks,
    "asked": orders.asked,
    "order": orders.changed,
    "stock": orders.stock,
    "notice": notices.once,
    "addressed": notices.addressed,
    "delivered": notices.delivered,
    "gap": logs.gaps,
    "document": logs.documents,
    "view": logs.views,
    "resume": told.resumed,
    "reset": told.resets,
    "told": told.agreeing,
    "complete": told.complete,
    "item": told.items,
    "buyer-privacy": privacy.buyers,
    "agent-privacy": privacy.agents,
    "timer": leftovers.timers,
    "hold": leftovers.holds,
    "mark": leftovers.marks,
}
