"""What must hold after any simulation, whatever people did: pure functions over the evidence.

Law: the evidence judges itself. Each check compares what people saw with the durable log, with the orders, and with
what was done, and takes no gateway's word for anything.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from bot.simulate.evidence import FINAL_STATES, Card, Case, Entry, Evidence, Story
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
                told[notice["proposal_id"], notice["code"]] += 1
                yield from _delivered(story, entry)
        for proposal_id, entries in story.moves().items():
            ended = {entry["card"]["state"] for entry in entries} & FINAL_STATES
            for code in FINAL_STATES:
                due, given = int(code in ended & NOTICED_STATES), told[proposal_id, code]
                if due != given:
                    card = f"{story.conversation_id}: card {proposal_id}, {' and '.join(ended) or 'unsettled'}"
                    yield f"{card}: {given} notices of {code!r} instead of {due}"


def _delivered(story: Story, entry: Entry) -> Iterator[str]:
    agent, notice = story.agent_at(entry["seq"]), entry["notice"]
    what = f"{story.conversation_id}: notice {notice['code']!r} (seq {entry['seq']})"
    if notice["agent_id"] != agent:
        yield f"{what} is addressed to {notice['agent_id']}, but {agent} has the conversation"
    for seen in story.seen:
        if seen.person_id == agent and seen.audience == "agent":
            if not any(mine["seq"] == entry["seq"] and "notice" in mine for mine in seen.entries):
                yield f"{what} did not reach {seen.device}"
            return
    yield f"{what} reached nobody: {agent} saw nothing of this conversation"


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


def complaints(evidence: Evidence) -> Iterator[str]:
    """What the clients say of the protocol: they keep a list."""
    yield from evidence.complaints


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
