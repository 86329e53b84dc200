"""`make torture`: break things for as long as one likes, while people negotiate; its last line sums it up."""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.faults.torture.faults import CATALOGUE
from tests.faults.torture.history import Record
from tests.faults.torture.planted import PLANTED
from tests.faults.torture.run import Outcome, Plan, judge_again, torture
from tests.faults.torture.stores import NAMES

ROUND_S = 240.0
"""Seconds of breaking in one round, each on the next store; then everything is judged, and begins anew."""
SHOWN = 20


def main() -> int:
    """Play rounds until the time is over; 1 if any promise was broken."""
    given = _arguments()
    if given.look:
        return _look(given.look, given.of)
    print(f"seed {given.seed}; the same seed breaks the same things in the same order, as far as scheduling allows")
    ends = time.monotonic() + given.minutes * 60
    outcomes: list[Outcome] = []
    while (left := ends - time.monotonic()) > 0 or not outcomes:
        plan = Plan(
            store=given.store[len(outcomes) % len(given.store)],
            seconds=min(ROUND_S, left),
            seed=given.seed + len(outcomes),
            gateways=given.gateways,
            buyers=given.buyers,
            agents=given.agents,
            faults=given.faults or None,
            planted=given.planted,
            alone=len(outcomes) < len(given.store),
        )
        print(f"round {len(outcomes) + 1} on {plan.store}, seed {plan.seed}", flush=True)
        outcome = asyncio.run(torture(plan, partial(_say, time.monotonic())))
        outcomes.append(outcome)
        _show(outcome)
    _sum_up(outcomes)
    return int(any(outcome.violations for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for how long (5)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to make the same choices again")
    parser.add_argument("--store", nargs="*", choices=NAMES, default=list(NAMES), help="on these, in turn (all)")
    parser.add_argument("--faults", nargs="*", choices=sorted(CATALOGUE), metavar="FAULT", help="only these")
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--buyers", type=int, default=20, help="at once (20)")
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--planted", choices=sorted(PLANTED), help="a bug for the checker to find")
    parser.add_argument("--look", type=Path, metavar="FOLDER", help="judge again what a run left in this folder")
    parser.add_argument("--of", default="", metavar="ID", help="with --look: all that happened with this id in it")
    return parser.parse_args()


def _say(began: float, line: str) -> None:
    print(f"  {time.monotonic() - began:6.1f} s  {line}", flush=True)


def _show(outcome: Outcome) -> None:
    for violation in outcome.violations[:SHOWN]:
        print(f"  {violation.kind}: {violation.what}")
    if (more := len(outcome.violations) - SHOWN) > 0:
        print(f"  … and {more} more")
    if outcome.folder:
        print(f"  everything is in {outcome.folder}; to look at what happened around an id:")
        print(f"    python -m tests.faults.torture --look {outcome.folder} --of ID")
    print(_figures([outcome]), flush=True)


def _sum_up(outcomes: list[Outcome]) -> None:
    faults = sum((outcome.faults for outcome in outcomes), Counter[str]())
    print("faults injected: " + ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    print(_figures(outcomes))


def _figures(outcomes: list[Outcome]) -> str:
    negotiations = sum(outcome.negotiations for outcome in outcomes)
    faults = sum(outcome.faults.total() for outcome in outcomes)
    violations = sum(len(outcome.violations) for outcome in outcomes)
    return f"negotiations: {negotiations}, faults: {faults}, violations: {violations}"


def _look(folder: Path, id: str) -> int:
    history, violations = judge_again(folder)
    for record in history.records:
        if id and (id in str(record.data) or (record.kind == "fault" and not record.who)):
            print(_line(record))
    for violation in violations:
        if id in violation.what:
            print(f"{violation.kind}: {violation.what}")
    return int(bool(violations))


def _line(record: Record) -> str:
    return f"{record.at:10.3f}  {record.wall_ms}  {record.kind:9}  {record.who:14}  {record.data}"


if __name__ == "__main__":
    sys.exit(main())
