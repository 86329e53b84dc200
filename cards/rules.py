"""What each change of spec would mean: R2 to R6 as one table, read from the top; the first row that refuses decides."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from pydantic import Field

from cards.errors import LineRefusal, LinesRefused, Params, Refusal
from cards.model import Id, Model
from cards.order import AfterSale, Line, Order, OrderStatus, Product, Sku

T = TypeVar("T")

CHANGEABLE = frozenset({OrderStatus.UNPAID, OrderStatus.PAID})

NO_SKU = Sku(id="none", options={}, price_cents=0, stock=0, on_sale=False)
"""Stands for a SKU that the line's product does not have."""

WAIVER = "difference_not_waived"
"""The one refusal the agent can lift: by confirming that the buyer is not charged the difference (R5)."""


class Change(Model):
    """What is asked for: one line to go to another SKU; `from_sku` is what the agent saw there, if they say."""

    line_id: Id
    to_sku: Id
    from_sku: Id | None = None


class Ask(NamedTuple):
    """All that the rules look at when one line is to go to one SKU.

    `from_sku` is what the agent saw, None if they don't say; `needed` is the summed quantity of the card's lines that
    go to the same SKU; `waived` says that the agent confirmed R5.
    """

    order: Order
    line: Line
    product: Product | None
    sku: Sku
    to_sku: str
    needed: int
    from_sku: str | None = None
    waived: bool = False

    @property
    def paid(self) -> bool:
        """Whether a difference in price would have to be charged or paid back."""
        return self.order.status is OrderStatus.PAID

    @property
    def rise(self) -> int:
        """How much dearer the SKU is for each piece, in cents; negative if cheaper."""
        return self.sku.price_cents - self.line.unit_price_cents


class Rule(NamedTuple, Generic[T]):
    """One row: the rule it comes from, its code, when it refuses, and what its text speaks of."""

    source: str
    code: str
    refuses: Callable[[T], bool]
    params: Callable[[T], dict[str, str | int]] = lambda _: {}


ORDER_RULES: tuple[Rule[Order], ...] = (
    Rule("R2", "order_not_changeable", lambda o: o.status not in CHANGEABLE, lambda o: {"status": o.status.value}),
    Rule("R2", "after_sale", lambda o: o.after_sale is not AfterSale.NONE),
    Rule("R2", "deposit_presale", lambda o: o.deposit_presale),
)

LINE_RULES: tuple[Rule[Ask], ...] = (
    Rule("R3", "line_moved", lambda a: a.from_sku not in (None, a.line.sku_id), lambda a: {"sku_id": a.line.sku_id}),
    Rule("R3", "unknown_product", lambda a: a.product is None, lambda a: {"product_id": a.line.product_id}),
    Rule("R3", "same_sku", lambda a: a.to_sku == a.line.sku_id),
    Rule("R3", "unknown_sku", lambda a: a.sku is NO_SKU, lambda a: {"sku_id": a.to_sku}),
    Rule("R3", "off_sale", lambda a: not a.sku.on_sale),
    Rule("R4", "price_lower_after_payment", lambda a: a.paid and a.rise < 0),
    Rule("R3", "out_of_stock", lambda a: a.sku.stock < a.needed, lambda a: {"needed": a.needed, "stock": a.sku.stock}),
    Rule(
        "R5",
        WAIVER,
        lambda a: a.paid and a.rise > 0 and not a.waived,
        lambda a: {"difference_cents": a.rise * a.line.quantity},
    ),
    # No row, so allowed: paid at an equal price (R5), unpaid at any price (R6).
)


class Verdict(Model):
    """What one SKU would mean for one line; `difference_cents` is for its whole quantity, negative if cheaper.

    `needs_waiver`: allowed, once the agent has confirmed that the buyer is not charged the difference (R5).
    """

    sku_id: Id
    options: Mapping[str, str]
    allowed: bool
    code: str | None = None
    params: Params = Field(default_factory=dict)
    needs_waiver: bool = False
    unit_price_before_cents: int
    unit_price_after_cents: int
    difference_cents: int
    stock: int


class LineQuote(Model):
    """One line as it is today, with a verdict for every SKU of its product.

    `code` is `unknown_product` where the order system no longer knows the product; its id is the title then, and there
    are no options and verdicts.
    """

    line_id: Id
    product_id: Id
    title: str
    sku_id: Id
    options: Mapping[str, str]
    quantity: int
    code: str | None = None
    params: Params = Field(default_factory=dict)
    verdicts: tuple[Verdict, ...]


class Quote(Model):
    """What could change in an order; with a `code` (R2) nothing can, and every verdict carries it."""

    order_id: Id
    order_version: int
    code: str | None = None
    params: Params = Field(default_factory=dict)
    lines: tuple[LineQuote, ...]


def order_refusal(order: Order) -> Refusal | None:
    """Why nothing in this order can change, or None (R2)."""
    rule = _first(ORDER_RULES, order)
    return Refusal(rule.code, rule.params(order)) if rule else None


def line_refusal(ask: Ask) -> LineRefusal | None:
    """Why this line can't go to that SKU, or None (R3 to R6)."""
    rule = _first(LINE_RULES, ask)
    return LineRefusal(ask.line.id, rule.code, rule.params(ask)) if rule else None


def quote(order: Order, products: Mapping[str, Product]) -> Quote:
    """What each SKU of each line would mean, each line by itself; `products` by product id."""
    refusal = order_refusal(order)
    return Quote(
        order_id=order.id,
        order_version=order.version,
        code=refusal.code if refusal else None,
        params=refusal.params if refusal else {},
        lines=tuple(_line_quote(order, line, products.get(line.product_id), refusal) for line in order.lines),
    )


def check(
    order: Order, products: Mapping[str, Product], changes: Sequence[Change], *, waived: bool, currency: str
) -> list[Ask]:
    """The changes, each with its line, product and SKU, if every one of them is allowed.

    `products` by product id; `waived` is the agent's confirmation of R5. Raises Refusal; it names every refused line
    (R3), and asks for the waiver only when nothing else stands in the way.
    """
    if refusal := order_refusal(order):
        raise refusal
    asks = _asks(order, products, changes, waived=waived)
    refused = [refused for ask in asks if (refused := line_refusal(ask))]
    if forbidden := [refusal for refusal in refused if refusal.code != WAIVER]:
        raise LinesRefused(forbidden)
    if refused:
        raise LinesRefused([replace(refusal, params={**refusal.params, "currency": currency}) for refusal in refused])
    return asks


def _asks(order: Order, products: Mapping[str, Product], changes: Sequence[Change], *, waived: bool) -> list[Ask]:
    if not changes:
        raise Refusal("no_changes")
    asked: dict[str, tuple[Line, Change]] = {}
    needed: Counter[tuple[str, str]] = Counter()
    for change in changes:
        line = order.line(change.line_id)
        if line is None:
            raise Refusal("unknown_line", {"line_id": change.line_id})
        if line.id in asked:
            raise Refusal("duplicate_line", {"line_id": line.id})
        asked[line.id] = line, change
        needed[line.product_id, change.to_sku] += line.quantity
    return [
        Ask(
            order=order,
            line=line,
            product=(product := products.get(line.product_id)),
            sku=(product.sku(change.to_sku) if product else None) or NO_SKU,
            to_sku=change.to_sku,
            needed=needed[line.product_id, change.to_sku],
            from_sku=change.from_sku,
            waived=waived,
        )
        for line, change in asked.values()
    ]


def _line_quote(order: Order, line: Line, product: Product | None, refusal: Refusal | None) -> LineQuote:
    today = product.sku(line.sku_id) if product else None
    return LineQuote(
        line_id=line.id,
        product_id=line.product_id,
        title=product.title if product else line.product_id,
        sku_id=line.sku_id,
        options=today.options if today else {},
        quantity=line.quantity,
        code=None if product else "unknown_product",
        params={} if product else {"product_id": line.product_id},
        verdicts=tuple(_verdict(Ask(order, line, product, sku, sku.id, line.quantity), refusal) for sku in product.skus)
        if product
        else (),
    )


def _verdict(ask: Ask, refusal: Refusal | None) -> Verdict:
    refused = refusal or line_refusal(ask)
    needs_waiver = refused is not None and refused.code == WAIVER
    allowed = refused is None or needs_waiver
    return Verdict(
        sku_id=ask.sku.id,
        options=ask.sku.options,
        allowed=allowed,
        code=None if allowed or not refused else refused.code,
        params={} if allowed or not refused else refused.params,
        needs_waiver=needs_waiver,
        unit_price_before_cents=ask.line.unit_price_cents,
        unit_price_after_cents=ask.sku.price_cents,
        difference_cents=ask.rise * ask.line.quantity,
        stock=ask.sku.stock,
    )


def _first(rules: tuple[Rule[T], ...], asked: T) -> Rule[T] | None:
    return next((rule for rule in rules if rule.refuses(asked)), None)
