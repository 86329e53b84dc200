"""Both languages say the same things, every code has its texts, and no text is left over."""

import string

import pytest

from cards.card import BUTTONS, render, render_notice, render_order, render_refusal
from cards.errors import LINE_CODES, ORDER_CODES, Refusal
from cards.order import AfterSale, OrderStatus
from cards.proposal import NOTICES, REASONS, State
from cards.texts import TEXTS, Locale, Texts, money, text

PARAMS = {"status": "closed", "needed": 2, "stock": 1, "count": 2, "difference_cents": 500}
"""All that any refusal's text may speak of."""


class Recorder(dict):
    """Texts that remember which of them were read."""

    def __init__(self, texts):
        super().__init__(texts)
        self.read = set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_both_languages_have_the_same_keys_and_placeholders():
    zh, en = (TEXTS.by_locale[locale] for locale in (Locale.ZH_CN, Locale.EN))
    assert list(zh) == list(en)
    assert {key: placeholders(zh[key]) for key in zh} == {key: placeholders(en[key]) for key in en}
    assert all([*zh.values(), *en.values()])


@pytest.mark.parametrize("locale", Locale)
def test_every_code_has_its_texts_and_no_text_is_left_over(monkeypatch, ask, order, products, locale):
    recorder = Recorder(TEXTS.by_locale[locale])
    monkeypatch.setattr(TEXTS, "by_locale", {**TEXTS.by_locale, locale: recorder})
    for code in ORDER_CODES | LINE_CODES:
        said = render_refusal(Refusal(code, PARAMS), locale)
        assert said["title"]
        assert said["detail"]
    waived = ask({"1": "black-m"}, waive_difference=True)
    for card in (waived, ask({"1": "white-xl"}), ask({"1": "grey-m"}, order(status="unpaid"))):
        for state in State:
            for audience in BUTTONS:
                render(card.model_copy(update={"state": state}), audience, locale)
    for reason in REASONS:
        said = render_notice("invalid", waived.model_copy(update={"reason": reason}), locale)["reason"]["text"]
        assert said == recorder[f"reason.{reason}"]
    for notice in [*NOTICES, "delayed"]:
        assert render_notice(notice, waived, locale)["text"]
    for status in OrderStatus:
        for after_sale in AfterSale:
            render_order(order(status=status, after_sale=after_sale, deposit_presale=True), products, locale)
    for currency in ("CNY", "USD", "EUR", "GBP", "HKD", "JPY"):
        money(1, currency, locale)
    assert recorder.keys() - recorder.read == set()


@pytest.mark.parametrize(
    ("cents", "currency", "written"),
    [
        (1250, "CNY", "¥12.50"),
        (1250, "USD", "$12.50"),
        (5, "CNY", "¥0.05"),
        (0, "CNY", "¥0.00"),
        (-123_456_700, "USD", "-$1,234,567.00"),
        (-5, "EUR", "-€0.05"),
        (1250, "CHF", "CHF 12.50"),
        (1250, "KRW", "KRW 1,250"),
    ],
)
@pytest.mark.parametrize("locale", Locale)
def test_amounts(cents, currency, written, locale):
    assert money(cents, currency, locale) == written


def test_a_yen_is_not_a_yuan():
    assert (money(1250, "JPY", Locale.ZH_CN), money(1250, "JPY", Locale.EN)) == ("JP¥1,250", "¥1,250")


def test_a_text_that_nobody_wrote_is_a_mistake_at_once():
    with pytest.raises(KeyError, match="nonsense"):
        text("nonsense", Locale.EN)
    with pytest.raises(KeyError, match="amount"):
        text("price.due", Locale.EN, cents=5)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("¥12.50", "¥12.50"),
        ("مرحبا", "\u2068مرحبا\u2069"),
        ("\u202egpj", "\u2068\u202egpj\u2069"),
        ("\u2067a", "\u2068\u2067a\u2069\u2069"),
        ("\u2068a\u2069\u2069\u202eb", "\u2068\u2068a\u2069\u202eb\u2069"),
    ],
)
def test_a_value_turns_nothing_around_but_itself(value, written):
    """Isolated where it is written from right to left or says so; what it begins ends with it, nothing else does."""
    assert text("price.due", Locale.ZH_CN, amount=value) == f"修改后应付 {written}"


def test_any_package_can_have_texts():
    assert Texts("cards").by_locale == TEXTS.by_locale
    assert "state.pending" in TEXTS
    assert "nonsense" not in TEXTS
