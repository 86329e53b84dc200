"""The gateways of the harness: they die when they are told to, with just that in the store, and another finishes."""

import asyncio
import contextlib
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.auth import Tokens
from bot.client import ChatClient, Refused
from bot.documents.store import Loaded, Store
from bot.orders.shop import Shop
from bot.participant import Participant, Role
from bot.redis.connector import connect
from bot.transcript import Frame
from cards.proposal import FINAL, State
from scheduler.timers import Timers
from tests.faults.torture.gateways import Fleet, GatewayFailed
from tests.faults.torture.moments import Moment
from tests.flows.nanshan import shop_file

CHAT = "nanshan.lin-wan"
ORDER = "lin-wan-paid"
LEASE = 0.5


@dataclass
class Place:
    """The tests' server."""

    url: str
    settings: dict[str, str] = field(default_factory=dict)


class Stage:
    """A fleet, its store, and people; whatever it started ends with the test."""

    def __init__(self, redis_url: str, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.place = Place(redis_url)
        self.folder = folder
        self.stack = stack
        self.connector = connect(redis_url)
        stack.push_async_callback(self.connector.aclose)
        self.store = Store(self.connector.scripts)
        self.shop = Shop(self.connector.scripts)
        self.timers = Timers(self.connector.scripts)

    async def raise_fleet(self, size: int = 1, *, window: float = 60, planted: str | None = None) -> Fleet:
        """So many gateways, and a shop."""
        await self.shop.import_shop(shop_file())
        settings = {"ASSENT_ANSWER_WINDOW": str(window), "ASSENT_RETRY_AFTER": "0.3"}
        self.fleet = Fleet(
            self.folder, self.place, settings, size=size, chance=random.Random(1), planted=planted, lease=LEASE
        )
        return await self.stack.enter_async_context(self.fleet)

    def token(self, role: Role, id: str, lasts: float = 3600) -> str:
        """Who somebody is, for so many seconds."""
        expires = datetime.now(UTC) + timedelta(seconds=lasts)
        return Tokens(self.fleet.secret).sign(
            Participant(role=role, id=id, shop_id="nanshan", name=id, expires=expires)
        )

    async def person(self, role: Role, id: str, *gateways: int, lasts: float = 3600) -> ChatClient:
        """Somebody who comes back."""
        urls = [self.fleet.urls[number] for number in gateways or (0,)]
        client = ChatClient(urls, self.token(role, id, lasts), backoff=(0.05, 0.2), patience=20)
        return await self.stack.enter_async_context(client)

    async def scene(self, agent_at: int = 0, buyer_at: int = 0) -> "Scene":
        """An agent and a buyer, and their conversation."""
        agent = await self.person(Role.AGENT, "xiaoyu", agent_at)
        buyer = await self.person(Role.BUYER, "lin-wan", buyer_at)
        await agent.open("lin-wan")
        return Scene(self, agent, buyer)

    async def load(self, *proposals: str) -> Loaded:
        """The conversation as the store has it."""
        return await self.store.load(CHAT, proposals=proposals)

    async def sku(self) -> str:
        """What the order is for now."""
        return (await self.shop.order("nanshan", ORDER)).lines[0].sku_id


@dataclass
class Scene:
    """What an agent and a buyer do."""

    stage: Stage
    agent: ChatClient
    buyer: ChatClient

    async def propose(self) -> Frame:
        """The card, as the buyer sees it."""
        sent = await self.agent.propose(CHAT, ORDER, [{"line_id": "1", "to_sku": "white-s"}])
        return await self.sees(self.buyer, sent["proposal_id"], "pending")

    async def sees(self, client: ChatClient, proposal_id: str, state: str) -> Frame:
        """The card, once a client sees it in that state."""

        def found() -> Frame | None:
            card = client.cards(CHAT).get(proposal_id)
            return card if card and card["state"] == state else None

        card: Frame = await client.wait_for(found, 15)
        return card

    async def ends(self, proposal_id: str, state: str) -> None:
        """Both see that outcome, once; the agent is told once; nobody missed anything."""
        for client in (self.agent, self.buyer):
            await self.sees(client, proposal_id, state)
            cards = [entry["card"] for entry in client.logs[CHAT] if "card" in entry]
            assert [card["state"] for card in cards if card["state"] in FINAL] == [state]
            assert client.violations == []
        notices = [entry["notice"]["code"] for entry in self.agent.logs[CHAT] if "notice" in entry]
        assert notices == [state]


@pytest.fixture
async def stage(valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        yield Stage(valkey_url, tmp_path, stack)


async def dies(stage: Stage, moment: Moment, deed: Awaitable[Any] | None = None) -> "asyncio.Task[Any]":
    """The gateway dies at that moment while somebody does something, which goes on until it is answered."""
    doing = asyncio.ensure_future(deed or asyncio.sleep(0))
    assert await stage.fleet.doom(0, moment), f"{moment} did not come"
    assert not stage.fleet.alive(0)
    return doing


async def test_killed_between_consent_and_change(stage: Stage) -> None:
    """Seen to fail with the retry timer not armed before the consent, and no reconciler: it stayed `applying`."""
    await stage.raise_fleet()
    scene = await stage.scene()
    card = await scene.propose()
    answered = await dies(stage, "consent_and_change", scene.buyer.answer(card, "agree"))
    assert (await answered)["state"] == "applying"
    (proposal,) = (await stage.load(card["proposal_id"])).proposals
    assert proposal is not None
    assert (proposal.state, await stage.sku()) == (State.APPLYING, "white-m")
    await stage.fleet.restart(0)
    await scene.ends(card["proposal_id"], "agreed")
    assert (await stage.sku(), stage.fleet.failures()) == ("white-s", [])


async def test_killed_between_claim_and_timeout(stage: Stage) -> None:
    """Seen to fail with claims that remove the timer at once: nothing was left of it."""
    await stage.raise_fleet(window=0.5)
    scene = await stage.scene()
    card = await scene.propose()
    await dies(stage, "claim_and_timeout")
    loaded = await stage.load(card["proposal_id"])
    (proposal,) = loaded.proposals
    assert proposal is not None
    assert (proposal.state, loaded.now >= proposal.deadline) == (State.PENDING, True)
    timer = f"expire:{CHAT}:{proposal.id}"
    claimed = await stage.timers.claim_due(stage.timers.bucket_of(timer))
    assert await stage.timers.due_of(timer) == proposal.deadline
    assert (claimed.claims, claimed.next_due is not None) == ((), True), "nobody has the lease"
    await stage.fleet.restart(0)
    await scene.ends(card["proposal_id"], "timed_out")
    assert (await stage.sku(), stage.fleet.failures()) == ("white-m", [])


@pytest.mark.parametrize("moment", ["between_commits", "change_and_commit"])
async def test_killed_between_change_and_outcome(
    stage: Stage, moment: Literal["between_commits", "change_and_commit"]
) -> None:
    """Seen to fail with a new change id for each try: the second was refused, and the card became invalid."""
    await stage.raise_fleet()
    scene = await stage.scene()
    card = await scene.propose()
    answered = await dies(stage, moment, scene.buyer.answer(card, "agree"))
    (proposal,) = (await stage.load(card["proposal_id"])).proposals
    assert proposal is not None
    assert (proposal.state, await stage.sku()) == (State.APPLYING, "white-s")
    await stage.fleet.restart(0)
    assert (await answered)["state"] == "applying"
    await scene.ends(card["proposal_id"], "agreed")
    assert (await stage.sku(), stage.fleet.failures()) == ("white-s", [])


async def test_killed_between_arming_and_card(stage: Stage) -> None:
    """Seen to fail with the timer armed after the commit: there was none."""
    await stage.raise_fleet()
    scene = await stage.scene()
    command_id = str(uuid.uuid4())
    proposal_id = command_id.replace("-", "")
    changes = [{"line_id": "1", "to_sku": "white-s"}]
    proposing = scene.agent.command(
        "propose", command_id=command_id, conversation_id=CHAT, order_id=ORDER, changes=changes, waive_difference=False
    )
    proposed = await dies(stage, "armed_and_commit", proposing)
    assert (await stage.load(proposal_id)).proposals == (None,)
    assert await stage.timers.due_of(f"expire:{CHAT}:{proposal_id}") is not None
    await stage.fleet.restart(0)
    assert (await proposed)["proposal_id"] == proposal_id
    card = await scene.sees(scene.buyer, proposal_id, "pending")
    await scene.buyer.answer(card, "reject")
    await scene.ends(proposal_id, "rejected")
    assert stage.fleet.failures() == []


async def test_killed_between_commit_and_reply(stage: Stage) -> None:
    """Seen to fail with no reply kept: the buyer was told that somebody had answered already."""
    await stage.raise_fleet()
    scene = await stage.scene()
    card = await scene.propose()
    answered = await dies(stage, "commit_and_reply", scene.buyer.answer(card, "reject"))
    (proposal,) = (await stage.load(card["proposal_id"])).proposals
    assert proposal is not None
    assert (proposal.state, answered.done()) == (State.REJECTED, False)
    await stage.fleet.restart(0)
    assert (await answered)["state"] == "rejected"
    await scene.ends(card["proposal_id"], "rejected")
    assert stage.fleet.failures() == []


async def test_a_moment_that_does_not_come_kills_nobody(stage: Stage) -> None:
    fleet = await stage.raise_fleet()
    scene = await stage.scene()
    assert not await fleet.doom(0, "between_commits", limit=0.1)
    card = await scene.propose()
    await scene.buyer.answer(card, "agree")
    await scene.ends(card["proposal_id"], "agreed")
    assert (fleet.alive(0), fleet.failures()) == (True, [])


async def test_clocks_that_are_a_minute_off_decide_nothing(stage: Stage) -> None:
    """The agent's gateway is a minute ahead, the buyer's a minute behind; deadlines and entries are of the store's.

    Only tokens are read by a gateway's own clock, as those who issue them are strangers to the store.

    Seen to fail with decisions made by the gateway's clock, and without a look at the store's at the start.
    """
    fleet = await stage.raise_fleet(2, window=1)
    scene = await stage.scene(0, 1)
    await fleet.skew(0, 60)
    await fleet.skew(1, -60)
    for number in (0, 1):  # before anything was read for anybody
        assert abs((await fleet.figures(number))["server_ms"] - time.time() * 1000) < 2000
    for number, off in enumerate((60_000, -60_000)):
        figures = await fleet.figures(number)
        for clock in ("wall_ms", "now_ms"):
            assert abs(figures[clock] - time.time() * 1000 - off) < 2000
    card = await scene.propose()
    assert abs(card["created_ms"] - time.time() * 1000) < 5000
    assert card["deadline_ms"] - card["created_ms"] == 1000
    await scene.ends(card["proposal_id"], "timed_out")
    for client in (scene.agent, scene.buyer):
        entry = client.logs[CHAT][-1]
        assert 0 <= entry["at_ms"] - card["deadline_ms"] < 2000
        assert abs(entry["now_ms"] - entry["at_ms"]) < 1000
    with pytest.raises(Refused, match="token_expired"):
        await stage.person(Role.BUYER, "chen-mo", 0, lasts=30)
    assert abs((await fleet.figures(1))["server_ms"] - time.time() * 1000) < 2000
    assert fleet.failures() == []


async def test_deaf_to_alarms_a_deadline_is_told_all_the_same(stage: Stage) -> None:
    fleet = await stage.raise_fleet(window=0.5)
    await fleet.deafen(0)
    scene = await stage.scene()
    card = await scene.propose()
    await scene.ends(card["proposal_id"], "timed_out")


async def test_figures_come_back_to_where_they_were(stage: Stage) -> None:
    fleet = await stage.raise_fleet()
    await stage.scene()
    before = await fleet.figures(0)
    assert before["sessions"] == before["sockets"] == 2
    assert before["channels"] == 3, "an agent's, a buyer's and the desk's"
    assert before["tasks"]["timers"] == 65
    assert before["rss_bytes"] > 20_000_000
    idle = {name: before[name] for name in ("sessions", "sockets", "channels", "fds")}
    idle |= dict.fromkeys(("under_way", "background", "catching", "timers"), 0)
    async with contextlib.AsyncExitStack() as stack:
        token = stage.token(Role.BUYER, "chen-mo")
        for _ in range(5):
            await stack.enter_async_context(ChatClient(fleet.urls[0], token))
        during = await fleet.figures(0)
        assert (during["sessions"], during["channels"]) == (7, 4)
        assert during["fds"] >= before["fds"] + 5
    async with asyncio.timeout(15):
        while not (after := await fleet.figures(0)).items() >= idle.items():
            await asyncio.sleep(0.05)
    assert after["gc_objects"] < before["gc_objects"] * 1.5, "five more came and went; see test_no_growth"


async def test_a_rolling_restart_and_a_pause_are_no_failures(stage: Stage) -> None:
    fleet = await stage.raise_fleet(2)
    scene = await stage.scene(0, 1)
    urls = fleet.urls
    await fleet.roll()
    await fleet.pause(0)
    await fleet.resume(0)
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    await scene.ends(card["proposal_id"], "rejected")
    assert (fleet.urls, fleet.failures()) == (urls, [])


async def test_an_end_that_nobody_asked_for_is_a_failure(stage: Stage) -> None:
    fleet = await stage.raise_fleet(2)
    os.kill((await fleet.figures(0))["pid"], signal.SIGKILL)
    async with asyncio.timeout(15):
        while fleet.alive(0):
            await asyncio.sleep(0.01)
    await fleet.kill(1)
    (failure,) = fleet.failures()
    assert failure.startswith("gateway-0 ended by itself (status -9)")
    assert not await fleet.doom(0, "between_commits")


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ("WARNING bot.redis.link: Redis connection lost: gone\n", False),
        ("ERROR   bot.replies: a command failed unexpectedly\n", True),
        ("ERROR   asyncio: Task was destroyed but it is pending!\n", True),
        ("WARNING bot.flows.deciding: {}; a timer, an event or the reconciler will make up for it\n{}{}", False),
        (
            "WARNING bot.flows.deciding: {}; a timer, an event or the reconciler will make up for it\n{}KeyError: 1",
            True,
        ),
        ("ERROR   bot.redis.subscriber: a message was not understood\n{}{}", True),
    ],
)
async def test_what_no_gateway_should_log_is_a_failure(stage: Stage, lines: str, counts: bool) -> None:
    """Work that is done again by itself is excused when the store or the order system was away, and only then."""
    await stage.raise_fleet(0)
    fleet = Fleet(stage.folder, stage.place, {}, size=1, chance=random.Random(1))
    at, trace = "2026-01-01 00:00:00,000", 'Traceback (most recent call last):\n  File "x.py", line 1, in x\n'
    words = [trace, "redis.exceptions.ConnectionError: no reply"]
    if lines.count("{}") == 3:
        words.insert(0, "changing an order failed")
    elif "KeyError" in lines:
        words = ["changing an order failed", trace]
    (stage.folder / "gateway-0.log").write_text(f"{at} INFO    a: b\n{at} {lines.format(*words)}\n{at} INFO    c: d\n")
    assert bool(fleet.failures()) is counts


async def test_a_planted_bug_is_in_the_gateway(stage: Stage) -> None:
    await stage.raise_fleet(planted="double_notice")
    scene = await stage.scene()
    card = await scene.propose()
    await scene.buyer.answer(card, "reject")
    await scene.agent.wait_for(lambda: len([one for one in scene.agent.logs[CHAT] if "notice" in one]) == 2, 10)


async def test_a_gateway_that_cannot_start_says_why(stage: Stage) -> None:
    fleet = await stage.raise_fleet()
    await fleet.drain(0)
    fleet._gateways[0].config.environment["ASSENT_ANSWER_WINDOW"] = "soon"
    with pytest.raises(GatewayFailed, match="ASSENT_ANSWER_WINDOW=soon"):
        await fleet.restart(0)
