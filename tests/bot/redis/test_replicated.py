"""An answer that waits for replicas: on a real primary and its replica, which is stopped and goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected

from bot.conversation import Conversation
from bot.desk.presence import AgentState, Presence
from bot.documents.quick_replies import QuickReply, QuickReplyBook, add
from bot.documents.store import CommandId, Commit, Store
from bot.entry import Author, Entry
from bot.orders.base import LineChange, OrderSystemAway
from bot.orders.shop import Shop
from bot.participant import Participant, Role
from bot.redis.connector import connect
from bot.redis.link import Link
from bot.redis.replicated import ReplicatedLink, ReplicatedScripts, Unreplicated
from bot.settings import Settings
from scheduler.script import Script, Scripts
from scheduler.timers import Timers
from tests.bot.redis.callers import CALLERS, Caller, call_at_once
from tests.faults.pair import Pair, client
from tests.standing import standing

WRITE = Script("redis.call('HSET', 'written', ARGV[1], '1') return ARGV[1]", durable=True)
READ = Script("return redis.call('HGET', 'written', ARGV[1])")
REFUSE = Script("return redis.error_reply('ERR refused ' .. ARGV[1])", durable=True)


@pytest.fixture(scope="module")
def servers(short_folder: Path) -> Iterator[Pair]:
    """For all tests of this module, and so in no test's loop."""
    with standing(Pair(short_folder / "pair")) as pair:
        yield pair


@pytest.fixture
async def pair(servers: Pair) -> AsyncIterator[Pair]:
    """Both empty, and the replica up to date."""
    async with client(servers.primary) as primary:
        await primary.flushall()
        await primary.config_resetstat()
        assert await primary.wait(1, 10_000) == 1
    yield servers
    servers.thaw_replica()


@contextmanager
def frozen(pair: Pair) -> Iterator[None]:
    pair.freeze_replica()
    try:
        yield
    finally:
        pair.thaw_replica()


def connections(pair: Pair) -> Callable[[], Any]:
    return ConnectionPool.from_url(
        pair.url, socket_timeout=None, protocol=2, retry=Retry(NoBackoff(), 0)
    ).make_connection


def replicated(pair: Pair, **options: Any) -> ReplicatedLink:
    return ReplicatedLink(connections(pair), 1, **options)


async def waits(pair: Pair) -> int:
    """How many WAITs the primary was asked."""
    async with client(pair.primary) as primary:
        return int((await primary.info("commandstats")).get("cmdstat_wait", {}).get("calls", 0))


async def executed(pair: Pair, fields: int) -> None:
    async with asyncio.timeout(10), client(pair.primary) as primary:
        while await primary.hlen("written") < fields:
            await asyncio.sleep(0.005)


async def test_a_promise_is_given_when_the_replica_has_it_and_a_reading_at_once(pair: Pair) -> None:
    """Seen to fail without the WAIT (the promise is given at once), and with one connection for all (the reading
    waits with it)."""
    async with aclosing(ReplicatedScripts(connections(pair), 1)) as scripts, asyncio.timeout(10):
        assert await scripts.run(WRITE, [], ["a"]) == b"a"
        with frozen(pair):
            writing = asyncio.create_task(scripts.run(WRITE, [], ["b"]))
            await executed(pair, 2)
            assert await scripts.run(READ, [], ["b"]) == b"1"
            assert not writing.done()
        assert await writing == b"b"
        async with client(pair.replica) as replica:
            assert await replica.hgetall("written") == {b"a": b"1", b"b": b"1"}


async def test_too_few_replicas_are_an_error_and_the_next_call_is_tried_anew(pair: Pair) -> None:
    """Seen to fail with any answer to the WAIT taken for enough."""
    async with aclosing(replicated(pair, confirm_within=0.2)) as link, asyncio.timeout(10):
        with frozen(pair), pytest.raises(Unreplicated, match="executed, but on 0 of 1 replicas"):
            await link.run(WRITE, [], ["a"])
        assert await link.run(WRITE, [], ["b"]) == b"b"
        async with client(pair.replica) as replica:
            assert await replica.hlen("written") == 2


async def test_what_is_called_while_a_wait_is_under_way_is_confirmed_together_by_the_next(pair: Pair) -> None:
    """Seen to fail with a WAIT in every write: each would have to be answered before the next call is executed."""
    async with aclosing(replicated(pair)) as link, asyncio.timeout(20):
        await link.run(WRITE, [], [0])
        before = await waits(pair)
        with frozen(pair):
            calls = [asyncio.create_task(link.run(WRITE, [], [1]))]
            await executed(pair, 2)
            for number in range(2, 52):
                calls.append(asyncio.create_task(link.run(WRITE, [], [number])))
                await asyncio.sleep(0)
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(1, 52)]
        assert await waits(pair) - before == 2
        assert link.in_flight == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(callers=CALLERS)
async def test_everybody_gets_their_own_reply_or_their_own_error(pair: Pair, callers: list[Caller]) -> None:
    """Seen to fail with a held reply's place taken by the WAIT's."""
    async with aclosing(replicated(pair)) as link:
        await call_at_once(link, callers, say=WRITE, refuse=REFUSE)


async def test_a_primary_that_dies_with_unconfirmed_answers_never_gives_them(short_folder: Path) -> None:
    """Those that a WAIT was sent for, and those that came after it. Seen to fail with a lost WAIT that gives nobody up:
    the first waited for ever."""
    async with Pair(short_folder / "dying") as pair, aclosing(replicated(pair)) as link, asyncio.timeout(20):
        await link.run(WRITE, [], ["x"])
        pair.freeze_replica()
        first = asyncio.create_task(link.run(WRITE, [], [1]))
        await executed(pair, 2)
        others = [asyncio.create_task(link.run(WRITE, [], [number])) for number in range(5)]
        await asyncio.sleep(0)
        await pair.primary.kill()
        results = await asyncio.gather(first, *others, return_exceptions=True)
        assert all(isinstance(result, Disconnected) for result in results)
        with pytest.raises(Disconnected):
            await link.run(WRITE, [], ["y"])


async def test_a_wait_that_is_refused_is_no_answer(pair: Pair) -> None:
    """As of a server that is a primary no longer, or forbids it."""
    async with aclosing(replicated(pair)) as link, asyncio.timeout(10), client(pair.primary) as primary:
        await primary.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-wait"])
        try:
            for _ in range(2):
                with pytest.raises(Unreplicated, match="not confirmed"):
                    await link.run(WRITE, [], ["a"])
        finally:
            await primary.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        assert await link.run(WRITE, [], ["a"]) == b"a"


async def test_on_a_cluster_promises_wait_and_readings_do_not(valkey_cluster_url: str) -> None:
    """Its primaries have no replicas at all. Seen to fail with `replicas` not passed on."""
    promise = Script("return redis.call('INCR', KEYS[1])", durable=True)
    reading = Script("return redis.call('GET', KEYS[1])")
    async with aclosing(connect(valkey_cluster_url, replicas=1)) as connector, asyncio.timeout(20):

        async def promised(key: str) -> None:
            with pytest.raises(Unreplicated):
                await connector.scripts.run(promise, [key], [])
            assert await connector.scripts.run(reading, [key], []) == b"1"

        await asyncio.gather(*[promised(key) for key in "abcdef"])


# What is answered from what somebody else wrote, and what the replica does not have yet.

ID = "nanshan.lin-wan"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
CONVERSATION = Conversation(
    id=ID, shop_id="nanshan", buyer_id="lin-wan", buyer_name="林晚", agent_id="xiaoyu", agent_name="小雨", opened=NOW
)
SAYS = CommandId.of("8023e66e-6805-4761-9dad-31af18659887", b"the same")
AGENT = Participant(role=Role.AGENT, id="xiaoyu", shop_id="nanshan", name="小雨", expires=NOW)
TEXT = Entry(author=Author(role=Role.BUYER, id="lin-wan", name="林晚"), text="在吗")
LINE = LineChange(line_id="1", from_sku="a", to_sku="b", expected_price_cents=100)


def _store(scripts: Scripts) -> Store:
    return Store(scripts, keep_replies=5, keep_entries=100)


async def _open(scripts: Scripts) -> None:
    await _store(scripts).commit(Commit(ID, 0, conversation=CONVERSATION, entries=[Entry(system="opened")]))


async def _say(scripts: Scripts) -> None:
    await _store(scripts).commit(Commit(ID, 1, entries=[TEXT], command=SAYS))


async def _load(scripts: Scripts) -> None:
    assert (await _store(scripts).load(ID, SAYS)).reply


async def _confirm(scripts: Scripts) -> None:
    await _store(scripts).confirm(ID, 1)


async def _read(scripts: Scripts) -> None:
    await _store(scripts).mark_read(CONVERSATION, 1, "agent", 1)


async def _change(scripts: Scripts) -> None:
    await Shop(scripts).change("nanshan", "o1", "p1", [LINE], paid=True)


async def _choose(scripts: Scripts) -> None:
    defaults = Settings(secret="s" * 32)

    async def nothing(*_: object) -> None:
        """Nobody waits."""

    presence = Presence(scripts, lease=defaults.presence_lease, grace=defaults.agent_grace, on_news=nothing)
    await presence.choose("nanshan", "xiaoyu", AgentState.SUSPENDED)


async def _add(scripts: Scripts) -> None:
    await QuickReplyBook(scripts).change(AGENT, "mine", partial(add, reply=QuickReply(id="r1", title="", text="您好")))


async def _arm(number: int, scripts: Scripts) -> None:
    await Timers(scripts).arm("expire:x:y", NOW.replace(second=number))


Step = Callable[[Scripts], Awaitable[None]]
ANSWERS: dict[str, tuple[list[Step], Step, Step]] = {
    "a reply that is given again": ([_open], _say, _load),
    "a command that is committed again": ([_open], _say, _say),
    "a conversation that is theirs already": ([], _open, _confirm),
    "a mark that is there already": ([_open], _read, _read),
    "a change's first result": ([], _change, _change),
    "what the agent is already": ([], _choose, _choose),
    "a quick reply that is there already": ([], _add, _add),
    "a timer": ([], partial(_arm, 1), partial(_arm, 2)),
}
"""What is there, what is written and not replicated, and what is then answered over another connection."""


@pytest.mark.parametrize("what", ANSWERS)
async def test_nothing_is_answered_from_what_the_replica_does_not_have(pair: Pair, what: str) -> None:
    """A WAIT counts what its own connection wrote. Seen to fail, each, without its script writing once more what it
    answers, or without that script marked durable."""
    before, write, answer = ANSWERS[what]
    link = Link(connections(pair))
    # Another gateway's connection, of which nothing was written yet.
    scripts = ReplicatedScripts(connections(pair), 1)
    scripts._promises = replicated(pair, confirm_within=0.2)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        for each in (link, scripts):
            stack.push_async_callback(each.aclose)
        for step in before:
            await step(link)
        async with client(pair.primary) as primary:
            await primary.set("x", 1)
            assert await primary.wait(1, 5000) == 1
        with frozen(pair):
            await write(link)
            with pytest.raises((Unreplicated, OrderSystemAway)) as raised:
                await answer(scripts)
            assert "on 0 of 1 replicas" in str(raised.value)
        await answer(scripts)
