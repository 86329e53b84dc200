"""The protocol's models: what is read of a frame, and how an entry is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import CommandError
from bot.frames import (
    PROTOCOL,
    Answer,
    History,
    Open,
    Ping,
    Propose,
    Say,
    command_id_in,
    encode,
    encode_entry,
    read_command,
    read_hello,
)
from cards.texts import Locale

ID = "8023e66e-6805-4761-9dad-31af18659887"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def refused(data: str) -> CommandError:
    with pytest.raises(CommandError) as raised:
        read_command(data)
    return raised.value


def test_a_command_is_read() -> None:
    say = read_command(json.dumps({"type": "say", "id": ID, "conversation_id": "a.b", "text": " 你好 "}))
    assert say == Say(type="say", id=ID, conversation_id="a.b", text="你好")
    propose = read_command(
        json.dumps(
            {
                "type": "propose",
                "id": ID,
                "conversation_id": "a.b",
                "order_id": "o",
                "changes": [{"line_id": "1", "to_sku": "s"}, {"line_id": "2", "from_sku": "r", "to_sku": "s"}],
            }
        )
    )
    assert isinstance(propose, Propose)
    assert [change.line_id for change in propose.changes] == ["1", "2"]
    assert propose.waive_difference is False
    assert isinstance(read_command(json.dumps({"type": "open", "id": ID, "buyer_id": "b"})), Open)
    assert read_command(json.dumps({"type": "ping", "id": ID})) == Ping(type="ping", id=ID)


def test_what_is_left_out_has_its_default() -> None:
    history = read_command(json.dumps({"type": "history", "id": ID, "conversation_id": "a.b"}))
    assert isinstance(history, History)
    assert (history.before, history.limit) == (None, 50)
    answer = read_command(
        json.dumps(
            {"type": "answer", "id": ID, "conversation_id": "a.b", "proposal_id": "p", "version": 1, "action": "agree"}
        )
    )
    assert isinstance(answer, Answer)
    assert answer.comment is None


@given(st.text() | JSON.map(json.dumps) | st.dictionaries(st.sampled_from(["type", "id", "x"]), JSON).map(json.dumps))
def test_anything_else_is_an_error_of_ours_that_can_be_written(data: str) -> None:
    error = refused(data)
    assert error.code in ("bad_frame", "unknown_type")
    assert encode({"re": command_id_in(data), **error.params})


@given(st.text() | JSON.map(json.dumps))
def test_any_hello_is_an_error_of_ours_that_can_be_written(data: str) -> None:
    with pytest.raises(CommandError) as raised:
        read_hello(data)
    assert raised.value.code == "bad_frame"
    assert encode(raised.value.params)


def test_an_unknown_type_is_told_the_known_ones() -> None:
    error = refused(json.dumps({"type": "shout", "id": ID}))
    assert (error.code, error.params["got"]) == ("unknown_type", "shout")
    assert error.params["known"].split(", ") == [
        *("orders", "quote", "preview", "history", "read", "typing"),
        *("open", "say", "propose", "answer", "withdraw", "remind", "transfer", "close"),
        *("conversations", "agents", "status", "waiting_cards", "stats", "missed"),
        *("quick_replies", "add_quick_reply", "edit_quick_reply", "delete_quick_reply", "move_quick_reply"),
        *("refresh", "ping"),
    ]


def test_each_wrong_member_is_named_by_its_path() -> None:
    data = {"type": "propose", "id": ID, "conversation_id": "a.b", "order_id": 5, "changes": [{"line_id": "1"}]}
    error = refused(json.dumps(data))
    assert [field["path"] for field in error.params["fields"]][:2] == ["order_id", "changes.0.to_sku"]
    assert error.params["reason"].startswith("order_id: ")
    assert refused("[").params["fields"][0]["path"] == "(frame)"
    assert refused("{}").params["fields"] == [{"path": "type", "message": "Field required"}]


def test_ten_problems_are_enough() -> None:
    data = {"type": "ping", "id": ID, **{f"x{n}": n for n in range(50)}}
    assert len(refused(json.dumps(data)).params["fields"]) == 10


@pytest.mark.parametrize(
    ("data", "id"),
    [
        ('{"id": "abc"}', "abc"),
        ('{"id": "abc", "more": [1, {}]}', "abc"),
        ('{"id": "%s"}' % ("x" * 64), "x" * 64),
        ('{"id": "%s"}' % ("x" * 65), None),
        ('{"id": 5}', None),
        ('{"id": null}', None),
        ('{"id": "\\ud800"}', None),
        ("{}", None),
        ("[]", None),
        ('["id"]', None),
        ("{", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_the_id_of_a_frame_that_is_no_command(data: str, id: str | None) -> None:
    assert command_id_in(data) == id


def test_a_hello_is_read() -> None:
    hello = read_hello(json.dumps({"type": "hello", "token": "t", "protocol": PROTOCOL}))
    assert (hello.cursors, hello.locale) == ({}, Locale.ZH_CN)
    hello = read_hello(
        json.dumps({"type": "hello", "token": "t", "protocol": PROTOCOL, "cursors": {"a.b": 7}, "locale": "en"})
    )
    assert (hello.cursors, hello.at_ms, hello.locale) == ({"a.b": 7}, {}, Locale.EN)
    at = {"cursors": {"a.b": 7}, "at_ms": {"a.b": 1_900_000_000_000}}
    hello = read_hello(json.dumps({"type": "hello", "token": "t", "protocol": PROTOCOL, **at}))
    assert (hello.cursors, hello.at_ms) == ({"a.b": 7}, {"a.b": 1_900_000_000_000})


@pytest.mark.parametrize("at_ms", [{"a.b": -1}, {"a.b": "7"}, {"a.b": 2**53}, {"a.b": None}, {"ab": 7}, [7], 7])
def test_an_instant_that_is_none_is_named(at_ms: Any) -> None:
    hello = {"type": "hello", "token": "t", "protocol": PROTOCOL, "cursors": {}, "at_ms": at_ms}
    with pytest.raises(CommandError, match="bad_frame") as raised:
        read_hello(json.dumps(hello))
    assert raised.value.params["fields"][0]["path"].startswith("at_ms")


@given(
    parts=st.dictionaries(st.text("abc", min_size=1), JSON, max_size=3),
    seq=st.integers(1, 2**53),
    at_ms=st.integers(0, 2**53),
    now_ms=st.integers(0, 2**53),
)
def test_an_entry_is_its_head_and_its_parts(parts: dict[str, Any], seq: int, at_ms: int, now_ms: int) -> None:
    parts = json.loads(json.dumps(parts).replace("Infinity", "1").replace("NaN", "1"))
    try:
        encoded = encode(parts)
    except TypeError:  # a text that nobody can write, or a number beyond 64 bits
        return
    assert json.loads(encode_entry(now_ms, "a.b", seq, at_ms, encoded)) == {
        "type": "entry",
        "conversation_id": "a.b",
        "seq": seq,
        "at_ms": at_ms,
        "now_ms": now_ms,
        **json.loads(encoded),
    }
