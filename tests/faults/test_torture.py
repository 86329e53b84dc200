"""A short mix of all that breaks, on each kind of store, while people negotiate; `make torture` does it for hours.

Each check of the checker has been seen red (test_torture_checker, test_torture_planted).
"""

import shutil

import pytest

from tests.faults.torture.run import Outcome, Plan, torture
from tests.faults.torture.stores import StoreName


def _failed(outcome: Outcome) -> str:
    """What is said of a run that broke a promise: everything is kept, and this says where."""
    lines = [f"{kind}: {what}" for kind, what in outcome.violations[:20]]
    look = f"python -m tests.faults.torture --look {outcome.folder} --of ID"
    return "\n".join([f"{len(outcome.violations)} violations, seed {outcome.seed}; {look}", *lines])


@pytest.mark.parametrize("store", ["standalone-always", "sentinel", "cluster"])
async def test_nothing_is_lost_and_nothing_is_done_twice(store: StoreName) -> None:
    """Two or three things at a time are broken and mended, again and again; then everything is judged."""
    outcome = await torture(Plan(store=store, seconds=12, seed=7, gateways=2, buyers=12, agents=3, alone=False), print)
    print(f"{outcome.negotiations} negotiations, {outcome.faults.total()} faults: {dict(outcome.faults)}")
    assert not outcome.violations, _failed(outcome)
    assert outcome.negotiations > 50


@pytest.mark.parametrize(
    ("bug", "found"),
    [
        ("lost_ack", "kept"),
    ],
)
async def test_a_planted_bug_is_found(bug: str, found: str) -> None:
    """Over real sockets, with nothing else broken; the other planted bugs are found the same way, by hand."""
    plan = Plan(store="standalone-always", seconds=3, seed=7, gateways=2, buyers=12, agents=3, faults=(), planted=bug)
    outcome = await torture(plan, print)
    assert outcome.folder
    assert any(violation.kind == found for violation in outcome.violations), _failed(outcome)
    shutil.rmtree(outcome.folder)
