"""The scripted order system: what each mood does to a call, and that the shop behind it stays right."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from bot.orders.base import ChangeResult, LineChange, OrderSystemAway
from bot.orders.shop import Shop
from bot.redis.connector import connect
from tests.faults.torture.orders import MOODS, Mood, ScriptedOrders, Temper
from tests.flows.nanshan import shop_file
from tests.until import until

SHOP, ORDER = "nanshan", "lin-wan-paid"
TO_S = LineChange(line_id="1", from_sku="white-m", to_sku="white-s", expected_price_cents=8900)
SECONDS = 0.1


class CountingShop(Shop):
    """Counts the changes that reach it."""

    calls = 0

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        """See Shop.change."""
        self.calls += 1
        return await super().change(shop_id, order_id, change_id, lines, paid=paid)


class Witness:
    """Writes down what it saw."""

    def __init__(self) -> None:
        self.saw: list[str] = []

    async def before_change(self) -> None:
        self.saw.append("asked")

    def after_change(self, result: ChangeResult) -> None:
        self.saw.append("taken" if result.taken else "refused")


class Far:
    """The far end: the shop, the order system around it, and who watches."""

    def __init__(self, shop: CountingShop, file: Path) -> None:
        self.shop = shop
        self.witness = Witness()
        self.orders = ScriptedOrders(shop, file, self.witness)
        self._file = file

    def be(self, mood: Mood, share: float = 1.0) -> None:
        Temper(mood, SECONDS, share).write(self._file)

    async def ask(self, change_id: str = "c1") -> ChangeResult:
        return await self.orders.change(SHOP, ORDER, change_id, [TO_S], paid=True)

    async def skus(self) -> tuple[str, int]:
        """What the order is for, and how many white-s are left of 30."""
        product = await self.shop.product(SHOP, "tee")
        sku = product.sku("white-s")
        assert sku is not None
        return (await self.shop.order(SHOP, ORDER)).lines[0].sku_id, sku.stock


UNCHANGED, CHANGED = ("white-m", 30), ("white-s", 29)


@pytest.fixture
async def far(valkey_url: str, tmp_path: Path) -> AsyncIterator[Far]:
    connector = connect(valkey_url)
    shop = CountingShop(connector.scripts)
    await shop.import_shop(shop_file())
    yield Far(shop, tmp_path / "orders.json")
    await connector.aclose()


async def test_well(far: Far) -> None:
    """Also before anybody has said anything."""
    assert (await far.ask()).taken
    far.be("well")
    assert (await far.ask()).taken
    assert (await far.skus(), far.witness.saw) == (CHANGED, ["asked", "taken"] * 2)


async def test_slow(far: Far) -> None:
    far.be("slow")
    began = time.monotonic()
    assert (await far.ask()).taken
    assert time.monotonic() - began >= SECONDS
    assert await far.skus() == CHANGED


@pytest.mark.parametrize("mood", ["fails", "away"])
async def test_nothing_gets_through(far: Far, mood: Mood) -> None:
    far.be(mood)
    began = time.monotonic()
    for call in (far.ask(), far.orders.order(SHOP, ORDER), far.orders.orders(SHOP, "lin-wan")):
        with pytest.raises(OrderSystemAway):
            await call
    for read in (far.orders.product(SHOP, "tee"), far.orders.currency(SHOP)):
        with pytest.raises(OrderSystemAway):
            await read
    assert (time.monotonic() - began >= SECONDS) is (mood == "away")
    assert (far.shop.calls, await far.skus(), far.witness.saw) == (0, UNCHANGED, ["asked"])


async def test_twice(far: Far) -> None:
    far.be("twice")
    for number in range(1, 7):  # at the same time and one after the other, by chance
        assert (await far.ask()).taken
        assert far.shop.calls == 2 * number
    assert await far.skus() == CHANGED


async def test_late(far: Far) -> None:
    far.be("late")
    with pytest.raises(OrderSystemAway):
        await far.ask()
    assert (far.shop.calls, await far.skus()) == (0, UNCHANGED)
    await until(lambda: far.shop.calls == 1)
    async with asyncio.timeout(15):
        while await far.skus() != CHANGED:
            await asyncio.sleep(0.01)
    assert far.witness.saw == ["asked"], "the late answer is nobody's"


async def test_late_after_it_was_asked_again(far: Far) -> None:
    far.be("late")
    with pytest.raises(OrderSystemAway):
        await far.ask()
    far.be("well")
    assert (await far.ask()).taken
    await until(lambda: far.shop.calls == 2)
    assert await far.skus() == CHANGED


async def test_a_share_of_none_is_well(far: Far) -> None:
    assert get_args(Mood) == MOODS
    for mood in MOODS:
        far.be(mood, share=0)
        assert (await far.ask()).taken
    assert far.shop.calls == len(MOODS)
