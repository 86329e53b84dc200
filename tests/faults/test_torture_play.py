"""The people of the torture, where nothing breaks but their own networks: they do all they can do, and end."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.client import CommandFailed
from bot.orders.shop import Shop
from bot.participant import Role
from bot.redis.connector import connect
from bot.shopfile import load
from bot.transcript import Frame
from cards.proposal import FINAL
from tests.faults.torture.cast import Cast, make_shop
from tests.faults.torture.history import History, Kind
from tests.faults.torture.life import live
from tests.faults.torture.manners import MISCHIEF, Doubler, HalfFrame, Laggard, NeverReads
from tests.faults.torture.people import People
from tests.faults.torture.play import Play
from tests.faults.torture.recorder import Manner
from tests.flows.town import SECRET, Town
from tests.until import until

WINDOW = timedelta(seconds=1.5)
CAST = Cast(make_shop(8, 3), WINDOW)
KEPT = {"say", "propose", "answer", "withdraw", "transfer", "remind"}
"""Commands whose first `ok` is given again to every copy."""


def test_the_shop_can_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text(CAST.shop.model_dump_json())
    assert load(path) == CAST.shop
    assert CAST.places == 8


@pytest.fixture
async def shop(town: Town) -> Shop:
    """Beside the town's, over a connection of its own; two gateways serve it."""
    for _ in range(2):
        await town.gateway(answer_window=WINDOW, buffer_bytes=32 * 1024)
    connector = connect(town.redis_url)
    town.stack.push_async_callback(connector.aclose)
    shop = Shop(connector.scripts)
    await shop.import_shop(CAST.shop)
    return shop


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def play(town: Town, shop: Shop, history: History) -> Play:
    urls, chance = tuple(gateway.url for gateway in town.gateways), random.Random(7)
    patience, often = timedelta(seconds=20), timedelta(seconds=0.3)
    return Play(CAST, urls, SECRET, history, chance, shop=shop, patience=patience, restless=often, stays_for=8)


async def test_everything_happens_and_all_of_it_is_on_record(play: Play, history: History) -> None:
    """As long as it takes for everything to happen once; then nobody is left, and no card is open."""
    stop = asyncio.Event()
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        group.create_task(play.run(stop))
        while play.negotiations < 100 or set(play.mischief) < set(MISCHIEF):
            await asyncio.sleep(0.1)
        stop.set()
    assert play.clients == []
    assert (play.behind, play.violations) == ([], [])

    ends = Counter(record.data["id"] for record in history.of("answered", "gave_up"))
    assert ends == {record.data["id"]: 1 for record in history.of("sent")}

    cards = [frame["card"] for frame in told(history, "entry") if "card" in frame]
    assert {card["state"] for card in cards} == {"pending", "applying", *FINAL}
    settled = {card["proposal_id"] for card in cards if card["state"] in FINAL}
    assert settled == {card["proposal_id"] for card in cards}
    assert len(settled) == play.negotiations

    buyers = {record.who for record in history.of("connected") if record.who.startswith("buyer")}
    assert len({who.partition("#")[0] for who in buyers}) > CAST.places, "nobody left for good"
    check_presence(history)
    check_copies(history)


def told(history: History, type: str) -> list[Frame]:
    """What everybody was told of that type."""
    frames = [record.data["frame"] for record in history.of("told")]
    return [frame for frame in frames if frame["type"] == type]


def check_presence(history: History) -> None:
    """Everybody was told things while connected only, and is gone in the end."""
    there: Counter[str] = Counter()
    steps: dict[Kind, int] = {"connected": 1, "lost": -1, "told": 0, "answered": 0}
    for record in history.of(*steps):
        before, step = there[record.who], steps[record.kind]
        assert before == (0 if record.kind == "connected" else 1), record
        there[record.who] = before + step
    assert not any(there.values())


def check_copies(history: History) -> None:
    """There were copies, and each was answered as the first one was."""
    types = {record.data["id"]: record.data["command"]["type"] for record in history.of("sent")}
    first = {record.data["id"]: record.data["frame"] for record in history.of("answered")}
    copies = [copy for copy in told(history, "ok") if types[copy["re"]] in KEPT and first[copy["re"]]["type"] == "ok"]
    assert copies
    assert all(copy == first[copy["re"]] for copy in copies)


@pytest.fixture
async def people(town: Town, shop: Shop, history: History) -> Any:
    urls = tuple(gateway.url for gateway in town.gateways)
    patience = timedelta(seconds=1.5)
    async with People(CAST, urls, SECRET, history, random.Random(1), patience, lambda card: None) as people:
        yield people


def of(history: History, kind: Kind, who: str) -> list[dict[str, Any]]:
    """What is on record of that kind about somebody."""
    return [record.data for record in history.of(kind) if record.who == who]


@pytest.mark.parametrize("manner", ["half_frame", "doubled", "delayed"])
async def test_a_command_sent_badly_is_carried_out_once(people: People, history: History, manner: str) -> None:
    buyer, second = await people.come(Role.BUYER, "b1"), await people.come(Role.BUYER, "b1")
    manners: dict[str, Manner] = {"half_frame": HalfFrame(), "doubled": Doubler(second, 0.1), "delayed": Laggard(0.3)}
    buyer.manner = manners[manner]
    said = await buyer.say("tide.b1", "at last")
    await second.wait_for(lambda: said["seq"] in [entry["seq"] for entry in second.logs.get("tide.b1", [])])
    if manner == "half_frame":
        assert (len(of(history, "connected", "buyer b1")), len(of(history, "lost", "buyer b1"))) == (2, 1)
    if manner == "doubled":
        await second.wait_for(
            lambda: [one for one in of(history, "told", "buyer b1#2") if one["frame"]["type"] == "ok"]
        )
        assert len([one for one in of(history, "told", "buyer b1") if one["frame"]["type"] == "ok"]) == 1
    assert len(of(history, "sent", "buyer b1")) == len(of(history, "answered", "buyer b1")) == 1
    assert [entry["text"]["text"] for entry in second.logs["tide.b1"] if "text" in entry] == ["at last"]
    assert [fault["phase"] for fault in of(history, "fault", "buyer b1")] == ["begins", "ends"]


async def test_who_never_reads_is_cut_off(people: People, town: Town) -> None:
    buyer = await people.come(Role.BUYER, "b1")
    for number in range(40):
        await buyer.say("tide.b1", f"{number} {'话' * 1900}")
    reader = NeverReads(town.gateways[1].url, people.token(Role.BUYER, "b1"), "tide.b1")
    await reader.start()
    sessions = town.gateways[1].house.fanout
    deaf = await until(lambda: [one for one in sessions.sessions if one.who.id == "b1"])
    await until(lambda: deaf[0].closing is not None)
    reader.close()


async def test_an_answer_that_nobody_waits_for_any_more_is_told(people: People, history: History, town: Town) -> None:
    """The store answers nobody for longer than the buyer is patient."""
    buyer = await people.come(Role.BUYER, "b1")
    await (await town.redis()).client_pause(2500)
    assert (await live(buyer.say("tide.b1", "anybody?")))["type"] == "gave_up"
    (sent,) = of(history, "sent", "buyer b1")
    await until(lambda: sent["id"] in [one["frame"].get("re") for one in of(history, "told", "buyer b1")])
    assert of(history, "gave_up", "buyer b1") == [{"id": sent["id"]}]
    assert of(history, "answered", "buyer b1") == []


async def test_what_nobody_foresaw_is_raised() -> None:
    async def fails(code: str) -> Frame:
        raise CommandFailed({"code": code})

    assert (await live(fails("already_settled")))["code"] == "already_settled"
    with pytest.raises(CommandFailed):
        await live(fails("internal"))


async def test_a_client_that_breaks_ends_the_play_loudly(play: Play) -> None:
    """Seen to fail when the client's own task may end in silence: everybody waited for answers that never came."""

    def broken(card: Frame) -> None:
        raise ZeroDivisionError

    play._people._on_card = broken
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(10):
            await play.run(asyncio.Event())
    assert raised.group_contains(ZeroDivisionError)
    assert play.clients == []
