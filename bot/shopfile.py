"""The import format: a shop's agents, buyers, products and orders in one JSON file, checked whole before use.

Law: a problem is reported as `<file>: <path>: <what is wrong>`, where the path is the one a reader finds in the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from cards.model import Id, Model
from cards.order import AfterSale, Line, Order, OrderStatus, Product

DEMO = Path(__file__).parent / "demo" / "shop.json"
"""The shop that ships with the product."""
MOST_PROBLEMS = 20
LARGEST = 10**12
"""Amounts and stocks stay below this, so that sums of them are exact wherever they are computed."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Problem = tuple[str, str]
"""Where (`orders[17].lines[0].quantity`, empty for the whole file) and what."""


class BadShopFile(ValueError):
    """The file can't be used; the message lists up to 20 problems, each with file, path and what is wrong."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        shown = [f"{path}: {where}: {what}" if where else f"{path}: {what}" for where, what in problems[:MOST_PROBLEMS]]
        more = len(problems) - len(shown)
        super().__init__("\n".join([*shown, f"{path}: and {more} more"] if more else shown))


def _some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not min_length, which counts valid items only and so blames a bad one twice.
    if not items:
        raise PydanticCustomError("too_short", "must not be empty")
    return items


class ShopInfo(Model):
    """A shop: what its money is (ISO 4217) and which language it speaks by default (BCP 47)."""

    id: Id
    name: Name
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    locale: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Person(Model):
    """An agent or a buyer."""

    id: Id
    name: Name


class OrderRow(Model):
    """An order as the file has it; its shop is the file's."""

    id: Id
    buyer_id: Id
    status: OrderStatus
    deposit_presale: bool = False
    after_sale: AfterSale = AfterSale.NONE
    lines: Annotated[tuple[Line, ...], AfterValidator(_some)]

    def order(self, shop_id: str) -> Order:
        """The order, at its first version."""
        return Order(shop_id=shop_id, **dict(self))


class ShopFile(Model):
    """A whole shop. `orders` go from the oldest to the newest; SKU ids are unique in the shop."""

    shop: ShopInfo
    agents: tuple[Person, ...] = ()
    buyers: tuple[Person, ...] = ()
    products: tuple[Product, ...] = ()
    orders: tuple[OrderRow, ...] = ()


class LineWish(Model):
    """A line that somebody wants to have another SKU."""

    line_id: Id
    from_sku: Id
    to_sku: Id


class ChangeRow(Model):
    """A change to try on an order, and what should come of it: a card, or a refusal with a verdict for each line."""

    order_id: Id
    buyer_id: Id
    changes: Annotated[tuple[LineWish, ...], AfterValidator(_some)]
    line_verdicts: tuple[str, ...] = ()
    expect: Literal["card", "refused"] | None = None


AnyModel = TypeVar("AnyModel", bound=BaseModel)


def load(path: str | Path) -> ShopFile:
    """The shop in that file. Raises BadShopFile."""
    path = Path(path)
    file, problems = _parse(ShopFile, _read(path))
    if file is not None:
        problems = list(_contradictions(file))
    if file is None or problems:
        raise BadShopFile(path, problems)
    return file


def load_changes(path: str | Path) -> tuple[ChangeRow, ...]:
    """The changes in that file, one JSON object a line; empty lines are skipped. Raises BadShopFile."""
    path = Path(path)
    rows: list[ChangeRow] = []
    problems: list[Problem] = []
    for number, text in enumerate(_read(path).splitlines(), start=1):
        if text.strip():
            row, wrong = _parse(ChangeRow, text)
            problems += [(f"line {number}: {where}" if where else f"line {number}", what) for where, what in wrong]
            rows += [row] if row is not None else []
    if problems:
        raise BadShopFile(path, problems)
    return tuple(rows)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise BadShopFile(path, [("", f"can't be read: {error.strerror}")]) from error


def _parse(model: type[AnyModel], text: bytes) -> tuple[AnyModel | None, list[Problem]]:
    try:
        return model.model_validate_json(text, strict=True), []
    except ValidationError as invalid:
        return None, [(_where(error["loc"]), _what(error)) for error in invalid.errors(include_url=False)]


def _where(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


WHATS: Mapping[str, str] = {
    "json_invalid": "is not JSON: {error}",
    "missing": "is missing",
    "extra_forbidden": "is not a field of this format",
    "greater_than_equal": "must be {ge} or more (got {got})",
    "enum": "must be one of {expected} (got {got})",
    "literal_error": "must be one of {expected} (got {got})",
    "int_type": "must be a whole number (got {got})",
    "int_from_float": "must be a whole number (got {got})",
    "string_type": "must be a string (got {got})",
    "bool_type": "must be true or false (got {got})",
    "tuple_type": "must be a list (got {got})",
    "model_type": "must be an object (got {got})",
    "dict_type": "must be an object (got {got})",
    "mapping_type": "must be an object (got {got})",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
PATTERNS: Mapping[str, str] = {
    r"^[A-Za-z0-9_-]{1,64}$": "must be 1 to 64 letters, digits, '-' or '_'",
    r"^[A-Z]{3}$": "must be three capital letters, such as CNY",
}


def _what(error: Any) -> str:
    context, got = error.get("ctx", {}), repr(error["input"])
    if error["type"] == "string_pattern_mismatch" and context["pattern"] in PATTERNS:
        return f"{PATTERNS[context['pattern']]} (got {_short(got)})"
    pattern = WHATS.get(error["type"])
    if pattern is None:
        return f"{error['msg']} (got {_short(got)})"
    return pattern.format(**context, got=_short(got))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _contradictions(file: ShopFile) -> Iterator[Problem]:
    """What no single field shows: ids used twice, references to nothing, numbers too large to add up."""
    for name in ("agents", "buyers", "products", "orders"):
        yield from _twice((f"{name}[{i}]", item.id) for i, item in enumerate(getattr(file, name)))
    yield from _twice(
        (f"products[{i}].skus[{j}]", sku.id)
        for i, product in enumerate(file.products)
        for j, sku in enumerate(product.skus)
    )
    for i, product in enumerate(file.products):
        if not product.skus:
            yield f"products[{i}].skus", "must not be empty"
        for j, sku in enumerate(product.skus):
            for field in ("price_cents", "stock"):
                if getattr(sku, field) >= LARGEST:
                    yield f"products[{i}].skus[{j}].{field}", f"must be less than {LARGEST}"
    buyers = {buyer.id for buyer in file.buyers}
    products = {product.id: product for product in file.products}
    for i, order in enumerate(file.orders):
        if order.buyer_id not in buyers:
            yield f"orders[{i}].buyer_id", f"there is no buyer {order.buyer_id!r}"
        yield from _twice((f"orders[{i}].lines[{j}]", line.id) for j, line in enumerate(order.lines))
        for j, line in enumerate(order.lines):
            yield from _line_contradictions(f"orders[{i}].lines[{j}]", line, products)


def _line_contradictions(where: str, line: Line, products: Mapping[str, Product]) -> Iterator[Problem]:
    product = products.get(line.product_id)
    if product is None:
        yield f"{where}.product_id", f"there is no product {line.product_id!r}"
    elif product.sku(line.sku_id) is None:
        yield f"{where}.sku_id", f"product {line.product_id!r} has no SKU {line.sku_id!r}"
    for field in ("quantity", "unit_price_cents"):
        if getattr(line, field) >= LARGEST:
            yield f"{where}.{field}", f"must be less than {LARGEST}"


def _twice(ids: Iterator[tuple[str, str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for where, item_id in ids:
        if item_id in seen:
            yield f"{where}.id", f"{item_id!r} is already the id of {seen[item_id]}"
        else:
            seen[item_id] = where
