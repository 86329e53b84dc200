"""One run: people negotiate, things break, everything is mended, and then the whole history is judged.

Law: nothing is judged while anything is broken. When the time is over all faults are mended, what is open comes to its
end, everybody reads to the end of their logs, and only then the final state is read.
"""

import asyncio
import contextlib
import pickle
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.orders.shop import Shop
from bot.redis.connector import connect
from tests.faults.torture.cast import Cast, make_shop
from tests.faults.torture.checker import Terms, Violation, check
from tests.faults.torture.faults import Fault, Scene, faults_of
from tests.faults.torture.final import read_final
from tests.faults.torture.gateways import Fleet
from tests.faults.torture.history import History
from tests.faults.torture.leaks import at_rest
from tests.faults.torture.play import Play
from tests.faults.torture.stores import StoreName, make_store

WINDOW = timedelta(seconds=4)
"""To answer a card: shorter than some faults, so that deadlines pass while things are broken."""
PATIENCE = timedelta(seconds=60)
"""How long a person waits for one reply."""
BOUND = timedelta(seconds=25)
"""How late an outcome may be after its deadline or the end of what broke: the lease of a timer whose claimer died
(10 s), the reconciler's pause, and a busy machine."""
HISTORY, FINAL = "history.jsonl", "final.pickle"
"""What a run leaves in its folder, besides the logs of its gateways and the data."""
WARM_UP = 20
"""Cards before the first fault, and between two."""
SETTINGS = {
    "ASSENT_COMMANDS_PER_SECOND": "10000",
    "ASSENT_COMMAND_BURST": "10000",
    "ASSENT_RETRY_AFTER": "0.5",
    "ASSENT_RETRY_AT_MOST": "4",
    "ASSENT_ORDER_SYSTEM_TIMEOUT": "1.5",
    "ASSENT_RECONCILE": "6",
    "ASSENT_AGENT_GRACE": "8",
    "ASSENT_PRESENCE_LEASE": "6",
    "ASSENT_DRAIN": "5",
}
"""What makes minutes out of hours: the rules are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play. `faults` by name (None: all that the store can suffer); `planted` is a bug to be found.

    `alone`: each fault comes alone before there are mixes.
    """

    store: StoreName
    seconds: float
    seed: int
    gateways: int = 3
    buyers: int = 20
    agents: int = 4
    faults: Sequence[str] | None = None
    alone: bool = True
    planted: str | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. `folder` keeps history and logs if anything was violated, else None."""

    store: str
    seed: int
    negotiations: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    folder: Path | None = None


async def torture(plan: Plan, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Play the plan and judge it; `say` is told how it goes. Raises what makes a run impossible."""
    folder = Path(tempfile.mkdtemp(prefix="assent-torture-", dir="/tmp"))
    outcome = Outcome(plan.store, plan.seed, folder=folder)
    with History(folder / HISTORY) as history:
        await _play(plan, folder, history, outcome, say)
    outcome.faults = Counter(one.data["name"] for one in history.of("fault") if one.data["phase"] == "begins")
    if not outcome.violations:
        shutil.rmtree(folder, ignore_errors=True)
        outcome.folder = None
    return outcome


async def _play(plan: Plan, folder: Path, history: History, outcome: Outcome, say: Callable[[str], None]) -> None:
    chance = random.Random(plan.seed)
    cast = Cast(make_shop(plan.buyers, plan.agents), WINDOW)
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_store(plan.store, folder / "store"))
        connector = connect(store.url)
        stack.push_async_callback(connector.aclose)
        shop = Shop(connector.scripts)
        await shop.import_shop(cast.shop)
        settings = {**SETTINGS, "ASSENT_ANSWER_WINDOW": str(WINDOW.total_seconds()), **store.settings}
        fleet = await stack.enter_async_context(
            Fleet(folder, store, settings, size=plan.gateways, chance=random.Random(plan.seed), planted=plan.planted)
        )
        play = Play(cast, fleet.urls, fleet.secret, history, random.Random(plan.seed), shop=shop, patience=PATIENCE)
        stop = asyncio.Event()
        playing = asyncio.create_task(play.run(stop), name="play")
        try:
            breaking = _break(Scene(store, fleet, chance), play, history, plan, say)
            await _unless_over(playing, breaking)
            say("everything is mended; what is open comes to its end")
            stop.set()
            await playing
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        outcome.negotiations = play.negotiations
        say(f"{play.negotiations} negotiations; reading the final state")
        final = await read_final(store, fleet.urls, fleet.secret, cast)
        terms = Terms(promises=store.promises, window=WINDOW, bound=BOUND)
        (folder / FINAL).write_bytes(pickle.dumps((final, terms)))
        outcome.violations += check(history, final, terms)
        outcome.violations += [Violation("gateway", what) for what in fleet.failures()]
        outcome.violations += [Violation("growth", what) for what in await at_rest(store, fleet)]


async def _unless_over(playing: asyncio.Task[None], breaking: Coroutine[Any, Any, None]) -> None:
    """Break things, unless the players end, which they should not."""
    injecting = asyncio.create_task(breaking, name="break")
    try:
        await asyncio.wait([playing, injecting], return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            raise AssertionError("the players went home before the end")
        await injecting
    finally:
        injecting.cancel()
        await asyncio.gather(injecting, return_exceptions=True)


async def _break(scene: Scene, play: Play, history: History, plan: Plan, say: Callable[[str], None]) -> None:
    """Each fault alone, in random order; then mixes of up to one of each domain, until the time is over."""
    ends = time.monotonic() + plan.seconds
    faults = [one for one in faults_of(scene.store) if plan.faults is None or one.name in plan.faults]
    alone = scene.chance.sample(faults, len(faults) if plan.alone else 0)
    while time.monotonic() < ends:
        await _more(play, WARM_UP)
        if not faults:
            continue
        if alone:
            mix = [alone.pop()]
        else:
            domains = sorted({one.domain for one in faults})
            chosen = scene.chance.sample(domains, scene.chance.randint(1, len(domains)))
            mix = [scene.chance.choice([one for one in faults if one.domain == domain]) for domain in chosen]
        say(" + ".join(one.name for one in mix))
        async with asyncio.TaskGroup() as group:
            for one in mix:
                group.create_task(_inject(one, scene, history))


async def _inject(fault: Fault, scene: Scene, history: History) -> None:
    await asyncio.sleep(scene.chance.random())
    history.note("fault", name=fault.name, phase="begins", detail="")
    async with fault.begin(scene) as what:
        await asyncio.sleep(scene.chance.uniform(*fault.hold))
    history.note("fault", name=fault.name, phase="ends", detail=what)


async def _more(play: Play, cards: int) -> None:
    """Until so many more cards were sent: whatever was broken has healed when people negotiate again."""
    wanted = play.negotiations + cards
    async with asyncio.timeout(PATIENCE.total_seconds() * 2):
        while play.negotiations < wanted:
            await asyncio.sleep(0.05)


def judge_again(folder: Path) -> tuple[History, list[Violation]]:
    """The history that a run left in its folder, and what is wrong with it. Raises FileNotFoundError."""
    history = History.load(folder / HISTORY)
    final, terms = pickle.loads((folder / FINAL).read_bytes())
    return history, check(history, final, terms)
