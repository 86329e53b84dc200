"""Loading a shop file into the embedded shop: in batches, and repaired by loading again.

Law: a key that an import writes is in the shop's index in the same step, so the next import can clear it; the shop's
info goes first and comes last, so a shop that has it is whole.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import orjson

from bot.documents.directory import Directory
from bot.shopfile import ShopFile
from cards.order import Product
from scheduler.script import Script, Scripts

SHOPS = Script.beside(__file__, "shops")
PUT = Script.beside(__file__, "put")
PUT_PRODUCT = Script.beside(__file__, "put_product")
PUT_ORDER = Script.beside(__file__, "put_order")
IMPORTED = Script.beside(__file__, "imported")
CLEAR = Script.beside(__file__, "clear")

CALLS = 50
"""Script calls in flight: less than any client's connections."""
KEYS = 500
"""Keys cleared in one step."""

Call = tuple[Script, Sequence[str], Sequence[str | bytes | int]]


def shop_key(shop_id: str, *parts: str) -> str:
    """The key of something of that shop; all of one shop are in one slot."""
    return ":".join([f"shop:{{{shop_id}}}", *parts])


async def import_shop(scripts: Scripts, file: ShopFile, progress: Callable[[int, int], None] | None = None) -> None:
    """Load the file over whatever the shop had. Raises redis.exceptions.RedisError."""
    shop_id = file.shop.id
    await scripts.run(SHOPS, ["shops"], [shop_id])
    directory = Directory(scripts)
    await directory.remember_all(shop_id, "agent", {person.id: person.name for person in file.agents})
    await directory.remember_all(shop_id, "buyer", {person.id: person.name for person in file.buyers})
    await _clear(scripts, shop_id)
    calls = list(_calls(file))
    for start in range(0, len(calls), CALLS):
        batch = calls[start : start + CALLS]
        await asyncio.gather(*[scripts.run(*call) for call in batch])
        if progress is not None:
            progress(start + len(batch), len(calls))
    info = [shop_key(shop_id, "info"), shop_key(shop_id, "index")]
    await scripts.run(PUT, info, ["body", file.shop.model_dump_json()])


async def _clear(scripts: Scripts, shop_id: str) -> None:
    index = shop_key(shop_id, "index")
    await scripts.run(CLEAR, [index, shop_key(shop_id, "info")], [])
    while keys := await scripts.run(IMPORTED, [index], [KEYS]):
        await scripts.run(CLEAR, [index, *(key.decode() for key in keys)], [])


def _calls(file: ShopFile) -> Iterator[Call]:
    shop_id = file.shop.id
    index = shop_key(shop_id, "index")
    for product in file.products:
        keys = [shop_key(shop_id, "product", product.id), shop_key(shop_id, "skus"), index]
        yield PUT_PRODUCT, keys, [*_lasting(product), *_moving(product)]
    for place, row in enumerate(file.orders):
        keys = [shop_key(shop_id, "order", row.id), shop_key(shop_id, "buyer", row.buyer_id), index]
        yield PUT_ORDER, keys, [row.id, place, row.order(shop_id).model_dump_json()]


def _lasting(product: Product) -> tuple[bytes, str]:
    skus = [{"id": sku.id, "options": dict(sku.options)} for sku in product.skus]
    body = orjson.dumps({"id": product.id, "title": product.title, "skus": skus})
    return body, " ".join(sku.id for sku in product.skus)


def _moving(product: Product) -> Iterator[str | int]:
    for sku in product.skus:
        yield from (f"{sku.id}.product", product.id, f"{sku.id}.price", sku.price_cents)
        yield from (f"{sku.id}.stock", sku.stock, f"{sku.id}.sale", int(sku.on_sale))
