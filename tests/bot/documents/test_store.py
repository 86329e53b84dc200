"""Commits: written whole or not at all, known by their command, told once on each channel, and bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.conversation import Conversation
from bot.documents.store import CommandId, Commit, Committed, Reply, Stale, Store
from bot.entry import Author, Entry
from bot.errors import CommandError
from bot.participant import Role
from cards.proposal import State
from scheduler.script import ClientScripts
from tests.proposals import a_proposal

ID = "nanshan.lin-wan"
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CONVERSATION = Conversation(id=ID, shop_id="nanshan", buyer_id="lin-wan", buyer_name="林晚", opened=LONG_AGO)
PROPOSAL = a_proposal(created=LONG_AGO, deadline=FAR_AHEAD)
SETTLED = PROPOSAL.model_copy(update={"state": State.REJECTED, "version": 2})
OPEN = Commit(ID, 0, conversation=CONVERSATION, entries=[Entry(system="opened")])
PROPOSE = Commit(ID, 1, changed=PROPOSAL, entries=[Entry(card=PROPOSAL)])
SETTLE = Commit(ID, 1, proposal=PROPOSAL, changed=SETTLED, entries=[Entry(card=SETTLED)])
AUTHOR = Author(role=Role.BUYER, id="lin-wan", name="林晚")


def said(text: str, **more: Any) -> Commit:
    return Commit(ID, 1, entries=[Entry(author=AUTHOR, text=text)], **more)


def command(number: int, payload: bytes = b"the same") -> CommandId:
    return CommandId.of(str(UUID(int=number)), payload)


@pytest.fixture
def store(either_redis: Redis) -> Store:
    return Store(ClientScripts(either_redis), keep_replies=5, keep_entries=100)


async def everything(redis: Redis) -> dict[bytes, Any]:
    """All that the server keeps."""
    read = {
        b"hash": redis.hgetall,
        b"string": redis.get,
        b"stream": redis.xrange,
        b"zset": partial(redis.zrange, start=0, end=-1, withscores=True),
    }
    return {key: await read[await redis.type(key)](key) for key in sorted(await redis.keys())}


async def test_what_was_committed_is_loaded(store: Store, either_redis: Redis) -> None:
    empty = await store.load(ID, orders=("o1",), proposals=("p1",))
    assert (empty.conversation, empty.conversation_version, empty.seq) == (None, 0, 0)
    assert (empty.reply, empty.proposals) == (None, (None, None))
    await store.commit(OPEN)
    await store.commit(PROPOSE)
    loaded = await store.load(ID, orders=("o1", "o2"), proposals=("p1", "p2"))
    assert (loaded.conversation, loaded.conversation_version, loaded.seq) == (CONVERSATION, 1, 2)
    assert loaded.proposals == (PROPOSAL, None, PROPOSAL, None)
    assert abs(loaded.now - datetime.now(UTC)) < timedelta(minutes=1)
    await store.commit(SETTLE)
    loaded = await store.load(ID, orders=("o1",), proposals=("p1",))
    assert loaded.proposals == (None, SETTLED), "what is settled holds nothing up, and is remembered"
    assert loaded.conversation_version == 1, "what is said makes no decision stale"
    assert {key.split(b"}")[0] for key in await either_redis.keys()} == {b"chat:{nanshan.lin-wan"}, "one slot"
    assert {await either_redis.ttl(key) for key in await either_redis.keys()} == {-1}, "nothing expires but alarms"


CHECKS = {
    "the conversation moved": {"conversation_version": 2},
    "the conversation is gone": {"conversation_version": 0},
    "the proposal moved": {"proposal": PROPOSAL.model_copy(update={"version": 2})},
    "the proposal is new": {"proposal": None},
    "another order holds": {"changed": SETTLED.model_copy(update={"order_id": "o2"})},
    "another proposal holds": {
        "proposal": PROPOSAL.model_copy(update={"id": "p2"}),
        "changed": SETTLED.model_copy(update={"id": "p2"}),
    },
    "it is too early": {"not_before": FAR_AHEAD},
    "it is too late": {"not_after": LONG_AGO},
}
"""What makes a commit of SETTLE stale."""


@asynccontextmanager
async def fresh(redis: Redis) -> AsyncIterator[Store]:
    await redis.flushall()
    yield Store(ClientScripts(redis), keep_replies=5, keep_entries=100)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(failing=st.sets(st.sampled_from(sorted(CHECKS)), min_size=1), remembered=st.booleans())
async def test_a_stale_commit_writes_nothing_and_tells_nobody(
    either_redis: Redis, failing: set[str], remembered: bool
) -> None:
    """Whichever check fails, and whichever else.

    Seen to fail with each check made after the first document was written, and with each of the checks left out.
    """
    async with fresh(either_redis) as store, either_redis.pubsub(ignore_subscribe_messages=True) as ear:
        await store.commit(OPEN)
        await store.commit(PROPOSE)
        before = await everything(either_redis)
        await ear.subscribe("c")
        different = {name: value for check in sorted(failing) for name, value in CHECKS[check].items()}
        stale = replace(SETTLE, **different, channels=["c"], command=command(1) if remembered else None)
        with pytest.raises(Stale):
            await store.commit(stale)
        assert await everything(either_redis) == before
        await either_redis.publish("c", "end")
        assert (await next_message(ear))["data"] == b"end"
        assert (await store.commit(SETTLE)).reply.seq == 3, "the decision itself still can be made"


async def next_message(ear: Any) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (message := await ear.get_message(timeout=1)) is None:
            pass
    found: dict[str, Any] = message
    return found


@pytest.mark.parametrize(("first", "second"), [("not_before", "not_after"), ("not_after", "not_before")])
async def test_the_bounds_are_on_the_servers_clock_and_the_later_is_exclusive(
    store: Store, first: str, second: str
) -> None:
    await store.commit(OPEN)
    now = (await store.load(ID)).now
    long = timedelta(hours=1)
    bounds = {"not_before": now - long, "not_after": now + long}
    await store.commit(said("in time", **bounds))
    for wrong in ({"not_before": now + long}, {"not_after": now - long}):
        with pytest.raises(Stale):
            await store.commit(said("no", **{**bounds, **wrong}))
    with pytest.raises(Stale):
        await store.commit(said("no", not_after=now))
    await store.commit(said("at the very instant", not_before=now))


async def test_of_two_that_decided_on_the_same_reading_one_is_stale(store: Store) -> None:
    """What they decided leaves the order held: nothing but the version tells. Seen to fail without comparing it."""
    await store.commit(OPEN)
    await store.commit(PROPOSE)
    agreed = SETTLED.model_copy(update={"state": State.APPLYING})
    outcomes = await asyncio.gather(
        *[store.commit(replace(SETTLE, changed=agreed)) for _ in range(3)], return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Committed", "Stale", "Stale"]
    assert (await store.load(ID)).seq == 3


async def test_an_order_has_one_open_proposal(store: Store) -> None:
    """R8. Seen to fail without the hold."""
    await store.commit(OPEN)
    proposals = [PROPOSAL.model_copy(update={"id": f"p{n}"}) for n in range(5)]
    outcomes = await asyncio.gather(
        *[store.commit(replace(PROPOSE, changed=proposal)) for proposal in proposals], return_exceptions=True
    )
    assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
    other = PROPOSAL.model_copy(update={"id": "q", "order_id": "o2"})
    await store.commit(replace(PROPOSE, changed=other))
    assert (await store.load(ID, orders=("o2",))).proposals == (other,)


class TestReplies:
    """A command is known by its id, for a while."""

    async def test_a_repeated_command_has_its_first_reply_and_writes_nothing(
        self, store: Store, either_redis: Redis
    ) -> None:
        """Seen to fail without looking for the command before anything else."""
        await store.commit(OPEN)
        first = await store.commit(said("one", command=command(1), reply='{"a": "x y\\n{}"}'))
        assert (first.reply, first.repeated) == (Reply('{"a": "x y\\n{}"}', 2), False)
        await store.commit(said("two"))
        before = await everything(either_redis)
        again = await store.commit(said("one", command=command(1), reply='{"a": 2}'))
        assert (again.reply, again.repeated) == (first.reply, True)
        assert await everything(either_redis) == before
        assert (await store.load(ID, command(1))).reply == first.reply

    async def test_it_is_known_before_its_decision_is_called_stale(self, store: Store) -> None:
        """The first try was committed, its reply lost; the second decides on what the first changed."""
        await store.commit(OPEN)
        await store.commit(PROPOSE)
        first = await store.commit(replace(SETTLE, command=command(1), reply='{"n":1}'))
        again = await store.commit(replace(SETTLE, command=command(1), not_after=LONG_AGO))
        assert (again.reply, again.repeated) == (first.reply, True)

    async def test_the_same_id_for_something_else_is_refused(self, store: Store) -> None:
        await store.commit(OPEN)
        await store.commit(said("one", command=command(1)))
        for attempt in (store.load(ID, command(1, b"other")), store.commit(said("x", command=command(1, b"other")))):
            with pytest.raises(CommandError, match="id_reused"):
                await attempt
        assert (await store.load(ID)).seq == 2

    async def test_exactly_the_last_ones_are_kept(self, store: Store, either_redis: Redis) -> None:
        """Seen to fail without the trimming, and with one kept too few."""
        await store.commit(OPEN)
        for n in range(1, 13):
            await store.commit(said(f"{n}", command=command(n), reply=f'{{"n":{n}}}'))
            known = [m for m in range(1, n + 1) if (await store.load(ID, command(m))).reply]
            assert known == list(range(max(1, n - 4), n + 1))
        assert await either_redis.hlen(f"chat:{{{ID}}}:replies") == 2 * 5 + 1

    async def test_a_stale_commit_is_not_remembered(self, store: Store) -> None:
        await store.commit(OPEN)
        with pytest.raises(Stale):
            await store.commit(replace(said("x", command=command(1)), conversation_version=9))
        assert (await store.load(ID, command(1))).reply is None


class TestLog:
    """Numbered without gaps, read in either direction, bounded."""

    async def test_every_entry_has_the_next_number(self, store: Store) -> None:
        await store.commit(OPEN)
        await asyncio.gather(*[store.commit(said(f"{n}")) for n in range(20)])
        two = await store.commit(replace(said("a"), entries=[Entry(text="a"), Entry(text="b")]))
        assert two.reply.seq == 23
        page = await store.read_after(ID, 0, 100)
        assert [entry.seq for entry in page.entries] == list(range(1, 24))
        assert (page.first_seq, page.last_seq, page.conversation) == (1, 23, CONVERSATION)
        assert all(abs(entry.at_ms / 1000 - page.now.timestamp()) < 60 for entry in page.entries)

    async def test_it_is_read_in_pages_from_either_end(self, store: Store) -> None:
        await store.commit(OPEN)
        for n in range(2, 11):
            await store.commit(said(f"{n}"))

        async def seqs(direction: str, seq: int | None, limit: int) -> list[int]:
            read = store.read_after if direction == "after" else store.read_before
            return [entry.seq for entry in (await read(ID, seq, limit)).entries]  # type: ignore[arg-type]

        assert await seqs("after", 0, 4) == [1, 2, 3, 4]
        assert await seqs("after", 4, 4) == [5, 6, 7, 8]
        assert await seqs("after", 8, 4) == [9, 10]
        assert await seqs("after", 10, 4) == []
        assert await seqs("after", 99, 4) == []
        assert await seqs("before", None, 4) == [7, 8, 9, 10]
        assert await seqs("before", 7, 4) == [3, 4, 5, 6]
        assert await seqs("before", 3, 4) == [1, 2]
        assert await seqs("before", 1, 4) == []

    async def test_an_unknown_conversation_has_an_empty_one(self, store: Store) -> None:
        page = await store.read_before("no.body", None, 10)
        assert (page.conversation, page.first_seq, page.last_seq, page.entries) == (None, 0, 0, ())

    async def test_it_is_capped_from_the_old_end(self, store: Store, either_redis: Redis) -> None:
        """Redis trims whole nodes of a hundred entries. Seen to fail without the cap."""
        await store.commit(OPEN)
        for batch in range(45):
            await store.commit(replace(said("x"), entries=[Entry(text=f"{batch}")] * 10))
        kept = await either_redis.xlen(f"chat:{{{ID}}}:log")
        assert 100 <= kept <= 250
        page = await store.read_after(ID, 0, 1000)
        assert (page.first_seq, page.last_seq) == (451 - kept + 1, 451)
        assert [entry.seq for entry in page.entries] == list(range(page.first_seq, 452))


async def test_each_entry_is_told_once_on_each_channel(store: Store, either_redis: Redis) -> None:
    """As `<conversation> <seq> <at_ms> <before_ms> <JSON>`. Seen to fail with each published twice."""
    await store.commit(OPEN)
    async with either_redis.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.subscribe("a", "b", "c", "other")
        entries = [Entry(author=AUTHOR, text="你 好"), Entry(text="second")]
        await store.commit(replace(said(""), entries=entries, channels=["a", "b", "c"]))
        await either_redis.publish("other", "end")
        told = []
        while (message := await next_message(ear))["channel"] != b"other":
            told.append((message["channel"], message["data"]))
    page = await store.read_after(ID, 0, 10)
    wanted = [
        (channel, b"%s %d %d %d %s" % (ID.encode(), entry.seq, entry.at_ms, before.at_ms, entry.body))
        for before, entry in pairwise(page.entries)
        for channel in (b"a", b"b", b"c")
    ]
    assert told == wanted
    assert [entry.body.decode() for entry in page.entries[1:]] == [entry.to_json() for entry in entries]
    assert page.last_at_ms == page.entries[-1].at_ms


async def test_late_intent_is_kept_in_the_record_bounded_and_without_a_version(store: Store) -> None:
    """R11."""
    await store.commit(OPEN)
    await store.commit(PROPOSE)
    await store.commit(SETTLE)
    for n in range(25):
        await store.add_late(SETTLED, {"role": "buyer", "id": "lin-wan", "action": f"agree {n}"})
    late = await store.late(SETTLED)
    assert [row["action"] for row in late] == [f"agree {n}" for n in range(5, 25)]
    assert all(int(row["at_ms"]) > 0 for row in late)
    loaded = await store.load(ID, proposals=("p1",))
    assert (loaded.seq, loaded.proposals) == (3, (SETTLED,))


async def test_conversations_do_not_touch_each_other(store: Store) -> None:
    other = CONVERSATION.model_copy(update={"id": "nanshan.lin", "buyer_id": "lin"})
    await store.commit(OPEN)
    await store.commit(PROPOSE)
    await store.commit(Commit(other.id, 0, conversation=other, entries=[Entry(system="opened")]))
    loaded = await store.load(other.id, orders=("o1",), proposals=("p1",))
    assert (loaded.seq, loaded.proposals) == (1, (None, None))


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(max_size=300),
    name=st.text(max_size=30),
    reply=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
)
async def test_any_text_comes_back_as_it_was(text: str, name: str, reply: str) -> None:
    """Through Lua, through the separators of what is remembered and published, with every character."""
    try:
        (text + name).encode()
    except UnicodeEncodeError:
        return
    async with FakeAsyncRedis(server=FakeServer()) as redis:
        store = Store(ClientScripts(redis))
        conversation = CONVERSATION.model_copy(update={"buyer_name": name})
        await store.commit(replace(OPEN, conversation=conversation))
        entry = Entry(author=AUTHOR, text=text)
        await store.commit(replace(said(""), entries=[entry], command=command(1), reply=reply))
        assert (await store.load(ID)).conversation == conversation
        (logged,) = (await store.read_after(ID, 1, 10)).entries
        assert Entry.model_validate_json(logged.body) == entry
        again = await store.load(ID, command(1))
        assert again.reply == Reply(reply, 2)
        assert (await store.commit(said("x", command=command(1)))).reply == Reply(reply, 2)
