"""The command line as whoever runs it meets it: what it prints, what it refuses, and how it ends."""

import json
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from bot.__main__ import app
from bot.auth import Tokens
from bot.cli.duration import read_duration, say_duration
from bot.cli.failure import exit_status
from bot.client import Frame
from bot.orders.shop import Shop
from bot.participant import Role
from bot.redis.connector import connect
from bot.shopfile import DEMO
from tests.bot.command_line import SECRET, CommandLine, client

TOKEN = ("token", "--role", "agent", "--id", "xiaoyu", "--shop", "qingmu", "--name", "小雨", "--hours", "3")


@pytest.fixture
async def command_line(valkey_url: str) -> AsyncIterator[CommandLine]:
    async with CommandLine(REDIS_URL=valkey_url, ASSENT_SECRET=SECRET) as commands:
        yield commands


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("ASSENT_SECRET", SECRET)
    return monkeypatch


def status_of(*words: str) -> int:
    """The status of a command that is over at once, run in this process."""
    return exit_status(lambda: app(words, standalone_mode=False))


def test_a_token_says_who_somebody_is_and_for_how_long(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*TOKEN) == 0
    who = Tokens(SECRET).read(capsys.readouterr().out.strip())
    assert (who.role, who.id, who.shop_id, who.name) == (Role.AGENT, "xiaoyu", "qingmu", "小雨")
    assert abs(who.expires - datetime.now(UTC) - timedelta(hours=3)) < timedelta(minutes=1)

    assert status_of(*TOKEN, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert Tokens(SECRET).read(told["token"]).id == told["id"] == "xiaoyu"
    assert told["expires_ms"] == pytest.approx(who.expires.timestamp() * 1000, abs=60_000)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ["token", "--role", "boss", "--id", "a", "--shop", "b"],
            2,
            "'boss' is not one of 'buyer', 'agent', 'supervisor', 'service'",
        ),
        (["token", "--role", "buyer", "--id", "a.b", "--shop", "c"], 2, "--id 'a.b': an id is 1 to 64 letters"),
        (["token", "--role", "buyer", "--id", "a", "--shop", ""], 2, "--shop '': an id is 1 to 64 letters"),
        (["token", "--id", "a", "--shop", "b"], 2, "Missing option '--role'"),
        (["demo", "--window", "soon"], 2, "'soon' is no duration: write it like 30s, 15m, 2h or 1h30m"),
        (["import", "no-such.json"], 1, "no-such.json: can't be read: No such file"),
        (["import", str(DEMO)], 2, "REDIS_URL is not set"),
        (["chat"], 2, "Say where and who"),
        (["chat", "--url", "ftp://x", "--token", "t"], 2, "no websocket's address"),
        (["chat", "--as", "xiaoyu", "--data", "no-such-folder"], 1, "No demo runs on no-such-folder"),
        (["dance"], 2, "No such command 'dance'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str], status: int, said: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*words) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("secret", [None, "short"])
def test_a_token_wants_a_secret(
    secret: str | None, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("ASSENT_SECRET") if secret is None else environment.setenv("ASSENT_SECRET", secret)
    assert status_of(*TOKEN) == 2
    assert "ASSENT_SECRET is" in capsys.readouterr().err


def test_a_bad_shop_file_is_told_as_it_is(
    tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.json"
    shop = json.loads(DEMO.read_text("utf-8"))
    shop["orders"][3]["buyer_id"] = "nobody"
    file.write_text(json.dumps(shop))
    assert status_of("import", str(file)) == 1
    assert capsys.readouterr().err == f"error: {file}: orders[3].buyer_id: there is no buyer 'nobody'\n"


def test_a_bug_is_told_in_one_line_unless_one_asks_for_more(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("what")

    assert exit_status(broken) == 1
    assert capsys.readouterr().err == "error: KeyError: 'what' (set ASSENT_DEBUG=1 to see where)\n"
    environment.setenv("ASSENT_DEBUG", "1")
    with pytest.raises(KeyError):
        exit_status(broken)


@pytest.mark.parametrize(
    ("environment_too", "status", "said"),
    [
        ({"ASSENT_SECRET": ""}, 2, "ASSENT_SECRET is not set"),
        ({"ASSENT_SECRET": "short"}, 2, "ASSENT_SECRET is too short"),
        ({"REDIS_URL": ""}, 2, "REDIS_URL is not set"),
        ({"REDIS_URL": "http://user:hidden@x"}, 2, "Usable forms: redis://"),
        (
            {"REDIS_URL": "redis://127.0.0.1:1"},
            1,
            "could not be reached within 0.5 s: Error 111 connecting to 127.0.0.1:1",
        ),
    ],
)
async def test_serve_says_what_it_lacks(environment_too: dict[str, str], status: int, said: str) -> None:
    environment = {"REDIS_URL": "redis://127.0.0.1:1", "ASSENT_SECRET": SECRET, **environment_too}
    async with CommandLine(**environment) as commands:
        ended = await commands.run("serve", "--port", "0", "--wait", "0.5")
    assert ended.status == status
    assert said in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert "hidden" not in ended.err


async def test_serve_says_that_its_port_is_taken(command_line: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await command_line.run("serve", "--port", str(port))
    assert ended.status == 1
    assert f"error: Port {port} of 127.0.0.1 is in use: choose another with --port" in ended.err
    assert "Traceback" not in ended.err


async def test_serve_says_how_few_can_get_in(command_line: CommandLine) -> None:
    """As many files as the system allows are asked for; where those are fewer than there may be sessions, it is said.

    Seen to fail with the soft limit left as it is: 250 of 700.
    """
    few = ("sh", "-c", 'ulimit -Sn 250 && ulimit -Hn 700 && exec "$@"', "sh")
    serving = await command_line.start("serve", "--port", "0", within=few)
    await serving.until(lambda out: "Listening on" in out)
    serving.signal(signal.SIGTERM)
    ended = await serving.ended()
    assert ended.status == 0
    assert "Only 700 files may be open here, so 500 sessions get in and not 16000" in ended.err


async def test_serve_lets_in_as_few_as_it_may_open_files_for(command_line: CommandLine) -> None:
    """Seen to fail with the limit only said: the second one got in."""
    fewest = ("sh", "-c", 'ulimit -n 201 && exec "$@"', "sh")
    serving = await command_line.start("serve", "--port", "0", "--json", within=fewest)
    address = json.loads(await serving.until(lambda out: out.endswith("\n")))
    async with aiohttp.ClientSession() as http, http.ws_connect(address["ws"]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(address["ws"])
        assert refused.value.status == 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_drains_when_it_is_told_to_stop(command_line: CommandLine, number: signal.Signals) -> None:
    serving = await command_line.start("serve", "--port", "0", "--json")
    address = json.loads(await serving.until(lambda out: out.endswith("\n")))
    async with aiohttp.ClientSession() as http, http.get(f"{address['url']}/readyz") as ready:
        assert ready.status == 200

    events: list[Frame] = []
    token = (await command_line.run(*TOKEN)).out.strip()
    async with client(address["ws"], token, on_event=events.append) as agent:
        serving.signal(number)
        ended = await serving.ended()
        bye = await agent.wait_for(lambda: [event for event in events if event["type"] == "bye"])
    assert 0 <= bye[0]["retry_after_ms"] < 2000
    assert ended.status == 0
    assert "appendfsync no" in ended.err  # what the tests' server promises
    assert "Traceback" not in ended.err


async def test_import_loads_a_shop_and_sums_it_up(command_line: CommandLine, valkey_url: str) -> None:
    ended = await command_line.run("import", str(DEMO))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("Imported 青木生活 (qingmu): 2 agents, 8 buyers, ")

    connector = connect(valkey_url)
    assert (await Shop(connector.scripts).info("qingmu")).name == "青木生活"
    await connector.aclose()

    counts = json.loads((await command_line.run("import", str(DEMO), "--json")).out)
    assert (counts["shop"], counts["orders"]) == ("qingmu", 34)


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ("30s", 30, "30 seconds"),
        ("45", 45, "45 seconds"),
        ("1.5s", 1.5, "1.5 seconds"),
        ("15m", 900, "15 minutes"),
        ("2h", 7200, "2 hours"),
        ("1H30M", 5400, "1 hour 30 minutes"),
        ("1d", 86400, "1 day"),
    ],
)
def test_durations_are_read_as_people_type_them(text: str, seconds: float, said: str) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)
    assert say_duration(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "2 hours", "h", "1s1m", "9" * 30])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        read_duration(text)
