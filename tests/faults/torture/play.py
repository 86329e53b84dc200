"""Agents and buyers who negotiate, whatever breaks around them, until they are told to stop.

Law: a fault keeps nobody from going on, and what nobody foresaw ends the play loudly. When it ends, no card is open
that could come to its end, and everybody has read all that is theirs.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import timedelta
from typing import Any

from bot.orders.shop import Shop
from bot.participant import Role
from bot.transcript import Frame
from tests.faults.torture.answering import PLOTS
from tests.faults.torture.asking import ASKS
from tests.faults.torture.cast import Cast
from tests.faults.torture.chat import MANNERS, Chat
from tests.faults.torture.deck import Deck
from tests.faults.torture.history import History
from tests.faults.torture.manners import MISCHIEF, NeverReads
from tests.faults.torture.people import People
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.sheets import sheets_of
from tests.faults.torture.stay import Stay

_NEVER_READS_FOR = (3.0, 30.0)
"""Seconds, from and to: the longest are found out by the heartbeat or by what piles up."""
_AWAY_FOR = 1.5
"""Seconds on average: some are away for so long that their conversations are given to others."""

Trick = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Plays a trick, which is over when the event is set at the latest."""


class Play:
    """`shop` is the hand that moves orders behind everybody's back; `restless` is how often networks play tricks.

    `patience` is how long anybody waits for one reply. A buyer `stays_for` so many negotiations and then leaves for
    good, so that nobody's memory grows for ever.
    """

    def __init__(
        self,
        cast: Cast,
        fleet_urls: tuple[str, ...],
        secret: str,
        history: History,
        chance: random.Random,
        *,
        shop: Shop,
        patience: timedelta,
        restless: timedelta = timedelta(seconds=1),
        stays_for: int = 150,
    ) -> None:
        self.behind: list[str] = []
        """Who had not read all of a conversation in the end, though they were given `patience` for it."""
        self._cast = cast
        self._urls = fleet_urls
        self._history = history
        self._chance = random.Random(chance.getrandbits(64))
        self._shop = shop
        self._patience = patience
        self._restless = restless.total_seconds()
        self._stays_for = stays_for
        self._cards: set[str] = set()
        self._people = People(cast, fleet_urls, secret, history, self._chance, patience, self._saw)
        self._newcomers = list(reversed(cast.shop.buyers))
        self._sheets = sheets_of(cast.shop)
        self._asks = Deck(ASKS, self._chance)
        self._plots = Deck(PLOTS, self._chance)
        self._manners = Deck(MANNERS, self._chance)
        tricks: Mapping[Trick, int] = {self._cut: 8, self._storm: 1, self._never_reads: 2, self._away: 2}
        self._tricks = Deck(tricks, self._chance)

    @property
    def negotiations(self) -> int:
        """Cards that came to be."""
        return len(self._cards)

    @property
    def mischief(self) -> Counter[str]:
        """How often each trick of MISCHIEF was played."""
        faults = (record.data for record in self._history.of("fault") if record.data["phase"] == "begins")
        return Counter(fault["name"] for fault in faults if fault["name"] in MISCHIEF)

    @property
    def clients(self) -> list[RecordingClient]:
        """Whoever is here now."""
        return self._people.clients

    @property
    def violations(self) -> list[str]:
        """What clients said of the protocol, those who are gone included."""
        return [
            *self._people.violations,
            *(f"{client.who}: {violation}" for client in self.clients for violation in client.violations),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Negotiate until stop is set, let what is open come to its end, read everything, and go home."""
        async with self._people as people:
            await people.open_shop()
            async with asyncio.TaskGroup() as group:
                stays = [group.create_task(self._place(number, stop)) for number in range(self._cast.places)]
                group.create_task(self._make_trouble(stop))
            chats = [stay.chat for task in stays if (stay := task.result())]
            await asyncio.gather(*[chat.all_ended() for chat in chats])
            behind = await asyncio.gather(*[chat.catch_up() for chat in chats])
            self.behind += [who for one in behind for who in one]

    async def _place(self, number: int, stop: asyncio.Event) -> Stay | None:
        """One buyer after another, every second one of them with two devices; the stay that is not over yet."""
        stay: Stay | None = None
        while not stop.is_set():
            if stay is None or self._newcomers:
                buyer_id = self._newcomers.pop().id
                if stay is not None:
                    self.behind += await stay.end()
                stay = await self._come(buyer_id, 1 + number % 2)
            await stay.negotiate(stop, self._stays_for if self._newcomers else None)
        return stay

    async def _come(self, buyer_id: str, devices: int) -> Stay:
        chance = random.Random(self._chance.getrandbits(64))
        came = [await self._people.come(Role.BUYER, buyer_id) for _ in range(devices)]
        chat = Chat(
            self._people,
            came,
            buyer_id,
            self._sheets.pop(buyer_id),
            shop_id=self._cast.shop.shop.id,
            shop=self._shop,
            history=self._history,
            manners=self._manners,
            chance=chance,
            window=self._cast.window,
            patience=self._patience,
        )
        stay = Stay(chat, self._asks, self._plots)
        await stay.begin()
        return stay

    def _saw(self, card: Frame) -> None:
        self._cards.add(card["proposal_id"])

    async def _make_trouble(self, stop: asyncio.Event) -> None:
        """Tricks of networks and people, some of which last."""
        async with asyncio.TaskGroup() as lasting:
            while not stop.is_set():
                lasting.create_task(self._tricks.draw()(stop))
                await _pause(stop, self._chance.expovariate(1 / self._restless))

    async def _cut(self, stop: asyncio.Event) -> None:
        client = self._chance.choice(self.clients)
        with client.misbehaving("cut"):
            client.cut()

    async def _storm(self, stop: asyncio.Event) -> None:
        """Everybody is cut off at once, and comes back at once."""
        with self._trick("", "storm"):
            for client in self.clients:
                client.cut()

    async def _away(self, stop: asyncio.Event) -> None:
        """Somebody has no network for a while, as in a tunnel."""
        client = self._chance.choice(self.clients)
        with client.misbehaving("away"), client.away():
            await _pause(stop, self._chance.expovariate(1 / _AWAY_FOR))

    async def _never_reads(self, stop: asyncio.Event) -> None:
        agents, buyers = list(self._people.agents), self._buyers_here()
        if not buyers:
            return
        role, id = self._chance.choice([*((Role.AGENT, id) for id in agents), *((Role.BUYER, id) for id in buyers)])
        conversation_id = f"{self._cast.shop.shop.id}.{id if role is Role.BUYER else self._chance.choice(buyers)}"
        url, token = self._chance.choice(self._urls), self._people.token(role, id)
        with contextlib.closing(NeverReads(url, token, conversation_id)) as reader:
            try:
                await reader.start()
            except (OSError, TimeoutError):
                return  # nobody is at home there just now
            with self._trick(f"{role} {id}#deaf", "never_reads"):
                await _pause(stop, self._chance.uniform(*_NEVER_READS_FOR))

    @contextlib.contextmanager
    def _trick(self, who: str, name: str) -> Iterator[None]:
        self._history.note("fault", who, name=name, phase="begins", detail="")
        try:
            yield
        finally:
            self._history.note("fault", who, name=name, phase="ends", detail="")

    def _buyers_here(self) -> list[str]:
        names = [client.who for client in self.clients]
        return sorted({who.partition(" ")[2] for who in names if who.startswith("buyer") and "#" not in who})


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
