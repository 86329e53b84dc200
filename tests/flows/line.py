"""The line to the order system, which a test can cut, hold and delay; behind it the embedded shop stays as it is."""

import asyncio
from collections.abc import Sequence

from bot.orders.base import ChangeResult, LineChange, OrderSystem, OrderSystemAway
from bot.orders.shop import Shop
from cards.order import Order, Product


class Line:
    """What happens to requests for a change and to their answers, at all gateways that use this line.

    `away`: nothing gets through. A request that is held goes on its way in the end, even when its gateway has given up
    on it. `answers` holds whoever waits for one until it is set.
    """

    def __init__(self) -> None:
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[str] = []
        """The change ids of all requests, in order."""
        self.results: list[ChangeResult] = []
        """What the shop answered, whether or not anybody heard it."""
        self._gate: asyncio.Event | None = None
        self._under_way: set[asyncio.Task[ChangeResult]] = set()

    def hold(self) -> asyncio.Event:
        """From now on requests wait for the event that is returned; those under way go on."""
        self._gate = asyncio.Event()
        return self._gate

    def pass_on(self) -> None:
        """From now on requests are carried at once; those that are held stay so."""
        self._gate = None

    def to(self, shop: Shop) -> OrderSystem:
        """The order system at the far end of this line."""
        return _Far(shop, self)

    async def ask(self, shop: Shop, change: Sequence[str], lines: Sequence[LineChange], paid: bool) -> ChangeResult:
        """A request for a change, on its way."""
        self.asked.append(change[-1])
        if self.away:
            raise OrderSystemAway("the line is cut")
        request = asyncio.create_task(self._carry(shop, change, lines, paid, self._gate))
        self._under_way.add(request)
        request.add_done_callback(self._under_way.discard)
        result = await asyncio.shield(request)
        await self.answers.wait()
        return result

    async def _carry(
        self, shop: Shop, change: Sequence[str], lines: Sequence[LineChange], paid: bool, gate: asyncio.Event | None
    ) -> ChangeResult:
        if gate is not None:
            await gate.wait()
        result = await shop.change(*change, lines, paid=paid)
        self.results.append(result)
        return result

    async def delivered(self) -> None:
        """Wait until no request is under way any more."""
        await asyncio.gather(*self._under_way)


class _Far:
    """The embedded shop, with its changes over a line."""

    def __init__(self, shop: Shop, line: Line) -> None:
        self._shop = shop
        self._line = line

    async def orders(self, shop_id: str, buyer_id: str) -> Sequence[Order]:
        return await self._shop.orders(shop_id, buyer_id)

    async def order(self, shop_id: str, order_id: str) -> Order:
        return await self._shop.order(shop_id, order_id)

    async def product(self, shop_id: str, product_id: str) -> Product:
        return await self._shop.product(shop_id, product_id)

    async def currency(self, shop_id: str) -> str:
        return await self._shop.currency(shop_id)

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        return await self._line.ask(self._shop, (shop_id, order_id, change_id), lines, paid)
