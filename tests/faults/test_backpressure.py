"""Redis slower than the load, or without memory: refused quickly, nothing that was taken is lost, and it passes."""

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import orjson
import pytest
from redis.asyncio import Redis

from bot.client import ChatClient, CommandFailed
from bot.participant import Role
from tests.bot.command_line import SECRET, CommandLine
from tests.flows.gateway.wire import Frame, Wire, introduced
from tests.flows.town import Town

BOUND = 300
SESSIONS = 40
EACH = 250
TEXT = "话" * 1900


def say(buyer: str, number: int) -> Frame:
    """Some 6 KB."""
    text = f"<{buyer} {number}>{TEXT}"
    return {"type": "say", "id": str(uuid.uuid4()), "conversation_id": f"nanshan.{buyer}", "text": text}


def memory_mib(pid: int) -> float:
    """Resident memory of a process; 0 where there is no /proc."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
    return 0.0


async def texts_in_the_log(redis: Redis) -> Counter[str]:
    """How often each text was said, by what stands between its angle brackets."""
    found: Counter[str] = Counter()
    async for key in redis.scan_iter("chat:*:log"):
        for _, entry in await redis.xrange(key):
            if (text := orjson.loads(entry["e"]).get("text")) is not None:
                found[text.partition(">")[0].removeprefix("<")] += 1
    return found


async def test_a_store_that_hangs_has_so_many_commands_waiting_and_no_more(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """10,000 commands of 40 sessions, 60 MB, come while Redis takes no write. All but 300 are refused while it hangs;
    the 300 are answered when it goes on, and are in the log, once each; the others are not.

    Seen to fail without the bound: nothing was refused until it went on.
    """
    redis = await town.redis()
    settings = {
        "ASSENT_SECRET": SECRET,
        "ASSENT_COMMANDS_PER_SECOND": "100000",
        "ASSENT_COMMAND_BURST": "100000",
        "ASSENT_COMMANDS_UNDER_WAY": str(EACH),
        "ASSENT_COMMANDS_AT_ONCE": str(BOUND),
    }
    async with CommandLine(REDIS_URL=town.redis_url, **settings) as commands:
        running = await commands.start("serve", "--port", "0", "--json")
        url = orjson.loads(await running.until(lambda out: "\n" in out))["ws"]
        gateway: Any = SimpleNamespace(url=url)
        buyers = [f"buyer-{number}" for number in range(SESSIONS)]
        wires = await asyncio.gather(*[introduced(town, Role.BUYER, buyer, gateway) for buyer in buyers])
        before = memory_mib(running.process.pid)

        await redis.client_pause(9000, all=False)
        frames = {buyer: [say(buyer, number) for number in range(EACH)] for buyer in buyers}
        refused: set[str] = set()
        slowest = 0.0

        async def flood(wire: Wire, buyer: str) -> None:
            for frame in frames[buyer]:
                await wire.say(frame)

        async def hear(wire: Wire) -> None:
            nonlocal slowest
            while len(refused) < SESSIONS * EACH - BOUND:
                answer = await wire.answer()
                assert answer["code"] == "busy", answer
                assert 100 <= answer["retry_after_ms"] <= 10_000
                refused.add(answer["re"])
                slowest = time.monotonic() - began
            all_refused.set()

        all_refused = asyncio.Event()
        began = time.monotonic()
        flooding = asyncio.gather(*[flood(wire, buyer) for wire, buyer in zip(wires, buyers, strict=True)])
        hearing = [asyncio.create_task(hear(wire)) for wire in wires]
        async with asyncio.timeout(8):
            await flooding
            await all_refused.wait()
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
        while_it_hung = memory_mib(running.process.pid)
        await redis.client_unpause()

        taken = {
            frame["id"]: f"{buyer} {number}"
            for buyer in buyers
            for number, frame in enumerate(frames[buyer])
            if frame["id"] not in refused
        }
        assert len(taken) == BOUND
        for wire, buyer in zip(wires, buyers, strict=True):
            mine = {frame["id"] for frame in frames[buyer]} & taken.keys()
            answers = [await wire.answer() for _ in mine]
            assert {answer["re"] for answer in answers if answer["type"] == "ok"} == mine
        assert await texts_in_the_log(redis) == Counter(taken.values())

        began = time.monotonic()
        for wire, buyer in zip(wires, buyers, strict=True):
            assert (await wire.ask("say", conversation_id=f"nanshan.{buyer}", text="又好了"))["type"] == "ok"
        quick = (time.monotonic() - began) / SESSIONS
        after = memory_mib(running.process.pid)
    with capsys.disabled():
        print(
            f"\n{SESSIONS * EACH} commands at a store that hangs: {BOUND} taken, {len(refused)} refused "
            f"within {slowest:.2f} s\nits memory: {before:.0f} MiB before, {while_it_hung:.0f} while Redis hung, "
            f"{after:.0f} after; a command afterwards: {1000 * quick:.1f} ms"
        )


class SlowLine:
    """A socket in front of a server's that lets only so many bytes through to it in a second, on each connection."""

    def __init__(self, url: str, path: Path, bytes_per_second: float) -> None:
        self.url = f"unix://{quote(str(path))}"
        self.bytes_per_second = bytes_per_second
        self._to = unquote(urlsplit(url).path)
        self._path = path
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "SlowLine":
        self._server = await asyncio.start_unix_server(self._line, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._to)
        pumps = [self._pump(reader, to_server, slow=True), self._pump(from_server, writer, slow=False)]
        for pump in pumps:
            task = asyncio.create_task(pump)
            self._lines.add(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while chunk := await reader.read(4096):
                if slow:
                    await asyncio.sleep(len(chunk) / self.bytes_per_second)
                writer.write(chunk)
                await writer.drain()


@pytest.fixture
async def slow_line(valkey_url: str, short_folder: Path) -> AsyncIterator[SlowLine]:
    """100 KB a second: some fifty messages."""
    async with SlowLine(valkey_url, short_folder / f"{uuid.uuid4().hex[:8]}.sock", 100_000) as line:
        yield line


async def test_clients_who_come_again_are_all_served_by_a_store_that_is_slow(
    slow_line: SlowLine, town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 people say four things each, one after the other; ten may be under way. All is said, once, and never more
    than ten are under way.

    Seen to fail without the bound: sixty were under way.
    """
    redis = await town.redis()
    town.redis_url = slow_line.url
    gateway = await town.gateway(commands_at_once=10)
    under_way = most = 0
    commands = gateway.house.gateway._commands
    run = commands.run

    async def counted(*command: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await run(*command)
        finally:
            under_way -= 1

    commands.run = counted  # type: ignore[method-assign]
    refusals: Counter[str] = Counter()

    def told(client: ChatClient) -> Callable[[Frame], None]:
        answered = client._answered

        def answer(frame: Frame) -> None:
            if frame["type"] == "error":
                refusals[frame["code"]] += 1
            answered(frame)

        return answer

    buyers = [f"buyer-{number}" for number in range(60)]
    clients = [await town.buyer(buyer, patience=60) for buyer in buyers]
    for client in clients:
        client._answered = told(client)  # type: ignore[method-assign]

    async def talk(client: ChatClient, buyer: str) -> None:
        for number in range(4):
            await client.say(f"nanshan.{buyer}", f"<{buyer} {number}>")

    began = time.monotonic()
    await asyncio.gather(*map(talk, clients, buyers))
    took = time.monotonic() - began
    assert most == 10
    assert refusals.keys() == {"busy"}
    assert await texts_in_the_log(redis) == Counter({f"{buyer} {number}": 1 for buyer in buyers for number in range(4)})

    slow_line.bytes_per_second = 1e9
    began = time.monotonic()
    await clients[0].say("nanshan.buyer-0", "又快了")
    with capsys.disabled():
        print(
            f"\n240 commands of 60 clients at a slow store, 10 at once: all taken within {took:.1f} s, refused "
            f"{refusals['busy']} times; a command afterwards: {1000 * (time.monotonic() - began):.1f} ms"
        )


async def test_those_who_come_in_do_not_crowd_out_those_who_are_here(slow_line: SlowLine, town: Town) -> None:
    """150 come in at once at a store that is slow; somebody who is here says something, and is answered when many of
    them still wait for their welcome.

    Seen to fail with all of them let in at once: the answer came after most welcomes.
    """
    town.redis_url = slow_line.url
    slow_line.bytes_per_second = 1e9
    gateway = await town.gateway()
    buyer = await town.buyer()
    await buyer.say("nanshan.lin-wan", "一")
    slow_line.bytes_per_second = 50_000
    welcomed = 0

    async def come(number: int) -> None:
        nonlocal welcomed
        await introduced(town, Role.BUYER, f"buyer-{number}")
        welcomed += 1

    coming = [asyncio.create_task(come(number)) for number in range(150)]
    async with asyncio.timeout(10):
        while len(gateway.house.gateway._sockets) < 151:
            await asyncio.sleep(0)
    await buyer.say("nanshan.lin-wan", "二")
    assert welcomed < 100
    slow_line.bytes_per_second = 1e9
    await asyncio.gather(*coming)


async def test_with_memory_full_people_read_and_come_in_and_what_they_say_waits(town: Town) -> None:
    """Seen to fail with presence that must be written before the welcome: nobody came in any more."""
    scene = await town.scene()
    redis = await town.redis()
    hasty = await town.buyer("chen-mo", patience=1)
    await hasty.say("nanshan.chen-mo", "一")
    await redis.config_set("maxmemory", 1)
    try:
        refused = await introduced(town, Role.BUYER, "lin-wan", town.gateways[0])
        answer = await refused.ask("say", conversation_id=scene.conversation_id, text="满了")
        assert (answer["code"], answer["retry_after_ms"] >= 1000) == ("store_away", True)
        newcomer = await introduced(town, Role.BUYER, "nobody-yet", town.gateways[1])
        assert newcomer.events[0]["type"] == "welcome"
        agent = await town.agent(on=town.gateways[1])
        assert (await agent.history(scene.conversation_id))["entries"]
        assert await agent.orders(scene.conversation_id)
        assert await agent.list_conversations()
        with pytest.raises((TimeoutError, CommandFailed)):
            await hasty.say("nanshan.chen-mo", "二")

        waiting = asyncio.create_task(scene.buyer.say(scene.conversation_id, "等"))
        await scene.agent.orders(scene.conversation_id)
        assert not waiting.done()
    finally:
        await redis.config_set("maxmemory", 0)
    seq = (await waiting)["seq"]
    await scene.agent.wait_for(lambda: scene.agent.cursors[scene.conversation_id] >= seq, 5)
    assert (await newcomer.ask("say", conversation_id="nanshan.nobody-yet", text="好了"))["type"] == "ok"
