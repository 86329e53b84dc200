"""The checker: silent on an honest run, and loud on every lie, with the check that the lie is about.

The run is recorded from people at two real gateways, once; each lie is told into a copy of it. So every check is seen
red, and by what it is for.
"""

import asyncio
import contextlib
import pickle
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from bot.embedded import Embedded
from bot.orders.shop import IllegalMove, Move
from bot.participant import Role
from tests.faults.torture.cast import Cast
from tests.faults.torture.checker import CHECKS, Terms, check
from tests.faults.torture.final import Final, Logged, View, canonical, read_final
from tests.faults.torture.history import History, Kind, Record
from tests.faults.torture.life import live
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.stores import Promise
from tests.faults.torture.thrift import Thrift
from tests.flows.nanshan import shop_file
from tests.flows.town import SECRET, Town

Frame = dict[str, Any]

WINDOW = timedelta(seconds=1)
TERMS = Terms(promises=Promise.KEPT, window=WINDOW, bound=timedelta(seconds=5), settles=timedelta())
LIN, CHEN = "nanshan.lin-wan", "nanshan.chen-mo"
CLICK = "5b5f0f0e-0d3a-4e0e-9d39-3f5d5b0e7a11"


class Play:
    """Two agents and two buyers, one of them with two devices, and everything that can become of a card."""

    def __init__(self, town: Town, history: History) -> None:
        self.town = town
        self.history = history
        self.chance = random.Random(5)
        self.people: list[RecordingClient] = []

    async def come(self, who: str, locale: str = "zh-CN") -> RecordingClient:
        role, _, name = who.partition(" ")
        urls = [gateway.url for gateway in self.town.gateways]
        client = RecordingClient(
            who,
            self.history,
            self.chance.sample(urls, len(urls)),
            self.town.token(Role(role), name.partition("#")[0]),
            chance=self.chance,
            thrift=Thrift(),
            locale=locale,
            patience=10,
        )
        await client.start()
        self.people.append(client)
        return client

    async def ask(self, agent: RecordingClient, order: str, waive: bool = False, **to: str) -> Frame:
        """Propose, and the card as the buyer sees it."""
        buyer = self.chen if order.startswith("chen") else self.lin
        changes = [{"line_id": line.removeprefix("line_"), "to_sku": sku} for line, sku in to.items()]
        ok = await agent.propose(f"nanshan.{order[:7]}", order, changes, waive_difference=waive)
        card: Frame = await buyer.wait_for(lambda: buyer.seen.get(ok["proposal_id"]))
        return card

    async def ends(self, card: Frame) -> None:
        buyer = self.chen if card["conversation_id"] == CHEN else self.lin
        await buyer.wait_for(lambda: buyer.settled(card["proposal_id"]))

    async def move(self, order_id: str, what: Move) -> None:
        result, version = "done", None
        try:
            version = (await self.town.gateways[0].house.shop.move("nanshan", order_id, what)).version
        except IllegalMove:
            result = "illegal"
        self.history.note("moved", order_id=order_id, move=what, result=result, version=version)

    async def run(self) -> None:
        xiaoyu, ahe = await self.come("agent xiaoyu"), await self.come("agent ahe", "en")
        self.lin, phone = await self.come("buyer lin-wan"), await self.come("buyer lin-wan#2", "en")
        lin, self.chen = self.lin, await self.come("buyer chen-mo")
        await xiaoyu.open("lin-wan")
        await ahe.open("chen-mo")
        ignored = await self.ask(ahe, "chen-mo-paid", line_1="white-s")
        for speaker, conversation_id, words in ((ahe, CHEN, "请看卡片"), (lin, LIN, "在吗"), (xiaoyu, LIN, "在的")):
            await speaker.say(conversation_id, words)
        await self.at_rest()
        await phone.read(LIN)
        agreed = await self.ask(xiaoyu, "lin-wan-paid", line_1="white-s")
        await lin.answer(agreed, "agree")
        await live(phone.answer(agreed, "reject"))
        await self.ends(agreed)
        rejected = await self.ask(xiaoyu, "lin-wan-two-lines", line_2="moon")
        await phone.answer(rejected, "reject", comment="不用了")
        withdrawn = await self.ask(xiaoyu, "lin-wan-unpaid", line_1="green-m")
        await xiaoyu.withdraw(withdrawn)
        handed_on = await self.ask(xiaoyu, "lin-wan-paid", waive=True, line_1="green-m")
        await xiaoyu.transfer(LIN, "ahe", reason="午休")
        await live(xiaoyu.say(LIN, "还在吗"))
        await ahe.remind(handed_on)
        click = {name: handed_on[name] for name in ("conversation_id", "proposal_id", "version")}
        for device in (lin, phone):
            await device.command("answer", command_id=CLICK, action="agree", **click)
        await self.ends(handed_on)
        moved = await self.ask(ahe, "lin-wan-two-lines", line_1="white-s")
        await self.move("lin-wan-two-lines", "refund")
        await self.ends(moved)
        unpaid = await self.ask(ahe, "lin-wan-unpaid", line_1="green-m", line_2="kiln")
        await lin.answer(unpaid, "agree")
        await self.ends(unpaid)
        for move in ("pay", "complete"):
            await self.move("lin-wan-unpaid", move)
        lin.cut()
        await ahe.say(LIN, "改好了")
        await lin.say(LIN, "谢谢")
        await lin.history(LIN, limit=5)
        await live(self.chen.history(LIN))
        await self.ends(ignored)
        await self.at_rest()
        await ahe.close_conversation(CHEN)
        await self.chen.say(CHEN, "我回来了")
        await self.come("agent ahe#2")
        await self.at_rest()

    async def at_rest(self) -> None:
        """Nothing is under way, and everybody has what is theirs."""
        for gateway in self.town.gateways * 2:
            await gateway.house.parts.background.drain(5)
        for id in (LIN, CHEN):
            loaded = await self.town.gateways[0].house.store.load(id)
            assert loaded.conversation is not None
            mine = f"agent {loaded.conversation.agent_id}", f"buyer {loaded.conversation.buyer_id}"
            for client in self.people:
                if client.who.partition("#")[0] in mine:
                    await client.wait_for(partial(self._has_all, client, id, loaded.seq))

    @staticmethod
    def _has_all(client: RecordingClient, id: str, seq: int) -> bool:
        return client.cursors.get(id) == seq


class Server:
    """One primary."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextlib.asynccontextmanager
    async def primaries(self) -> AsyncIterator[list[Redis]]:
        async with Redis.from_url(self._url) as client:
            yield [client]


async def record(redis_url: str, folder: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        town = Town(redis_url, stack)
        for _ in range(2):
            await town.gateway(answer_window=WINDOW, retry_after=timedelta(milliseconds=300))
        with History(folder / "history.jsonl") as history:
            play = Play(town, history)
            try:
                await play.run()
            finally:
                for client in play.people:
                    await client.aclose()
        urls = [gateway.url for gateway in town.gateways]
        final = await read_final(Server(redis_url), urls, SECRET, Cast(shop_file(), WINDOW))
        (folder / "final.pickle").write_bytes(pickle.dumps(final))


@pytest.fixture(scope="module")
def folder(valkey_server: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest run, as a run leaves it on disk."""
    with BlockingRedis.from_url(valkey_server.url) as client:
        client.flushall()
    folder = tmp_path_factory.mktemp("torture")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(record(valkey_server.url, folder))
    return folder


class Run:
    """A copy of the run, to lie in."""

    def __init__(self, folder: Path) -> None:
        self.history = History.load(folder / "history.jsonl")
        self.final: Final = pickle.loads((folder / "final.pickle").read_bytes())
        self.records = self.history.records

    def red(self, terms: Terms = TERMS) -> set[str]:
        """The checks that find something."""
        return {violation.kind for violation in check(self.history, self.final, terms)}

    def find(self, kind: Kind, who: str = "", **members: Any) -> list[Record]:
        """The records of that kind whose frame or command has these members."""
        return [
            record
            for record in self.history.of(kind)
            if who in ("", record.who)
            and members.items() <= (record.data.get("frame") or record.data.get("command") or record.data).items()
        ]

    def card(self, state: str) -> Frame:
        """The document of the first card that ended so."""
        return next(card for card in self.final.proposals.values() if card["state"] == state)

    def logged(self, state: str) -> Logged:
        """The entry in which the first card became that."""
        return next(
            entry
            for log in (self.final.logs[LIN], self.final.logs[CHEN])
            for entry in log
            if entry.body.get("card", {}).get("state") == state
        )

    def said(self, text: str) -> Logged:
        """The entry of a message."""
        return next(entry for log in self.final.logs.values() for entry in log if entry.body.get("text") == text)

    def frames(self, entry: Logged) -> Iterator[Frame]:
        """Every frame or part of one in which somebody was told of an entry."""
        id = self.place(entry)
        for record in self.history.of("told", "answered"):
            frame = record.data["frame"]
            for part in (frame, *frame.get("entries", ())):
                if part.get("seq") == entry.seq and part.get("at_ms") == entry.at_ms:
                    assert id
                    yield part

    def place(self, entry: Logged) -> str:
        """The conversation it is in."""
        return next(id for id, log in self.final.logs.items() if entry in log)

    def rewrite(
        self, entry: Logged, stored: Callable[[Frame], object], shown: Callable[[Frame], object], **new: Any
    ) -> None:
        """Tell the same lie everywhere: in the log, to everybody live, and to whoever reads it back."""
        id = self.place(entry)
        told = [*self.frames(entry)]
        stored(entry.body)
        self.final.logs[id][self.final.logs[id].index(entry)] = replace(entry, **new)
        for frame in told:
            shown(frame)
            frame.update(new)
        self.final.views[id] = [self._viewed(view, entry.seq, shown, new) for view in self.final.views[id]]

    @staticmethod
    def _viewed(view: View, seq: int, shown: Callable[[Frame], object], new: Frame) -> View:
        entries = []
        for number, text in view.entries:
            frame = orjson.loads(text)
            if number == seq:
                shown(frame)
                frame.update(new)
            entries.append((number, canonical(frame)))
        return replace(view, entries=entries)

    def insert(self, after: Record, kind: Kind, who: str, **data: Any) -> None:
        """A record that never was, right after another one."""
        at = self.records.index(after)
        self.records.insert(at + 1, replace(after, kind=kind, who=who, data=data))

    def broken(self, name: str, begins: Record, ends: Record) -> None:
        """Something was broken from that record to that one."""
        self.insert(begins, "fault", "", name=name, phase="begins", detail="")
        self.insert(ends, "fault", "", name=name, phase="ends", detail="")


def test_an_honest_run_is_not_objected_to(folder: Path) -> None:
    run = Run(folder)
    assert check(run.history, run.final, TERMS) == []
    states = {card["state"] for card in run.final.proposals.values()}
    assert states == {"agreed", "rejected", "withdrawn", "invalid", "timed_out"}
    assert run.find("told", type="reset"), "nobody was shown a page"
    assert len(run.find("lost", "buyer lin-wan")) > 1, "nobody was cut off"


Lie = Callable[[Run], object]
LIES: list[tuple[str, set[str], Lie]] = []
"""Which check a lie is about, what else may rightly object to it, and the lie."""


def lie(about: str, *others: str) -> Callable[[Lie], Lie]:
    def enlist(tell: Lie) -> Lie:
        LIES.append((about, set(others), tell))
        return tell

    return enlist


@lie("outcome", "promised")
def another_state_in_the_document(run: Run) -> None:
    run.card("rejected")["state"] = "withdrawn"


@lie("outcome", "effect", "kept", "notice", "cause", "conflict")
def two_outcomes(run: Run) -> None:
    state = {"state": "rejected"}
    run.rewrite(run.logged("applying"), lambda b: b["card"].update(state), lambda f: f["card"].update(state))


@lie("outcome", "notice", "one-open", "conflict")
def a_version_is_left_out(run: Run) -> None:
    run.rewrite(run.logged("agreed"), lambda b: b.pop("card"), lambda f: f.pop("card", None))


@lie("outcome", "view")
def the_deadline_moves(run: Run) -> None:
    run.logged("applying").body["card"]["deadline_ms"] += 1000


@lie("decided", "outcome", "hold", "timer", "mark")
def nobody_decides(run: Run) -> None:
    run.card("timed_out")["state"] = "pending"
    run.final.now_ms += 60_000


@lie("decided", "outcome", "promised", "hold", "timer", "mark")
def the_order_system_is_never_asked_again(run: Run) -> None:
    run.card("agreed")["state"] = "applying"
    run.final.now_ms += 60_000


@lie("one-open", "outcome", "view", "effect", "kept", "notice", "promised")
def a_second_card_for_an_order(run: Run) -> None:
    run.logged("rejected").body["card"]["state"] = "pending"


@lie("promised", "effect", "kept")
def a_consent_becomes_a_refusal(run: Run) -> None:
    run.find("sent", type="answer", action="reject", comment="不用了")[0].data["command"]["action"] = "agree"


@lie("one-answer", "promised", "kept")
def two_answers_are_accepted(run: Run) -> None:
    refused = run.find("answered", "buyer lin-wan#2", type="error", code="already_settled")[0]
    agreed = run.find("answered", "buyer lin-wan", type="ok", state="applying")[0]
    refused.data["frame"] = {**agreed.data["frame"], "re": refused.data["id"]}


@lie("cause")
def an_order_never_moved(run: Run) -> None:
    run.logged("invalid").body["card"]["order_version"] = 99


@lie("conflict")
def a_conflict_shows_what_never_was(run: Run) -> None:
    run.find("answered", type="error", code="already_settled")[0].data["frame"]["card"]["state"] = "rejected"


@lie("conflict")
def what_is_settled_waits(run: Run) -> None:
    run.find("answered", type="error", code="already_settled")[0].data["frame"]["card"].update(
        state="pending", version=1
    )


@lie("early")
def a_timeout_before_the_deadline(run: Run) -> None:
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms - 900)


@lie("early")
def a_consent_after_the_deadline(run: Run) -> None:
    entry = run.logged("applying")
    run.rewrite(entry, bool, bool, at_ms=entry.body["card"]["deadline_ms"])


@lie("late")
def a_timeout_much_too_late(run: Run) -> None:
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms + 6000)


@lie("window")
def another_window(run: Run) -> None:
    run.card("rejected")["deadline_ms"] += 1


@lie("answered")
def no_reply(run: Run) -> None:
    run.records.remove(run.find("answered", type="ok", state="applying")[0])


@lie("answered")
def given_up_for_nothing(run: Run) -> None:
    reply = run.find("answered", type="ok", state="applying")[0]
    run.insert(reply, "gave_up", reply.who, id=reply.data["id"])
    run.records.remove(reply)


@lie("error")
def an_internal_error(run: Run) -> None:
    run.find("answered", code="not_current_agent")[0].data["frame"]["code"] = "internal"


@lie("repeated")
def another_reply_to_the_same_id(run: Run) -> None:
    run.find("answered", re=CLICK)[1].data["frame"]["seq"] += 1


@lie("effect")
def nobody_said_that(run: Run) -> None:
    sent = run.find("sent", type="say", text="在的")[0]
    run.records[:] = [record for record in run.records if record.data.get("id") != sent.data["id"]]


@lie("effect")
def refused_and_done(run: Run) -> None:
    sent = run.find("sent", type="say", text="在的")[0]
    reply = run.find("answered", re=sent.data["id"])[0]
    reply.data["frame"] = {"type": "error", "re": sent.data["id"], "code": "not_current_agent"}


@lie("effect", "kept")
def said_twice(run: Run) -> None:
    again = {"text": "改好了"}
    words = {"by": {"role": "agent", "id": "ahe", "name": "阿禾"}, **again}
    author = {"author": words["by"]}
    entry = run.said("在的")
    run.rewrite(entry, lambda b: b.update(again | author), lambda f: f.update(text=words))


@lie("kept")
def another_seq(run: Run) -> None:
    run.find("answered", type="ok", state="applying")[0].data["frame"]["seq"] += 1


@lie("kept")
def beyond_the_log(run: Run) -> None:
    run.find("answered", type="ok", state="withdrawn")[0].data["frame"]["seq"] += 1000


@lie("kept")
def a_card_about_something_else(run: Run) -> None:
    run.find("sent", type="propose")[0].data["command"]["changes"][0]["to_sku"] = "white-l"


@lie("kept", "item", "view", "addressed", "delivered", "agent-privacy", "complete")
def opened_by_another(run: Run) -> None:
    run.final.logs[LIN][0].body["conversation"]["agent_id"] = "ahe"


@lie("read-mark", "mark")
def read_and_forgotten(run: Run) -> None:
    run.final.marks[LIN]["read:buyer"] = "0"


@lie("asked", "order")
def agreed_and_never_asked(run: Run) -> None:
    card = run.card("agreed")
    del run.final.changes[card["order_id"]][card["id"]]


@lie("asked", "order")
def agreed_and_refused(run: Run) -> None:
    card = run.card("agreed")
    run.final.changes[card["order_id"]][card["id"]].update(taken=False, reason="stock_gone")


@lie("asked")
def asked_without_a_consent(run: Run) -> None:
    card = run.card("rejected")
    result = {"taken": False, "reason": "stock_gone", "order_version": 1}
    run.final.changes.setdefault(card["order_id"], {})[card["id"]] = result


@lie("asked", "order")
def a_change_of_nobody(run: Run) -> None:
    run.final.changes["chen-mo-paid"]["nobodys"] = {"taken": True, "reason": None, "order_version": 2}


@lie("order")
def another_price(run: Run) -> None:
    run.final.orders_after["lin-wan-unpaid"]["lines"][0]["unit_price_cents"] += 1


@lie("order", "stock")
def another_sku(run: Run) -> None:
    run.final.orders_after["chen-mo-paid"]["lines"][0]["sku_id"] = "white-s"


@lie("order")
def an_order_moves_by_itself(run: Run) -> None:
    run.final.orders_after["chen-mo-paid"]["version"] += 1


@lie("order")
def a_move_that_left_nothing(run: Run) -> None:
    run.find("moved", order_id="lin-wan-two-lines")[0].data["version"] = 7


@lie("stock")
def a_piece_too_many(run: Run) -> None:
    run.final.stock_after["white-s"] += 1


@lie("notice")
def no_notice(run: Run) -> None:
    run.rewrite(run.logged("agreed"), lambda b: b.pop("notice"), lambda f: f.pop("notice", None))


@lie("notice", "view")
def a_second_notice(run: Run) -> None:
    run.logged("applying").body.update(notice="agreed", notice_to="xiaoyu")


@lie("addressed", "delivered")
def a_notice_for_somebody_else(run: Run) -> None:
    def shown(frame: Frame) -> None:
        if "notice" in frame:
            frame["notice"]["agent_id"] = "ahe"

    run.rewrite(run.logged("rejected"), lambda b: b.update(notice_to="ahe"), shown)


@lie("delivered", "complete")
def a_notice_that_never_came(run: Run) -> None:
    seq = run.logged("timed_out").seq
    for record in run.find("told", "agent ahe", type="entry", conversation_id=CHEN):
        if record.data["frame"]["seq"] >= seq:
            run.records.remove(record)


@lie("gap")
def more_is_counted_than_there_is(run: Run) -> None:
    run.final.marks[LIN]["seq"] = "1000"


@lie(
    "gap",
    "view",
    "outcome",
    "one-open",
    "notice",
    "effect",
    "kept",
    "told",
    "complete",
    "item",
    "mark",
    "conflict",
    "document",
)
def an_entry_is_gone(run: Run) -> None:
    del run.final.logs[LIN][5]


@lie("document")
def another_agent_in_the_document(run: Run) -> None:
    run.final.conversations[LIN]["agent_id"] = "xiaoyu"


@lie("view")
def a_reader_misses_one(run: Run) -> None:
    view = run.final.views[LIN][0]
    run.final.views[LIN][0] = replace(view, entries=[*view.entries[:3], *view.entries[4:]])


@lie("view")
def a_reader_misses_the_last(run: Run) -> None:
    view = run.final.views[LIN][0]
    run.final.views[LIN][0] = replace(view, entries=view.entries[:-1])


@lie("view", "told")
def a_reader_reads_something_else(run: Run) -> None:
    view = run.final.views[LIN][0]
    entry = run.said("改好了")
    entries = [(seq, text.replace("改好了".encode(), b"?") if seq == entry.seq else text) for seq, text in view.entries]
    run.final.views[LIN][0] = replace(view, entries=entries)


@lie("resume")
def told_again(run: Run) -> None:
    record = run.find("told", "buyer lin-wan", type="entry")[3]
    run.insert(record, "told", record.who, frame=record.data["frame"])


@lie("resume", "delivered")
def one_is_left_out(run: Run) -> None:
    run.records.remove(run.find("told", "agent xiaoyu", type="entry")[2])


@lie("resume")
def one_is_left_out_before_a_cut(run: Run) -> None:
    lost = run.records.index(run.find("lost", "buyer lin-wan")[0])
    told = run.find("told", "buyer lin-wan", type="entry")
    run.records.remove([record for record in told if run.records.index(record) < lost][-1])


@lie("reset")
def a_page_with_a_hole(run: Run) -> None:
    page = run.find("told", "agent ahe", type="reset", conversation_id=LIN)[0].data["frame"]
    del page["entries"][2]


@lie("reset")
def a_page_that_was_not_needed(run: Run) -> None:
    told = run.find("told", "buyer lin-wan", type="entry")[-1]
    run.insert(told, "told", told.who, frame=page_of(run, told.data["frame"]["seq"]))


@lie("reset")
def a_page_that_takes_something_back(run: Run) -> None:
    taken_back(run)


@lie("told")
def somebody_is_told_something_else(run: Run) -> None:
    entry = run.said("改好了")
    record = next(r for r in run.find("told", "buyer lin-wan#2", seq=entry.seq))
    record.data["frame"]["text"]["text"] = "没改"


@lie("told")
def a_page_of_history_says_something_else(run: Run) -> None:
    page = next(record for record in run.history.of("answered") if "entries" in record.data["frame"])
    page.data["frame"]["entries"][0]["at_ms"] += 1


@lie("complete")
def the_end_never_comes(run: Run) -> None:
    record = run.find("told", "buyer lin-wan#2", type="entry")[-1]
    run.records.remove(record)


@lie("item")
def an_item_in_other_hands(run: Run) -> None:
    run.find("told", "agent ahe#2", type="welcome")[0].data["frame"]["conversations"][0]["open"] = False


@lie("buyer-privacy", "told")
def a_buyer_is_shown_a_notice(run: Run) -> None:
    seq = run.logged("rejected").seq
    record = run.find("told", "buyer lin-wan", type="entry", seq=seq)[0]
    record.data["frame"]["notice"] = {"code": "rejected"}


@lie("buyer-privacy", "told")
def a_buyer_learns_why(run: Run) -> None:
    told = run.find("told", "buyer lin-wan", type="entry")
    record = next(r for r in told if r.data["frame"].get("system", {}).get("code") == "transferred_because")
    record.data["frame"]["system"]["reason"] = "午休"


@lie("buyer-privacy", "view", "told")
def a_buyer_reads_a_notice_back(run: Run) -> None:
    views = run.final.views[LIN]
    of_agent = {view.locale: view.entries for view in views if view.audience == "agent"}
    views[:] = [replace(v, entries=of_agent[v.locale]) if v.audience == "buyer" else v for v in views]


@lie("buyer-privacy", "resume", "told")
def a_buyer_is_told_of_another(run: Run) -> None:
    record = run.find("told", "buyer lin-wan", type="entry")[-1]
    run.insert(record, "told", "buyer chen-mo", frame=record.data["frame"])


@lie("buyer-privacy", "item")
def a_buyer_sees_the_desk(run: Run) -> None:
    welcome = run.find("told", "buyer chen-mo", type="welcome")[0].data["frame"]
    welcome["waiting"] = [{"conversation_id": LIN, "buyer_id": "lin-wan", "seq": 0, "agent_id": None, "open": True}]


@lie("agent-privacy", "resume", "told")
def an_agent_is_told_of_what_is_not_theirs(run: Run) -> None:
    record = run.find("told", "agent ahe", type="entry", conversation_id=CHEN)[0]
    run.insert(record, "told", "agent xiaoyu", frame=record.data["frame"])


@lie("agent-privacy")
def an_agent_hears_who_writes(run: Run) -> None:
    record = run.find("told", "agent xiaoyu", type="entry")[0]
    run.insert(record, "told", "agent xiaoyu", frame={"type": "typing", "conversation_id": CHEN, "by": "buyer"})


@lie("timer")
def a_timer_of_a_settled_card(run: Run) -> None:
    run.final.timers[f"expire:{CHEN}:{run.card('timed_out')['id']}"] = run.final.now_ms - 6000


@lie("timer")
def a_timer_of_nothing(run: Run) -> None:
    run.final.timers["nap:xiaoyu"] = run.final.now_ms


@lie("timer")
def a_claim_of_nothing(run: Run) -> None:
    run.final.leases.append("expire:nothing")


@lie("hold")
def an_order_is_held_for_ever(run: Run) -> None:
    run.final.holds[LIN] = {"lin-wan-paid": run.card("agreed")["id"]}


@lie("mark")
def a_card_is_counted_for_ever(run: Run) -> None:
    run.final.marks[LIN]["cards"] = "1"


@lie("mark")
def something_is_unread_for_ever(run: Run) -> None:
    run.final.marks[LIN]["unread:buyer"] = "77"


def page_of(run: Run, last: int) -> Frame:
    """The page that a buyer of LIN is shown."""
    (view,) = [v for v in run.final.views[LIN] if (v.audience, v.locale) == ("buyer", "zh-CN")]
    entries = [orjson.loads(text) for seq, text in view.entries if seq <= last]
    item = {"conversation_id": LIN, "buyer_id": "lin-wan", "seq": last, "agent_id": "ahe", "open": True}
    return {"type": "reset", "conversation_id": LIN, "entries": entries, "first_seq": 1, "last_seq": last} | {
        "conversation": item
    }


def taken_back(run: Run) -> tuple[Record, Record]:
    """The last entry but one was told before another one had its seq; then the page says how it is."""
    *_, before, told = run.find("told", "buyer lin-wan", type="entry")
    seq = told.data["frame"]["seq"]
    phantom = {**told.data["frame"], "text": {"by": {"role": "agent", "id": "ahe", "name": "阿禾"}, "text": "没有"}}
    told.data["frame"] = page_of(run, seq)
    run.insert(before, "told", "buyer lin-wan", frame=phantom)
    return before, told


@pytest.mark.parametrize(("about", "others", "tell"), LIES, ids=[tell.__name__ for _, _, tell in LIES])
def test_a_lie_is_found_by_the_check_that_it_is_about(
    folder: Path, about: str, others: set[str], tell: Callable[[Run], object]
) -> None:
    run = Run(folder)
    tell(run)
    red = run.red()
    assert about in red
    assert red <= {about, *others}


def test_every_check_has_its_lie() -> None:
    assert {about for about, _, _ in LIES} == set(CHECKS)


UNKEPT = [
    a_consent_becomes_a_refusal,
    two_answers_are_accepted,
    another_reply_to_the_same_id,
    another_seq,
    beyond_the_log,
    read_and_forgotten,
]


@pytest.mark.parametrize("tell", UNKEPT)
def test_where_nothing_is_promised_what_was_acknowledged_may_be_lost(folder: Path, tell: Lie) -> None:
    run = Run(folder)
    tell(run)
    assert run.red(replace(TERMS, promises=Promise.MAY_LOSE)) <= {"effect", "mark"}


def test_a_person_may_give_up_while_something_is_broken(folder: Path) -> None:
    run = Run(folder)
    given_up_for_nothing(run)
    gave_up = run.find("gave_up")[0]
    run.broken("gateway_killed", gave_up, gave_up)
    assert run.red() == set()


@pytest.mark.parametrize(("mended_s", "red"), [(56, set()), (54, {"late"})])
def test_a_timeout_may_be_as_late_as_what_was_broken_and_the_bound(folder: Path, mended_s: int, red: set[str]) -> None:
    run = Run(folder)
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms + 60_000)
    mended = replace(run.records[-1], wall_ms=entry.at_ms + mended_s * 1000)
    run.broken("gateway_killed", run.records[0], run.records[-1])
    run.records[-1] = replace(run.records[-1], wall_ms=mended.wall_ms)
    assert run.red() == red


def test_what_a_failover_lost_may_be_taken_back_by_a_page(folder: Path) -> None:
    run = Run(folder)
    before, _ = taken_back(run)
    run.broken("failover", before, before)
    assert run.red() == set()


def test_tricks_of_people_excuse_only_themselves(folder: Path) -> None:
    run = Run(folder)
    a_timeout_much_too_late(run)
    run.insert(run.records[0], "fault", "buyer chen-mo", name="away", phase="begins", detail="")
    run.insert(run.records[0], "fault", "", name="storm", phase="begins", detail="")
    assert run.red() == {"late"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_frame_can_be_lost_or_told_twice(folder: Path, data: st.DataObject) -> None:
    run = Run(folder)
    record = data.draw(st.sampled_from(run.find("told", type="entry")))
    if data.draw(st.booleans(), "twice"):
        run.insert(record, "told", record.who, frame=record.data["frame"])
    else:
        run.records.remove(record)
    assert run.red() & {"resume", "complete"}
