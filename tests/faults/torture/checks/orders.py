"""The orders: changed by what was agreed to, by what the harness did behind everybody's back, and by nothing else."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from bot.orders.shop import MOVES
from tests.faults.torture.checks.evidence import Evidence

Order = dict[str, Any]


def asked(evidence: Evidence) -> Iterator[str]:
    """The order system took a change if and only if its card says agreed; and was never asked without a consent."""
    proposals = evidence.final.proposals
    results = {id: result for changes in evidence.final.changes.values() for id, result in changes.items()}
    for id in results.keys() - proposals.keys():
        yield f"the order system was asked for {id}, which is no card"
    for id, card in proposals.items():
        name, answer = f"{card['conversation_id']}: card {id}", results.get(id)
        state, consented = card["state"], card.get("answered_ms") is not None and card["state"] != "rejected"
        if answer is None:
            if state == "agreed":
                yield f"{name} is agreed, and the order system was never asked"
            elif state == "invalid" and consented:
                yield f"{name} was agreed to and is invalid, and the order system was never asked"
        elif not consented:
            yield f"{name} is {state} without a consent, and the order system was asked: {_said(answer)}"
        elif state in ("agreed", "invalid"):
            if answer["taken"] != (state == "agreed"):
                yield f"{name} is {state}, and the order system says: {_said(answer)}"
            elif state == "invalid" and answer["reason"] != card.get("reason"):
                yield f"{name} is invalid for {card.get('reason')}, and the order system says: {_said(answer)}"


def _said(result: dict[str, Any]) -> str:
    return "taken" if result["taken"] else f"refused for {result['reason']}"


def changed(evidence: Evidence) -> Iterator[str]:
    """Every version of an order has one cause, and all of them together make it what it is."""
    final = evidence.final
    moves: defaultdict[str, list[Moved]] = defaultdict(list)
    for record in evidence.history.of("moved"):
        if (result := record.data["result"]) != "illegal":
            sure = result == "done" and not evidence.unsure(record.wall_ms)
            moves[record.data["order_id"]].append(Moved(record.data["move"], record.data["version"] if sure else None))
    for order_id, before in final.orders_before.items():
        after = final.orders_after.get(order_id)
        if after is None:
            yield f"order {order_id} is gone"
            continue
        yield from _replay(before, after, moves[order_id], evidence)
    for order_id in final.orders_after.keys() - final.orders_before.keys():
        yield f"order {order_id} came from nowhere"


class Moved(NamedTuple):
    """What the harness did to an order; `version` is None where nobody heard whether it was done, and stayed so."""

    what: str
    version: int | None


def _replay(before: Order, after: Order, moves: list[Moved], evidence: Evidence) -> Iterator[str]:
    final, name = evidence.final, f"order {before['id']}"
    causes: dict[int, tuple[str, str]] = {}
    for kind, what, version in (
        *(("change", id, r["order_version"]) for id, r in final.changes.get(before["id"], {}).items() if r["taken"]),
        *(("move", move.what, move.version) for move in moves if move.version is not None),
    ):
        if version in causes:
            yield f"{name}, version {version}: {kind} {what}, and {' '.join(causes[version])} too"
        causes[version] = kind, what
    doubtful = [move.what for move in moves if move.version is None]
    order = {**before, "lines": [dict(line) for line in before["lines"]]}
    for version in range(before["version"] + 1, after["version"] + 1):
        kind, what = causes.pop(version, ("move", ""))
        if not what:
            possible = [move for move in doubtful if order["status"] in MOVES[move]["status"]]
            if not possible:
                yield f"{name}: nothing made version {version}"
                return
            what = possible[0]
            doubtful.remove(what)
        if problem := _change(order, what, final.proposals) if kind == "change" else _move(order, what):
            yield f"{name}, version {version}: {problem}"
            return
    for version, (kind, what) in causes.items():
        yield f"{name}: {kind} {what} made version {version}, and it has {after['version']}"
    for part in ("status", "after_sale", "lines"):
        if order[part] != after[part]:
            yield f"{name}: {part} should be {order[part]}, and is {after[part]}"


def _change(order: Order, change_id: str, proposals: dict[str, Any]) -> str | None:
    if (card := proposals.get(change_id)) is None:
        return f"the change {change_id} is no card's"
    lines = {line["id"]: line for line in order["lines"]}
    for wish in card["lines"]:
        line = lines.get(wish["line_id"])
        if line is None or line["sku_id"] != wish["from_sku"]:
            return f"card {change_id} was made for {wish['from_sku']}, and it was {line and line['sku_id']}"
        line["sku_id"] = wish["to_sku"]
        if order["status"] == "unpaid":
            line["unit_price_cents"] = wish["unit_price_after_cents"]
    total = sum(line["unit_price_cents"] * line["quantity"] for line in order["lines"])
    if total != card["total_after_cents"]:
        return f"card {change_id} says {card['total_after_cents']} cents, and the rules {total}"
    return None


def _move(order: Order, what: str) -> str | None:
    rule = MOVES[what]
    if order["status"] not in rule["status"] or order["after_sale"] not in rule["after_sale"]:
        return f"{what} of an order that is {order['status']} (after-sale {order['after_sale']})"
    order["status"] = rule["status"][order["status"]]
    order["after_sale"] = rule["after_sale"][order["after_sale"]]
    return None


def stock(evidence: Evidence) -> Iterator[str]:
    """No piece is lost or made: what is in stock and in orders that are not closed is what was."""
    final = evidence.final
    before, after = Counter(final.stock_before), Counter(final.stock_after)
    for orders, pieces in ((final.orders_before, before), (final.orders_after, after)):
        for order in orders.values():
            if order["status"] != "closed":
                for line in order["lines"]:
                    pieces[line["sku_id"]] += line["quantity"]
    for sku_id in before.keys() | after.keys():
        if before[sku_id] != after[sku_id]:
            yield f"of SKU {sku_id} there were {before[sku_id]} pieces in stock and orders, and are {after[sku_id]}"
