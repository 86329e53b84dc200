"""Reading the embedded shop, and loading a file into it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Disconnected

from bot.documents.directory import Directory
from bot.orders.base import ChangeResult, LineChange, OrderSystem, OrderSystemAway, UnknownProduct, UnknownShop
from bot.orders.shop import Shop
from bot.shopfile import DEMO, ShopFile, load
from scheduler.script import ClientScripts, Script


async def test_what_was_imported_is_read(shop: Shop, shop_file: ShopFile, either_redis: Redis) -> None:
    assert await shop.info("s") == shop_file.shop
    assert await shop.shops() == ["s"]
    assert await shop.currency("s") == await shop.currency("s") == "CNY"
    for product in shop_file.products:
        assert await shop.product("s", product.id) == product
    for row in shop_file.orders:
        assert await shop.order("s", row.id) == row.order("s")
    directory = Directory(ClientScripts(either_redis))
    assert await directory.names("s", "agent") == {"amy": "Amy"}
    assert await directory.names("s", "buyer") == {"ann": "安", "bob": "Bob"}


async def test_a_buyers_orders_come_newest_first(shop: Shop, shop_file: ShopFile) -> None:
    newest_first = [row.order("s") for row in reversed(shop_file.orders)]
    assert await shop.orders("s", "ann") == newest_first
    await shop.move("s", "unpaid", "pay")
    assert [order.id for order in await shop.orders("s", "ann")] == [order.id for order in newest_first]
    assert await shop.orders("s", "bob") == []
    assert await shop.orders("s", "nobody") == []


async def test_at_most_a_hundred_orders_are_listed(shop: Shop, shop_file: ShopFile) -> None:
    orders = tuple(shop_file.orders[0].model_copy(update={"id": f"o{number}"}) for number in range(130))
    await shop.import_shop(shop_file.model_copy(update={"orders": orders}))
    assert [order.id for order in await shop.orders("s", "ann")] == [f"o{number}" for number in range(129, 29, -1)]


async def test_the_unknown(shop: Shop) -> None:
    with pytest.raises(UnknownProduct, match="shop s has no product hat"):
        await shop.product("s", "hat")
    with pytest.raises(UnknownProduct, match="product shirt of shop s has no SKU red"):
        await shop.set_sku("s", "shirt", "red", stock=1)
    with pytest.raises(UnknownShop, match="there is no shop elsewhere"):
        await shop.info("elsewhere")


async def test_the_owner_sets_price_stock_and_sale(shop: Shop) -> None:
    await shop.set_sku("s", "shirt", "off", price_cents=1, stock=2, on_sale=True)
    sku = (await shop.product("s", "shirt")).sku("off")
    assert sku is not None
    assert (sku.price_cents, sku.stock, sku.on_sale) == (1, 2, True)
    await shop.set_sku("s", "shirt", "off", on_sale=False)
    sku = (await shop.product("s", "shirt")).sku("off")
    assert sku is not None
    assert (sku.price_cents, sku.stock, sku.on_sale) == (1, 2, False)


async def test_importing_again_starts_anew(
    shop: Shop, shop_file: ShopFile, either_redis: Redis, change: Callable[..., Awaitable[ChangeResult]]
) -> None:
    fresh = sorted(await either_redis.keys())
    assert (await change("paid", "a", "same")).taken
    assert not (await change("nowhere", "a", "same")).taken
    await shop.move("s", "unpaid", "close")
    await shop.import_shop(shop_file)
    assert [await shop.order("s", row.id) for row in shop_file.orders] == [row.order("s") for row in shop_file.orders]
    assert [await shop.product("s", product.id) for product in shop_file.products] == list(shop_file.products)
    assert sorted(await either_redis.keys()) == sorted([*fresh, b"shop:{s}:events"])
    assert (await change("paid", "a", "same")).taken, "the result of an earlier life was given"

    await shop.import_shop(shop_file.model_copy(update={"orders": (), "products": ()}))
    left = {b"shops", b"people:{s}:agents", b"people:{s}:buyers", b"shop:{s}:info", b"shop:{s}:index"}
    assert set(await either_redis.keys()) == left | {b"shop:{s}:events"}


async def test_an_import_tells_its_progress_and_is_whole_only_at_the_end(
    either_redis: Redis, shop_file: ShopFile
) -> None:
    shop = Shop(ClientScripts(either_redis))
    told: list[tuple[int, int]] = []

    class BrokenOff(Exception):
        pass

    def stop_at_the_end(done: int, total: int) -> None:
        told.append((done, total))
        if done == total:
            raise BrokenOff

    with pytest.raises(BrokenOff):
        await shop.import_shop(shop_file, stop_at_the_end)
    documents = len(shop_file.products) + len(shop_file.orders)
    assert told == [(documents, documents)]
    with pytest.raises(UnknownShop):
        await shop.info("s")
    await shop.import_shop(shop_file)
    assert await shop.info("s") == shop_file.shop


async def test_no_answer_is_not_a_refusal(wish: Callable[..., LineChange], shop_file: ShopFile) -> None:
    class Away:
        async def run(self, script: Script, keys: object, args: object) -> None:
            raise Disconnected("gone")

    shop = Shop(Away())
    system: OrderSystem = shop
    for call in (
        system.orders("s", "ann"),
        system.order("s", "paid"),
        system.product("s", "shirt"),
        system.change("s", "paid", "c1", [wish("1", "a", "same")], paid=True),
        shop.import_shop(shop_file),
    ):
        with pytest.raises(OrderSystemAway, match="gone"):
            await call


async def test_real_shops_load(either_redis: Redis, tau_retail: Path) -> None:
    shop = Shop(ClientScripts(either_redis))
    for file in (load(tau_retail / "shop.json"), load(DEMO)):
        await shop.import_shop(file)
        for row in file.orders[:50]:
            assert await shop.order(file.shop.id, row.id) == row.order(file.shop.id)
        for product in file.products:
            assert await shop.product(file.shop.id, product.id) == product
    assert await shop.shops() == ["qingmu", "tau-retail"]
