"""More than a session may ask at once, and a gateway that goes away: said, survived, and nothing acknowledged lost."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from bot.orders.shop import Shop
from bot.participant import Role
from cards.order import Order
from tests.flows.gateway.wire import Frame, Wire, dial, http_of, introduced
from tests.flows.town import Gateway, Scene, Town

HERE = "nanshan.lin-wan"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyBsbw==",
}


def say(text: str) -> Frame:
    return {"type": "say", "id": str(uuid.uuid4()), "conversation_id": HERE, "text": text}


async def said_in_the_log(town: Town, on: Gateway | None = None) -> list[str]:
    """The texts of the conversation, as the log has them."""
    reader = await introduced(town, Role.BUYER, "lin-wan", on)
    answer = await reader.ask("history", conversation_id=HERE, limit=200)
    return [entry["text"]["text"] for entry in answer.get("entries", []) if "text" in entry]


async def test_a_burst_beyond_the_rate_is_told_when_to_come_back(town: Town) -> None:
    """Seen to fail without the limit."""
    await town.gateway(commands_per_second=10, command_burst=5)
    buyer = await introduced(town, Role.BUYER, "lin-wan")
    frames = [say(f"{n}") for n in range(15)]
    for frame in frames:
        await buyer.say(frame)
    answers = {answer["re"]: answer for answer in [await buyer.answer() for _ in frames]}
    assert answers.keys() == {frame["id"] for frame in frames}
    taken = [frame["text"] for frame in frames if answers[frame["id"]]["type"] == "ok"]
    refused = [answer for answer in answers.values() if answer["type"] == "error"]
    assert {answer["code"] for answer in refused} == {"rate_limited"}
    assert all(0 < answer["retry_after_ms"] <= 100 for answer in refused)
    assert 5 <= len(taken) < 15
    await asyncio.sleep(refused[-1]["retry_after_ms"] / 1000)
    await buyer.alive()
    assert await said_in_the_log(town) == taken


@pytest.mark.parametrize("frame", ["{}", "[", b"\x00", "x" * 20_000])
async def test_bad_frames_count_too(town: Town, frame: str | bytes) -> None:
    """Seen to fail, for frames that are binary or too large, with the rate looked at after the frame."""
    await town.gateway(commands_per_second=0.1, command_burst=3)
    buyer = await introduced(town, Role.BUYER, "lin-wan")
    for _ in range(6):
        await buyer.say(frame)
    codes = [(await buyer.answer())["code"] for _ in range(6)]
    assert codes[3:] == ["rate_limited"] * 3
    assert "rate_limited" not in codes[:3]


async def test_a_flood_that_does_not_end_is_closed_and_nothing_acknowledged_is_lost(town: Town) -> None:
    """What was taken and not acknowledged any more has its reply when it is asked again.

    Seen to fail without the end of patience.
    """
    await town.gateway(commands_per_second=1, command_burst=30)
    patient = await town.gateway()
    calm = await introduced(town, Role.BUYER, "chen-mo")
    flood = await introduced(town, Role.BUYER, "lin-wan")
    frames = [say(f"{n}") for n in range(3000)]
    for frame in frames[:10]:
        await flood.say(frame)
        assert (await flood.answer())["type"] == "ok"
    pouring = asyncio.create_task(pour(flood, frames[10:]))
    acknowledged = [frame["id"] for frame in frames[:10]]
    with contextlib.suppress(ConnectionError):
        while True:
            answer = await flood.answer()
            assert answer["type"] == "ok" or answer["code"] == "rate_limited"
            acknowledged += [answer["re"]] if answer["type"] == "ok" else []
    assert flood.ws.close_code == 4429
    await pouring
    await calm.alive()
    again = await town.buyer(on=patient)
    for frame in frames[:40]:
        await again.command("say", command_id=frame["id"], conversation_id=HERE, text=frame["text"])
    log = await said_in_the_log(town, patient)
    assert len(log) == len(set(log))
    assert set(log) >= {frame["text"] for frame in frames[:40]}
    assert set(log) >= {frame["text"] for frame in frames if frame["id"] in acknowledged}


async def pour(wire: Wire, frames: list[Frame]) -> None:
    """Send them all, as fast as the socket takes them, until it is closed."""
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        for frame in frames:
            await wire.say(frame)


async def test_the_client_waits_out_the_rate_by_itself(town: Town) -> None:
    await town.gateway(commands_per_second=50, command_burst=5)
    buyer = await town.buyer()
    await asyncio.gather(*[buyer.say(HERE, f"{n}") for n in range(20)])
    assert sorted(await said_in_the_log(town), key=int) == [f"{n}" for n in range(20)]


async def test_a_full_gateway_sends_people_to_another(town: Town) -> None:
    """Over HTTP, before there is a websocket; when somebody leaves there is room again.

    Seen to fail without the limit.
    """
    full, other = await town.gateway(sessions_at_once=2), await town.gateway()
    first, _ = [await introduced(town, Role.BUYER, id, full) for id in ("lin-wan", "chen-mo")]
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{http_of(full)}/ws", headers=HANDSHAKE) as answer:
            assert answer.status == 503
            assert (await answer.json(content_type="application/problem+json"))["code"] == "gateway_full"
            assert 5 <= int(answer.headers["Retry-After"]) <= 15
        async with http.get(f"{http_of(full)}/readyz") as ready:
            assert (ready.status, (await ready.json())["why"]) == (503, "full")
    elsewhere = await town.buyer("zhou", on=[full, other])
    assert (await elsewhere.say("nanshan.zhou", "在吗"))["seq"]
    assert [session.who.id for session in other.house.fanout.sessions] == ["zhou"]
    await first.ws.close()
    async with asyncio.timeout(15):
        while len(full.house.gateway._sockets) == 2:
            await asyncio.sleep(0.01)
    await introduced(town, Role.BUYER, "zhou", full)


class Slow(Shop):
    """An order system that takes its time."""

    def __init__(self, scripts: Any) -> None:
        super().__init__(scripts)
        self.go = asyncio.Event()
        self.asked = asyncio.Event()

    async def orders(self, shop_id: str, buyer_id: str) -> Any:
        self.asked.set()
        await self.go.wait()
        return await super().orders(shop_id, buyer_id)

    async def order(self, shop_id: str, order_id: str) -> Order:
        self.asked.set()
        await self.go.wait()
        return await super().order(shop_id, order_id)


async def slow_gateway(town: Town, **settings: Any) -> tuple[Gateway, Slow]:
    made: list[Slow] = []

    def make(shop: Shop) -> Slow:
        made.append(Slow(shop._scripts))
        return made[0]

    gateway = await town.gateway(make, **settings)
    town.stack.callback(made[0].go.set)
    return gateway, made[0]


async def test_too_many_commands_under_way_are_busy_and_the_first_ones_are_answered(town: Town) -> None:
    """Seen to fail without the bound."""
    _, shop = await slow_gateway(town, commands_under_way=4)
    buyer = await introduced(town, Role.BUYER, "lin-wan")
    waiting = [{"type": "orders", "id": str(uuid.uuid4()), "conversation_id": HERE} for _ in range(6)]
    for frame in waiting:
        await buyer.say(frame)
    for frame in waiting[4:]:
        answer = await buyer.answer()
        assert (answer["re"], answer["code"]) == (frame["id"], "busy")
        assert answer["retry_after_ms"] > 0
    shop.go.set()
    answers = [await buyer.answer() for _ in range(4)]
    assert {(answer["re"], answer["type"]) for answer in answers} == {(frame["id"], "ok") for frame in waiting[:4]}
    await buyer.alive()


async def draining(gateway: Gateway) -> asyncio.Task[None]:
    """The gateway is told to go, and has begun to."""
    task = asyncio.create_task(gateway.house.gateway.drain())
    await asyncio.sleep(0)
    assert gateway.house.gateway.draining
    return task


async def test_a_gateway_that_goes_answers_what_it_has_and_takes_nothing_new(town: Town) -> None:
    """Seen to fail with a drain that does not wait, and with commands taken though the gateway goes."""
    gateway, shop = await slow_gateway(town)
    buyer, idle = [await introduced(town, Role.BUYER, id) for id in ("lin-wan", "chen-mo")]
    unready = await dial(town)
    begun = {"type": "orders", "id": str(uuid.uuid4()), "conversation_id": HERE}
    await buyer.say(begun)
    await shop.asked.wait()
    going = await draining(gateway)
    assert (answer := await buyer.ask("say", conversation_id=HERE, text="too late"))["code"] == "going_away"
    assert 0 <= answer["retry_after_ms"] <= 2000
    async with aiohttp.ClientSession() as http, http.get(f"{http_of(gateway)}/ws") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (503, "going_away")
    shop.go.set()
    answer = await buyer.answer()
    assert (answer["type"], answer["re"]) == ("ok", begun["id"])
    for wire in (buyer, idle):
        assert await wire.closed() == 1001
        assert wire.events[-1]["type"] == "bye"
        assert 0 <= wire.events[-1]["retry_after_ms"] <= 2000
    assert await unready.closed() == 1001
    await going


async def test_what_does_not_end_holds_no_gateway_up(town: Town) -> None:
    """Seen to fail with a drain that waits for ever."""
    gateway, shop = await slow_gateway(town, drain=timedelta(milliseconds=100))
    buyer = await introduced(town, Role.BUYER, "lin-wan")
    await buyer.say({"type": "orders", "id": str(uuid.uuid4()), "conversation_id": HERE})
    await shop.asked.wait()
    going = await draining(gateway)
    assert await buyer.closed() == 1001
    async with asyncio.timeout(15):
        await going


async def test_people_of_a_gateway_that_goes_lose_nothing(town: Town) -> None:
    """Clients that talk the whole time while one gateway of two goes away: every message once, on both sides."""
    first, second = await town.gateway(), await town.gateway()
    agent = await town.agent(on=[first, second])
    buyer = await town.buyer(on=[first, second])
    await agent.open("lin-wan")
    scene = Scene(town, HERE, "lin-wan", agent, buyer)
    talking = asyncio.create_task(scene.talk(40, {}))
    await agent.wait_for(lambda: len(scene.log(agent)) > 10)
    await first.house.gateway.drain()
    await talking
    await scene.caught_up()
    for client in (agent, buyer):
        texts = [entry["text"]["text"] for entry in scene.log(client) if "text" in entry]
        assert sorted(texts) == sorted(f"{name} {n}" for name in ("agent", "buyer") for n in range(40))
        assert client.connections == 2


Misbehaviour = Callable[[Wire], Awaitable[None]]


async def cut(wire: Wire) -> None:
    wire.ws._response.connection.transport.abort()  # type: ignore[union-attr]


async def hang_up(wire: Wire) -> None:
    await wire.ws.close()


async def flood(wire: Wire) -> None:
    for _ in range(50):
        await wire.say(json.dumps({"type": "nonsense"}))


@pytest.mark.parametrize("misbehave", [cut, hang_up, flood])
async def test_a_command_outlives_the_connection_it_came_by(town: Town, misbehave: Misbehaviour) -> None:
    """The reply is lost with the connection, the decision is not: asked again, the same command has its first reply."""
    _, shop = await slow_gateway(town)
    agent = await introduced(town, Role.AGENT, "xiaoyu")
    shop.go.set()
    await agent.ask("open", buyer_id="lin-wan")
    shop.go.clear()
    shop.asked.clear()
    command = {
        "type": "propose",
        "id": str(uuid.uuid4()),
        "conversation_id": HERE,
        "order_id": "lin-wan-paid",
        "changes": [{"line_id": "1", "to_sku": "white-s"}],
    }
    await agent.say(command)
    await shop.asked.wait()
    await misbehave(agent)
    shop.go.set()
    again = await introduced(town, Role.AGENT, "xiaoyu")
    await again.say(command)
    answer = await again.answer()
    assert (answer["type"], answer["re"], answer["state"]) == ("ok", command["id"], "pending")
    orders = (await again.ask("orders", conversation_id=HERE))["orders"]
    cards = [order["card"]["proposal_id"] for order in orders if order["card"]]
    assert cards == [answer["proposal_id"]]
