"""The proposals a shop had lately: none is lacking, in whatever pages they are read, and what is old goes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from bot.documents import proposal_index
from bot.documents.proposal_index import KEPT, OPEN_UNSEEN, WEEK, ProposalIndex
from cards.model import to_ms
from scheduler.script import ClientScripts, Script

NOW = datetime(2026, 3, 1, 10, 20, 30, 123_000, tzinfo=UTC)
MS = timedelta(milliseconds=1)
KEY = "desk:{tea}:proposals"


@pytest.fixture
def index(either_redis: Redis) -> ProposalIndex:
    return ProposalIndex(ClientScripts(either_redis))


async def test_what_was_added_is_found_from_its_instant_on(index: ProposalIndex, either_redis: Redis) -> None:
    await index.add("tea", "tea.lin", "p2", NOW + MS)
    await index.add("tea", "tea.wan", "p1", NOW)
    await index.add("rice", "rice.lin", "p3", NOW)
    assert await index.since("tea", NOW) == [("tea.wan", "p1"), ("tea.lin", "p2")]
    assert await index.since("tea", NOW + MS) == [("tea.lin", "p2")]
    assert await index.since("tea", NOW + 2 * MS) == []
    assert await index.since("rice", NOW - WEEK) == [("rice.lin", "p3")]
    assert sorted(await either_redis.keys()) == [b"desk:{rice}:proposals", KEY.encode()]
    assert await either_redis.ttl(KEY) == -1, "nothing expires but alarms"


async def test_one_that_is_still_open_can_be_added_again_and_an_earlier_instant_changes_nothing(
    index: ProposalIndex,
) -> None:
    """Seen to fail, with the proposal lost, when the earlier instant is written as well."""
    await index.add("tea", "tea.lin", "p1", NOW)
    await index.add("tea", "tea.lin", "p1", NOW + WEEK)
    await index.add("tea", "tea.lin", "p1", NOW)
    await index.add("tea", "tea.lin", "p2", NOW + KEPT + MS)
    assert await index.since("tea", NOW) == [("tea.lin", "p1"), ("tea.lin", "p2")]


async def test_what_is_older_than_kept_goes_and_what_a_week_needs_stays(
    index: ProposalIndex, either_redis: Redis
) -> None:
    """To the millisecond. Seen to fail without the removal, and with one that includes the border."""
    assert WEEK + OPEN_UNSEEN == KEPT
    await index.add("tea", "tea.lin", "old", NOW - KEPT - MS)
    await index.add("tea", "tea.lin", "border", NOW - KEPT)
    await index.add("tea", "tea.lin", "new", NOW)
    assert await either_redis.zrange(KEY, 0, -1) == [b"tea.lin border", b"tea.lin new"]


async def test_a_backlog_goes_bit_by_bit(index: ProposalIndex, either_redis: Redis) -> None:
    """So that no proposal waits for it, and nothing that is kept goes with it."""
    old = to_ms(NOW - KEPT - timedelta(days=1))
    await either_redis.zadd(KEY, {f"tea.lin p{n}": old + n for n in range(250)})
    left = []
    for n in range(4):
        await index.add("tea", "tea.lin", f"new{n}", NOW)
        left.append(await either_redis.zcount(KEY, 0, old + 250))
    assert left == [150, 50, 0, 0]
    assert len(await index.since("tea", NOW)) == 4


@pytest.mark.parametrize("in_one_ms", [1, 7, 3_500])
async def test_any_number_is_read_in_pages(index: ProposalIndex, either_redis: Redis, in_one_ms: int) -> None:
    """Seen to fail without passing over what a full page of one ms held (it never ends), and with one page only."""
    members = {f"tea.lin p{n:05}": to_ms(NOW) + n // in_one_ms for n in range(3_500)}
    await either_redis.zadd(KEY, members)
    asked = Asked(either_redis)
    found = await ProposalIndex(asked).since("tea", NOW)
    assert [" ".join(each) for each in found] == list(members)
    assert max(asked.lengths) <= 2_000, "values of one reply: members, each with its instant"


async def test_what_is_removed_between_two_pages_takes_nothing_with_it(either_redis: Redis) -> None:
    """Seen to fail, lacking one for each page, when pages are counted from the first member on."""
    await either_redis.zadd(KEY, {f"tea.lin p{n:05}": to_ms(NOW) + n for n in range(3_500)})
    found = await ProposalIndex(Asked(either_redis, removing=True)).since("tea", NOW)
    assert len(found) == 3_500


class Asked:
    """Notes how long replies are; `removing`: the oldest goes after each."""

    def __init__(self, redis: Redis, *, removing: bool = False) -> None:
        self._redis = redis
        self._removing = removing
        self.lengths: list[int] = []

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        reply = await ClientScripts(self._redis).run(script, keys, args)
        self.lengths.append(len(reply))
        if self._removing:
            await self._redis.zpopmin(KEY)
        return reply


@settings(max_examples=60, deadline=None)
@given(
    added=st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(0, 6)), max_size=30),
    since=st.integers(0, 7),
    page=st.integers(1, 5),
)
async def test_pages_of_any_length_show_exactly_what_was_added(
    added: list[tuple[str, int]], since: int, page: int
) -> None:
    last: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proposal_index, "_PAGE", page)
        async with FakeAsyncRedis(server=FakeServer()) as redis:
            index = ProposalIndex(ClientScripts(redis))
            for proposal_id, ms in added:
                await index.add("tea", "tea.lin", proposal_id, NOW + ms * MS)
                last[proposal_id] = max(ms, last.get(proposal_id, 0))
            found = await index.since("tea", NOW + since * MS)
    wanted = sorted((ms, proposal_id) for proposal_id, ms in last.items() if ms >= since)
    assert found == [("tea.lin", proposal_id) for _, proposal_id in wanted]
