"""Frames that are none: each gets an error that says what is wrong, and the session goes on."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from bot.participant import Role
from tests.flows.gateway.wire import Wire, dial, introduced
from tests.flows.town import Gateway, Town

ID = "8023e66e-6805-4761-9dad-31af18659887"
SAY = {"type": "say", "id": ID, "conversation_id": "nanshan.lin-wan", "text": "hello"}
PROPOSE = {
    "type": "propose",
    "id": ID,
    "conversation_id": "nanshan.lin-wan",
    "order_id": "lin-wan-paid",
    "changes": [{"line_id": "1", "to_sku": "white-s"}],
}
ANSWER = {
    "type": "answer",
    "id": ID,
    "conversation_id": "nanshan.lin-wan",
    "proposal_id": "p",
    "version": 1,
    "action": "agree",
}


def without(frame: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in frame.items() if name != member}


PING = f'{{"type":"ping","id":"{ID}"}}'
NO_FRAMES = {
    "nothing": "",
    "a word": "hello",
    "half an object": '{"type": "ping"',
    "two objects": PING + "{}",
    "a trailing comma": PING[:-1] + ",}",
    "single quotes": "{'type': 'ping'}",
    "a number that is none": '{"type":"ping","id":NaN}',
    "half a surrogate pair": '{"type":"ping","id":"\\ud800"}',
    "half a surrogate pair as the type": PING.replace("ping", "\\udfff"),
    "half a surrogate pair as a member": PING[:-1] + ',"\\ud800":1}',
    "a control character": '{"type":"ping","id":"\x01"}',
    "a list": "[]",
    "a list of a command": json.dumps([SAY]),
    "a number": "5",
    "a text": '"ping"',
    "null": "null",
    "true": "true",
    "an empty object": "{}",
    "a deep list": "[" * 8000,
    "a deep object": '{"a":' * 2500,
    "a deep and whole list": "[" * 8000 + "]" * 8000,
    "a deep member": PING[:-1] + ',"x":' + "[" * 3000 + "]" * 3000 + "}",
    "a huge number": PING[:-1] + ',"before":' + "9" * 9000 + "}",
}


@pytest.mark.parametrize("what", NO_FRAMES)
@pytest.mark.parametrize("locale", ["zh-CN", "en"])
async def test_what_is_no_object_is_a_bad_frame(town: Town, gateway: Gateway, what: str, locale: str) -> None:
    """Seen to fail with ids read by a parser that takes half surrogates: saying so ended the session."""
    buyer = await introduced(town, Role.BUYER, "lin-wan", locale=locale)
    await buyer.say(NO_FRAMES[what])
    error = await buyer.answer()
    assert (error["type"], error["code"]) == ("error", "bad_frame")
    assert error["fields"]
    assert error["re"] in (None, ID)
    await buyer.alive()


BAD_MEMBERS: dict[str, tuple[Any, str, str]] = {
    "no type": (without(SAY, "type"), "bad_frame", "type"),
    "another type": ({**SAY, "type": "shout"}, "unknown_type", "shout"),
    "a second hello": ({"type": "hello", "id": ID, "token": "x", "protocol": 1}, "unknown_type", "hello"),
    "an event of ours": ({"type": "entry", "id": ID}, "unknown_type", "entry"),
    "a very long type": ({**SAY, "type": "x" * 9000}, "unknown_type", "xxx"),
    "a type that is a number": ({**SAY, "type": 5}, "unknown_type", "5"),
    "a type that is an object": ({**SAY, "type": {}}, "unknown_type", ""),
    "no text": (without(SAY, "text"), "bad_frame", "text"),
    "an empty text": ({**SAY, "text": ""}, "bad_frame", "text"),
    "a blank text": ({**SAY, "text": " \n\t\u3000"}, "bad_frame", "text"),
    "too long a text": ({**SAY, "text": "好" * 2001}, "bad_frame", "text"),
    "a text that is a number": ({**SAY, "text": 5}, "bad_frame", "text"),
    "a text that is null": ({**SAY, "text": None}, "bad_frame", "text"),
    "no conversation": (without(SAY, "conversation_id"), "bad_frame", "conversation_id"),
    "a conversation without a buyer": ({**SAY, "conversation_id": "nanshan"}, "bad_frame", "conversation_id"),
    "a conversation of three": ({**SAY, "conversation_id": "a.b.c"}, "bad_frame", "conversation_id"),
    "a conversation with a brace": ({**SAY, "conversation_id": "a}.{b"}, "bad_frame", "conversation_id"),
    "a conversation with a line break": ({**SAY, "conversation_id": "a.b\n"}, "bad_frame", "conversation_id"),
    "one member too many": ({**SAY, "loud": True}, "bad_frame", "loud"),
    "a very long member too many": ({**SAY, "l" * 9000: True}, "bad_frame", "lll"),
    "no changes": ({**PROPOSE, "changes": []}, "bad_frame", "changes"),
    "too many changes": ({**PROPOSE, "changes": PROPOSE["changes"] * 51}, "bad_frame", "changes"),
    "a change without its SKU": ({**PROPOSE, "changes": [{"line_id": "1"}]}, "bad_frame", "changes.0.to_sku"),
    "a change with a price": (
        {**PROPOSE, "changes": [{"line_id": "1", "to_sku": "a", "price_cents": 1}]},
        "bad_frame",
        "changes.0.price_cents",
    ),
    "a difference waived in words": ({**PROPOSE, "waive_difference": "yes"}, "bad_frame", "waive_difference"),
    "a difference waived by number": ({**PROPOSE, "waive_difference": 1}, "bad_frame", "waive_difference"),
    "an action of another kind": ({**ANSWER, "action": "maybe"}, "bad_frame", "action"),
    "an action of ours": ({**ANSWER, "action": "expire"}, "bad_frame", "action"),
    "a version that is text": ({**ANSWER, "version": "1"}, "bad_frame", "version"),
    "a version that is true": ({**ANSWER, "version": True}, "bad_frame", "version"),
    "a version of nothing": ({**ANSWER, "version": 0}, "bad_frame", "version"),
    "a version beyond numbers": ({**ANSWER, "version": 10**40}, "bad_frame", "version"),
    "an empty comment": ({**ANSWER, "comment": " "}, "bad_frame", "comment"),
    "a page of none": (
        {"type": "history", "id": ID, "conversation_id": "nanshan.lin-wan", "limit": 0},
        "bad_frame",
        "limit",
    ),
    "too large a page": (
        {"type": "history", "id": ID, "conversation_id": "nanshan.lin-wan", "limit": 201},
        "bad_frame",
        "limit",
    ),
    "a page before the beginning": (
        {"type": "history", "id": ID, "conversation_id": "nanshan.lin-wan", "before": 0},
        "bad_frame",
        "before",
    ),
    "a refresh without a token": ({"type": "refresh", "id": ID}, "bad_frame", "token"),
}


@pytest.mark.parametrize("what", BAD_MEMBERS)
async def test_a_wrong_member_is_named_with_the_commands_id(buyer: Wire, what: str) -> None:
    """Seen to fail (text for numbers and booleans) with members converted to what they should be."""
    frame, code, named = BAD_MEMBERS[what]
    await buyer.say(frame)
    error = await buyer.answer()
    assert (error["type"], error["code"], error["re"]) == ("error", code, ID)
    assert named in error["detail"]
    assert len(json.dumps(error)) < 3000, "what a client wrote is not sent back to it at length"
    if code == "bad_frame":
        assert any(field["path"].startswith(named) for field in error["fields"])
    await buyer.alive()


@pytest.mark.parametrize(
    "id",
    [
        None,
        "",
        "1",
        5,
        [],
        ID.replace("-", ""),
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        f" {ID}",
        ID[:-1] + "g",
        "x" * 65,
    ],
)
async def test_an_id_that_is_no_uuid_is_refused_and_given_back_where_it_is_text(buyer: Wire, id: Any) -> None:
    await buyer.say({**SAY, "id": id})
    error = await buyer.answer()
    assert (error["code"], error["fields"][0]["path"]) == ("bad_frame", "id")
    assert error["re"] == (id if isinstance(id, str) and len(id) <= 64 else None)
    await buyer.say(without(SAY, "id"))
    assert (await buyer.answer())["re"] is None
    await buyer.alive()


@pytest.mark.parametrize("id", [ID, ID.upper(), "00000000-0000-0000-0000-000000000000"])
async def test_an_id_is_given_back_as_it_was_written(buyer: Wire, id: str) -> None:
    """A client finds its command by the text it sent (Swift writes UUIDs in capitals). Seen to fail with ids parsed
    and written anew."""
    assert (await buyer.ask("ping", id=id))["re"] == id
    assert (await buyer.ask("say", id=id, conversation_id="nanshan.lin-wan", text="x"))["type"] == "ok"


async def test_several_wrong_members_are_all_named(buyer: Wire) -> None:
    await buyer.say({**ANSWER, "version": "x", "action": "y", "proposal_id": "a b", "more": 1})
    error = await buyer.answer()
    assert {field["path"] for field in error["fields"]} == {"version", "action", "proposal_id", "more"}
    await buyer.alive()


async def test_a_frame_that_is_too_large_is_refused_and_the_session_lives(buyer: Wire) -> None:
    for size in (17_000, 200_000, 262_000):
        await buyer.say({**SAY, "text": "x" * size})
        error = await buyer.answer()
        assert (error["code"], error["re"], error["limit"]) == ("frame_too_large", ID, 16 * 1024)
        assert error["size"] > size
    await buyer.alive()


async def test_what_is_large_is_measured_in_bytes(buyer: Wire) -> None:
    """6,000 characters of three bytes each. Seen to fail with characters counted."""
    await buyer.say(json.dumps({**SAY, "text": "好" * 6000}, ensure_ascii=False))
    error = await buyer.answer()
    assert error["code"] == "frame_too_large"
    await buyer.say(json.dumps({**SAY, "text": "好" * 2000}, ensure_ascii=False))
    assert (await buyer.answer())["type"] == "ok"


async def test_a_frame_that_nobody_should_read_ends_the_connection(buyer: Wire) -> None:
    await buyer.say("x" * (256 * 1024 + 1))
    assert await buyer.closed() == 1009


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'{"type":"ping"}', b"x" * 20_000])
async def test_a_binary_frame_is_refused_and_the_session_lives(buyer: Wire, data: bytes) -> None:
    await buyer.say(data)
    error = await buyer.answer()
    assert (error["code"], error["re"]) == ("text_frames_only", None)
    await buyer.alive()


async def test_text_that_is_no_utf_8_ends_the_connection_as_the_rfc_says(town: Town, gateway: Gateway) -> None:
    buyer = await introduced(town, Role.BUYER, "lin-wan")
    await raw_frame(buyer, 0x1, b'{"type":"say","text":"\xff\xfe"}')
    assert await buyer.closed() == 1007


@pytest.mark.parametrize(("opcode", "payload"), [(0x3, b"x"), (0xB, b"x"), (0x0, b"x"), (0x9, b"x" * 126), (0x8, b"x")])
async def test_what_is_no_websocket_ends_the_connection(buyer: Wire, opcode: int, payload: bytes) -> None:
    """Reserved opcodes, a continuation of nothing, a control frame too long, a close without a code."""
    await raw_frame(buyer, opcode, payload)
    assert await buyer.closed() == 1002


async def raw_frame(wire: Wire, opcode: int, payload: bytes) -> None:
    """Write one frame with any opcode and payload, masked as clients must."""
    head = bytes([0x80 | opcode])
    size = len(payload)
    head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    transport = wire.ws._response.connection.transport  # type: ignore[union-attr]
    transport.write(head + bytes(4) + payload)  # type: ignore[union-attr]


async def test_bad_frames_between_good_ones_cost_the_good_ones_nothing(buyer: Wire) -> None:
    said = [str(uuid.uuid4()) for _ in range(20)]
    for n, id in enumerate(said):
        await buyer.say(list(NO_FRAMES.values())[n % len(NO_FRAMES)])
        await buyer.say({**SAY, "id": id, "text": f"message {n}"})
    answers = [await buyer.answer() for _ in range(40)]
    assert [answer["re"] for answer in answers if answer["type"] == "ok"] == said
    async with asyncio.timeout(15):
        while len(texts := [event["text"]["text"] for event in buyer.events if event["type"] == "entry"]) < 20:
            buyer.events.append(await buyer.hear())
    assert texts == [f"message {n}" for n in range(20)]


async def test_nothing_is_read_before_hello(town: Town, gateway: Gateway) -> None:
    """A command first is a bad hello, and not carried out."""
    wire = await dial(town)
    await wire.say({**SAY})
    assert (await wire.answer())["code"] == "bad_frame"
    assert await wire.closed() == 4400
    buyer = await introduced(town, Role.BUYER, "lin-wan", cursors={"nanshan.lin-wan": 0})
    assert buyer.events[-1]["conversations"] == []
