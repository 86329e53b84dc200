"""R2 to R6, each row of the table by itself, and which row speaks when several could."""

import pytest

from cards.errors import LINE_CODES, ORDER_CODES, Refusal
from cards.proposal import Change
from cards.rules import LINE_RULES, ORDER_RULES, quote


def verdicts(order, products, line_id="1"):
    [line] = [line for line in quote(order, products).lines if line.line_id == line_id]
    return {verdict.sku_id: verdict for verdict in line.verdicts}


def refused(ask, changes, of=None, **different):
    with pytest.raises(Refusal) as raised:
        ask(changes, of, **different)
    return raised.value


@pytest.mark.parametrize("status", ["unpaid", "paid"])
def test_orders_waiting_for_payment_or_shipping_can_change(ask, order, status):  # R2
    assert ask({"1": "white-xl"}, order(status=status)).lines[0].to_sku == "white-xl"


@pytest.mark.parametrize(
    ("different", "code", "params"),
    [
        ({"status": "shipped"}, "order_not_changeable", {"status": "shipped"}),
        ({"status": "completed"}, "order_not_changeable", {"status": "completed"}),
        ({"status": "closed"}, "order_not_changeable", {"status": "closed"}),
        ({"after_sale": "open"}, "after_sale", {}),
        ({"after_sale": "done"}, "after_sale", {}),
        ({"deposit_presale": True}, "deposit_presale", {}),
        ({"deposit_presale": True, "status": "unpaid"}, "deposit_presale", {}),
        ({"status": "closed", "after_sale": "done"}, "order_not_changeable", {"status": "closed"}),
    ],
)
def test_other_orders_cannot_and_nothing_in_them_is_allowed(ask, order, products, different, code, params):  # R2
    refusal = refused(ask, {"1": "same-as-nothing"}, order(**different))
    assert (refusal.code, refusal.params, refusal.lines) == (code, params, ())

    quoted = quote(order(**different), products)
    assert (quoted.code, quoted.params) == (code, params)
    assert [line.title for line in quoted.lines] == ["纯棉衬衫", "马克杯", "纯棉衬衫"]
    every = [verdict for line in quoted.lines for verdict in line.verdicts]
    assert every
    assert {(v.allowed, v.needs_waiver, v.code) for v in every} == {(False, False, code)}


@pytest.mark.parametrize(
    ("status", "sku", "code", "needs_waiver", "difference_cents"),
    [
        ("paid", "white-m", "same_sku", False, 0),  # R3
        ("paid", "old-m", "off_sale", False, 0),  # R3
        ("paid", "red-m", "out_of_stock", False, 0),  # R3
        ("paid", "grey-m", "price_lower_after_payment", False, -4_000),  # R4
        ("paid", "white-xl", None, False, 0),  # R5
        ("paid", "black-m", None, True, 4_000),  # R5
        ("unpaid", "white-m", "same_sku", False, 0),
        ("unpaid", "old-m", "off_sale", False, 0),
        ("unpaid", "red-m", "out_of_stock", False, 0),
        ("unpaid", "grey-m", None, False, -4_000),  # R6
        ("unpaid", "white-xl", None, False, 0),  # R6
        ("unpaid", "black-m", None, False, 4_000),  # R6
    ],
)
def test_what_each_sku_would_mean(order, products, status, sku, code, needs_waiver, difference_cents):
    verdict = verdicts(order(status=status), products)[sku]
    assert (verdict.allowed, verdict.code) == (code is None, code)
    assert (verdict.needs_waiver, verdict.difference_cents) == (needs_waiver, difference_cents)


def test_a_quote_describes_every_sku_of_each_line(order, products):
    quoted = quote(order(), products)
    assert (quoted.order_id, quoted.order_version, quoted.code) == ("o1", 7, None)
    assert [len(line.verdicts) for line in quoted.lines] == [6, 2, 6]
    first = quoted.lines[0]
    assert (first.title, first.sku_id, first.quantity) == ("纯棉衬衫", "white-m", 2)
    assert first.options == {"颜色": "白色", "尺码": "M"}


def test_what_was_paid_is_what_the_new_price_is_compared_with(order, products):
    """Line 3 was bought at 100, and its SKU costs 120 today: going to a SKU of 100 is equal, not lower (R4, R5)."""
    assert verdicts(order(), products, "3")["white-m"].allowed
    assert not verdicts(order(), products, "3")["white-m"].needs_waiver


def test_stock_must_do_for_the_whole_quantity(ask, order, products):  # R3
    lines = [line.model_copy(update={"quantity": 4}) for line in order().lines]
    verdict = verdicts(order(lines=lines), products)["white-xl"]
    assert (verdict.code, verdict.params) == ("out_of_stock", {"needed": 4, "stock": 3})
    assert refused(ask, {"1": "white-xl"}, order(lines=lines)).params == {"needed": 4, "stock": 3}


def test_stock_must_do_for_all_lines_that_go_to_one_sku_together(ask, order, products):  # R3
    assert verdicts(order(), products, "1")["white-xl"].allowed
    assert verdicts(order(), products, "3")["white-xl"].allowed
    refusal = refused(ask, {"1": "white-xl", "3": "white-xl"})
    assert refusal.code == "lines_refused"
    assert [(line.line_id, line.code, line.params) for line in refusal.lines] == [
        ("1", "out_of_stock", {"needed": 4, "stock": 3}),
        ("3", "out_of_stock", {"needed": 4, "stock": 3}),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "params"),
    [
        ({}, "no_changes", {}),
        ({"9": "white-xl"}, "unknown_line", {"line_id": "9"}),
        ({"1": "mug-gold"}, "unknown_sku", {"sku_id": "mug-gold"}),
        ({"1": "nothing"}, "unknown_sku", {"sku_id": "nothing"}),
        ({"1": "white-m"}, "same_sku", {}),
        ({"1": "old-m"}, "off_sale", {}),
        ({"1": "grey-m"}, "price_lower_after_payment", {}),
    ],
)
def test_what_a_card_is_refused_for(ask, changes, code, params):  # R3, R4
    refusal = refused(ask, changes, waive_difference=True)
    assert (refusal.code, refusal.params) == (code, params)
    assert [line.line_id for line in refusal.lines] == (["1"] if code in LINE_CODES else [])


def test_one_line_can_be_asked_for_only_once(ask):
    refusal = refused(ask, [Change(line_id="1", to_sku="white-xl"), Change(line_id="1", to_sku="black-m")])
    assert (refusal.code, refusal.params) == ("duplicate_line", {"line_id": "1"})


@pytest.mark.parametrize("seen", ["white-m", None])
def test_a_line_that_is_still_what_the_agent_saw(ask, seen):
    assert ask([Change(line_id="1", from_sku=seen, to_sku="white-xl")]).lines[0].from_sku == "white-m"


@pytest.mark.parametrize("to_sku", ["white-m", "black-m", "nothing"])
def test_a_line_that_is_no_longer_what_the_agent_saw(ask, to_sku):
    refusal = refused(ask, [Change(line_id="1", from_sku="white-xl", to_sku=to_sku)])
    assert (refusal.code, refusal.params) == ("line_moved", {"sku_id": "white-m"})


def test_a_product_that_the_order_system_no_longer_knows(ask, order, products):
    lines = [line.model_copy(update={"product_id": "gone"}) for line in order().lines[:1]]
    refusal = refused(ask, {"1": "white-xl"}, order(lines=lines))
    assert (refusal.code, refusal.params) == ("unknown_product", {"product_id": "gone"})
    [line] = quote(order(lines=lines), products).lines
    assert (line.code, line.title, line.verdicts) == ("unknown_product", "gone", ())


def test_one_refused_line_refuses_the_card_and_every_refused_line_is_named(ask):  # R3
    refusal = refused(ask, {"1": "grey-m", "2": "mug-gold", "3": "red-m"}, waive_difference=True)
    assert (refusal.code, refusal.params) == ("lines_refused", {"count": 2})
    assert [(line.line_id, line.code) for line in refusal.lines] == [
        ("1", "price_lower_after_payment"),
        ("3", "out_of_stock"),
    ]


def test_a_higher_price_after_payment_needs_the_agents_word(ask):  # R5
    refusal = refused(ask, {"1": "black-m"})
    assert (refusal.code, refusal.params) == ("difference_not_waived", {"difference_cents": 4_000, "currency": "CNY"})
    assert [line.line_id for line in refusal.lines] == ["1"]

    card = ask({"1": "black-m"}, waive_difference=True)
    assert (card.total_before_cents, card.total_after_cents, card.waived_cents) == (43_000, 43_000, 4_000)
    assert (card.lines[0].unit_price_before_cents, card.lines[0].unit_price_after_cents) == (10_000, 12_000)


def test_the_waiver_is_asked_for_only_when_nothing_else_stands_in_the_way(ask):  # R5
    refusal = refused(ask, {"1": "black-m", "2": "mug-blue"})
    assert [(line.line_id, line.code) for line in refusal.lines] == [("2", "same_sku")]
    both = refused(ask, {"1": "black-m", "2": "mug-gold"})
    assert both.code == "lines_refused"
    assert {(line.code, line.params["difference_cents"]) for line in both.lines} == {
        ("difference_not_waived", 4_000),
        ("difference_not_waived", 500),
    }


@pytest.mark.parametrize("waive", [True, False])
def test_an_equal_price_after_payment_waives_nothing(ask, waive):  # R5
    card = ask({"1": "white-xl"}, waive_difference=waive)
    assert (card.paid, card.total_before_cents, card.total_after_cents, card.waived_cents) == (True, 43_000, 43_000, 0)


@pytest.mark.parametrize(("sku", "due"), [("grey-m", 39_000), ("white-xl", 43_000), ("black-m", 47_000)])
def test_before_payment_the_amount_due_becomes_the_new_price(ask, order, sku, due):  # R6
    card = ask({"1": sku}, order(status="unpaid"))
    assert (card.paid, card.total_before_cents, card.total_after_cents, card.waived_cents) == (False, 43_000, due, 0)


@pytest.mark.parametrize(
    ("stock", "on_sale", "price_cents", "code"),
    [
        (0, False, 1, "off_sale"),
        (0, True, 1, "price_lower_after_payment"),
        (0, True, 99_999, "out_of_stock"),
    ],
)
def test_when_several_rows_could_refuse_the_first_one_speaks(order, products, stock, on_sale, price_cents, code):
    different = {"stock": stock, "on_sale": on_sale, "price_cents": price_cents}
    skus = [
        sku.model_copy(update=different) if sku.id in ("white-xl", "white-m") else sku for sku in products["shirt"].skus
    ]
    shirt = products["shirt"].model_copy(update={"skus": tuple(skus)})
    worst = verdicts(order(), {**products, "shirt": shirt})
    assert (worst["white-xl"].code, worst["white-m"].code) == (code, "same_sku")


def test_the_table_speaks_only_known_codes():
    assert {rule.code for rule in ORDER_RULES} <= ORDER_CODES
    assert {rule.code for rule in LINE_RULES} == LINE_CODES
