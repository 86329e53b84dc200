"""Quick replies: lists that lose nothing, texts that are filled in and never executed, and whose they are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from redis.asyncio import Redis

from bot.clock import ServerClock
from bot.conversation import Conversation
from bot.documents.quick_replies import LIMIT, QuickReply, QuickReplyBook, Replies, add, delete, edit, fill, move
from bot.documents.store import Commit, Store
from bot.errors import CommandError
from bot.flows.deciding import AnswerWindow, Parts
from bot.flows.quick_replying import QuickReplying
from bot.frames import AddQuickReply, DeleteQuickReply, EditQuickReply, MoveQuickReply, QuickReplies, Scope
from bot.orders.shop import Shop
from bot.participant import Participant, Role
from bot.settings import Settings
from cards.model import to_ms
from scheduler.script import ClientScripts, Script, Scripts
from scheduler.timers import Timers

FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)
ODD = ["{", "}", "{}", "{{", "{buyer}", "{order}", "{0}", "{buyer.__class__}", "{buyer!r}", "%s", "\\1", "\\g<0>", "$1"]
"""What a text may be made of that something might take for code."""


def person(role: Role, id: str, shop_id: str = "tea") -> Participant:
    return Participant(role=role, id=id, shop_id=shop_id, name=id, expires=FAR_AHEAD)


AMY, BO = person(Role.AGENT, "amy"), person(Role.AGENT, "bo")
HEAD = person(Role.SUPERVISOR, "amy")
"""A supervisor who is called as an agent is."""


def reply(id: str, text: str = "您好", title: str = "") -> QuickReply:
    return QuickReply(id=id, title=title, text=text)


class Lists(RuleBasedStateMachine):
    """A list of quick replies does what a plain list does, and never has an id twice."""

    ids = st.sampled_from("abcdefgh")
    texts = st.sampled_from(["您好", "{buyer}，您好", "{ } 100%"])

    def __init__(self) -> None:
        super().__init__()
        self.replies: Replies = ()
        self.plain: list[tuple[str, str]] = []

    def place(self, id: str) -> int | None:
        return next((at for at, (known, _) in enumerate(self.plain) if known == id), None)

    @rule(id=ids, text=texts)
    def add(self, id: str, text: str) -> None:
        self.replies = add(self.replies, reply(id, text))
        if self.place(id) is None:
            self.plain.append((id, text))

    @rule(id=ids, text=texts)
    def edit(self, id: str, text: str) -> None:
        if (at := self.place(id)) is None:
            self.refused(id, lambda: edit(self.replies, reply(id, text)))
        else:
            self.replies = edit(self.replies, reply(id, text))
            self.plain[at] = (id, text)

    @rule(id=ids)
    def delete(self, id: str) -> None:
        self.replies = delete(self.replies, id)
        if (at := self.place(id)) is not None:
            del self.plain[at]

    @rule(id=ids, position=st.integers(0, 12) | st.just(2**31 - 1))
    def move(self, id: str, position: int) -> None:
        if (at := self.place(id)) is None:
            self.refused(id, lambda: move(self.replies, id, position))
            return
        self.replies = move(self.replies, id, position)
        self.plain.insert(position, self.plain.pop(at))
        assert self.replies[min(position, len(self.replies) - 1)].id == id

    @precondition(lambda self: self.replies)
    @rule(data=st.data())
    def do_again(self, data: st.DataObject) -> None:
        """Whatever was done to a list may be done to it twice."""
        at = data.draw(st.integers(0, len(self.replies) - 1))
        known = self.replies[at]
        assert add(self.replies, known) == edit(self.replies, known) == move(self.replies, known.id, at) == self.replies
        assert delete(delete(self.replies, known.id), known.id) == delete(self.replies, known.id)

    @staticmethod
    def refused(id: str, change: Callable[[], Replies]) -> None:
        with pytest.raises(CommandError, match="unknown_quick_reply") as refusal:
            change()
        assert refusal.value.params == {"reply_id": id}

    @invariant()
    def both_are_the_same(self) -> None:
        assert [(each.id, each.text) for each in self.replies] == self.plain
        assert len({each.id for each in self.replies}) == len(self.replies)


TestLists = Lists.TestCase


def test_a_list_that_is_full_takes_no_more_but_knows_what_it_has() -> None:
    full: Replies = ()
    for n in range(LIMIT):
        full = add(full, reply(f"r{n}"))
    with pytest.raises(CommandError, match="too_many_quick_replies") as refusal:
        add(full, reply("one-more"))
    assert refusal.value.params == {"limit": 200}
    assert add(full, full[7]) == full, "a repeated command is told the same as the first time"
    assert len(add(delete(full, "r0"), reply("one-more"))) == LIMIT


@pytest.mark.parametrize("text", ["{buyre}，您好", "您好{买家}", "{Buyer}", "{buyer}{ORDER}", "{{name}}"])
@pytest.mark.parametrize(("change", "before"), [(add, ()), (edit, (reply("a"),))], ids=["add", "edit"])
def test_a_mistyped_placeholder_is_refused(
    text: str, change: Callable[[Replies, QuickReply], Replies], before: Replies
) -> None:
    with pytest.raises(CommandError, match="unknown_placeholder") as refusal:
        change(before, reply("a", text))
    assert refusal.value.params["placeholder"] in text
    assert refusal.value.params["known"] == "{buyer}, {order}"


@pytest.mark.parametrize(
    "text", ["{buyer}的订单 {order}", "{}", "{ }", "{0}", '{"a": 1}', "}{", "{{buyer}}", "{a b}", "{"]
)
def test_all_other_braces_are_plain_text(text: str) -> None:
    assert add((), reply("a", text))[0].text == text


def read_slowly(text: str, values: dict[str, str]) -> str:
    said = ""
    while text:
        found = next((placeholder for placeholder in values if text.startswith(placeholder)), None)
        said += values[found] if found else text[0]
        text = text[len(found or text[0]) :]
    return said


odd_texts = st.lists(st.sampled_from(ODD) | st.text(max_size=5), max_size=8).map("".join)


@given(text=odd_texts, buyer=st.none() | odd_texts, order=st.none() | odd_texts)
def test_a_text_is_filled_in_and_nothing_more(text: str, buyer: str | None, order: str | None) -> None:
    """Seen to fail with one `replace` after the other, which reads a buyer's name of `{order}` as a placeholder."""
    values = {"{buyer}": buyer, "{order}": order}
    known = {placeholder: value for placeholder, value in values.items() if value is not None}
    assert fill(text, buyer=buyer, order=order) == read_slowly(text, known)


def test_what_is_filled_in_is_not_read_again() -> None:
    assert (
        fill("{buyer}/{order}/{buyer.id}", buyer="{order}\\1{0}", order="{buyer}") == "{order}\\1{0}/{buyer}/{buyer.id}"
    )
    assert fill("{buyer} {order}", buyer="林", order=None) == "林 {order}"
    assert fill("{buyer} {order}", buyer="", order="o1") == " o1"


def quick_replying(scripts: Scripts) -> QuickReplying:
    settings = Settings(secret="s" * 32)
    window = AnswerWindow(settings.answer_window)
    parts = Parts(Store(scripts), Shop(scripts), Timers(scripts), ServerClock(), settings, window)
    return QuickReplying(parts, QuickReplyBook(scripts))


@pytest.fixture
def quick(either_redis: Redis) -> QuickReplying:
    return quick_replying(ClientScripts(either_redis))


READ = QuickReplies(id=str(uuid4()), type="quick_replies")


def adding(text: str, scope: Scope = "mine", title: str = "", id: str | None = None) -> AddQuickReply:
    return AddQuickReply(id=id or str(uuid4()), type="add_quick_reply", scope=scope, title=title, text=text)


def editing(reply_id: str, text: str, scope: Scope = "mine", title: str = "") -> EditQuickReply:
    return EditQuickReply(
        id=str(uuid4()), type="edit_quick_reply", scope=scope, reply_id=reply_id, title=title, text=text
    )


def deleting(reply_id: str, scope: Scope = "mine") -> DeleteQuickReply:
    return DeleteQuickReply(id=str(uuid4()), type="delete_quick_reply", scope=scope, reply_id=reply_id)


def moving(reply_id: str, position: int, scope: Scope = "mine") -> MoveQuickReply:
    return MoveQuickReply(id=str(uuid4()), type="move_quick_reply", scope=scope, reply_id=reply_id, position=position)


def texts(replies: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in replies]


async def test_a_list_is_kept_as_it_was_changed(quick: QuickReplying, either_redis: Redis) -> None:
    assert await quick.read(AMY, READ) == {"shop": [], "mine": []}
    first = await quick.change(AMY, adding("一", title="甲", id="0A0A0A0A-0000-4000-8000-00000000000F"))
    id = "0a0a0a0a00004000800000000000000f"
    assert first == {"scope": "mine", "replies": [{"id": id, "title": "甲", "text": "一"}]}
    await quick.change(AMY, adding("二"))
    await quick.change(AMY, adding("三"))
    await quick.change(AMY, editing(id, "壹", title="乙"))
    moved = await quick.change(AMY, moving(id, 1))
    assert texts(moved["replies"]) == ["二", "壹", "三"]
    left = await quick.change(AMY, deleting(moved["replies"][0]["id"]))
    assert (await quick.read(AMY, READ))["mine"] == left["replies"]
    assert left["replies"][0] == {"id": id, "title": "乙", "text": "壹"}
    for one in left["replies"]:
        await quick.change(AMY, deleting(one["id"]))
    assert await quick.read(AMY, READ) == {"shop": [], "mine": []}
    for unknown in (editing(id, "x"), moving(id, 0)):
        with pytest.raises(CommandError, match="unknown_quick_reply"):
            await quick.change(AMY, unknown)
    assert await either_redis.ttl("desk:{tea}:quick:agent:amy") == -1, "nothing expires but alarms"


async def test_everybody_has_their_own_list_and_all_have_the_shops(quick: QuickReplying, either_redis: Redis) -> None:
    elsewhere = person(Role.SUPERVISOR, "amy", "coffee")
    await quick.change(HEAD, adding("店", "shop"))
    for who in (AMY, BO, HEAD):
        await quick.change(who, adding(f"{who.role}-{who.id}"))
    await quick.change(elsewhere, adding("別", "shop"))
    for who in (AMY, BO, HEAD):
        read = await quick.read(who, READ)
        assert (texts(read["shop"]), texts(read["mine"])) == (["店"], [f"{who.role}-{who.id}"])
    assert texts((await quick.read(elsewhere, READ))["shop"]) == ["別"]
    assert sorted(await either_redis.keys("*{tea}*")) == [
        b"desk:{tea}:quick:agent:amy",
        b"desk:{tea}:quick:agent:bo",
        b"desk:{tea}:quick:shop",
        b"desk:{tea}:quick:supervisor:amy",
    ]


async def test_only_a_supervisor_keeps_the_shops_list(quick: QuickReplying) -> None:
    there = (await quick.change(HEAD, adding("店", "shop")))["replies"][0]["id"]
    for command in (
        adding("x", "shop"),
        editing(there, "x", "shop"),
        deleting(there, "shop"),
        moving(there, 0, "shop"),
    ):
        with pytest.raises(CommandError, match="supervisor_only"):
            await quick.change(AMY, command)
    assert texts((await quick.read(AMY, READ))["shop"]) == ["店"]


@pytest.mark.parametrize("role", [Role.BUYER, Role.SERVICE])
async def test_nobody_else_sees_or_changes_any(quick: QuickReplying, either_redis: Redis, role: Role) -> None:
    stranger = person(role, "amy")
    with pytest.raises(CommandError, match="agents_only"):
        await quick.read(stranger, READ)
    with pytest.raises(CommandError, match="agents_only"):
        await quick.read(stranger, QuickReplies(id=READ.id, type="quick_replies", conversation_id="tea.amy"))
    for command in (adding("x"), adding("x", "shop")):
        with pytest.raises(CommandError, match="agents_only"):
            await quick.change(stranger, command)
    assert await either_redis.keys() == []


async def test_in_a_conversation_each_says_what_would_be_said(quick: QuickReplying, either_redis: Redis) -> None:
    """Seen to fail, another shop's buyer named, without asking who may see the conversation."""
    for shop_id in ("tea", "coffee"):
        id = f"{shop_id}.lin"
        lin = Conversation(id=id, shop_id=shop_id, buyer_id="lin", buyer_name="{order}", opened=FAR_AHEAD)
        await Store(ClientScripts(either_redis)).commit(Commit(id, 0, conversation=lin))
    await quick.change(HEAD, adding("{buyer}，您好", "shop"))
    await quick.change(AMY, adding("订单 {order}"))

    async def filled(**where: str) -> list[Any]:
        read = await quick.read(AMY, QuickReplies(id=READ.id, type="quick_replies", **where))
        return [each.get("filled") for each in (*read["shop"], *read["mine"])]

    assert await filled() == [None, None]
    assert await filled(order_id="o1") == [None, None]
    assert await filled(conversation_id="tea.lin") == ["{order}，您好", "订单 {order}"]
    assert await filled(conversation_id="tea.lin", order_id="o1") == ["{order}，您好", "订单 o1"]
    here = QuickReplies(id=READ.id, type="quick_replies", conversation_id="tea.lin")
    assert [each["filled"] for each in (await quick.read(HEAD, here))["shop"]] == ["{order}，您好"]
    for unknown in ("tea.nobody", "coffee.lin"):
        with pytest.raises(CommandError, match="unknown_conversation"):
            await filled(conversation_id=unknown)


class Crossing:
    """Scripts whose first two writes wait for each other: both were decided on the same reading."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._both = asyncio.Barrier(2)
        self.writes = 0

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        if args:
            self.writes += 1
            if self.writes <= 2:
                async with asyncio.timeout(15):
                    await self._both.wait()
        return await self._scripts.run(script, keys, args)


async def test_two_devices_change_a_list_at_once_and_both_changes_are_there(either_redis: Redis) -> None:
    """Seen to fail, one of the two lost, without comparing the version in the script."""
    scripts = ClientScripts(either_redis)
    quick = quick_replying(scripts)
    here = (await quick.change(AMY, adding("一")))["replies"][0]["id"]
    crossing = Crossing(scripts)
    added, edited = await asyncio.gather(
        quick_replying(crossing).change(AMY, adding("二")), quick_replying(crossing).change(AMY, editing(here, "壹"))
    )
    assert texts((await quick.read(AMY, READ))["mine"]) == ["壹", "二"]
    assert ["壹", "二"] in (texts(added["replies"]), texts(edited["replies"]))
    assert crossing.writes == 3


class Quicker:
    """Scripts before whose every write somebody else changes the same list."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.writes = 0

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        if args:
            self.writes += 1
            await quick_replying(self._scripts).change(AMY, adding(f"{self.writes}"))
        return await self._scripts.run(script, keys, args)


async def test_who_is_never_quick_enough_is_told_so_in_the_end(either_redis: Redis) -> None:
    """Seen to fail without comparing the version in the script."""
    quicker = Quicker(ClientScripts(either_redis))
    with pytest.raises(CommandError, match="busy") as refusal:
        await quick_replying(quicker).change(AMY, adding("slow"))
    assert refusal.value.params == {"retry_after_ms": 200}
    mine = (await quick_replying(ClientScripts(either_redis)).read(AMY, READ))["mine"]
    assert texts(mine) == [f"{n}" for n in range(1, quicker.writes + 1)]
    assert quicker.writes == 12


@asynccontextmanager
async def listening(redis: Redis, told: list[tuple[str, bytes]], *channels: str) -> AsyncIterator[None]:
    """What is published meanwhile on these channels, in order, as (channel, message)."""
    async with redis.pubsub(ignore_subscribe_messages=True) as ear:
        await ear.subscribe("end", *channels)
        yield
        await redis.publish("end", "")
        async with asyncio.timeout(15):
            while True:
                message = await ear.get_message(timeout=1)
                if message is not None and message["channel"] == b"end":
                    return
                if message is not None:
                    told.append((message["channel"].decode(), message["data"]))


CHANNELS = ("desk:tea", "live:tea:agent:amy", "live:tea:supervisor:amy", "desk:coffee")


async def test_the_other_devices_are_told_that_a_list_changed(quick: QuickReplying, either_redis: Redis) -> None:
    told: list[tuple[str, bytes]] = []
    async with listening(either_redis, told, *CHANNELS):
        await quick.change(AMY, adding("一"))
        await quick.change(HEAD, adding("二", "shop"))
        await quick.change(HEAD, adding("三"))
    channels = [channel for channel, _ in told]
    assert channels == ["live:tea:agent:amy", "desk:tea", "live:tea:supervisor:amy"]
    for (_, message), scope in zip(told, ("mine", "shop", "mine"), strict=True):
        conversation, seq, at_ms, body = message.split(b" ", 3)
        assert (conversation, seq) == (b"-", b"0")
        assert abs(int(at_ms) - to_ms(datetime.now(UTC))) < 60_000
        assert orjson.loads(body) == {"type": "quick_replies", "scope": scope}


async def test_what_changes_nothing_writes_nothing_and_tells_nobody(quick: QuickReplying, either_redis: Redis) -> None:
    """A command that is sent again after a cut. Seen to fail when a list is written whatever became of it."""
    first = adding("一")
    there = (await quick.change(AMY, first))["replies"]
    kept = await either_redis.hgetall("desk:{tea}:quick:agent:amy")
    told: list[tuple[str, bytes]] = []
    async with listening(either_redis, told, *CHANNELS):
        again = first.model_copy(update={"id": first.id.upper()})
        for same in (first, again, editing(there[0]["id"], "一"), moving(there[0]["id"], 9), deleting("gone")):
            assert (await quick.change(AMY, same))["replies"] == there
        for wrong in (adding("{buyre}"), moving("gone", 0), adding("x", "shop")):
            with pytest.raises(CommandError):
                await quick.change(AMY, wrong)
    assert told == []
    assert await either_redis.hgetall("desk:{tea}:quick:agent:amy") == kept


async def test_a_full_list_of_long_texts_is_kept_whole(either_redis: Redis) -> None:
    book = QuickReplyBook(ClientScripts(either_redis))
    full = tuple(reply(f"r{n}", "快" * 2000, "题" * 50) for n in range(LIMIT))
    assert await book.change(AMY, "mine", lambda _: full) == full
    assert await book.read(AMY) == ((), full)
