"""An order system that misbehaves as it is told to, around the embedded shop.

Law: whatever the mood, the shop behind stays right; only calls and answers are slow, lost, doubled or late.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args

import orjson

from bot.orders.base import ChangeResult, LineChange, OrderSystem, OrderSystemAway
from cards.order import Order, Product

log = logging.getLogger(__name__)

T = TypeVar("T")

Mood = Literal["well", "slow", "fails", "twice", "late", "away"]
"""`well`: as the shop answers. `slow`: every call `seconds` later. `fails`: every call is refused at once, as by a 500.
`twice`: every change reaches the shop twice, at the same time or one `seconds` after the other.
`late`: a change gets no answer, and reaches the shop `seconds` later, when its caller has given up or asked again.
`away`: every call ends without an answer after `seconds`."""
MOODS: tuple[Mood, ...] = get_args(Mood)
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Temper:
    """A mood, under which a call falls with the probability `share`."""

    mood: Mood = "well"
    seconds: float = _SECONDS
    share: float = 1.0

    def write(self, file: Path) -> None:
        """Have every gateway that watches this file be in this mood, from its next call on."""
        draft = file.with_name(f"{file.name}.draft")
        draft.write_bytes(orjson.dumps(self))
        draft.rename(file)

    @classmethod
    def read(cls, file: Path) -> "Temper":
        """The mood of now; `well` where nobody has said anything."""
        try:
            return cls(**orjson.loads(file.read_bytes()))
        except FileNotFoundError:
            return cls()


class Witness(Protocol):
    """Somebody who is there when a change is asked for, and answered."""

    async def before_change(self) -> None:
        """The shop is to be asked."""
        ...

    def after_change(self, result: ChangeResult) -> None:
        """The shop has answered."""
        ...


class ScriptedOrders:
    """An OrderSystem in the mood that a file says, read at each call."""

    def __init__(self, shop: OrderSystem, file: Path, witness: Witness) -> None:
        self._shop = shop
        self._file = file
        self._witness = witness
        self._late: set[asyncio.Task[None]] = set()

    async def orders(self, shop_id: str, buyer_id: str) -> Sequence[Order]:
        await self._suffer(self._temper())
        return await self._shop.orders(shop_id, buyer_id)

    async def order(self, shop_id: str, order_id: str) -> Order:
        await self._suffer(self._temper())
        return await self._shop.order(shop_id, order_id)

    async def product(self, shop_id: str, product_id: str) -> Product:
        await self._suffer(self._temper())
        return await self._shop.product(shop_id, product_id)

    async def currency(self, shop_id: str) -> str:
        await self._suffer(self._temper())
        return await self._shop.currency(shop_id)

    async def change(
        self, shop_id: str, order_id: str, change_id: str, lines: Sequence[LineChange], *, paid: bool
    ) -> ChangeResult:
        async def ask() -> ChangeResult:
            return await self._shop.change(shop_id, order_id, change_id, lines, paid=paid)

        await self._witness.before_change()
        temper = self._temper()
        await self._suffer(temper)
        match temper.mood:
            case "twice":
                result = await _twice(ask, temper.seconds)
            case "late":
                self._ask_late(ask, temper.seconds)
                raise OrderSystemAway("the order system took the call, and gave no answer")
            case _:
                result = await ask()
        self._witness.after_change(result)
        return result

    def _temper(self) -> Temper:
        temper = Temper.read(self._file)
        return temper if random.random() < temper.share else Temper()

    @staticmethod
    async def _suffer(temper: Temper) -> None:
        """What a mood does to every call, before it gets through."""
        match temper.mood:
            case "slow":
                await asyncio.sleep(temper.seconds)
            case "fails":
                raise OrderSystemAway("the order system answered 500")
            case "away":
                await asyncio.sleep(temper.seconds)
                raise OrderSystemAway("the order system did not answer")

    def _ask_late(self, ask: Callable[[], Awaitable[ChangeResult]], seconds: float) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            try:
                await ask()
            except OrderSystemAway as away:
                log.info("a late call never reached the shop: %s", away)

        task = asyncio.create_task(later(), name="late-change")
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _twice(ask: Callable[[], Awaitable[ChangeResult]], seconds: float) -> ChangeResult:
    """The second call's answer, which must be the first's."""
    if random.random() < 0.5:
        first, second = await asyncio.gather(ask(), ask())
    else:
        first = await ask()
        await asyncio.sleep(seconds)
        second = await ask()
    if first != second:
        raise AssertionError(f"a change was answered {first!r}, and then {second!r}")
    return second
