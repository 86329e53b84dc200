"""The demo as its user meets it: a guide, people who answer, and nothing lost when all of it is killed."""

import json
import os
import re
import select
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.client import ChatClient
from bot.demo.buyers import next_act
from bot.demo.cast import CAST, FIRST_ORDER, FIRST_WORDS, SUPERVISOR, UNPLAYED, Persona
from bot.shopfile import DEMO, load
from tests.bot.command_line import LIMIT, CommandLine, Running, client

SHOP = "qingmu"
HERS = f"{SHOP}.{UNPLAYED}"


@pytest.fixture
async def commands() -> AsyncIterator[CommandLine]:
    async with CommandLine(ASSENT_DEMO_PACE="0") as commands:
        yield commands


class Demo:
    """A demo that runs: what its guide says, and its two processes."""

    def __init__(self, running: Running, folder: Path, guide: str) -> None:
        self.running = running
        self.guide = guide
        self.folder = folder
        self.url = re.findall(r"ws://\S+/ws", guide)[0]
        self.valkey = int((folder / "valkey" / "lock").read_text().split()[1])
        self._valkey_ends = os.pidfd_open(self.valkey)

    def token(self, person_id: str) -> str:
        """The ready-made token of the guide, in the address of that person's page."""
        return re.findall(
            rf"^  {person_id} .*\n +http://\S+/(?:workbench|chat)#token=(ey\S+)$", self.guide, re.MULTILINE
        )[0]

    def person(self, person_id: str, cursors: dict[str, int] | None = None) -> ChatClient:
        """A client of one's own; `cursors` says what it has seen already of which conversations."""
        person = client(self.url, self.token(person_id))
        person.cursors |= cursors or {}
        return person

    def valkey_has_ended(self) -> bool:
        ended = bool(select.select([self._valkey_ends], [], [], LIMIT)[0])
        os.close(self._valkey_ends)
        return ended

    async def kill(self) -> None:
        """Kill everything, with -9, and wait until it is gone."""
        self.running.signal(signal.SIGKILL)
        os.kill(self.valkey, signal.SIGKILL)
        await self.running.ended()
        assert self.valkey_has_ended()


async def start(commands: CommandLine, folder: Path, *options: str) -> Demo:
    running = await commands.start("demo", "--data", str(folder), "--port", "0", *options)
    return Demo(running, folder, await running.until(lambda out: "Ctrl-C stops it" in out))


async def entries_of(agent: ChatClient, conversation_id: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await agent.history(conversation_id, limit=200))["entries"]
    return entries


def states(entries: list[dict[str, Any]], proposal_id: str) -> list[str]:
    return [entry["card"]["state"] for entry in entries if entry.get("card", {}).get("proposal_id") == proposal_id]


async def until_state(agent: ChatClient, conversation_id: str, proposal_id: str, state: str) -> None:
    await agent.wait_for(lambda: agent.cards(conversation_id).get(proposal_id, {}).get("state") == state)


async def test_everything_survives_being_killed(commands: CommandLine, tmp_path: Path) -> None:
    """Killed twice: with a card whose deadline passes meanwhile, then with one that waits on.

    Seen to fail with `appendonly no`, with an import at every start, and with buyers who begin at the log's end.
    """
    folder = tmp_path / "var"
    demo = await start(commands, folder, "--window", "2s")
    async with demo.person("xiaoyu") as agent:
        # A simulated buyer writes, and agrees to what they asked for.
        his = f"{SHOP}.chen-mo"
        await agent.wait_for(lambda: his in agent.conversations)
        await agent.open("chen-mo")
        agreed = await agent.propose(
            his, "QM1019", [{"line_id": "1", "to_sku": "bedding-matcha-20"}], waive_difference=True
        )
        await until_state(agent, his, agreed["proposal_id"], "agreed")
        # Nobody plays this buyer: her card waits.
        await agent.open(UNPLAYED)
        missed = await agent.propose(HERS, "QM1023", [{"line_id": "1", "to_sku": "tee-grey-m"}])
        await demo.kill()

    demo = await start(commands, folder)
    assert "as you left it" in demo.guide
    async with demo.person("xiaoyu", {HERS: 0}) as agent:
        await until_state(agent, HERS, missed["proposal_id"], "timed_out")
        waiting = await agent.propose(HERS, "QM1027", [{"line_id": "1", "to_sku": "thermos-white-500"}])
        await demo.kill()

    demo = await start(commands, folder)
    async with demo.person("ahe") as other, demo.person(UNPLAYED) as buyer:
        entries = await entries_of(other, HERS)
        assert states(entries, missed["proposal_id"]) == ["pending", "timed_out"]
        timed_out = next(entry for entry in entries if entry.get("notice", {}).get("code") == "timed_out")
        assert timed_out["notice"]["agent_id"] == "xiaoyu"
        assert timed_out["at_ms"] >= missed["deadline_ms"]
        assert states(entries, waiting["proposal_id"]) == ["pending"]

        card = next(entry["card"] for entry in entries if states([entry], waiting["proposal_id"]))
        assert (await buyer.answer(card, "agree"))["state"] == "applying"
        await until_state(buyer, HERS, waiting["proposal_id"], "agreed")
        # The order stays as he agreed, and the buyers went on where they were: none began anew.
        (order,) = [order for order in await other.orders(his) if order["id"] == "QM1019"]
        assert order["lines"][0]["sku_id"] == "bedding-matcha-20"
        for persona in CAST:
            said = [
                entry["text"]["text"] for entry in await entries_of(other, f"{SHOP}.{persona.id}") if "text" in entry
            ]
            assert [said.count(line) for line in persona.opening] == [1] * len(persona.opening)

    demo.running.signal(signal.SIGTERM)
    assert (await demo.running.ended()).status == 0


async def test_ctrl_c_stops_all_of_it_cleanly(commands: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "var"
    demo = await start(commands, folder)
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    async with demo.person("xiaoyu"):
        demo.running.signal(signal.SIGINT)
        ended = await demo.running.ended()
    assert ended.status == 0
    assert ended.err == ""
    assert "Stopped." in ended.out
    assert demo.valkey_has_ended()
    assert not (folder / "demo.json").exists()


async def test_a_taken_port_and_a_taken_folder(commands: CommandLine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        first = await commands.start("demo", "--data", str(tmp_path), "--port", str(port))
        guide = await first.until(lambda out: "Ctrl-C stops it" in out)
    assert f"Port {port} is in use; this one listens on " in guide

    second = await commands.run("demo", "--data", str(tmp_path), "--port", "0", "--json")
    assert second.status == 1
    assert re.match(r"error: .*valkey is in use: process \d+ runs a server on it", second.err)
    assert second.err.count("\n") == 1


async def test_for_machines_it_says_one_line(commands: CommandLine, tmp_path: Path) -> None:
    running = await commands.start("demo", "--data", str(tmp_path), "--port", "0", "--window", "30s", "--json")
    facts = json.loads(await running.until(lambda out: out.endswith("\n")))
    assert facts["tokens"].keys() == {"xiaoyu", "ahe", "lin-wan", "an-lan"}
    assert (facts["shop"], facts["window_ms"], facts["data"]) == (SHOP, 30_000, str(tmp_path))
    async with client(facts["ws"], facts["tokens"]["ahe"]) as agent:
        assert agent.welcome["participant"]["name"] == "阿禾"
    running.signal(signal.SIGTERM)
    assert (await running.ended()).out.count("\n") == 1


async def test_the_stage_has_all_it_needs(commands: CommandLine, tmp_path: Path) -> None:
    demo = await start(commands, tmp_path)
    url = re.findall(r"Open this +(http://\S+/)$", demo.guide, re.MULTILINE)[0]
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as page:
            assert "/web/stage.js" in await page.text()
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        async with http.get(f"{url}demo/session") as response:
            session = await response.json()
    assert session["order_id"] == FIRST_ORDER
    people = {person["id"]: person for person in session["people"]}
    assert [people[id]["role"] for id in ("xiaoyu", "ahe", "an-lan", "lin-wan")] == [
        *("agent", "agent", "supervisor", "buyer")
    ]
    async with client(demo.url, people["an-lan"]["token"]) as supervisor:
        assert supervisor.welcome["participant"]["role"] == "supervisor"
    async with client(demo.url, people["xiaoyu"]["token"]) as agent:
        # Whom the user plays has written already, once, however often the demo was started.
        await agent.open(UNPLAYED)
        await demo.kill()
    demo = await start(commands, tmp_path)
    async with demo.person("ahe") as agent:
        entries = await entries_of(agent, HERS)
    assert [entry["text"]["text"] for entry in entries if "text" in entry] == [FIRST_WORDS]


PERSONA = Persona(
    "a", 3, ("one", "two"), ("ignore", "agree"), "no", frozenset({"wanted"}), ("yes", "fine"), {"agreed": "ta"}
)


def text(role: str, words: str, seq: int = 1) -> dict[str, Any]:
    return {"seq": seq, "text": {"by": {"role": role}, "text": words}}


def card(id: str, state: str, sku: str = "wanted") -> dict[str, Any]:
    shown = {"proposal_id": id, "state": state, "lines": [{"to_sku": sku}], "created_ms": 0, "deadline_ms": 20_000}
    return {"seq": 1, "card": shown}


ONE, TWO, HELLO = text("buyer", "one"), text("buyer", "two"), text("agent", "hello")


@pytest.mark.parametrize(
    ("log", "act"),
    [
        ([], ("say", "one")),
        ([ONE], ("say", "two")),
        ([ONE, TWO], None),
        ([ONE, TWO, HELLO], ("say", "yes")),
        ([ONE, TWO, HELLO, text("buyer", "yes")], None),
        ([ONE, TWO, HELLO, text("buyer", "yes"), HELLO], ("say", "fine")),
        ([text("agent", "much later", seq=900)], ("say", "yes")),
        ([ONE, TWO, card("1", "pending")], None),
        ([ONE, TWO, card("1", "pending"), card("1", "timed_out")], None),
        ([ONE, TWO, card("1", "timed_out"), card("2", "pending")], ("agree", None)),
        ([ONE, TWO, card("1", "timed_out"), card("2", "pending", "another")], ("reject", "no")),
        ([ONE, TWO, card("1", "timed_out"), card("2", "applying")], None),
        ([ONE, TWO, card("1", "timed_out"), card("2", "agreed")], ("say", "ta")),
        ([ONE, TWO, card("1", "timed_out"), card("2", "agreed"), text("buyer", "ta")], None),
    ],
)
def test_what_a_buyer_does_follows_from_the_log(log: list[dict[str, Any]], act: tuple[str, str | None] | None) -> None:
    done = next_act(PERSONA, log)
    assert (done and (done.what, done.text)) == act


def test_a_short_window_still_sees_answers() -> None:
    act = next_act(PERSONA, [ONE, TWO, card("1", "timed_out"), card("2", "pending")])
    assert act is not None
    assert act.pause == (10, 10)


def test_the_cast_are_people_of_the_shop_and_want_what_it_sells() -> None:
    shop = load(DEMO)
    buyers = {buyer.id for buyer in shop.buyers}
    assert {persona.id for persona in CAST} | {UNPLAYED} == buyers
    assert SUPERVISOR[0] not in {*buyers, *(agent.id for agent in shop.agents)}
    assert FIRST_ORDER in {order.id for order in shop.orders if order.buyer_id == UNPLAYED}
    skus = {sku.id for product in shop.products for sku in product.skus if sku.on_sale and sku.stock}
    assert all(persona.wants <= skus for persona in CAST)
    assert {temper for persona in CAST for temper in persona.tempers} == {"agree", "reject", "ignore"}
