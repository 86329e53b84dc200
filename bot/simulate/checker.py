"""What must hold after any simulation, whatever people did: pure functions over the evidence.

Law: the evidence judges itself. Each check compares what people saw with the durable log, with the orders, and with
what was done, and takes no gateway's word for anything.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from bot.simulate.evidence import FINAL_STATES, Card, Case, Entry, Evidence, Story
from bot.simulate.log_checks import complaints, disagreements, gaps, histories, leaks
from cards.proposal import NOTICES

NOTICED_STATES = frozenset(state.value for state in NOTICES)
CONFLICTS = frozenset({"already_settled", "old_version"})
STOCK = "out_of_stock"


class Violation(NamedTuple):
    """A promise that was broken: which, and how."""

    kind: str
    what: str


def check(evidence: Evidence) -> list[Violation]:
    """Every violation there is; none is what a simulation should end with."""
    return [Violation(kind, what) for kind, find in CHECKS for what in find(evidence)]


def endings(evidence: Evidence) -> Iterator[str]:
    """Every card ends once, by moves that each make one more version; and somebody asked for it."""
    asked = {case.proposal_id for case in evidence.cases}
    found = set()
    for story in evidence.stories:
        for proposal_id, entries in story.moves().items():
            found.add(proposal_id)
            card = f"{story.conversation_id}: card {proposal_id}"
            if proposal_id not in asked:
                yield f"{card} was asked for by nobody"
            states = [entry["card"]["state"] for entry in entries]
            ends = sum(state in FINAL_STATES for state in states)
            if ends != 1 or states[-1] not in FINAL_STATES:
                yield f"{card} has {ends or 'no'} outcome{'s' if ends != 1 else ''}: {' → '.join(states)}"
            versions = [entry["card"]["version"] for entry in entries]
            if versions != list(range(1, len(versions) + 1)):
                yield f"{card} has versions {versions}"
    for case in evidence.cases:
        if case.proposal_id and case.proposal_id not in found:
            yield f"{case}: it is not in the log"


def notices(evidence: Evidence) -> Iterator[str]:
    """Every outcome but `withdrawn` has one notice, for the conversation's agent of that instant, who got it live."""
    for story in evidence.stories:
        told = Counter[tuple[str, str]]()
        for entry in story.read_back["agent"]:
            if notice := entry.get("notice"):
                told[notice.get("proposal_id", ""), notice["code"]] += 1
                yield from _delivered(evidence, story, entry)
        for proposal_id, entries in story.moves().items():
            ended = {entry["card"]["state"] for entry in entries} & FINAL_STATES
            for code in FINAL_STATES:
                due, given = int(code in ended & NOTICED_STATES), told[proposal_id, code]
                if due != given:
                    card = f"{story.conversation_id}: card {proposal_id}, {' and '.join(ended) or 'unsettled'}"
                    yield f"{card}: {given} notices of {code!r} instead of {due}"


def _delivered(evidence: Evidence, story: Story, entry: Entry) -> Iterator[str]:
    """A device that was not there yet has nothing of it; what is in the log of one that was is for `gaps`."""
    agent, notice = story.agent_at(entry["seq"]), entry["notice"]
    what = f"{story.conversation_id}: notice {notice['code']!r} (seq {entry['seq']})"
    if notice["agent_id"] != agent:
        yield f"{what} is addressed to {notice['agent_id']}, but {agent} has the conversation"
    if agent is None or evidence.was_away(agent, entry["at_ms"]):
        return
    views = [seen for seen in story.seen if seen.person_id == agent and seen.audience == "agent"]
    if not views:
        yield f"{what} reached nobody: {agent} saw nothing of this conversation"
    elif not any(mine["seq"] == entry["seq"] and "notice" in mine for seen in views for mine in seen.entries):
        yield f"{what} did not reach {' or '.join(seen.device for seen in views)}"


def orders(evidence: Evidence) -> Iterator[str]:
    """What was agreed to is in the order, at the right price (R5, R6); nothing else in any order has changed."""
    outcomes = evidence.outcomes()
    cases: dict[str, list[Case]] = {}
    for case in evidence.cases:
        cases.setdefault(case.order_id, []).append(case)
    for order_id, before in evidence.orders_before.items():
        after = evidence.orders_after.get(order_id)
        if after is None:
            yield f"order {order_id} is gone"
            continue
        lines = {line["line_id"]: _line(line) for line in before["lines"]}
        paid = before["status"] == "paid"
        for case in cases.get(order_id, ()):
            card = outcomes.get(case.proposal_id or "")
            if card and card["state"] == "agreed":
                for line_id, sku_id in case.wishes.items():
                    _, price, quantity = lines[line_id]
                    lines[line_id] = sku_id, price if paid else case.prices[line_id], quantity
                if (total := _total(lines.values())) != card["total_after_cents"]:
                    yield f"{case}: the card says {card['total_after_cents']} cents, and the rules {total}"
            paid = paid or case.moved == "pay"
        for line in after["lines"]:
            if (expected := lines.pop(line["line_id"], None)) != _line(line):
                yield f"order {order_id}, line {line['line_id']} is {_line(line)}, and should be {expected}"
        for line_id in lines:
            yield f"order {order_id}, line {line_id} is gone"


def _line(line: Any) -> tuple[str, int, int]:
    """SKU, unit price in cents, quantity."""
    return line["sku_id"], line["unit_price_cents"], line["quantity"]


def _total(lines: Any) -> int:
    return sum(price * quantity for _, price, quantity in lines)


def causes(evidence: Evidence) -> Iterator[str]:
    """An outcome is what was done: one accepted click or withdrawal at most, and the card ended as that says."""
    outcomes = evidence.outcomes()
    for case in evidence.cases:
        accepted = [act.action for act in case.ok("agree", "reject", "withdraw")]
        if len(accepted) > 1:
            yield f"{case}: {' and '.join(accepted)} were both accepted"
        if (card := outcomes.get(case.proposal_id or "")) is None:
            continue
        for act in case.acts:
            if act.reply in CONFLICTS and act.shown in (None, "pending"):
                yield f"{case}: {act.device}'s late {act.action} was answered with the card {act.shown}"
        state = card["state"]
        may_end = {"agree": {"agreed", "invalid"}, "reject": {"rejected"}, "withdraw": {"withdrawn"}}
        untouched = {"timed_out", "invalid"} if case.moved else {"timed_out"}
        if state not in (may_end[accepted[0]] if accepted else untouched):
            yield f"{case}: it is {state} after {accepted[0] if accepted else case.moved or 'nothing'}"


def deadlines(evidence: Evidence) -> Iterator[str]:
    """Before its deadline a waiting card can be decided, from then on only time out (R10), by the log's own clock."""
    for story in evidence.stories:
        for proposal_id, entries in story.moves().items():
            for before, after in pairwise(entries):
                if before["card"]["state"] == "pending":
                    left_ms, state = after["card"]["deadline_ms"] - after["at_ms"], after["card"]["state"]
                    if (left_ms <= 0) != (state == "timed_out"):
                        when = f"{left_ms} ms before" if left_ms > 0 else f"{-left_ms} ms after"
                        yield f"{story.conversation_id}: card {proposal_id} became {state} {when} its deadline"


def expectations(evidence: Evidence) -> Iterator[str]:
    """A proposal gets the card, or the refusal of exactly those lines, that was foretold."""
    outcomes = evidence.outcomes()
    for case in evidence.cases:
        if what := unexpected(case, outcomes.get(case.proposal_id or "")):
            yield f"{case}: {what}"


def unexpected(case: Case, card: Card | None) -> str | None:
    """How a case, with its settled card, went otherwise than foretold; or None."""
    if case.raced and STOCK in {case.refusal, *case.refused_lines.values(), *case.expected.values()}:
        return None
    got = "card" if case.proposal_id else "refused"
    if case.expect and got != case.expect:
        return f"expected {case.expect}, got {case.refusal or 'a card'}"
    wrong = []
    for line_id, code in case.expected.items():
        said = "allowed" if case.proposal_id else case.refused_lines.get(line_id, _whole(case))
        if said != code:
            wrong.append(f"line {line_id} was expected {code}, got {said}")
    if wrong:
        return "; ".join(wrong)
    if not case.raced and card and card["state"] != "agreed":
        return f"the buyer agreed, and it became {card['state']} ({(card['reason'] or {}).get('code')})"
    return None


def _whole(case: Case) -> str:
    """What a refusal says of a line that it does not name: nothing, unless it is about the whole order."""
    return "allowed" if case.refused_lines else case.refusal or "nothing"


def errors(evidence: Evidence) -> Iterator[str]:
    """No command fails but for a reason that the rules give."""
    for case in evidence.cases:
        for error in case.errors:
            yield f"{case}: {error}"
        for act in case.acts:
            if act.reply not in CONFLICTS | {"ok"}:
                yield f"{case}: {act.device}'s {act.action} was answered with {act.reply}"


CHECKS: Sequence[tuple[str, Callable[[Evidence], Iterator[str]]]] = (
    ("outcome", endings),
    ("notice", notices),
    ("order", orders),
    ("gap", gaps),
    ("history", histories),
    ("leak", leaks),
    ("disagreement", disagreements),
    ("cause", causes),
    ("deadline", deadlines),
    ("expect", expectations),
    ("error", errors),
    ("protocol", complaints),
)
