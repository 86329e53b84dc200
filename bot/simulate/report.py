"""What a simulation came to: the figures, for people as a table and for programs as one object."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.simulate.checker import Violation, check
from bot.simulate.evidence import FINAL_STATES, Evidence
from bot.simulate.sightings import Sightings

SHOWN = 20
"""Violations in the table; the object has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A report: its fields are figures, and the violations."""

    violations: Sequence[Violation]

    def to_json(self) -> str:
        """One line of JSON: every figure by its name, and `violations`, each `{kind, what}`."""
        return json.dumps({**self._figures(), "violations": [one._asdict() for one in self.violations]})

    def _figures(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "violations"}

    def show(self, console: Console) -> None:
        """The table, and the violations under it."""
        table = Table("figure", "value", box=box.SIMPLE_HEAD)
        for name, value in {**self._figures(), "violations": len(self.violations)}.items():
            match value:
                case dict():
                    table.add_row(name, ", ".join(f"{one} {_or_dash(ms)}" for one, ms in value.items()))
                case _:
                    table.add_row(name, str(value))
        console.print(table)
        for violation in self.violations[:SHOWN]:
            console.print(f"[red]{escape(violation.kind)}[/red]: {escape(violation.what)}")
        if (more := len(self.violations) - SHOWN) > 0:
            console.print(f"… and {more} more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Figures):
    """`cases` are proposals tried: `cards` that were sent and those `refused`; then how the cards ended. `as_expected`
    are the cases that went as foretold, and as what was done to them says.

    `click_to_notice_ms` (p50, p99) is from a buyer's click being sent to the agent's client having the notice; None
    when nobody clicked.
    """

    cases: int
    as_expected: int
    cards: int
    refused: int
    agreed: int
    rejected: int
    timed_out: int
    invalid: int
    withdrawn: int
    notices: int
    negotiations_per_s: float
    click_to_notice_ms: dict[str, float | None]


def make_report(evidence: Evidence, sightings: Sightings, seconds: float, wanted: int | None) -> Report:
    """Judge the evidence. `seconds` is how long it was played; `wanted` how many cards there should be, None: any."""
    outcomes = evidence.outcomes()
    of_cards = card_figures(evidence, sightings)
    cards = of_cards["cards"]
    violations = check(evidence)
    if wanted is not None and cards < wanted:
        what = f"only {cards} of {wanted} negotiations happened: no order was left that can change"
        violations.append(Violation("short", what))
    blamed = {violation.what.partition(":")[0] for violation in violations}
    return Report(
        cases=len(evidence.cases),
        as_expected=sum(
            str(case) not in blamed and (case.refusal is not None or case.proposal_id in outcomes)
            for case in evidence.cases
        ),
        **of_cards,
        notices=sum(
            entry["notice"]["code"] in FINAL_STATES
            for story in evidence.stories
            for entry in story.read_back["agent"]
            if "notice" in entry
        ),
        violations=violations,
        negotiations_per_s=round(cards / seconds, 1) if seconds else 0.0,
    )


def card_figures(evidence: Evidence, sightings: Sightings) -> dict[str, Any]:
    """What every report says of cards: how many were sent, refused, and ended in each way; from click to notice."""
    ended = Counter(card["state"] for card in evidence.outcomes().values())
    return {
        "cards": sum(case.proposal_id is not None for case in evidence.cases),
        "refused": sum(case.refusal is not None for case in evidence.cases),
        **{state: ended[state] for state in sorted(FINAL_STATES)},
        "click_to_notice_ms": _percentiles(evidence, sightings),
    }


def _percentiles(evidence: Evidence, sightings: Sightings) -> dict[str, float | None]:
    """Of the time from a click to its notice, in ms."""
    took = sorted(
        (sightings.noticed[case.proposal_id] - act.at) * 1000
        for case in evidence.cases
        for act in case.ok("agree", "reject")
        if case.proposal_id in sightings.noticed
    )
    if not took:
        return {"p50": None, "p99": None}
    return {f"p{percent}": round(took[min(len(took) - 1, len(took) * percent // 100)], 2) for percent in (50, 99)}


def _or_dash(ms: float | None) -> str:
    return "–" if ms is None else f"{ms:g}"
