"""Rules R2 to R5 against a real third-party shop, and against the changes of spec that its authors wrote down."""

import json

import pytest

from cards.errors import Refusal
from cards.order import Order, Product
from cards.rules import Change, check, quote


@pytest.fixture(scope="module")
def shop(tau_retail):
    shop = json.loads((tau_retail / "shop.json").read_text("utf-8"))
    products = {product["id"]: Product(**product) for product in shop["products"]}
    orders = {order["id"]: Order(**order, shop_id=shop["shop"]["id"]) for order in shop["orders"]}
    return orders, products


def codes(order, products, changes, *, waived=True):
    """Each asked line's code, `allowed` if it is."""
    try:
        check(order, products, changes, waived=waived, currency="USD")
    except Refusal as refusal:
        refused = {line.line_id: line.code for line in refusal.lines} or dict.fromkeys(
            (change.line_id for change in changes), refusal.code
        )
        return [refused.get(change.line_id, "allowed") for change in changes]
    return ["allowed"] * len(changes)


def test_every_change_that_the_authors_wrote_down(shop, tau_retail):
    orders, products = shop
    rows = [json.loads(row) for row in (tau_retail / "changes.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 145
    wrong = []
    for row in rows:
        order = orders[row["order_id"]]
        verdicts = codes(order, products, [Change(**change) for change in row["changes"]])
        expect = "card" if set(verdicts) == {"allowed"} else "refused"
        if (order.buyer_id, verdicts, expect) != (row["buyer_id"], row["line_verdicts"], row["expect"]):
            wrong.append((row, verdicts))
    assert wrong == []


def test_a_quote_promises_exactly_what_a_card_of_that_line_will_get(shop):
    """Every SKU of every line of a thousand orders."""
    orders, products = shop
    promised = 0
    for order in orders.values():
        for line in quote(order, products).lines:
            for verdict in line.verdicts:
                change = [Change(line_id=line.line_id, to_sku=verdict.sku_id)]
                assert codes(order, products, change) == [verdict.code or "allowed"]
                if verdict.needs_waiver:
                    assert codes(order, products, change, waived=False) == ["difference_not_waived"]
                promised += 1
    assert promised > 10_000
