"""What people read: the labels, buttons, notices and rule texts, to the letter."""

import json

import pytest

from cards.card import Locale, render, render_notice, render_order, render_quote, render_refusal
from cards.errors import LineRefusal, LinesRefused, Refusal
from cards.proposal import Action, State, settle
from cards.rules import quote
from tests.words import LABELS, NOTICES

ZH, EN = Locale.ZH_CN, Locale.EN


@pytest.fixture
def in_state(ask, now):
    """A card in that state, as it would have come there."""

    def in_state(state):
        card = ask({"1": "white-xl"})
        applying = settle(card, Action.AGREE, now=now)
        return {
            "pending": card,
            "applying": applying,
            "agreed": settle(applying, Action.TAKEN, now=now),
            "rejected": settle(card, Action.REJECT, now=now, comment="不想换"),
            "timed_out": settle(card, Action.EXPIRE, now=card.deadline),
            "invalid": settle(card, Action.INVALIDATE, now=now, reason="order_shipped"),
            "withdrawn": settle(card, Action.WITHDRAW, now=now),
        }[state]

    return in_state


@pytest.mark.parametrize("audience", ["buyer", "agent"])
@pytest.mark.parametrize("state", State)
def test_the_label_of_each_state(in_state, state, audience):
    assert render(in_state(state), audience, ZH)["label"] == LABELS[state]


@pytest.mark.parametrize("state", State)
def test_only_a_waiting_card_has_buttons(in_state, state):
    buyer, agent = (render(in_state(state), audience, ZH)["buttons"] for audience in ("buyer", "agent"))
    if state == "pending":
        assert buyer == [{"action": "agree", "label": "同意修改"}, {"action": "reject", "label": "拒绝修改"}]
        assert agent == [{"action": "withdraw", "label": "撤回"}]
    else:
        assert (buyer, agent) == ([], [])


def test_a_whole_card(in_state, now):
    start = int(now.timestamp() * 1000)
    assert render(in_state("pending"), "buyer", ZH) == {
        "proposal_id": "p1",
        "conversation_id": "yi.mei",
        "order_id": "o1",
        "version": 1,
        "state": "pending",
        "label": "待处理",
        "title": "商家申请修改商品规格",
        "lines": [
            {
                "line_id": "1",
                "title": "纯棉衬衫",
                "quantity": 2,
                "from_sku": "white-m",
                "to_sku": "white-xl",
                "old": "白色 / M",
                "new": "白色 / XL",
                "from_spec": {"颜色": "白色", "尺码": "M"},
                "to_spec": {"颜色": "白色", "尺码": "XL"},
                "unit_price_before_cents": 10_000,
                "unit_price_after_cents": 10_000,
            }
        ],
        "price_line": "价格不变",
        "currency": "CNY",
        "total_before_cents": 43_000,
        "total_after_cents": 43_000,
        "waived_cents": 0,
        "buttons": [{"action": "agree", "label": "同意修改"}, {"action": "reject", "label": "拒绝修改"}],
        "created_ms": start,
        "deadline_ms": start + 2 * 3600 * 1000,
        "settled_ms": None,
        "reason": None,
        "comment": None,
    }


def test_a_settled_card_says_when_and_why(in_state, now):
    invalid = render(in_state("invalid"), "agent", ZH)
    assert invalid["reason"] == {"code": "order_shipped", "text": "订单已发货"}
    assert invalid["settled_ms"] == int(now.timestamp() * 1000)
    assert render(in_state("rejected"), "agent", ZH)["comment"] == "不想换"


def test_a_reason_of_the_merchants_own_does_not_spoil_the_card(ask, now):
    invalid = settle(ask({"1": "white-xl"}), Action.INVALIDATE, now=now, reason="warehouse_on_fire")
    assert render(invalid, "buyer", ZH)["reason"] == {"code": "warehouse_on_fire", "text": "订单已变化"}


@pytest.mark.parametrize(
    ("status", "sku", "price_line"),
    [
        ("paid", "black-m", "无需补差价"),  # R5
        ("paid", "white-xl", "价格不变"),
        ("unpaid", "black-m", "修改后应付 ¥470.00"),  # R6
        ("unpaid", "grey-m", "修改后应付 ¥390.00"),  # R6
        ("unpaid", "white-xl", "价格不变"),
    ],
)
def test_the_card_says_what_it_costs(ask, order, status, sku, price_line):
    card = ask({"1": sku}, order(status=status), waive_difference=True)
    assert render(card, "buyer", ZH)["price_line"] == price_line


@pytest.mark.parametrize("state", NOTICES)
def test_the_notice_of_each_outcome(in_state, state):  # R9
    notice = render_notice(state, in_state(state), ZH)
    assert (notice["code"], notice["text"]) == (state, NOTICES[state])
    assert (notice["proposal_id"], notice["order_id"]) == ("p1", "o1")
    assert notice.get("reason") == ({"code": "order_shipped", "text": "订单已发货"} if state == "invalid" else None)


@pytest.mark.parametrize(
    ("code", "title", "detail"),
    [
        ("deposit_presale", "定金预售订单不支持改规格", None),  # R2
        (
            "price_lower_after_payment",
            "此规格低于订单商品价格，无法修改",
            "请与买家协商确认后，引导买家退款后重新下单",
        ),  # R4
        ("proposal_pending", "买家处理中，无法再次修改规格", None),  # R8
    ],
)
def test_the_rules_own_words(code, title, detail):
    said = render_refusal(Refusal(code), ZH)
    assert (said["code"], said["title"], said["lines"]) == (code, title, [])
    assert said["detail"] == detail if detail else said["detail"]


def test_the_waivers_own_words(ask):  # R5
    with pytest.raises(Refusal) as raised:
        ask({"1": "black-m"}, currency="USD")
    said = render_refusal(raised.value, ZH)
    waiver = {
        "code": "difference_not_waived",
        "title": "买家将不再补差价；如不接受，请引导买家退款后重新下单",
        "detail": "新规格共高出 $40.00，确认后方可发送",
        "difference_cents": 4_000,
        "currency": "USD",
    }
    assert said == {**waiver, "lines": [{"line_id": "1", **waiver}]}


def test_a_refusal_names_every_line_with_its_own_way_out():
    refusal = LinesRefused(
        [LineRefusal("1", "out_of_stock", {"needed": 4, "stock": 3}), LineRefusal("2", "price_lower_after_payment")]
    )
    said = render_refusal(refusal, EN, currency="USD")
    assert (said["code"], said["count"]) == ("lines_refused", 2)
    assert [(line["line_id"], line["code"]) for line in said["lines"]] == [
        ("1", "out_of_stock"),
        ("2", "price_lower_after_payment"),
    ]
    assert said["lines"][0]["detail"] == "4 needed, 3 in stock. Choose another spec."
    assert (said["lines"][0]["needed"], said["lines"][0]["stock"]) == (4, 3)


def test_an_order_that_moved_on_says_where_it_is():
    said = render_refusal(Refusal("order_not_changeable", {"status": "shipped"}), ZH)
    assert (said["title"], said["status"]) == ("订单已发货，不支持改规格", "shipped")


def test_a_quote_warns_of_the_waiver_before_anything_is_sent(order, products):  # R4, R5
    said = render_quote(quote(order(), products), ZH, "CNY")
    assert (said["order_id"], said["order_version"], said["currency"], said["code"]) == ("o1", 7, "CNY", None)
    line = said["lines"][0]
    assert (line["title"], line["spec"], line["quantity"], line["code"]) == ("纯棉衬衫", "白色 / M", 2, None)
    by_sku = {verdict["sku_id"]: verdict for verdict in line["verdicts"]}
    assert by_sku["black-m"]["title"] == "买家将不再补差价；如不接受，请引导买家退款后重新下单"
    assert (by_sku["black-m"]["allowed"], by_sku["black-m"]["code"]) == (True, None)
    assert by_sku["black-m"]["needs_waiver"]
    assert by_sku["grey-m"]["title"] == "此规格低于订单商品价格，无法修改"
    assert by_sku["white-xl"]["title"] is by_sku["white-xl"]["detail"] is None
    assert (by_sku["red-m"]["stock"], by_sku["red-m"]["needed"]) == (0, 2)


@pytest.mark.parametrize(
    ("different", "label", "tags", "title"),
    [
        ({"status": "unpaid"}, "待付款", [], None),
        ({"status": "paid"}, "待发货", [], None),
        ({"status": "shipped"}, "已发货", [], "订单已发货，不支持改规格"),
        ({"status": "completed"}, "已完成", [], "订单已完成，不支持改规格"),
        ({"status": "closed"}, "已关闭", [], "订单已关闭，不支持改规格"),
        ({"deposit_presale": True}, "待发货", ["定金预售"], "定金预售订单不支持改规格"),
        ({"after_sale": "open"}, "待发货", ["售后中"], "订单有退款或售后，不支持改规格"),
        ({"after_sale": "done"}, "待发货", ["售后完成"], "订单有退款或售后，不支持改规格"),
    ],
)
def test_the_agents_list_of_orders_says_what_can_change(order, products, different, label, tags, title):  # R2
    said = render_order(order(**different), products, ZH)
    assert (said["label"], [tag["label"] for tag in said["tags"]]) == (label, tags)
    assert said["can_change"] == (title is None)
    assert (said["refusal"] or {"title": None})["title"] == title
    assert said["total_cents"] == 43_000
    assert said["lines"][1] == {
        "line_id": "2",
        "product_id": "mug",
        "title": "马克杯",
        "sku_id": "mug-blue",
        "options": {"颜色": "蓝色"},
        "spec": "蓝色",
        "quantity": 1,
        "unit_price_cents": 3_000,
    }


def test_an_order_whose_product_is_gone_still_shows(order):
    [line, *_] = render_order(order(), {}, ZH)["lines"]
    assert (line["title"], line["spec"]) == ("shirt", "white-m")


@pytest.mark.parametrize("locale", Locale)
def test_everything_rendered_is_plain_json(in_state, order, products, locale):
    rendered = [render(in_state(state), audience, locale) for state in State for audience in ("buyer", "agent")]
    rendered += [render_notice("invalid", in_state("invalid"), locale), render_order(order(), products, locale)]
    rendered += [render_quote(quote(order(), products), locale, "CNY")]
    for plain in rendered:
        assert json.loads(json.dumps(plain)) == plain
