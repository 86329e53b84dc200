"""Marks: what each verb of a commit does to them, what they say of cards, and read marks, which only move forward."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.conversation import Conversation
from bot.documents.store import Commit, ReadMark, Stale, Store
from bot.entry import Author, Entry
from bot.marks import ANSWERED, ASKED, ASKED_ANEW, NOW, Mark, Marks, card_marks, read_marks
from bot.participant import Role
from cards.card import Audience
from cards.model import to_ms
from cards.proposal import FINAL, Proposal, State
from scheduler.script import ClientScripts
from tests.proposals import NOON, a_proposal

ID = "nanshan.lin-wan"
CONVERSATION = Conversation(id=ID, shop_id="nanshan", buyer_id="lin-wan", buyer_name="林晚", opened=NOON)
BUYER = Author(role=Role.BUYER, id="lin-wan", name="林晚")
AGENT = Author(role=Role.AGENT, id="xiaoyu", name="小雨")
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def proposal(id: str = "p1", deadline: datetime = NOON) -> Proposal:
    return a_proposal(id=id, created=NOON - timedelta(hours=2), deadline=deadline)


@pytest.fixture
def store(either_redis: Redis) -> Store:
    return Store(ClientScripts(either_redis))


async def a_conversation(store: Store) -> None:
    await store.commit(Commit(ID, 0, conversation=CONVERSATION))


async def marked(store: Store, *marks: Mark) -> int:
    """Commit nothing but these marks; the server's time then."""
    committed = await store.commit(Commit(ID, 1, marks=marks))
    assert committed.now is not None
    return to_ms(committed.now)


async def field(redis: Redis, name: str) -> bytes | None:
    value: bytes | None = await redis.hget(f"chat:{{{ID}}}", name)
    return value


async def test_what_each_verb_does(store: Store, either_redis: Redis) -> None:
    await a_conversation(store)
    at_ms = await marked(store, Mark("once", "f", NOW), Mark("again", "g", NOW))
    assert (await field(either_redis, "f"), await field(either_redis, "g")) == (b"%d" % at_ms, None)
    await marked(store, Mark("once", "f", 1), Mark("set", "g", 2))
    assert (await field(either_redis, "f"), await field(either_redis, "g")) == (b"%d" % at_ms, b"2")
    await marked(store, Mark("again", "g", 3), Mark("drop", "f"), Mark("add", "n", 2))
    assert [await field(either_redis, name) for name in "fgn"] == [None, b"3", b"2"]
    await marked(store, Mark("add", "n", -2))
    assert await field(either_redis, "n") is None, "a count of nothing is absent, as `must` says it"


@pytest.mark.parametrize(
    ("marks", "stale"),
    [
        ([Mark("must", "f", 1)], False),
        ([Mark("must", "f", 2)], True),
        ([Mark("must", "f")], True),
        ([Mark("must", "g")], False),
        ([Mark("must", "g", 1)], True),
        ([Mark("set", "g", 1), Mark("must", "g", 1)], True),
        ([Mark("must", "f", 1), Mark("must", "g", 1)], True),
    ],
)
async def test_what_must_be_is_looked_at_before_anything_is_written(
    store: Store, either_redis: Redis, marks: list[Mark], stale: bool
) -> None:
    await a_conversation(store)
    await marked(store, Mark("set", "f", 1))
    before = await either_redis.hgetall(f"chat:{{{ID}}}")
    if not stale:
        await marked(store, *marks)
        return
    with pytest.raises(Stale):
        await store.commit(Commit(ID, 1, entries=[Entry(system="opened")], marks=[Mark("set", "h", 1), *marks]))
    assert await either_redis.hgetall(f"chat:{{{ID}}}") == before


async def test_since_when_a_buyer_waits(store: Store) -> None:
    """From the first of their messages; in other hands from then on, if they wait; not after a reply."""
    await a_conversation(store)
    await marked(store, *ASKED_ANEW)
    assert (await store.load(ID)).marks == Marks()
    first = await marked(store, ASKED)
    await marked(store, ASKED, Mark("set", "warned", NOW), Mark("set", "overdue", NOW))
    marks = (await store.load(ID)).marks
    assert (marks.asked and to_ms(marks.asked), marks.warned, marks.overdue) == (first, True, True)
    anew = await marked(store, *ASKED_ANEW)
    marks = (await store.load(ID)).marks
    assert (marks.asked and to_ms(marks.asked), marks.warned, marks.overdue) == (anew, False, False)
    await marked(store, *ANSWERED)
    assert (await store.load(ID)).marks == Marks()


@pytest.mark.parametrize("state", sorted(State))
@pytest.mark.parametrize("before", [None, State.PENDING, State.APPLYING])
def test_an_open_card_is_marked_until_it_is_settled(before: State | None, state: State) -> None:
    was = proposal().model_copy(update={"state": before}) if before else None
    after = proposal().model_copy(update={"state": state})
    marks = card_marks(was, after)
    counted = sum(int(mark.value) for mark in marks if mark.verb == "add")
    if state in FINAL:
        assert ("drop", "card:p1", "") in marks
        assert counted == -1
        assert {mark.field for mark in marks if mark.verb == "drop"} == {"card:p1", "reminded:p1", "near:p1"}
    else:
        assert ("set", "card:p1", f"{state} {to_ms(NOON)} o1") in marks
        assert counted == (0 if before else 1)


def test_open_cards_are_read_by_deadline_and_those_of_one_instant_by_id() -> None:
    cards = [proposal("p3", deadline=NOON), proposal("p1"), proposal("p2", deadline=NOON - timedelta(hours=1))]
    marks = [mark for card in cards for mark in card_marks(None, card) if mark.verb == "set"]
    read = read_marks({mark.field.encode(): str(mark.value).encode() for mark in marks})
    assert [card.proposal_id for card in read.cards] == ["p2", "p1", "p3"]


SAYS = st.lists(st.sampled_from(["agent", "buyer", "nobody"]), max_size=12)
READS = st.lists(st.tuples(st.sampled_from(["agent", "buyer"]), st.integers(0, 15)), max_size=6)


@SLOW
@given(story=st.lists(st.tuples(SAYS, READS), min_size=1, max_size=5))
async def test_read_marks_go_forward_and_count_what_is_unread(
    either_redis: Redis, story: list[tuple[list[str], list[tuple[Audience, int]]]]
) -> None:
    """A mark is the furthest that was read, the log's end at most; what counts comes after it, from the other side.

    Seen to fail with marks that go back, marks beyond the end, and counts that only ever fall to nothing.
    """
    await either_redis.flushall()
    store = Store(ClientScripts(either_redis))
    await a_conversation(store)
    by = {"agent": AGENT, "buyer": BUYER}
    said: list[str] = []
    read: dict[Audience, int] = {"agent": 0, "buyer": 0}
    for says, reads in story:
        for who in says:
            entry = Entry(author=by[who], text="在吗") if who in by else Entry(system="opened")
            await store.commit(Commit(ID, 1, entries=[entry]))
            said.append(who)
        for side, seq in reads:
            read[side] = max(read[side], min(seq, len(said)))
            other = "buyer" if side == "agent" else "agent"
            mark = await store.mark_read(CONVERSATION, 1, side, seq)
            assert mark == ReadMark(read[side], said[read[side] :].count(other), len(said))
        (overview,) = await store.overviews([ID])
        assert overview is not None
        assert overview.marks.read == read
        assert overview.marks.unread == {
            "agent": said[read["agent"] :].count("buyer"),
            "buyer": said[read["buyer"] :].count("agent"),
        }


async def test_a_read_mark_tells_both_sides_once_and_only_if_it_moved(store: Store, either_redis: Redis) -> None:
    given_to = CONVERSATION.given_to("xiaoyu", "小雨")
    await store.commit(Commit(ID, 0, conversation=given_to, entries=[Entry(author=BUYER, text="在吗")]))
    async with either_redis.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.psubscribe("live:*")
        for seq in (1, 1, 0, 9):
            await store.mark_read(given_to, 1, "agent", seq)
        await either_redis.publish("live:end", "")
        heard = []
        while (message := await ear.get_message(timeout=None)) is None or message["channel"] != b"live:end":
            heard += [(message["channel"], message["data"].split(b" ", 3))] if message else []
    sign = b'{"type":"read","conversation_id":"nanshan.lin-wan","by":"agent","seq":1,"unread":0,"last_seq":1}'
    assert [(channel, seq, body) for channel, (_, seq, _, body) in heard] == [
        (b"live:nanshan:buyer:lin-wan", b"0", sign),
        (b"live:nanshan:agent:xiaoyu", b"0", sign),
    ]


async def test_who_is_to_be_told_of_a_read_mark_is_as_sure_as_a_commit(store: Store, either_redis: Redis) -> None:
    await a_conversation(store)
    await store.commit(Commit(ID, 1, conversation=CONVERSATION.given_to("ahe", "阿禾"), entries=[Entry()]))
    for version in (1, 3):
        with pytest.raises(Stale):
            await store.mark_read(CONVERSATION, version, "buyer", 1)
    assert await field(either_redis, "read:buyer") is None


async def test_a_mark_before_a_trimmed_log_counts_what_is_kept(either_redis: Redis) -> None:
    store = Store(ClientScripts(either_redis), keep_entries=100)
    await a_conversation(store)
    for _ in range(300):
        await store.commit(Commit(ID, 1, entries=[Entry(author=BUYER, text="在吗")]))
    (overview,) = await store.overviews([ID])
    kept = await either_redis.xlen(f"chat:{{{ID}}}:log")
    assert overview is not None
    assert overview.marks.unread["agent"] == overview.seq > kept
    assert (await store.mark_read(CONVERSATION, 1, "agent", 1)).unread == kept
