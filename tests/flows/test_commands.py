"""A command repeated gets its first reply; sessions live as long as their token; what nobody can read is said."""

import uuid
from datetime import timedelta

import orjson
import pytest
from aiohttp import WSMsgType

from bot.client import ChatClient, CommandFailed, Refused
from bot.participant import Role
from bot.sessions import CloseCode
from tests.flows.scene import Scene
from tests.flows.town import Town


def a_command() -> str:
    """A fresh id."""
    return str(uuid.uuid4())


async def test_said_twice_with_one_id_is_said_once(scene: Scene) -> None:
    same = {"command_id": a_command(), "conversation_id": scene.conversation_id, "text": "您好"}
    first = await scene.agent.command("say", **same)
    await scene.buyer.say(scene.conversation_id, "你好")
    device = await scene.town.agent(on=scene.town.gateways[1])
    assert await device.command("say", **same) == first
    assert await scene.caught_up() == first["seq"] + 1


async def test_a_proposal_repeated_is_the_same_card(scene: Scene) -> None:
    same = {
        "command_id": a_command(),
        "conversation_id": scene.conversation_id,
        "order_id": "lin-wan-paid",
        "changes": [{"line_id": "1", "to_sku": "white-s"}],
    }
    first = await scene.agent.command("propose", **same)
    card = await scene.sees(scene.buyer, first)
    assert await scene.agent.command("propose", **same) == first
    await scene.buyer.answer(card, "reject")
    assert await scene.agent.command("propose", **same) == first
    await scene.caught_up()
    assert scene.states(scene.buyer, card) == ["pending", "rejected"]


async def test_an_answer_repeated_is_the_same_consent(scene: Scene) -> None:
    card = await scene.propose()
    same = {
        "command_id": a_command(),
        "conversation_id": scene.conversation_id,
        "proposal_id": card["proposal_id"],
        "version": 1,
        "action": "agree",
    }
    first = await scene.buyer.command("answer", **same)
    await scene.sees(scene.buyer, card, "agreed")
    assert await scene.buyer.command("answer", **same) == first
    assert first["state"] == "applying"
    await scene.caught_up()
    assert scene.states(scene.buyer, card) == ["pending", "applying", "agreed"]


async def test_an_id_used_for_something_else_is_refused(scene: Scene) -> None:
    used = a_command()
    await scene.agent.command("say", command_id=used, conversation_id=scene.conversation_id, text="您好")
    seq = await scene.last_seq()
    for who, type, members in (
        (scene.agent, "say", {"text": "再见"}),
        (scene.buyer, "say", {"text": "您好"}),
        (scene.agent, "transfer", {"agent_id": "ahe"}),
    ):
        with pytest.raises(CommandFailed) as failed:
            await who.command(type, command_id=used, conversation_id=scene.conversation_id, **members)
        assert failed.value.code == "id_reused"
    assert await scene.last_seq() == seq


async def test_replies_are_kept_for_the_last_commands_only(town: Town) -> None:
    scene = await town.scene(keep_replies=3)
    ids = [a_command() for _ in range(8)]
    replies = [
        await scene.agent.command("say", command_id=id, conversation_id=scene.conversation_id, text=f"{number}")
        for number, id in enumerate(ids)
    ]
    for number in (5, 6, 7):
        same = {"conversation_id": scene.conversation_id, "text": f"{number}"}
        assert await scene.agent.command("say", command_id=ids[number], **same) == replies[number]
    redis = await town.redis()
    kept = await redis.hkeys(f"chat:{{{scene.conversation_id}}}:replies")
    assert set(kept) & set(ids) == set(ids[5:])
    assert len(kept) == 2 * 3 + 1  # each with its number, and the count


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no JSON", "bad_frame"),
        ("[]", "bad_frame"),
        ("null", "bad_frame"),
        ('"hello"', "bad_frame"),
        ("{}", "bad_frame"),
        ('{"type":"say"}', "bad_frame"),
        ('{"type":"sing","id":"0"}', "unknown_type"),
        ('{"type":"say","id":"5b1c7e2c-26f5-4c05-8f1d-000000000000","conversation_id":"nanshan.lin-wan"}', "bad_frame"),
        ("[" * 10_000, "bad_frame"),
        ("x" * 20_000, "frame_too_large"),
    ],
)
async def test_what_nobody_can_read_is_said_and_the_session_goes_on(town: Town, text: str, code: str) -> None:
    await town.gateway()
    buyer = await town.socket(town.token(Role.BUYER, "lin-wan"))
    assert (await buyer.receive_json(timeout=5))["type"] == "welcome"
    await buyer.send_str(text)
    error = await buyer.receive_json(timeout=5)
    assert (error["type"], error["code"]) == ("error", code)
    assert error["title"]
    ping = a_command()
    await buyer.send_str(orjson.dumps({"type": "ping", "id": ping}).decode())
    assert (await buyer.receive_json(timeout=5))["re"] == ping


async def test_a_session_lives_as_long_as_its_token(town: Town) -> None:
    """Of two that are let in for a second or two, one refreshes its token, and only the other is closed."""
    gateway = await town.gateway()
    short = town.token(Role.BUYER, "lin-wan", lasts=timedelta(seconds=2))
    refreshed = await town.stack.enter_async_context(ChatClient(gateway.url, short, patience=10))
    left = await town.socket(short)
    before = (await left.receive_json(timeout=5))["expires_ms"]
    answer = await refreshed.command("refresh", token=town.token(Role.BUYER, "lin-wan"))
    assert answer["expires_ms"] > before + 3_000_000

    ended = await left.receive(timeout=5)

    assert (ended.type, left.close_code, ended.extra) == (WSMsgType.CLOSE, CloseCode.UNAUTHORIZED, "token expired")
    assert (await refreshed.say("nanshan.lin-wan", "我还在"))["type"] == "ok"
    assert refreshed.connections == 1


async def test_a_token_of_somebody_else_refreshes_nothing(scene: Scene) -> None:
    for token, code in (
        (scene.town.token(Role.BUYER, "chen-mo"), "token_of_another"),
        (scene.town.token(Role.AGENT, "lin-wan"), "token_of_another"),
        ("no token", "token_invalid"),
        (scene.town.token(Role.BUYER, "lin-wan", lasts=timedelta(hours=-1)), "token_expired"),
    ):
        with pytest.raises(CommandFailed) as failed:
            await scene.buyer.command("refresh", token=token)
        assert failed.value.code == code


async def test_who_is_not_let_in(town: Town) -> None:
    gateway = await town.gateway()
    for token in (
        "no token",
        town.token(Role.SERVICE, "erp"),
        town.token(Role.BUYER, "lin-wan", lasts=timedelta(hours=-1)),
    ):
        with pytest.raises(Refused):
            await ChatClient(gateway.url, token, patience=5).start()


async def test_a_repeated_propose_looks_at_the_order_again(town: Town) -> None:
    """The first was committed, and its process died before its second look at an order that had moved meanwhile.

    Seen to fail with a repeat that only gets its reply: the card stayed live.
    """
    scene = await town.scene(events=False)
    for gateway in town.gateways:
        gateway.house.negotiation.verify = _blind
    command_id = str(uuid.uuid4())
    wish = {"conversation_id": scene.conversation_id, "order_id": scene.order_id("paid")}
    changes = [{"line_id": "1", "to_sku": "white-s"}]
    sent = await scene.agent.command("propose", command_id=command_id, changes=changes, **wish)
    await scene.shop.move(town.shop_id, scene.order_id("paid"), "refund")
    for gateway in town.gateways:
        del gateway.house.negotiation.verify
    assert await scene.agent.command("propose", command_id=command_id, changes=changes, **wish) == sent
    await scene.sees(scene.agent, sent, "invalid")


async def _blind(proposal: object) -> None:
    """No second look."""
