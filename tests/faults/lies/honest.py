"""An honest run: people at two real gateways do everything that can become of a card, and all of it is recorded."""

import contextlib
import pickle
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bot.orders.shop import IllegalMove, Move
from bot.participant import Role
from tests.faults.torture.cast import Cast
from tests.faults.torture.final import read_final
from tests.faults.torture.history import History
from tests.faults.torture.life import live
from tests.faults.torture.recorder import RecordingClient
from tests.faults.torture.thrift import Thrift
from tests.flows.nanshan import shop_file
from tests.flows.town import SECRET, Town, a_town

Frame = dict[str, Any]

WINDOW = timedelta(seconds=1)
LIN, CHEN = "nanshan.lin-wan", "nanshan.chen-mo"
CLICK = "5b5f0f0e-0d3a-4e0e-9d39-3f5d5b0e7a11"
"""The id of a command that is sent twice."""


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
    """Play on that server, and leave in the folder what a run leaves on disk."""
    async with a_town(redis_url) as town:
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
