"""A shop file loads whole, or says in which file, where and what is wrong."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.shopfile import DEMO, BadShopFile, load, load_changes
from cards.order import AfterSale, OrderStatus

Edit = Callable[[dict[str, Any]], object]

GOOD: dict[str, Any] = {
    "shop": {"id": "s", "name": "Shop", "currency": "CNY", "locale": "zh-CN"},
    "agents": [{"id": "amy", "name": "Amy"}],
    "buyers": [{"id": "ann", "name": "Ann"}, {"id": "bob", "name": "Bob"}],
    "products": [
        {
            "id": "tee",
            "title": "T恤",
            "skus": [{"id": "tee-s", "options": {"尺码": "S"}, "price_cents": 1, "stock": 0}],
        },
        {"id": "tea", "title": "茶", "skus": [{"id": "tea-1", "options": {}, "price_cents": 0, "stock": 3}]},
    ],
    "orders": [
        {
            "id": f"o{number}",
            "buyer_id": "ann",
            "status": "paid",
            "lines": [
                {"id": "1", "product_id": "tee", "sku_id": "tee-s", "quantity": 1, "unit_price_cents": 1},
                {"id": "2", "product_id": "tea", "sku_id": "tea-1", "quantity": 1, "unit_price_cents": 1},
            ],
        }
        for number in range(30)
    ],
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load_edited(edit: Edit) -> str:
    """What is said of the good file when it was edited so."""
    document = copy.deepcopy(GOOD)
    edit(document)
    return load_text(json.dumps(document))


def load_text(text: str | bytes) -> str:
    Path("shop.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadShopFile) as bad:
        load("shop.json")
    return str(bad.value)


def line(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["orders"][17]["lines"][0]
    return found


def test_a_good_file_loads_with_its_defaults() -> None:
    Path("shop.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    file = load("shop.json")
    assert file.products[0].skus[0].on_sale
    assert file.orders[0].after_sale is AfterSale.NONE
    order = file.orders[3].order("s")
    assert (order.id, order.shop_id, order.version, order.total_cents, order.deposit_presale) == (
        "o3",
        "s",
        1,
        2,
        False,
    )


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda d: line(d).update(quantity=0), "orders[17].lines[0].quantity: must be 1 or more (got 0)"),
        (lambda d: line(d).update(quantity=1.5), "orders[17].lines[0].quantity: must be a whole number (got 1.5)"),
        (lambda d: line(d).update(quantity="2"), "orders[17].lines[0].quantity: must be a whole number (got '2')"),
        (lambda d: line(d).pop("sku_id"), "orders[17].lines[0].sku_id: is missing"),
        (lambda d: line(d).update(colour="red"), "orders[17].lines[0].colour: is not a field of this format"),
        (
            lambda d: line(d).update(unit_price_cents=10**12),
            "orders[17].lines[0].unit_price_cents: must be less than 1000000000000",
        ),
        (
            lambda d: d["orders"][2].update(status="lost"),
            "orders[2].status: must be one of 'unpaid', 'paid', 'shipped', 'completed' or 'closed' (got 'lost')",
        ),
        (lambda d: d["orders"][2].update(lines=[]), "orders[2].lines: must not be empty"),
        (lambda d: d["orders"][2].update(lines={}), "orders[2].lines: must be a list (got {})"),
        (
            lambda d: d["orders"][2].update(deposit_presale=1),
            "orders[2].deposit_presale: must be true or false (got 1)",
        ),
        (lambda d: d["orders"].insert(2, 7), "orders[2]: must be an object (got 7)"),
        (
            lambda d: d["orders"][2].update(id="a b"),
            "orders[2].id: must be 1 to 64 letters, digits, '-' or '_' (got 'a b')",
        ),
        (
            lambda d: d["shop"].update(currency="yuan"),
            "shop.currency: must be three capital letters, such as CNY (got 'yuan')",
        ),
        (lambda d: d["shop"].update(name=""), "shop.name: must not be empty"),
        (lambda d: d["shop"].update(name=None), "shop.name: must be a string (got None)"),
        (lambda d: d.pop("shop"), "shop: is missing"),
        (
            lambda d: d["products"][1]["skus"][0].update(price_cents=-1),
            "products[1].skus[0].price_cents: must be 0 or more (got -1)",
        ),
        (
            lambda d: d["products"][1]["skus"][0].update(stock=10**12),
            "products[1].skus[0].stock: must be less than 1000000000000",
        ),
        (lambda d: d["products"][1].update(skus=[]), "products[1].skus: must not be empty"),
        (
            lambda d: d["products"][1]["skus"][0].update(id="tee-s"),
            "products[1].skus[0].id: 'tee-s' is already the id of products[0].skus[0]",
        ),
        (lambda d: d["products"][1].update(id="tee"), "products[1].id: 'tee' is already the id of products[0]"),
        (lambda d: d["orders"][5].update(id="o1"), "orders[5].id: 'o1' is already the id of orders[1]"),
        (lambda d: d["buyers"][1].update(id="ann"), "buyers[1].id: 'ann' is already the id of buyers[0]"),
        (
            lambda d: d["orders"][5]["lines"][1].update(id="1"),
            "orders[5].lines[1].id: '1' is already the id of orders[5].lines[0]",
        ),
        (lambda d: d["orders"][5].update(buyer_id="eve"), "orders[5].buyer_id: there is no buyer 'eve'"),
        (lambda d: line(d).update(product_id="hat"), "orders[17].lines[0].product_id: there is no product 'hat'"),
        (lambda d: line(d).update(sku_id="tea-1"), "orders[17].lines[0].sku_id: product 'tee' has no SKU 'tea-1'"),
    ],
)
def test_a_problem_is_named_with_its_file_and_path(edit: Edit, says: str) -> None:
    assert f"shop.json: {says}" in load_edited(edit).splitlines()


def test_all_problems_are_named_up_to_twenty() -> None:
    def spoil(document: dict[str, Any]) -> None:
        for order in document["orders"][:27]:
            order["lines"][0]["quantity"] = 0

    said = load_edited(spoil).splitlines()
    assert said[0] == "shop.json: orders[0].lines[0].quantity: must be 1 or more (got 0)"
    assert len(said) == 21
    assert said[-1] == "shop.json: and 7 more"


def test_long_values_are_cut() -> None:
    (said,) = load_edited(lambda document: document["shop"].update(id="x" * 5000)).splitlines()
    assert said.startswith("shop.json: shop.id: must be 1 to 64 letters")
    assert len(said) < 160


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{\n  "shop": oops\n}', "shop.json: is not JSON: expected value at line 2 column 11"),
        ("", "shop.json: is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{".encode("utf-16"), "shop.json: is not JSON: "),
        ('{"shop": "青木"'.encode("gbk"), "shop.json: is not JSON: "),
        ("[]", "shop.json: must be an object (got [])"),
    ],
)
def test_what_is_not_a_shop_at_all(text: str | bytes, says: str) -> None:
    assert load_text(text).startswith(says)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadShopFile, match=r"^nowhere\.json: can't be read: No such file or directory$"):
        load("nowhere.json")
    with pytest.raises(BadShopFile, match="can't be read: Is a directory"):
        load(tmp_path)


def test_changes_load_and_bad_ones_are_named_by_line() -> None:
    good = '{"order_id":"o","buyer_id":"b","changes":[{"line_id":"1","from_sku":"a","to_sku":"b"}],"expect":"card"}'
    path = Path("changes.jsonl")
    path.write_text(f"{good}\n\n{good}\n")
    row, _ = load_changes(path)
    assert (row.order_id, row.changes[0].to_sku, row.expect, row.line_verdicts) == ("o", "b", "card", ())
    path.write_text(f"{good}\n{good.replace('card', 'perhaps')}\n{{\n{good.replace('to_sku', 'sku')}\n")
    with pytest.raises(BadShopFile) as bad:
        load_changes(path)
    assert str(bad.value).splitlines() == [
        "changes.jsonl: line 2: expect: must be one of 'card' or 'refused' (got 'perhaps')",
        "changes.jsonl: line 3: is not JSON: EOF while parsing an object at line 1 column 1",
        "changes.jsonl: line 4: changes[0].to_sku: is missing",
        "changes.jsonl: line 4: changes[0].sku: is not a field of this format",
    ]


def test_the_third_party_shop_loads(tau_retail: Path) -> None:
    file, changes = load(tau_retail / "shop.json"), load_changes(tau_retail / "changes.jsonl")
    assert (len(file.products), len(file.orders), len(file.buyers), len(changes)) == (50, 1000, 500, 145)
    orders = {order.id: order for order in file.orders}
    for row in changes:
        order = orders[row.order_id].order(file.shop.id)
        assert order.buyer_id == row.buyer_id
        assert len(row.line_verdicts) == len(row.changes)
        for change in row.changes:
            line = order.line(change.line_id)
            assert line is not None
            assert line.sku_id == change.from_sku


def test_the_demo_shop_shows_every_rule() -> None:
    file = load(DEMO)
    assert (file.shop.id, file.shop.currency, file.shop.locale) == ("qingmu", "CNY", "zh-CN")
    assert {order.status for order in file.orders} == set(OrderStatus)
    assert {order.after_sale for order in file.orders} == set(AfterSale)
    assert {order.status for order in file.orders if order.deposit_presale} == {OrderStatus.UNPAID, OrderStatus.PAID}
    assert {buyer.id for buyer in file.buyers} == {order.buyer_id for order in file.orders}
    skus = [sku for product in file.products for sku in product.skus]
    assert any(not sku.on_sale for sku in skus)
    assert any(sku.stock == 0 for sku in skus)
    products = {product.id: product for product in file.products}
    differences = Counter(
        (sku.price_cents > line.unit_price_cents) - (sku.price_cents < line.unit_price_cents)
        for order in file.orders
        if order.status is OrderStatus.PAID and not order.deposit_presale and order.after_sale is AfterSale.NONE
        for line in order.lines
        for sku in products[line.product_id].skus
        if sku.id != line.sku_id and sku.on_sale and sku.stock >= line.quantity
    )
    assert min(differences[sign] for sign in (-1, 0, 1)) >= 5


def test_the_demo_shop_has_every_combination_of_options() -> None:
    for product in load(DEMO).products:
        combinations = {tuple(sku.options.items()) for sku in product.skus}
        names = [name for name, _ in next(iter(combinations))]
        sizes = [len({dict(combination)[name] for combination in combinations}) for name in names]
        expected = 1
        for size in sizes:
            expected *= size
        assert len(combinations) == len(product.skus) == expected, product.title
