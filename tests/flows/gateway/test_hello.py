"""The first frame: who may come in, who may not, and what each is told."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from bot.auth import Tokens
from bot.participant import Participant, Role
from tests.flows.gateway.wire import Wire, check_error, dial, introduced
from tests.flows.town import SECRET, Gateway, Scene, Town

CLAIMS = {"aud": "assent", "sub": "lin-wan", "role": "buyer", "shop": "nanshan", "exp": int(time.time()) + 3600}


def signed(**claims: Any) -> str:
    return jwt.encode({**CLAIMS, **claims}, SECRET, algorithm="HS256")


TOKENS = {
    "none at all": ("", "token_invalid"),
    "nonsense": ("nonsense", "token_invalid"),
    "one of another secret": (jwt.encode(CLAIMS, "x" * 40, algorithm="HS256"), "token_invalid"),
    "one without a signature": (jwt.encode(CLAIMS, None, algorithm="none"), "token_invalid"),  # type: ignore[arg-type]
    "one for somebody else's service": (signed(aud="elsewhere"), "token_invalid"),
    "one without an audience": (jwt.encode({**CLAIMS, "aud": None}, SECRET, algorithm="HS256"), "token_invalid"),
    "an expired one": (signed(exp=int(time.time()) - 60), "token_expired"),
    "one for ever": (signed(exp=10**15), "token_invalid"),
    "one with a bad id": (signed(sub="lin wan"), "token_invalid"),
    "one whose id would name another key": (signed(sub="lin-wan}:x"), "token_invalid"),
    "one with a bad shop": (signed(shop="*"), "token_invalid"),
    "one with an unknown role": (signed(role="admin"), "token_invalid"),
    "one with a name that cannot be written": (signed(name="\ud800"), "token_invalid"),
    "a service's": (signed(role="service"), "people_only"),
}


@pytest.mark.parametrize("what", TOKENS)
@pytest.mark.parametrize("locale", ["zh-CN", "en"])
async def test_a_token_that_is_no_good_is_refused(town: Town, gateway: Gateway, what: str, locale: str) -> None:
    token, code = TOKENS[what]
    wire = await dial(town)
    wire.locale = locale
    await wire.say({"type": "hello", "token": token, "protocol": 1, "locale": locale})
    error = await wire.answer()
    assert (error["code"], error["re"]) == (code, None)
    assert await wire.closed() == 4401
    assert SECRET not in str(error)


BAD_HELLOS = {
    "no JSON": "hello",
    "no object": "[]",
    "a command": {"type": "ping", "id": "8023e66e-6805-4761-9dad-31af18659887"},
    "no token": {"type": "hello", "protocol": 1},
    "a token that is null": {"type": "hello", "protocol": 1, "token": None},
    "no protocol": {"type": "hello", "token": signed()},
    "a protocol in words": {"type": "hello", "token": signed(), "protocol": "one"},
    "a locale that nobody speaks": {"type": "hello", "token": signed(), "protocol": 1, "locale": "xx"},
    "cursors in a list": {"type": "hello", "token": signed(), "protocol": 1, "cursors": []},
    "a cursor below nothing": {"type": "hello", "token": signed(), "protocol": 1, "cursors": {"a.b": -1}},
    "a cursor of no conversation": {"type": "hello", "token": signed(), "protocol": 1, "cursors": {"a": 1}},
    "more than hello says": {"type": "hello", "token": signed(), "protocol": 1, "password": "x"},
}


@pytest.mark.parametrize("what", BAD_HELLOS)
async def test_a_bad_hello_is_refused(town: Town, gateway: Gateway, what: str) -> None:
    wire = await dial(town)
    await wire.say(BAD_HELLOS[what])
    error = await wire.answer()
    assert (error["code"], error["re"]) == ("bad_frame", None)
    assert await wire.closed() == 4400


@pytest.mark.parametrize(
    "hello",
    [
        {"type": "hello", "token": signed(), "protocol": 2},
        {"type": "hello", "token": signed(), "protocol": 0},
        {"type": "hello", "protocol": 2, "credentials": {"made": "otherwise"}},
    ],
)
async def test_another_version_of_the_protocol_is_said_whatever_else_it_brings(
    town: Town, gateway: Gateway, hello: dict[str, Any]
) -> None:
    """Seen to fail (the last) with the other version's members complained of instead."""
    wire = await dial(town)
    await wire.say(hello)
    error = await wire.answer()
    assert (error["code"], error["supported"]) == ("unsupported_protocol", 1)
    assert await wire.closed() == 4426


async def test_a_binary_hello_is_refused(town: Town, gateway: Gateway) -> None:
    wire = await dial(town)
    await wire.say(b'{"type":"hello"}')
    assert (await wire.answer())["code"] == "text_frames_only"
    assert await wire.closed() == 4400


async def test_a_hello_too_large_to_read_ends_the_connection(town: Town, gateway: Gateway) -> None:
    wire = await dial(town)
    await wire.say({"type": "hello", "token": "x" * 262_144, "protocol": 1})
    assert await wire.closed() == 1009


async def test_no_hello_in_time_is_said_and_closed(town: Town) -> None:
    """Seen to fail without the limit."""
    await town.gateway(hello_timeout=timedelta(milliseconds=50))
    wire = await dial(town)
    error = await wire.answer()
    assert error["code"] == "hello_timeout"
    assert await wire.closed() == 4408


async def test_one_who_hangs_up_before_hello_is_no_trouble(town: Town, gateway: Gateway) -> None:
    wire = await dial(town)
    await wire.ws.close()
    wire = await dial(town)
    wire.ws._response.connection.transport.abort()  # type: ignore[union-attr]
    await (await introduced(town, Role.BUYER, "lin-wan")).alive()


async def test_a_second_hello_is_an_unknown_type_and_changes_nobody(town: Town, buyer: Wire) -> None:
    await buyer.say({"type": "hello", "token": town.token(Role.AGENT, "xiaoyu"), "protocol": 1})
    assert (await buyer.answer())["code"] == "unknown_type"
    assert await buyer.refused("open", buyer_id="lin-wan") == "agents_only"
    await buyer.alive()


async def test_cursors_of_others_and_of_nothing_are_passed_over(town: Town, talk: Scene) -> None:
    """Nothing is said of conversations that are not one's own, whether or not they exist."""
    await talk.agent.say(talk.conversation_id, "for lin-wan only")
    wire = await introduced(
        town, Role.BUYER, "chen-mo", cursors={talk.conversation_id: 0, "nanshan.chen-mo": 0, "other.chen-mo": 5}
    )
    await wire.alive()
    assert [event["type"] for event in wire.events] == ["welcome"]
    agent = await introduced(
        town, Role.AGENT, "ahe", cursors={"other.lin-wan": 0, "nanshan.nobody": 3}, shop_id="nanshan"
    )
    await agent.alive()
    assert {event["type"] for event in agent.events} == {"welcome", "presence"}


async def test_a_cursor_from_the_future_gets_a_fresh_page(town: Town, talk: Scene) -> None:
    """A log that was restored from an older backup is shorter than what a client remembers."""
    wire = await introduced(town, Role.BUYER, "lin-wan", cursors={talk.conversation_id: 2**53 - 1})
    while wire.events[-1]["type"] != "reset":
        wire.events.append(await wire.hear())
    assert wire.events[-1]["last_seq"] == await talk.last_seq()
    await wire.alive()


class TestRefresh:
    """A fresh token for a session that goes on."""

    async def test_one_of_oneself_is_taken(self, town: Town, buyer: Wire) -> None:
        fresh = town.token(Role.BUYER, "lin-wan", lasts=timedelta(hours=5))
        answer = await buyer.ask("refresh", token=fresh)
        assert answer["expires_ms"] > time.time() * 1000 + 4.9 * 3600 * 1000

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"sub": "chen-mo"}, "token_of_another"),
            ({"role": "agent"}, "token_of_another"),
            ({"role": "service"}, "token_of_another"),
            ({"shop": "elsewhere"}, "token_of_another"),
            ({"exp": 1}, "token_expired"),
            ({"aud": "x"}, "token_invalid"),
            ({"sub": "a b"}, "token_invalid"),
        ],
    )
    async def test_any_other_is_refused_and_the_session_goes_on(
        self, buyer: Wire, claims: dict[str, Any], code: str
    ) -> None:
        assert await buyer.refused("refresh", token=signed(**claims)) == code
        await buyer.alive()

    async def test_a_session_whose_token_ends_is_closed_unless_it_was_refreshed(
        self, town: Town, gateway: Gateway
    ) -> None:
        """Seen to fail without the watch, and (the second) with a watch that keeps the first token's end."""
        soon = datetime.now(UTC) + timedelta(seconds=2)
        who = Participant(role=Role.BUYER, id="lin-wan", shop_id="nanshan", name="林晚", expires=soon)
        token = Tokens(SECRET).sign(who)
        one, other = [await introduced(town, Role.BUYER, "lin-wan", token=token) for _ in range(2)]
        assert (await other.ask("refresh", token=signed()))["type"] == "ok"
        assert await one.closed() == 4401
        await other.alive()


async def test_nobody_waits_for_ever_for_a_store_that_is_away(
    town: Town, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hangs: whoever comes is sent away with the code for resume. Seen to fail without a limit."""
    monkeypatch.setattr("bot.gateway._WELCOME_WITHIN", 0.1)
    redis = await town.redis()
    await redis.client_pause(800, all=True)
    wire = await dial(town)
    await wire.say({"type": "hello", "token": signed(), "protocol": 1})
    assert await wire.closed() == 4503
    assert wire.events == []
    await redis.ping()
    await (await introduced(town, Role.BUYER, "lin-wan")).alive()


async def test_an_error_before_the_locale_is_known_is_in_chinese(town: Town, gateway: Gateway) -> None:
    wire = await dial(town)
    await wire.say("{}")
    error = await wire.hear()
    check_error(error, "zh-CN")
